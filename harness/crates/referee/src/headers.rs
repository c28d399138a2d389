//! Headers of every response, successful or not.

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::Method;

use super::response::Response;
use super::subject::{Ask, Subject};
use super::{CheckDef, Outcome};

/// Maximum difference of a Date from the clock.
const DATE_TOLERANCE: Duration = Duration::from_secs(2);
/// A Date must have changed after this time: its tolerance, plus the second it is rounded to.
const DATE_MOVES_WITHIN: Duration = Duration::from_millis(3_500);
/// Polling interval for a change of the Date.
const DATE_POLL: Duration = Duration::from_millis(50);

pub(super) const CHECKS: &[CheckDef] = checks! {
    "header-content-type" => content_type: "every response is labelled application/json; a charset is allowed",
    "header-content-length" => content_length: "every response has a correct Content-Length or is chunked",
    "header-once" => once: "no response has Content-Type, Content-Length or Date twice",
    "header-date" => date: "every response has a Date in HTTP's format, accurate to 2 s",
    "header-date-moves" => date_moves: "the Date advances",
};

/// A response of every kind the contract has.
fn each_kind(subject: &Subject, check: impl Fn(&Response) -> Outcome) -> Outcome {
    let order = r#"{"item_id":"SKU-404","qty":1}"#;
    let all_units = r#"{"item_id":"SKU-LIMITED","qty":1000}"#;
    let asks = [
        Ask::get("/ping"),
        Ask::get("/api/v1/users"),
        Ask::get("/api/v1/users?limit=1&page=1000000"),
        Ask::get("/api/v1/users/4321"),
        Ask::order(order),
        Ask::get("/api/v1/orders"),
        Ask::get("/api/v1/orders/1"),
        Ask::get("/nothing"),
        Ask::get("/api/v1/users/0"),
        Ask::new(Method::DELETE, "/ping"),
        Ask::get("/api/v1/users?limit=0"),
        Ask::order(vec![b' '; 17 * 1024]),
        Ask::to_orders(Method::POST, Some("text/plain"), order),
        Ask::order("{"),
        Ask::order("{}"),
        // The first may still be within the stock, the second can't be.
        Ask::order(all_units),
        Ask::order(all_units),
    ];
    let asks = if subject.only_ping { &asks[..1] } else { &asks };
    asks.iter()
        .try_for_each(|ask| subject.ask(ask).and_then(|answer| check(&answer)))
}

fn content_type(subject: &Subject) -> Outcome {
    each_kind(subject, |answer| {
        let value = answer.header("content-type").unwrap_or("(none)");
        let mut parts = value.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let only_charset = |part: &str| part.to_ascii_lowercase().starts_with("charset=");
        if media_type.eq_ignore_ascii_case("application/json") && parts.all(only_charset) {
            return Ok(());
        }
        Err(answer.wrong(format!("Content-Type: application/json; it was {value}")))
    })
}

fn content_length(subject: &Subject) -> Outcome {
    each_kind(subject, |answer| {
        let length = answer.header("content-length");
        let right = match length {
            Some(length) => length == answer.body.len().to_string(),
            None => answer
                .header("transfer-encoding")
                .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")),
        };
        if right && !answer.body.is_empty() {
            return Ok(());
        }
        Err(answer.wrong(format!(
            "Content-Length: {} or chunked; it was {}",
            answer.body.len(),
            length.unwrap_or("(none)")
        )))
    })
}

/// If there are two, a client, a proxy and a log may each use a different one.
fn once(subject: &Subject) -> Outcome {
    each_kind(subject, |answer| {
        for name in ["content-type", "content-length", "date"] {
            let values: Vec<_> = answer.headers.get_all(name).iter().collect();
            if values.len() > 1 {
                return Err(answer.wrong(format!("{name} once; it was {values:?}")));
            }
        }
        Ok(())
    })
}

fn date(subject: &Subject) -> Outcome {
    each_kind(subject, |answer| read_date(answer).map(drop))
}

fn date_moves(subject: &Subject) -> Outcome {
    let first = read_date(&subject.get("/ping")?)?;
    let deadline = Instant::now() + DATE_MOVES_WITHIN;
    loop {
        std::thread::sleep(DATE_POLL);
        let answer = subject.get("/ping")?;
        if read_date(&answer)? != first {
            return Ok(());
        }
        if Instant::now() > deadline {
            let waited = DATE_MOVES_WITHIN.as_secs_f64();
            return Err(answer.wrong(format!(
                "a Date that advances; it stood still for {waited} s"
            )));
        }
    }
}

/// The Date of a response, if it has the only format that RFC 9110 lets a server send and is within the
/// tolerance of the time the response was in transit.
fn read_date(answer: &Response) -> Result<Timestamp, String> {
    let text = answer.header("date").unwrap_or("(none)");
    let wrong = |expected: &str| answer.wrong(format!("{expected}; it was {text}"));
    let date = parse_imf_fixdate(text)
        .ok_or_else(|| wrong("a Date such as Sun, 06 Nov 1994 08:49:37 GMT"))?;
    let at = SystemTime::from(date);
    // A Date is truncated to the second, so it may seem up to a second older than it is.
    let oldest = answer.sent_at - DATE_TOLERANCE - Duration::from_secs(1);
    let newest = answer.received_at + DATE_TOLERANCE;
    if at < oldest || at > newest {
        return Err(wrong("a Date within 2 s of the clock"));
    }
    Ok(date)
}

fn parse_imf_fixdate(text: &str) -> Option<Timestamp> {
    let date = rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let exact = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    (exact == text).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_date_format_is_taken() {
        let date = parse_imf_fixdate("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        assert_eq!(date.as_second(), 784_111_777);
        for text in [
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 +0000",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
            "",
        ] {
            assert_eq!(parse_imf_fixdate(text), None, "{text}");
        }
    }
}
