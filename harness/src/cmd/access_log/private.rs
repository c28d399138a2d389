//! Replaces what may identify a person or open a door.
//!
//! Only method, path, query, status and time of a line are read, so addresses, user names, referrers and user agents are
//! never kept. What remains in paths and queries is replaced by its kind, numbered in order of first mention: the
//! same value always by the same replacement, so that requests that were equal stay equal.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use crate::cmd::import::secret::is_secret;

/// Digits of a number that may be a telephone, card or account number.
const LONG_NUMBER: usize = 10;
/// Letters and digits in a row that only a token has.
const LONG_TOKEN: usize = 20;

/// What was replaced so far.
#[derive(Debug, Default)]
pub(super) struct Private {
    /// Each value, and its number within its kind.
    known: HashMap<(Kind, String), usize>,
    count: BTreeMap<Kind, usize>,
}

/// Kinds of values that are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Kind {
    /// By the name of its parameter.
    Secret,
    Email,
    Uuid,
    Address,
    Number,
    Token,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Secret => "secret parameter",
            Self::Email => "e-mail",
            Self::Uuid => "UUID",
            Self::Address => "IP",
            Self::Number => "long number",
            Self::Token => "token",
        }
    }

    /// The kind of a value, by its form.
    fn of(value: &str) -> Option<Self> {
        let is_hex = |part: &str, length| {
            part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit())
        };
        let parts: Vec<&str> = value.split('-').collect();
        let digits = value.strip_prefix('+').unwrap_or(value);
        if let [a, b, c, d, e] = parts[..]
            && is_hex(a, 8)
            && [b, c, d].iter().all(|part| is_hex(part, 4))
            && is_hex(e, 12)
        {
            Some(Self::Uuid)
        } else if value
            .split_once('@')
            .is_some_and(|(a, b)| !a.is_empty() && b.contains('.'))
        {
            Some(Self::Email)
        } else if value.parse::<IpAddr>().is_ok() {
            Some(Self::Address)
        } else if digits.len() >= LONG_NUMBER && digits.bytes().all(|b| b.is_ascii_digit()) {
            Some(Self::Number)
        } else if !is_file(value) && has_token(value) {
            Some(Self::Token)
        } else {
            None
        }
    }
}

/// Whether it ends like a file's name: the hashes in those are no secrets.
fn is_file(value: &str) -> bool {
    let extension = value.rsplit_once('.').map(|(_, extension)| extension);
    extension
        .is_some_and(|e| (1..=5).contains(&e.len()) && e.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Whether it has a long row of letters and digits, with both among them.
fn has_token(value: &str) -> bool {
    let mut runs = value.split(|c: char| !c.is_ascii_alphanumeric());
    runs.any(|run| {
        let has = |is: fn(&u8) -> bool| run.as_bytes().iter().any(is);
        run.len() >= LONG_TOKEN && has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic)
    })
}

impl Private {
    /// Path and query with what is private replaced.
    pub(super) fn replaced(&mut self, target: &str) -> String {
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (target, None),
        };
        let mut out = String::with_capacity(target.len());
        for (n, segment) in path.split('/').enumerate() {
            if n > 0 {
                out.push('/');
            }
            // As in `/page;jsessionid=1234`.
            for (n, part) in segment.split(';').enumerate() {
                if n > 0 {
                    out.push(';');
                }
                self.part(part, &mut out);
            }
        }
        for (n, part) in query.iter().flat_map(|query| query.split('&')).enumerate() {
            out.push(if n == 0 { '?' } else { '&' });
            self.part(part, &mut out);
        }
        out
    }

    /// A value, or a name and a value.
    fn part(&mut self, part: &str, out: &mut String) {
        let (name, raw) = match part.split_once('=') {
            Some((name, value)) => (Some(name), value),
            None => (None, part),
        };
        if let Some(name) = name {
            out.push_str(name);
            out.push('=');
        }
        let value = decoded(raw);
        let is_secret = name.is_some_and(|name| is_secret(&decoded(name)));
        let kind = match is_secret && !value.is_empty() {
            true => Some(Kind::Secret),
            false => Kind::of(&value),
        };
        match kind {
            None => out.push_str(raw),
            Some(kind) => {
                let length = value.len();
                out.push_str(&replacement(kind, self.number(kind, value), length));
            }
        }
    }

    /// The number of a value within its kind, from 1.
    fn number(&mut self, kind: Kind, value: String) -> usize {
        *self.known.entry((kind, value)).or_insert_with(|| {
            let count = self.count.entry(kind).or_default();
            *count += 1;
            *count
        })
    }

    /// How many values of each kind were replaced.
    pub(super) fn counts(&self) -> BTreeMap<&'static str, usize> {
        let counts = self.count.iter();
        counts.map(|(kind, count)| (kind.name(), *count)).collect()
    }
}

fn replacement(kind: Kind, n: usize, length: usize) -> String {
    match kind {
        Kind::Secret => format!("secret{n}"),
        Kind::Email => format!("user{n}%40example.com"),
        Kind::Uuid => format!("00000000-0000-4000-8000-{n:012}"),
        // 198.18.0.0/15 is for benchmarks (RFC 2544).
        Kind::Address => format!("198.{}.{}.{}", 18 + n / 65_536 % 2, n / 256 % 256, n % 256),
        Kind::Number => format!("{n:0length$}"),
        Kind::Token => format!("token{n}"),
    }
}

/// Without percent-encoding.
fn decoded(raw: &str) -> String {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw.as_bytes();
    while let [byte, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *byte == b'%');
        let hex = hex.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        (rest, _) = match hex {
            Some(byte) => (&tail[2..], out.push(byte)),
            None => (tail, out.push(*byte)),
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_private_is_replaced_by_its_kind() {
        for (target, replaced) in [
            ("/u/jane%40shop.example/x", "/u/user1%40example.com/x"),
            ("/u?mail=jane@shop.example", "/u?mail=user1%40example.com"),
            (
                "/u/6F9619FF-8B86-D011-B42D-00C04FC964FF",
                "/u/00000000-0000-4000-8000-000000000001",
            ),
            (
                "/from/10.20.30.40?ip=2001:db8::7",
                "/from/198.18.0.1?ip=198.18.0.2",
            ),
            ("/call/+491701234567", "/call/0000000000001"),
            (
                "/verify/eyJhbGciOiJIUzI1NiJ9abc.eyJzdWIiOiIxMjM0NTY3ODkw.x-y_z123",
                "/verify/token1",
            ),
            (
                "/p;jsessionid=AB12?api_key=k%201&q=",
                "/p;jsessionid=secret1?api_key=secret2&q=",
            ),
        ] {
            assert_eq!(Private::default().replaced(target), replaced);
        }
    }

    #[test]
    fn what_a_server_needs_is_kept() {
        for target in [
            "/",
            "/api/v1/users/123456789?page=2&limit=20&status=active",
            "/items/SKU-789",
            "/blog/how-to-build-a-web-server-in-2024",
            "/static/app.3f2a9c81b4d07e653f2a.js",
            "/@jane/posts?flag&x==",
            "/100%25/%zz",
        ] {
            assert_eq!(Private::default().replaced(target), target);
        }
    }

    #[test]
    fn equal_values_stay_equal_and_others_differ() {
        let mut private = Private::default();
        let mut replaced = |target: &str| private.replaced(target);
        let first = replaced("/u/a@b.example");
        let second = replaced("/u/c@b.example");
        assert_ne!(first, second);
        assert_eq!(replaced("/u/a%40b.example"), first);
        assert_eq!(private.counts(), [("e-mail", 2)].into());
    }
}
