//! Judges whether a response is right.

use super::ErrorKind;
use super::response::ParsedResponse;
use super::same;
use super::script::{Expect, ScriptEntry};

/// Bytes of a body to show in a message.
const CLIP: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Right,
    /// As expected, with this id.
    Numbered(u64),
    Wrong(ErrorKind),
}

/// Judges `answer` to `entry`. Equal bytes are right; only a difference needs parsing.
pub(crate) fn judge(entry: &ScriptEntry, answer: &ParsedResponse<'_>) -> Verdict {
    let status_is_right = match entry.expect.status() {
        None => (200..300).contains(&answer.status),
        Some(status) => status == answer.status,
    };
    if !status_is_right {
        return Verdict::Wrong(ErrorKind::Status);
    }
    match &entry.expect {
        Expect::Status(_) | Expect::Success => Verdict::Right,
        Expect::Body { bytes, .. }
        | Expect::Encoded { bytes, .. }
        | Expect::Shape { bytes, .. } => {
            let equal = answer.body == &bytes[..] && answer.is_whole();
            match equal || means(entry, answer) {
                true => Verdict::Right,
                false => Verdict::Wrong(ErrorKind::Body),
            }
        }
        Expect::Numbered { bytes, .. } => {
            let (start, end) = entry.around_id;
            id_between(answer, &bytes[..start], &bytes[end..])
                .or_else(|| id_beside_members(entry, answer))
                .map_or(Verdict::Wrong(ErrorKind::Body), Verdict::Numbered)
        }
    }
}

/// The body differs from the accepted one; does it mean the same?
#[cold]
fn means(entry: &ScriptEntry, answer: &ParsedResponse<'_>) -> bool {
    let Some(json) = entry.json().filter(|_| answer.is_whole()) else {
        return false;
    };
    match &entry.expect {
        Expect::Encoded { coding, .. } => {
            let plain = coding.decode(answer.body);
            plain.is_some_and(|plain| same::means(&plain, json))
        }
        Expect::Shape { .. } => same::has_shape(answer.body, json),
        _ => same::means(answer.body, json),
    }
}

/// The positive integer between `before` and `after`, if there is nothing else.
fn id_between(answer: &ParsedResponse<'_>, before: &[u8], after: &[u8]) -> Option<u64> {
    let digits = answer.body.strip_prefix(before)?.strip_suffix(after)?;
    // JSON has no leading zeros, and 19 digits can't overflow.
    if digits.is_empty() || digits.len() > 19 || digits[0] == b'0' || !answer.is_whole() {
        return None;
    }
    digits.iter().try_fold(0_u64, |id, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(id * 10 + digit)
    })
}

#[cold]
fn id_beside_members(entry: &ScriptEntry, answer: &ParsedResponse<'_>) -> Option<u64> {
    let Expect::Numbered {
        members, id_member, ..
    } = &entry.expect
    else {
        return None;
    };
    if !answer.is_whole() {
        return None;
    }
    same::id_beside(answer.body, members, id_member)
}

/// Describes what was wrong with a response, in a few lines.
pub(crate) fn explain(entry: &ScriptEntry, answer: &ParsedResponse<'_>) -> String {
    let got = clip(answer.body);
    let more = if answer.is_whole() { "" } else { " (cut)" };
    let line = entry.line();
    let expected = expected(entry);
    let (status, length) = (answer.status, answer.body_len);
    format!("{line}\n  got {status}, {length} bytes: {got}{more}\n  expected {expected}")
}

/// Describes the expected response to `entry` in one line.
pub(crate) fn expected(entry: &ScriptEntry) -> String {
    match &entry.expect {
        Expect::Status(status) => format!("{status}"),
        Expect::Success => "200 to 299".to_owned(),
        Expect::Body { status, bytes, .. } => {
            format!("{status}, {} bytes: {}", bytes.len(), clip(bytes))
        }
        Expect::Encoded { coding, status, .. } => {
            let plain = entry.json().map(ToString::to_string).unwrap_or_default();
            let coding = coding.name();
            format!("{status}, {coding} of {}", clip(plain.as_bytes()))
        }
        Expect::Shape { status, bytes, .. } => {
            format!("{status}, a body of the same shape as {}", clip(bytes))
        }
        Expect::Numbered {
            status,
            bytes,
            id_member,
            ..
        } => format!("{status}, except for `{id_member}`: {}", clip(bytes)),
    }
}

