//! Sessions: requests that a user sends in order, some made from values of earlier responses.
//!
//! A [`Session`] says what its steps have in common; a [`Script`](super::Script) has the requests themselves. A request
//! with values has placeholders such as `{order}`, which a [`Template`] replaces just before it is sent.

use std::fmt;
use std::fmt::Write as _;
use std::ops::Range;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Maximum length of a value in bytes.
const MAX_VALUE: usize = 256;
/// A byte takes at most this many in a request: `%XX`, or `\"` in JSON.
const LONGEST_BYTE: usize = 3;

/// What the steps of a session do with responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// In the order they are sent, at least one.
    pub steps: Vec<Step>,
    /// The names of the values, as in placeholders.
    pub values: Vec<String>,
}

/// One step of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its name in figures and messages.
    pub name: String,
    /// The values to take from its response, by their index.
    pub takes: Vec<(usize, Pointer)>,
    /// An earlier step: the body must mean the same as that of its response.
    pub same_as: Option<usize>,
}

/// The place of a value in a JSON document (RFC 6901), not its root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pointer {
    text: String,
    /// The names of members or indices of elements, from the outside in.
    tokens: Vec<String>,
}

impl Pointer {
    /// Parses a pointer such as `/id` or `/orders/0/id`; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let tokens = text.strip_prefix('/')?.split('/');
        let unescaped = |token: &str| {
            let mut rest = token.split('~');
            let mut name = rest.next().unwrap_or_default().to_owned();
            for part in rest {
                let (sign, after) = match part.split_at_checked(1)? {
                    ("0", after) => ('~', after),
                    ("1", after) => ('/', after),
                    _ => return None,
                };
                name.push(sign);
                name.push_str(after);
            }
            Some(name)
        };
        Some(Self {
            text: text.to_owned(),
            tokens: tokens.map(unescaped).collect::<Option<_>>()?,
        })
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The values that a user has taken so far.
#[derive(Debug, Clone)]
pub struct Taken(Vec<Taking>);

#[derive(Debug, Clone)]
struct Taking {
    text: String,
    /// Whether it was a string, which has quotes in JSON.
    quoted: bool,
}

impl Taken {
    /// Room for this many values, all empty.
    pub fn new(values: usize) -> Self {
        let empty = || Taking {
            text: String::with_capacity(MAX_VALUE),
            quoted: false,
        };
        Self((0..values).map(|_| empty()).collect())
    }

    /// Takes a value from the JSON in `body`; returns whether it is there. It must be a whole number, a boolean, or a
    /// string of at most 256 bytes without control characters.
    pub fn take(&mut self, value: usize, pointer: &Pointer, body: &[u8]) -> bool {
        let taking = &mut self.0[value];
        let mut json = serde_json::Deserializer::from_slice(body);
        let at = At {
            tokens: &pointer.tokens,
            taking,
        };
        matches!(at.deserialize(&mut json), Ok(true)) && json.end().is_ok()
    }

    /// The values with their names, for messages.
    pub(crate) fn words(&self, names: &[String]) -> String {
        let mut words = String::new();
        for (name, taking) in names
            .iter()
            .zip(&self.0)
            .filter(|(_, t)| !t.text.is_empty())
        {
            let comma = if words.is_empty() { "" } else { ", " };
            // Writing to a string can't fail.
            let _ = write!(words, "{comma}{name} = {}", taking.text);
        }
        words
    }

    /// Forgets all values.
    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(|taking| taking.text.clear());
    }
}

/// Parses JSON and takes the value at a place; returns whether it is there.
struct At<'a> {
    tokens: &'a [String],
    taking: &'a mut Taking,
}

