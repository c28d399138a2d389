//! Tests the parser with responses written from a model, with mutations of them, and with noise.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::known::KnownHead;

/// Bytes kept of a split body in these tests: less than the longest body.
const KEEP: usize = 200;

/// A response as its server means it.
#[derive(Debug, Clone)]
struct Model {
    interim: Vec<(u16, Vec<Field>)>,
    minor: u8,
    status: u16,
    fields: Vec<Field>,
    /// Connection options, one per field.
    options: Vec<&'static str>,
    framing: Framed,
    body: Vec<u8>,
    /// The request was a HEAD.
    head_only: bool,
    /// What follows on the connection.
    after: Vec<u8>,
}

type Field = (String, String);

#[derive(Debug, Clone)]
enum Framed {
    /// How many times, and whether in separate fields.
    Length {
        times: usize,
        one_field: bool,
    },
    /// Where the body is cut, what follows each size, and the trailers.
    Chunked {
        cuts: Vec<Index>,
        extension: String,
        trailers: Vec<Field>,
    },
    UntilClose,
}

impl Model {
    fn has_body(&self) -> bool {
        !self.head_only && ![204, 304].contains(&self.status)
    }

    /// The length of the response itself, and everything that is sent.
    fn write(&self) -> (usize, Vec<u8>) {
        let mut wire = Vec::new();
        for (status, fields) in &self.interim {
            write_head(&mut wire, 1, *status, fields);
        }
        let mut fields = self.fields.clone();
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for option in &self.options {
            fields.insert(fields.len() / 2, field("connection", option));
        }
        let length = self.body.len().to_string();
        match &self.framing {
            Framed::Length { times, one_field } if *one_field => {
                fields.push(field("content-Length", &vec![length; *times].join(" , ")));
            }
            Framed::Length { times, .. } => {
                fields.extend(vec![field("Content-Length", &length); *times]);
            }
            Framed::Chunked { .. } => fields.push(field("TRANSFER-encoding", "Chunked")),
            Framed::UntilClose => {}
        }
        write_head(&mut wire, self.minor, self.status, &fields);
        if self.has_body() {
            self.write_body(&mut wire);
        }
        let own = wire.len();
        if !matches!(self.framing, Framed::UntilClose) || !self.has_body() {
            wire.extend_from_slice(&self.after);
        }
        (own, wire)
    }