/// The beginning of `bytes` as text.
pub(crate) fn clip(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(CLIP)]);
    let text = text.escape_debug().to_string().replace("\\\"", "\"");
    if bytes.len() > CLIP {
        text + "…"
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Coding, Request, Script};

    fn entry(expect: Expect) -> Script {
        let wire = b"GET / HTTP/1.1\r\n\r\n".to_vec();
        Script::new(vec![Request { wire, expect }]).unwrap()
    }

    fn verdict(expect: Expect, status: u16, body: &str) -> Verdict {
        verdict_of(expect, status, body.as_bytes())
    }

    fn verdict_of(expect: Expect, status: u16, body: &[u8]) -> Verdict {
        let answer = ParsedResponse {
            status,
            head: b"",
            body,
            body_len: body.len() as u64,
            wire_len: 0,
            close: false,
            begins: true,
            consumed: 0,
        };
        judge(&entry(expect).entries[0], &answer)
    }

    fn order() -> Expect {
        let Value::Object(members) = json!({"item": "SKU-1", "qty": 2}) else {
            unreachable!()
        };
        Expect::Numbered {
            status: 201,
            bytes: br#"{"id":7,"item":"SKU-1","qty":2}"#.to_vec(),
            members,
            id_member: "id".into(),
        }
    }

    fn ping() -> Expect {
        Expect::Body {
            status: 200,
            bytes: br#"{"status":"ok","n":1}"#.to_vec(),
        }
    }

    #[test]
    fn bodies_of_the_same_meaning_are_right() {
        for body in [
            r#"{"status":"ok","n":1}"#,
            r#" {"n": 1, "status" : "ok"}"#,
            r#"{"status":"\u006fk","n":1}"#,
        ] {
            assert_eq!(verdict(ping(), 200, body), Verdict::Right, "{body}");
        }
        assert_eq!(verdict(Expect::Status(204), 204, "any"), Verdict::Right);
    }

    #[test]
    fn bodies_of_another_meaning_are_wrong() {
        for body in [
            "",
            r#"{"status":"ok","n":2}"#,
            r#"{"status":"ok"}"#,
            r#"{"status":"ok","n":1,"x":0}"#,
            r#"{"status":"ok","n":1"#,
            r#"{"status":"ok","n":1}}"#,
        ] {
            assert_eq!(
                verdict(ping(), 200, body),
                Verdict::Wrong(ErrorKind::Body),
                "{body}"
            );
        }
        let wrong = verdict(ping(), 201, r#"{"status":"ok","n":1}"#);
        assert_eq!(wrong, Verdict::Wrong(ErrorKind::Status));
    }

    #[test]
    fn a_compressed_body_is_right_by_what_it_holds() {
        let plain = r#"{"status":"ok","n":1}"#;
        for coding in Coding::ALL {
            let compressed = |plain: &str, level| coding.encode(plain.as_bytes(), level);
            let right = compressed(plain, 6);
            let expect = || Expect::Encoded {
                coding,
                status: 200,
                bytes: right.clone(),
            };
            for body in [
                &right,
                &compressed(plain, 0),
                &compressed(r#"{"n":1, "status":"ok"}"#, 1),
            ] {
                assert_eq!(verdict_of(expect(), 200, body), Verdict::Right);
            }
            let half = &right[..right.len() / 2];
            let no_end = &right[..right.len() - 8];
            let other = &compressed(r#"{"status":"ok","n":2}"#, 6);
            for body in [half, no_end, other, plain.as_bytes(), b""] {
                let wrong = Verdict::Wrong(ErrorKind::Body);
                assert_eq!(verdict_of(expect(), 200, body), wrong, "{body:?}");
            }
            let wrong = verdict_of(expect(), 500, &right);
            assert_eq!(wrong, Verdict::Wrong(ErrorKind::Status));
        }
    }

    #[test]
    fn orders_give_their_id() {
        for (body, id) in [
            (r#"{"id":7,"item":"SKU-1","qty":2}"#, 7),
            (r#"{"id":123456,"item":"SKU-1","qty":2}"#, 123_456),
            (r#"{"qty":2,"item":"SKU-1","id":9}"#, 9),
            (
                r#"{"id": 18446744073709551615, "item":"SKU-1","qty":2}"#,
                u64::MAX,
            ),
        ] {
            assert_eq!(verdict(order(), 201, body), Verdict::Numbered(id), "{body}");
        }
    }

    #[test]
    fn wrong_orders_are_wrong() {
        for body in [
            r#"{"id":0,"item":"SKU-1","qty":2}"#,
            r#"{"id":07,"item":"SKU-1","qty":2}"#,
            r#"{"id":,"item":"SKU-1","qty":2}"#,
            r#"{"id":"7","item":"SKU-1","qty":2}"#,
            r#"{"id":7,"item":"SKU-2","qty":2}"#,
            r#"{"id":7,"item":"SKU-1"}"#,
            r#"{"id":7,"item":"SKU-1","qty":2,"x":1}"#,
            r#"{"item":"SKU-1","qty":2}"#,
            r#"{"id":7"#,
            "[]",
        ] {
            assert_eq!(
                verdict(order(), 201, body),
                Verdict::Wrong(ErrorKind::Body),
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_that_was_cut_is_wrong() {
        let script = entry(ping());
        let body = br#"{"status":"ok","n":1}"#;
        let answer = ParsedResponse {
            status: 200,
            head: b"",
            body,
            body_len: body.len() as u64 + 1,
            wire_len: 0,
            close: false,
            begins: true,
            consumed: 0,
        };
        let wrong = judge(&script.entries[0], &answer);
        assert_eq!(wrong, Verdict::Wrong(ErrorKind::Body));
        assert!(explain(&script.entries[0], &answer).contains("GET / HTTP/1.1"));
    }
}
