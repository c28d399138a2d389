//! One line of an access log.

use jiff::Timestamp;
use serde_json::Value;

use super::Logged;
use crate::cmd::drive::target::request_target;
use catalog::is_token;

/// A time as the common log format has it, if need be with a fraction.
const TIME: &str = "%d/%b/%Y:%H:%M:%S%.f %z";

/// Names of members in JSON, those of nginx, Apache, Caddy, Traefik and the Elastic Common Schema among them. A dot
/// leads into an object, unless the name itself has one.
const TIMES: [&str; 10] = [
    "ts",
    "time",
    "timestamp",
    "@timestamp",
    "StartUTC",
    "start_time",
    "msec",
    "time_iso8601",
    "time_local",
    "date",
];
const METHODS: [&str; 6] = [
    "method",
    "request_method",
    "RequestMethod",
    "request.method",
    "http.request.method",
    "verb",
];
const TARGETS: [&str; 8] = [
    "uri",
    "request_uri",
    "request.uri",
    "RequestPath",
    "url.original",
    "target",
    "path",
    "url",
];
const LINES: [&str; 2] = ["request", "request_line"];
const STATUSES: [&str; 6] = [
    "status",
    "status_code",
    "DownstreamStatus",
    "http.response.status_code",
    "response.status",
    "code",
];

/// A request and when it was logged.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    /// Unix nanoseconds.
    pub(super) time: i64,
    pub(super) request: Logged,
}

/// Reads a line.
///
/// # Errors
/// Why it can't be read; the same for all such lines.
pub(super) fn parse(text: &str) -> Result<Line, String> {
    match text.starts_with('{') {
        true => json(text),
        false => common(text),
    }
}

/// Common and combined log format: `HOST IDENT USER [TIME] "METHOD TARGET HTTP/1.1" STATUS BYTES ...`.
fn common(text: &str) -> Result<Line, String> {
    let (_, rest) = text.split_once(" [").ok_or("a line without a time")?;
    let (time, rest) = rest.split_once(']').ok_or("a line without a time")?;
    let time = clock(time).ok_or("a line with an unknown time")?;
    let rest = rest.trim_start().strip_prefix('"');
    let (line, rest) = rest.and_then(quoted).ok_or("a line without a request")?;
    let status = rest.split_whitespace().next().and_then(|s| s.parse().ok());
    let (method, target) = request_line(&line)?;
    request(time, &method, &target, status)
}

/// A text up to its closing quote, and what follows. Apache and nginx write `\"`, `\\` and `\x22`.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut out = Vec::new();
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => {
                let rest = text.get(at + 1..)?;
                return Some((String::from_utf8_lossy(&out).into_owned(), rest));
            }
            b'\\' => match bytes.next()?.1 {
                b'x' => {
                    let hex = text.get(at + 2..at + 4)?;
                    out.push(u8::from_str_radix(hex, 16).ok()?);
                    bytes.nth(1);
                }
                b't' => out.push(b'\t'),
                b'n' => out.push(b'\n'),
                b'r' => out.push(b'\r'),
                other => out.push(other),
            },
            other => out.push(other),
        }
    }
    None
}

/// `GET /path HTTP/1.1`; the target may have spaces.
fn request_line(line: &str) -> Result<(String, String), String> {
    let wrong = "a line whose request is not `METHOD TARGET HTTP/...`";
    let (method, rest) = line.split_once(' ').ok_or(wrong)?;
    let (target, version) = rest.rsplit_once(' ').ok_or(wrong)?;
    match version.starts_with("HTTP/") {
        true => Ok((method.to_owned(), target.to_owned())),
        false => Err(wrong.to_owned()),
    }
}

fn json(text: &str) -> Result<Line, String> {
    let line: Value =
        serde_json::from_str(text).map_err(|_| "a line that is not JSON".to_owned())?;
    let time = TIMES.iter().find_map(|name| moment(member(&line, name)?));
    let time = time.ok_or("a line without a known time")?;
    let text = |names: &[&str]| names.iter().find_map(|name| member(&line, name)?.as_str());
    let (method, target) = match (text(&METHODS), text(&TARGETS), text(&LINES)) {
        (Some(method), Some(target), _) => (method.to_owned(), target.to_owned()),
        (_, _, Some(line)) => request_line(line)?,
        _ => return Err("a line without a method and a target".to_owned()),
    };
    let status = STATUSES.iter().find_map(|name| {
        let status = member(&line, name)?;
        status.as_u64().or_else(|| status.as_str()?.parse().ok())
    });
    request(
        time,
        &method,
        &target,
        status.and_then(|s| s.try_into().ok()),
    )
}

/// A member by its name, or by the names on the way to it.
fn member<'v>(of: &'v Value, name: &str) -> Option<&'v Value> {
    of.get(name)
        .or_else(|| name.split('.').try_fold(of, |of, name| of.get(name)))
}

/// Unix nanoseconds of a number or a text. The size of a number tells its unit: s, ms, µs or ns.
fn moment(value: &Value) -> Option<i64> {
    let number = |number: f64| {
        let unit = match number.abs() {
            ..1e11 => 1e9,
            ..1e14 => 1e6,
            ..1e17 => 1e3,
            _ => 1.0,
        };
        number.is_finite().then_some((number * unit) as i64)
    };
    match value {
        // Seconds with a fraction have no more than a µs, which a double can hold.
        Value::Number(_) => match value.as_i64() {
            Some(whole) if whole.abs() >= 100_000_000_000_000_000 => Some(whole),
            _ => number(value.as_f64()?),
        },
        Value::String(text) => match text.parse::<f64>() {
            Ok(seconds) => number(seconds),
            Err(_) => clock(text),
        },
        _ => None,
    }
}

