//! Status line and headers of a response, and its body framing.

use std::mem::MaybeUninit;

use super::malformed::Malformed;

/// Maximum size of a head (status line and headers together).
pub(super) const MAX_HEAD: usize = 256 * 1024;
pub(super) const MAX_HEADERS: usize = 1024;
/// Number of headers that need no allocation.
const USUAL_HEADERS: usize = 100;

/// The meaning of a complete head.
#[derive(Debug, Clone, Copy)]
pub(super) struct ParsedHead {
    /// Its length, including the empty line.
    pub(super) len: usize,
    pub(super) status: u16,
    pub(super) framing: Framing,
    /// Whether the connection ends after the response.
    pub(super) close: bool,
}

/// Where the body ends (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// After this many bytes.
    Length(u64),
    /// With the last chunk.
    Chunked,
    /// With the connection.
    UntilClose,
}

/// Parses the head at the beginning of `bytes`; `None` if it is incomplete. `head_only`: the request was a
/// HEAD.
pub(super) fn parse_head(bytes: &[u8], head_only: bool) -> Result<Option<ParsedHead>, Malformed> {
    // The parser would skip empty lines.
    if bytes.first().is_some_and(|first| *first != b'H') {
        return Err(Malformed::StatusLine);
    }
    let bytes = &bytes[..bytes.len().min(MAX_HEAD)];
    let mut room = [const { MaybeUninit::uninit() }; USUAL_HEADERS];
    match read(bytes, head_only, &mut room) {
        Err(Malformed::Header | Malformed::TooManyHeaders) => read_unusual(bytes, head_only),
        read => read,
    }
}

/// Parses a head with folded lines, or with more headers than usual.
#[cold]
fn read_unusual(bytes: &[u8], head_only: bool) -> Result<Option<ParsedHead>, Malformed> {
    let bytes = unfold(bytes);
    // One of the lines is the status line, and the last may be incomplete.
    let lines = bytes.iter().filter(|byte| **byte == b'\n').count();
    let mut room = vec![MaybeUninit::uninit(); lines.min(MAX_HEADERS)];
    read(&bytes, head_only, &mut room)
}

/// `room` is as large as the maximum number of headers.
fn read<'a>(
    bytes: &'a [u8],
    head_only: bool,
    room: &mut [MaybeUninit<httparse::Header<'a>>],
) -> Result<Option<ParsedHead>, Malformed> {
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        room,
    );
    let len = match parsed {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => return Ok(None),
        Ok(httparse::Status::Partial) => return Err(Malformed::HeadTooLarge),
        Err(error) => return Err(kind(error)),
    };
    let status = response.code.unwrap_or(0);
    if status < 100 || status == 101 {
        return Err(Malformed::Status);
    }
    let minor = response.version.unwrap_or(0);
    // Such a response has no body, whatever its fields say.
    let empty = head_only || status < 200 || status == 204 || status == 304;
    let fields = Fields::read(response.headers, empty)?;
    let framing = match empty {
        true => Framing::Length(0),
        false => fields.framing(minor)?,
    };
    Ok(Some(ParsedHead {
        len,
        status,
        framing,
        close: !fields.persists(minor) || framing == Framing::UntilClose,
    }))
}

/// Replaces each fold of a header line with spaces (RFC 9112, section 5.2), so that the length stays the same.
/// Nothing before the first header line is folded.
#[cold]
fn unfold(bytes: &[u8]) -> Vec<u8> {
    let mut head = bytes.to_vec();
    // Where the field begins that the next line may continue.
    let mut field = None;
    let mut line = 0;
    while let Some(length) = bytes[line..].iter().position(|byte| *byte == b'\n') {
        let end = line + length;
        if matches!(&bytes[line..end], [] | [b'\r']) {
            break;
        }
        line = end + 1;
        match (bytes.get(line), field) {
            (Some(b' ' | b'\t'), Some(begin)) => {
                head[end] = fill(&bytes[begin..end]);
                if head[end - 1] == b'\r' {
                    head[end - 1] = b' ';
                }
            }
            _ => field = Some(line),
        }
    }
    head
}

