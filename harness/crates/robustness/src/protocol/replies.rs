//! Parses the bytes of a server into responses.

use serde_json::{Map, Value};

use super::script::{Asked, Want};

const MAX_FIELDS: usize = 100;

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) status: u16,
    /// The minor version of HTTP/1.
    pub(super) minor: u8,
    /// Names in lower case.
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Whether it is complete.
    pub(super) whole: bool,
}

/// The received bytes as responses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Replies {
    pub(super) all: Vec<Reply>,
    /// Trailing bytes that are not a response.
    pub(super) excess: Vec<u8>,
}

impl Reply {
    /// No other response to the same request follows.
    pub(super) fn is_final(&self) -> bool {
        self.status >= 200
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        fields
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The code, if the body is the contract's error.
    pub(super) fn code(&self) -> Option<String> {
        let body = self.json()?;
        body["error"]["code"].as_str().map(str::to_owned)
    }

    /// Whether this is the expected response.
    pub(super) fn is(&self, want: &Want) -> bool {
        self.whole
            && match want {
                Want::Json(status, body) => {
                    self.status == *status && self.json().as_ref() == Some(body)
                }
                Want::Error(status, code) => {
                    self.status == *status && self.code().as_deref() == Some(*code)
                }
                Want::Order(members) => self.status == 201 && self.is_order(members),
            }
    }

    fn is_order(&self, members: &Map<String, Value>) -> bool {
        let Some(Value::Object(mut order)) = self.json() else {
            return false;
        };
        let id = order.remove("id").and_then(|id| id.as_u64());
        id.is_some_and(|id| id > 0) && order == *members
    }
}

impl Replies {
    /// Parses the responses to these requests. `ended`: nothing more can arrive, which ends a body without a
    /// length.
    pub(super) fn read(bytes: &[u8], asked: &[Asked], ended: bool) -> Self {
        let mut replies = Self::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let answered = replies.finals().count();
            let head = asked.get(answered).is_some_and(|asked| asked.head);
            match one(rest, head, ended) {
                Some((reply, length)) => {
                    let whole = reply.whole;
                    replies.all.push(reply);
                    rest = &rest[length..];
                    if !whole {
                        break;
                    }
                }
                None => break,
            }
        }
        replies.excess = rest.to_vec();
        replies
    }

    pub(super) fn finals(&self) -> impl Iterator<Item = &Reply> {
        self.all.iter().filter(|reply| reply.is_final())
    }

    /// The first response that is not interim.
    pub(super) fn first(&self) -> Option<&Reply> {
        self.finals().next()
    }

    /// The number of complete final responses.
    pub(super) fn whole(&self) -> usize {
        self.finals().filter(|reply| reply.whole).count()
    }
}

/// The response at the start and its length; `None` if its head is incomplete.
fn one(bytes: &[u8], to_head: bool, ended: bool) -> Option<(Reply, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(start)) = response.parse(bytes) else {
        return None;
    };
    let mut reply = Reply {
        status: response.code?,
        minor: response.version?,
        fields: response
            .headers
            .iter()
            .map(|field| {
                let value = String::from_utf8_lossy(field.value).into_owned();
                (field.name.to_ascii_lowercase(), value)
            })
            .collect(),
        body: Vec::new(),
        whole: true,
    };
    let bodiless = to_head || reply.status < 200 || matches!(reply.status, 204 | 304);
    let length = match bodiless {
        true => 0,
        false => body(&mut reply, &bytes[start..], ended),
    };
    Some((reply, start + length))
}

/// Parses the body; returns its size on the wire.
fn body(reply: &mut Reply, bytes: &[u8], ended: bool) -> usize {
    let is_chunked = reply
        .field("transfer-encoding")
        .is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    if is_chunked {
        let (body, length, whole) = chunks(bytes);
        (reply.body, reply.whole) = (body, whole);
        return length;
    }
    let said = reply.field("content-length").map(str::parse::<usize>);
    let length = match said {
        Some(Ok(length)) => {
            reply.whole = bytes.len() >= length;
            length.min(bytes.len())
        }
        // It extends to the end of the connection.
        _ => {
            reply.whole = ended;
            bytes.len()
        }
    };
    reply.body = bytes[..length].to_vec();
    length
}

/// The body in chunks, its size on the wire, and whether it is complete.
fn chunks(bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let Ok(httparse::Status::Complete((start, size))) =
            httparse::parse_chunk_size(&bytes[at..])
        else {
            return (body, bytes.len(), false);
        };
        let data = at + start;
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(end) = data.checked_add(size).filter(|end| end + 2 <= bytes.len()) else {
            return (body, bytes.len(), false);
        };
        body.extend_from_slice(&bytes[data..end]);
        at = end + 2;
        if size == 0 {
            return (body, at, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Asked = Asked::PLAIN;

    fn read(text: &str, asked: &[Asked], ended: bool) -> Replies {
        Replies::read(text.as_bytes(), asked, ended)
    }

    #[test]
    fn answers_follow_each_other() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}\
                    HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n";
        let replies = read(text, &[PLAIN, PLAIN], false);
        let statuses: Vec<u16> = replies.all.iter().map(|reply| reply.status).collect();
        assert_eq!(statuses, [100, 201, 200]);
        assert_eq!(replies.all[2].body, b"ab");
        assert_eq!(replies.whole(), 2);
        assert!(replies.excess.is_empty());
    }

    #[test]
    fn the_answer_to_head_has_no_body_whatever_it_says() {
        let head = Asked {
            head: true,
            ..PLAIN
        };
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n";
        assert_eq!(read(text, std::slice::from_ref(&head), false).whole(), 1);
        let with_body = read(&format!("{text}{{\"status\":\"ok\"}}"), &[head], false);
        assert_eq!(with_body.excess, b"{\"status\":\"ok\"}");
    }

    #[test]
    fn an_answer_that_breaks_off_is_not_whole() {
        for text in [
            "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"sta",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        ] {
            let replies = read(text, &[PLAIN], true);
            assert_eq!((replies.all.len(), replies.whole()), (1, 0), "{text}");
        }
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let text = "HTTP/1.0 200 OK\r\n\r\n{}";
        assert_eq!(read(text, &[PLAIN], false).whole(), 0);
        let replies = read(text, &[PLAIN], true);
        assert_eq!(replies.whole(), 1);
        assert_eq!(replies.all[0].body, b"{}");
    }

    #[test]
    fn what_is_no_answer_is_kept_apart() {
        let text = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\nBad Request";
        let replies = read(text, &[PLAIN], true);
        assert_eq!(replies.whole(), 1);
        assert_eq!(replies.excess, b"Bad Request");
    }
}