/// Unix nanoseconds of a time in the common log format or RFC 3339.
fn clock(text: &str) -> Option<i64> {
    let parsed = Timestamp::strptime(TIME, text).or_else(|_| text.parse::<Timestamp>());
    i64::try_from(parsed.ok()?.as_nanosecond()).ok()
}

fn request(time: i64, method: &str, target: &str, status: Option<u16>) -> Result<Line, String> {
    if !is_token(method) {
        return Err("a line whose method is no word".to_owned());
    }
    let status = status.filter(|status| (100..600).contains(status));
    let status = status.ok_or("a line without a status from 100 to 599")?;
    // A proxy is asked for a whole URL.
    let path = match target.split_once("://") {
        Some((scheme, rest)) if ["http", "https"].contains(&scheme) => {
            rest.find('/').map_or("/", |at| &rest[at..])
        }
        _ => target,
    };
    if !path.starts_with('/') {
        return Err("a request whose target is no path".to_owned());
    }
    Ok(Line {
        time,
        request: Logged {
            method: method.to_owned(),
            target: request_target(path),
            status,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;
    /// 2000-10-10T20:55:36Z.
    const TIME_OF_OLD: i64 = 971_211_336 * SECOND;

    #[track_caller]
    fn reads(text: &str, time: i64, line: &str) {
        let read = parse(text).unwrap();
        let Logged {
            method,
            target,
            status,
        } = &read.request;
        assert_eq!(
            (read.time, format!("{method} {target} {status}").as_str()),
            (time, line),
            "{text}"
        );
    }

    #[test]
    fn common_and_combined_lines_are_read() {
        let time = "[10/Oct/2000:13:55:36 -0700]";
        for (text, line) in [
            (
                format!(r#"127.0.0.1 - frank {time} "GET /a.gif HTTP/1.0" 200 2326"#),
                "GET /a.gif 200",
            ),
            (
                format!(
                    r#"shop:80 ::1 - - {time} "POST /o?a=b HTTP/2.0" 201 - "http://x/" "M [x] \"5\"""#
                ),
                "POST /o?a=b 201",
            ),
            (
                format!(r#"h - John Doe {time} "GET /a b\x22\\\" HTTP/1.1" 404 0"#),
                "GET /a%20b%22%5C%22 404",
            ),
            (
                format!(r#"h - - {time} "GET http://shop.example/x?y HTTP/1.1" 200 1"#),
                "GET /x?y 200",
            ),
        ] {
            reads(&text, TIME_OF_OLD, line);
        }
        reads(
            r#"h - - [10/Oct/2000:20:55:36.250 +0000] "GET / HTTP/1.1" 200 1"#,
            TIME_OF_OLD + SECOND / 4,
            "GET / 200",
        );
    }

    #[test]
    fn json_lines_of_several_servers_are_read() {
        let half = TIME_OF_OLD + SECOND / 2;
        for text in [
            r#"{"level":"info","ts":971211336.5,"request":{"method":"GET","uri":"/a?b=1"},"status":200}"#,
            r#"{"time":"2000-10-10T13:55:36.5-07:00","request":"GET /a?b=1 HTTP/1.1","status":"200"}"#,
            r#"{"msec":"971211336.500","request_method":"GET","request_uri":"/a?b=1","status":"200"}"#,
            r#"{"StartUTC":"2000-10-10T20:55:36.5Z","RequestMethod":"GET","RequestPath":"/a?b=1","DownstreamStatus":200}"#,
            r#"{"@timestamp":"2000-10-10T20:55:36.500Z","http.request.method":"GET","url":{"original":"/a?b=1"},"http":{"response":{"status_code":200}}}"#,
            r#"{"timestamp":971211336500,"method":"GET","path":"/a?b=1","status_code":200}"#,
            r#"{"time":971211336500000000,"method":"GET","path":"/a?b=1","code":200}"#,
        ] {
            reads(text, half, "GET /a?b=1 200");
        }
    }

    #[test]
    fn a_malformed_line_says_what_is_missing() {
        for (text, why) in [
            ("", "without a time"),
            ("some text", "without a time"),
            ("h - - [10/Oct/2000:13:55:36 -0700", "without a time"),
            (r#"h - - [today] "GET / HTTP/1.1" 200 1"#, "unknown time"),
            (
                "h - - [10/Oct/2000:13:55:36 -0700] GET / 200",
                "without a request",
            ),
            (
                r#"h - - [10/Oct/2000:13:55:36 -0700] "GET / HT"#,
                "without a request",
            ),
            (
                r#"h - - [10/Oct/2000:13:55:36 -0700] "\x16\x03" 400 0"#,
                "is not `METHOD",
            ),
            (
                r#"h - - [10/Oct/2000:13:55:36 -0700] "\xé" 400 0"#,
                "without a request",
            ),
            (
                r#"h - - [10/Oct/2000:13:55:36 -0700] "-" 408 0"#,
                "is not `METHOD",
            ),
            (
                r#"h - - [10/Oct/2000:13:55:36 -0700] "G(T / HTTP/1.1" 400 0"#,
                "no word",
            ),
            (
                r#"h - - [10/Oct/2000:13:55:36 -0700] "GET * HTTP/1.1" 400 0"#,
                "no path",
            ),
            (
                r#"h - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" - 0"#,
                "without a status",
            ),
            (r#"{"time":"#, "not JSON"),
            (r#"{"method":"GET","path":"/","status":200}"#, "known time"),
            (r#"{"ts":1,"path":"/","status":200}"#, "without a method"),
            (
                r#"{"ts":1,"method":"GET","path":"/","status":9}"#,
                "without a status",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