impl At<'_> {
    fn keep<E: Error>(self, text: impl fmt::Display, quoted: bool) -> Result<bool, E> {
        if !self.tokens.is_empty() {
            return Ok(false);
        }
        self.taking.text.clear();
        self.taking.quoted = quoted;
        // Writing to a string can't fail.
        let _ = write!(self.taking.text, "{text}");
        Ok(true)
    }
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_bool<E: Error>(self, read: bool) -> Result<bool, E> {
        self.keep(read, false)
    }

    fn visit_u64<E: Error>(self, read: u64) -> Result<bool, E> {
        self.keep(read, false)
    }

    fn visit_i64<E: Error>(self, read: i64) -> Result<bool, E> {
        self.keep(read, false)
    }

    fn visit_str<E: Error>(self, read: &str) -> Result<bool, E> {
        // An empty one would make another path.
        let usable = (1..=MAX_VALUE).contains(&read.len()) && !read.chars().any(char::is_control);
        if usable {
            self.keep(read, true)
        } else {
            Ok(false)
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut read: A) -> Result<bool, A::Error> {
        let (index, tokens) = match self.tokens.split_first() {
            Some((token, tokens)) => (token.parse::<usize>().ok(), tokens),
            None => (None, self.tokens),
        };
        let mut found = false;
        let mut place = 0;
        loop {
            let more = match index == Some(place) {
                true => {
                    let taking = &mut *self.taking;
                    let element = read.next_element_seed(At { tokens, taking })?;
                    found |= element == Some(true);
                    element.is_some()
                }
                false => read.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                return Ok(found);
            }
            place += 1;
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut read: A) -> Result<bool, A::Error> {
        let (name, tokens) = match self.tokens.split_first() {
            Some((token, tokens)) => (Some(&**token), tokens),
            None => (None, self.tokens),
        };
        let mut found = false;
        while let Some(is_it) = read.next_key_seed(Named(name))? {
            if is_it {
                let taking = &mut *self.taking;
                found = read.next_value_seed(At { tokens, taking })?;
            } else {
                read.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Parses the name of a member; returns whether it is the one that is looked for.
struct Named<'a>(Option<&'a str>);

impl<'de> DeserializeSeed<'de> for Named<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<bool, D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Named<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E: Error>(self, read: &str) -> Result<bool, E> {
        Ok(self.0 == Some(read))
    }
}

/// A request with placeholders for values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
    /// Index of the first piece of the body.
    body: usize,
    longest: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Fixed(Vec<u8>),
    Value {
        value: usize,
        form: Form,
    },
    /// The number in `Content-Length`, for a body with values.
    BodyLength,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// In the path or the query: everything but RFC 3986's unreserved characters as `%XX`.
    Percent,
    /// In a header: as it is.
    Plain,
    /// `"{value}"` in a body: as the JSON it was, with quotes only if it was a string.
    Json,
    /// Inside a longer text of a body: escaped as in a JSON string.
    JsonText,
}

impl Template {
    /// The template of a complete request in which `{name}` stands for a value; `None` if there is no placeholder.
    pub fn new(wire: &[u8], names: &[String]) -> Option<Self> {
        let head_end = wire.windows(4).position(|w| w == b"\r\n\r\n")? + 4;
        let line_end = wire.iter().position(|byte| *byte == b'\r')?;
        let mut head = Vec::new();
        let mut body = Vec::new();
        cut(
            &wire[..line_end],
            names,
            |_, _| (Form::Percent, false),
            &mut head,
        );
        cut(
            &wire[line_end..head_end],
            names,
            |_, _| (Form::Plain, false),
            &mut head,
        );
        let text = &wire[head_end..];
        let in_json = |at: Range<usize>, fixed_from| {
            let quoted = at.start > fixed_from && text[at.start - 1] == b'"';
            match quoted && text.get(at.end) == Some(&b'"') {
                true => (Form::Json, true),
                false => (Form::JsonText, false),
            }
        };
        cut(text, names, in_json, &mut body);
        let has_values = |pieces: &[Piece]| pieces.iter().any(|p| matches!(p, Piece::Value { .. }));
        if has_values(&body) {
            head = with_length(head);
        } else if !has_values(&head) {
            return None;
        }
        let longest = |piece: &Piece| match piece {
            Piece::Fixed(bytes) => bytes.len(),
            Piece::Value { .. } => LONGEST_BYTE * MAX_VALUE + 2,
            Piece::BodyLength => 20,
        };
        let body_at = head.len();
        head.append(&mut body);
        Some(Self {
            longest: head.iter().map(longest).sum(),
            pieces: head,
            body: body_at,
        })
    }

    /// The most bytes that a request takes.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// Writes the request with these values to `out`, which has room for the longest; returns its length.
    pub fn write(&self, taken: &Taken, out: &mut [u8]) -> usize {
        let mut body_length = 0;
        for piece in &self.pieces[self.body..] {
            piece.put(taken, 0, &mut |bytes| body_length += bytes.len());
        }
        let mut length = 0;
        for piece in &self.pieces {
            piece.put(taken, body_length, &mut |bytes| {
                out[length..length + bytes.len()].copy_from_slice(bytes);
                length += bytes.len();
            });
        }
        length
    }
}

impl Piece {
    fn put(&self, taken: &Taken, body_length: usize, out: &mut impl FnMut(&[u8])) {
        match self {
            Self::Fixed(bytes) => out(bytes),
            Self::Value { value, form } => form.put(&taken.0[*value], out),
            Self::BodyLength => {
                let mut digits = [0; 20];
                let mut at = digits.len();
                let mut left = body_length;
                loop {
                    at -= 1;
                    digits[at] = b'0' + (left % 10) as u8;
                    left /= 10;
                    if left == 0 {
                        break;
                    }
                }
                out(&digits[at..]);
            }
        }
    }
}

impl Form {
    fn put(self, taking: &Taking, out: &mut impl FnMut(&[u8])) {
        const HEX: &[u8; 16] = b"0123456789ABCDEF";
        let text = taking.text.as_bytes();
        let quote = self == Self::Json && taking.quoted;
        if quote {
            out(b"\"");
        }
        for byte in text {
            match (self, byte) {
                (Self::Percent, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9') => out(&[*byte]),
                (Self::Percent, b'-' | b'.' | b'_' | b'~') => out(&[*byte]),
                (Self::Percent, byte) => {
                    let (high, low) = (byte >> 4, byte & 15);
                    out(&[b'%', HEX[high as usize], HEX[low as usize]]);
                }
                (Self::Json | Self::JsonText, b'"' | b'\\') => out(&[b'\\', *byte]),
                (Self::Plain | Self::Json | Self::JsonText, byte) => out(&[*byte]),
            }
        }
        if quote {
            out(b"\"");
        }
    }
}

/// Cuts `text` at its placeholders. `form` gets the range of one, and where the fixed bytes before it begin. It returns how
/// the value is written, and whether the bytes next to the placeholder belong to it.
fn cut(
    text: &[u8],
    names: &[String],
    form: impl Fn(Range<usize>, usize) -> (Form, bool),
    pieces: &mut Vec<Piece>,
) {
    let mut fixed_from = 0;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let is_at = |name: &String| {
            let inside = rest
                .strip_prefix(b"{")
                .and_then(|rest| rest.strip_prefix(name.as_bytes()));
            inside.is_some_and(|rest| rest.starts_with(b"}"))
        };
        let Some(value) = names.iter().position(is_at) else {
            at += 1;
            continue;
        };
        let end = at + names[value].len() + 2;
        let (form, wider) = form(at..end, fixed_from);
        let by = usize::from(wider);
        pieces.push(Piece::Fixed(text[fixed_from..at - by].to_vec()));
        pieces.push(Piece::Value { value, form });
        (fixed_from, at) = (end + by, end + by);
    }
    pieces.push(Piece::Fixed(text[fixed_from..].to_vec()));
}

/// Replaces the number in `Content-Length` of a head.
fn with_length(head: Vec<Piece>) -> Vec<Piece> {
    const NAME: &[u8] = b"\r\ncontent-length: ";
    let mut pieces = Vec::new();
    for piece in head {
        let Piece::Fixed(bytes) = &piece else {
            pieces.push(piece);
            continue;
        };
        let found = bytes
            .windows(NAME.len())
            .position(|w| w.eq_ignore_ascii_case(NAME));
        let Some(start) = found.map(|at| at + NAME.len()) else {
            pieces.push(piece);
            continue;
        };
        let digits = bytes[start..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit());
        let end = start + digits.count();
        pieces.push(Piece::Fixed(bytes[..start].to_vec()));
        pieces.push(Piece::BodyLength);
        pieces.push(Piece::Fixed(bytes[end..].to_vec()));
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(pointer: &str, body: &str) -> Option<String> {
        let mut taken = Taken::new(1);
        let pointer = Pointer::parse(pointer).unwrap();
        let found = taken.take(0, &pointer, body.as_bytes());
        found.then(|| taken.0[0].text.clone())
    }

    #[test]
    fn a_value_is_taken_from_its_place() {
        let body =
            r#"{"a":{"id":1},"id":17,"list":[{"x":"no"},{"x":"a/b","~/":true}],"f":1.5,"n":null}"#;
        for (pointer, value) in [
            ("/id", Some("17")),
            ("/a/id", Some("1")),
            ("/list/1/x", Some("a/b")),
            ("/list/1/~0~1", Some("true")),
            ("/list/2/x", None),
            ("/list/x", None),
            ("/list", None),
            ("/f", None),
            ("/n", None),
            ("/id/x", None),
            ("/none", None),
        ] {
            assert_eq!(taken(pointer, body).as_deref(), value, "{pointer}");
        }
        assert_eq!(taken("/a", r#"{"a":-3}"#).as_deref(), Some("-3"));
        for body in [
            r#"{"a":"x\ny"}"#,
            r#"{"a":""}"#,
            r#"{"a":1"#,
            r#"{"a":1}}"#,
            "",
        ] {
            assert_eq!(taken("/a", body), None, "{body}");
        }
        for wrong in ["", "id", "/a~2", "/a~"] {
            assert_eq!(Pointer::parse(wrong), None, "{wrong}");
        }
    }

    /// The request after taking these values, as `v` and `w`.
    fn filled(wire: &str, body: &str) -> String {
        let names = ["v", "w"].map(str::to_owned);
        let template = Template::new(wire.as_bytes(), &names).unwrap();
        let mut taken = Taken::new(2);
        for (value, pointer) in ["/v", "/w"].iter().enumerate() {
            taken.take(value, &Pointer::parse(pointer).unwrap(), body.as_bytes());
        }
        let mut out = vec![0; template.longest()];
        let length = template.write(&taken, &mut out);
        String::from_utf8(out[..length].to_vec()).unwrap()
    }

    #[test]
    fn values_are_written_as_their_place_needs_it() {
        let head = "GET /a/{v}?q={w} HTTP/1.1\r\nA: {v}{other}\r\n\r\n";
        assert_eq!(
            filled(head, r#"{"v":17,"w":"a/b ü"}"#),
            "GET /a/17?q=a%2Fb%20%C3%BC HTTP/1.1\r\nA: 17{other}\r\n\r\n"
        );
        let body = "POST / HTTP/1.1\r\nContent-Length: 1\r\nA: b\r\n\r\n{\"a\":\"{v}\",\"b\":\"{w}\",\"c\":\"x{w}y{v}\"}";
        let text = r#"{"a":17,"b":"q\"","c":"xq\"y17"}"#;
        assert_eq!(
            filled(body, r#"{"v":17,"w":"q\""}"#),
            format!(
                "POST / HTTP/1.1\r\nContent-Length: {}\r\nA: b\r\n\r\n{text}",
                text.len()
            )
        );
    }

    #[test]
    fn the_longest_request_fits() {
        let wire = "GET /{v}/{w} HTTP/1.1\r\nHost: x\r\n\r\n";
        let long = "\u{fc}".repeat(MAX_VALUE / 2);
        let filled = filled(wire, &format!(r#"{{"v":"{long}","w":"{long}"}}"#));
        assert_eq!(filled.matches("%C3%BC").count(), MAX_VALUE);
        assert_eq!(
            Template::new(b"GET / HTTP/1.1\r\n\r\n", &["v".to_owned()]),
            None
        );
    }
}