/// The replacement for the fold of a header field. Fields that delimit the body must not be folded: they get a
/// quotation mark, which is invalid in a length or a transfer coding.
fn fill(field: &[u8]) -> u8 {
    let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
    let delimits = name.eq_ignore_ascii_case(b"content-length")
        || name.eq_ignore_ascii_case(b"transfer-encoding");
    if delimits { b'"' } else { b' ' }
}

#[cold]
fn kind(error: httparse::Error) -> Malformed {
    match error {
        httparse::Error::Version | httparse::Error::Status | httparse::Error::Token => {
            Malformed::StatusLine
        }
        httparse::Error::TooManyHeaders => Malformed::TooManyHeaders,
        httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine => {
            Malformed::Header
        }
    }
}

/// The header fields that matter for framing.
#[derive(Default)]
struct Fields {
    length: Option<u64>,
    /// There is a Transfer-Encoding.
    coded: bool,
    /// One of its codings is chunked.
    chunked: bool,
    /// The last one is chunked.
    ends_chunked: bool,
    close: bool,
    keep_alive: bool,
}

impl Fields {
    /// `empty`: ignore what would delimit a body.
    fn read(headers: &[httparse::Header<'_>], empty: bool) -> Result<Self, Malformed> {
        let mut fields = Self::default();
        for header in headers {
            // The length alone rules out most names.
            match header.name.len() {
                14 if !empty && header.name.eq_ignore_ascii_case("content-length") => {
                    fields.content_length(header.value)?;
                }
                17 if !empty && header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.transfer_encoding(header.value)?;
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    for option in list(header.value) {
                        fields.close |= option.eq_ignore_ascii_case(b"close");
                        fields.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    }
                }
                _ => {}
            }
        }
        Ok(fields)
    }

    /// Parses one number, or several equal ones.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for number in value.split(|byte| *byte == b',') {
            let length = number_of(number.trim_ascii()).ok_or(Malformed::ContentLength)?;
            if self.length.replace(length).is_some_and(|l| l != length) {
                return Err(Malformed::ConflictingLength);
            }
        }
        Ok(())
    }

    /// Parses the codings of one field; several fields form one list.
    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        // A quoted parameter could contain a comma; no coding in use has one.
        if value.contains(&b'"') || list(value).next().is_none() {
            return Err(Malformed::TransferCoding);
        }
        for coding in list(value) {
            let name = coding.split(|byte| *byte == b';').next();
            let name = name.unwrap_or_default().trim_ascii();
            let chunked = name.eq_ignore_ascii_case(b"chunked");
            if chunked && (self.chunked || name.len() < coding.len()) {
                return Err(Malformed::TransferCoding);
            }
            self.chunked |= chunked;
            self.ends_chunked = chunked;
        }
        self.coded = true;
        Ok(())
    }

    /// `minor`: of HTTP/1.0 or 1.1.
    fn framing(&self, minor: u8) -> Result<Framing, Malformed> {
        match self.length {
            Some(_) if self.coded => Err(Malformed::ConflictingLength),
            _ if self.coded && minor == 0 => Err(Malformed::TransferCoding),
            Some(length) => Ok(Framing::Length(length)),
            None if self.ends_chunked => Ok(Framing::Chunked),
            None => Ok(Framing::UntilClose),
        }
    }

    /// Whether the connection can be used again (RFC 9112, section 9.3).
    fn persists(&self, minor: u8) -> bool {
        !self.close && (minor == 1 || self.keep_alive)
    }
}

/// The elements of a comma-separated list, without empty ones (RFC 9110, 5.6.1).
fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let elements = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    elements.filter(|element| !element.is_empty())
}

fn number_of(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}