    fn write_body(&self, wire: &mut Vec<u8>) {
        let Framed::Chunked {
            cuts,
            extension,
            trailers,
        } = &self.framing
        else {
            return wire.extend_from_slice(&self.body);
        };
        for chunk in cut(&self.body, cuts).into_iter().filter(|c| !c.is_empty()) {
            wire.extend_from_slice(format!("{:X}{extension}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(format!("00{extension}\r\n").as_bytes());
        write_fields(wire, trailers);
    }

    /// What the parser should return: status, body, whether it ends the connection.
    fn meant(&self) -> (u16, Vec<u8>, bool) {
        let has = |option| self.options.iter().any(|o| o.eq_ignore_ascii_case(option));
        let persists = !has("close") && (self.minor == 1 || has("keep-alive"));
        let until_close = self.has_body() && matches!(self.framing, Framed::UntilClose);
        let body = if self.has_body() {
            self.body.clone()
        } else {
            Vec::new()
        };
        (self.status, body, !persists || until_close)
    }
}

fn write_head(wire: &mut Vec<u8>, minor: u8, status: u16, fields: &[Field]) {
    wire.extend_from_slice(format!("HTTP/1.{minor} {status:03} Some Reason\r\n").as_bytes());
    write_fields(wire, fields);
}

fn write_fields(wire: &mut Vec<u8>, fields: &[Field]) {
    for (name, value) in fields {
        wire.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    wire.extend_from_slice(b"\r\n");
}

/// `bytes` in pieces; some may be empty.
fn cut<'a>(bytes: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|c| c.index(bytes.len() + 1)).collect();
    at.sort_unstable();
    let mut from = 0;
    let mut pieces = Vec::new();
    for end in at.into_iter().chain([bytes.len()]) {
        pieces.push(&bytes[from..end]);
        from = end;
    }
    pieces
}

/// A field irrelevant to framing.
fn field() -> impl Strategy<Value = Field> {
    // The first letter keeps it distinct from those that matter.
    (
        "x[a-zA-Z0-9!#$%&'*+.^_`|~-]{0,20}",
        "[ -~\t\u{e9}]{0,40}(\r\n[ \t]{1,3}[ -~\u{e9}]{0,10}){0,2}",
    )
}

fn cuts() -> impl Strategy<Value = Vec<Index>> {
    prop::collection::vec(any::<Index>(), 0..6)
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    prop::collection::vec(field(), 0..4)
}

fn framed() -> impl Strategy<Value = Framed> {
    prop_oneof![
        3 => (1_usize..3, any::<bool>())
            .prop_map(|(times, one_field)| Framed::Length { times, one_field }),
        3 => (cuts(), select(vec!["", ";a=b", " ; c=\"d;e\"", " \t"]), fields())
            .prop_map(|(cuts, extension, trailers)| Framed::Chunked {
                cuts,
                extension: extension.to_owned(),
                trailers,
            }),
        1 => Just(Framed::UntilClose),
    ]
}

fn model() -> impl Strategy<Value = Model> {
    let interim = (select(vec![100_u16, 102, 103, 199]), fields());
    let status = prop_oneof![select(vec![200_u16, 204, 304]), 200_u16..1000];
    let options = select(vec![
        "close",
        "Keep-Alive",
        "x",
        "keep-alive",
        "CLOSE",
        "closed",
    ]);
    (
        prop::collection::vec(interim, 0..3),
        (0_u8..2, status, any::<bool>()),
        fields(),
        prop::collection::vec(options, 0..3),
        framed(),
        prop::collection::vec(any::<u8>(), 0..2 * KEEP),
        prop::collection::vec(any::<u8>(), 0..10),
    )
        .prop_map(
            |(interim, (minor, status, head_only), fields, options, framing, body, after)| Model {
                interim,
                // HTTP/1.0 has no transfer codings.
                minor: match framing {
                    Framed::Chunked { .. } => 1,
                    _ => minor,
                },
                status,
                fields,
                options,
                framing,
                body,
                head_only,
                after,
            },
        )
}

/// What the parser returned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Read {
    status: u16,
    head: Vec<u8>,
    /// As much as is kept however the body is split.
    body: Vec<u8>,
    body_len: u64,
    wire_len: u64,
    close: bool,
}

fn of(answer: &ParsedResponse<'_>) -> Read {
    Read {
        status: answer.status,
        head: answer.head.to_vec(),
        body: answer.body[..answer.body.len().min(KEEP)].to_vec(),
        body_len: answer.body_len,
        wire_len: answer.wire_len,
        close: answer.close,
    }
}

/// Reads a response that arrives in pieces and then ends, and checks the parser's memory limits.
fn read(pieces: &[&[u8]], head_only: bool) -> Result<Option<Read>, Malformed> {
    let mut parser = Parser::new();
    parser.start(head_only, KEEP);
    for piece in pieces {
        let found = match parser.feed(piece) {
            Ok(None) => Ok(None),
            Ok(Some(answer)) => {
                assert!(answer.consumed <= piece.len());
                Ok(Some(of(&answer)))
            }
            Err(kind) => Err(kind),
        };
        // Twice, because buffers grow by doubling.
        assert!(parser.held() <= 2 * (crate::head::MAX_HEAD + KEEP));
        if found != Ok(None) {
            return found;
        }
    }
    Ok(parser.finish().map(|answer| of(&answer)))
}

/// A known head is understood the way the parser understood it.
fn is_known_as_read(bytes: &[u8], head_only: bool) -> Result<(), TestCaseError> {
    let mut parser = Parser::new();
    parser.start(head_only, KEEP);
    let mut known = KnownHead::new();
    if let Ok(Some(answer)) = parser.feed(bytes) {
        known.learn(&answer, head_only);
        if let Some(again) = known.answer(bytes, head_only) {
            prop_assert_eq!(again, answer);
        }
    }
    Ok(())
}

fn agrees(bytes: &[u8], cuts: &[Index], head_only: bool) -> Result<(), TestCaseError> {
    is_known_as_read(bytes, head_only)?;
    let whole = read(&[bytes], head_only);
    prop_assert_eq!(read(&cut(bytes, cuts), head_only), whole.clone());
    let each: Vec<&[u8]> = bytes.chunks(1).collect();
    prop_assert_eq!(read(&each, head_only), whole);
    Ok(())
}

proptest! {
    #[test]
    fn a_response_is_read_as_it_was_meant(model in model(), cuts in cuts()) {
        let (own, wire) = model.write();
        let (status, body, close) = model.meant();
        let found = read(&cut(&wire, &cuts), model.head_only).unwrap().unwrap();
        prop_assert_eq!((found.status, found.body_len), (status, body.len() as u64));
        prop_assert_eq!(&found.body[..], &body[..body.len().min(KEEP)]);
        prop_assert_eq!((found.wire_len, found.close), (own as u64, close));
        agrees(&wire, &cuts, model.head_only)?;
        // A shorter input isn't a response, unless the end of the connection completes it.
        let short = read(&[&wire[..own - 1]], model.head_only);
        if !close || !matches!(model.framing, Framed::UntilClose) {
            prop_assert_eq!(short, Ok(None));
        }
    }

    #[test]
    fn a_mutation_is_read_alike_at_any_split(
        model in model(),
        changes in prop::collection::vec((any::<Index>(), 0_u8..4, any::<u8>()), 1..4),
        cuts in cuts(),
    ) {
        let (_, mut wire) = model.write();
        for (at, how, byte) in changes {
            let at = at.index(wire.len());
            match how {
                0 => wire[at] = byte,
                1 => wire.insert(at, byte),
                2 => wire.truncate(at + 1),
                _ => drop(wire.drain(at..(at + usize::from(byte)).min(wire.len()))),
            }
            if wire.is_empty() {
                wire.push(byte);
            }
        }
        agrees(&wire, &cuts, model.head_only)?;
    }

    #[test]
    fn likely_pieces_in_any_order_are_read_alike(
        pieces in prop::collection::vec(piece(), 1..12),
        cuts in cuts(),
        head_only: bool,
    ) {
        agrees(&pieces.concat(), &cuts, head_only)?;
    }

    #[test]
    fn noise_is_read_alike(
        noise in prop::collection::vec(any::<u8>(), 0..2000),
        cuts in cuts(),
        head_only: bool,
    ) {
        agrees(&noise, &cuts, head_only)?;
        agrees(&[b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", &noise[..]].concat(), &cuts, head_only)?;
    }
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => select(vec![
            "HTTP/1.1 200 OK\r\n",
            "HTTP/1.1 100 Continue\r\n\r\n",
            "HTTP/1.0 404 Not Found\r\n",
            "Content-Length: 3\r\n",
            "Content-Length: 30\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Connection: close\r\n",
            " folded\r\n",
            "\r\n",
            "\n",
            "3\r\nabc\r\n",
            "0\r\n\r\n",
            "hello",
        ])
        .prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..20),
    ]
}
