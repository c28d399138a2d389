//! What can be wrong with a response.

/// Why something is not an HTTP/1.1 response (RFC 9112): the kinds of
/// [`ErrorKind::Protocol`](super::ErrorKind::Protocol).
///
/// Lax forms that can't be misread are accepted: a bare line feed at the end of a line of the head, a status
/// line without a reason, spaces after a chunk size. The fold of a header line counts as spaces, except in a
/// field that delimits the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// Not `HTTP/1.1 200 OK` or `HTTP/1.0 200 OK`. Also if empty lines precede it, because the rest of an
    /// earlier response with a wrong length would look the same.
    #[error("bad status line")]
    StatusLine,
    /// A status below 100, or 101, since no request asks to switch protocols.
    #[error("unexpected status: below 100, or 101 without an upgrade")]
    Status,
    /// An invalid header field: a name that is not a token, a space before the colon, a fold before the first
    /// field, a control character, a bare carriage return.
    #[error("bad header")]
    Header,
    /// Status line and headers are longer than 256 KiB together.
    #[error("head too large: more than 256 KiB")]
    HeadTooLarge,
    /// Too many header fields.
    #[error("too many headers: more than 1,024")]
    TooManyHeaders,
    /// A Content-Length that is not a decimal number of 64 bits, or that is folded.
    #[error("bad content length: not a decimal number")]
    ContentLength,
    /// Different Content-Lengths, or one together with a Transfer-Encoding.
    #[error("conflicting length: two Content-Lengths, or one with a Transfer-Encoding")]
    ConflictingLength,
    /// A Transfer-Encoding that is empty or folded, has chunked twice or with a parameter, or comes with
    /// HTTP/1.0, which has none.
    #[error("bad transfer coding")]
    TransferCoding,
    /// A chunk size that is not one to sixteen hexadecimal digits, or an invalid rest of its line.
    #[error("bad chunk size")]
    ChunkSize,
    /// A chunk that does not end where its size says.
    #[error("bad chunk end: not where its size says")]
    ChunkEnd,
    /// A line after the last chunk that is not a valid header field.
    #[error("bad trailer")]
    Trailer,
    /// Chunk extensions or trailers longer than 8 KiB.
    #[error("chunk extensions or trailers too long: more than 8 KiB")]
    LineTooLong,
    /// More bytes than the head says, so it is unknown where the next response begins.
    #[error("surplus: more bytes came than its head says")]
    Surplus,
    /// Bytes while no request was in flight.
    #[error("bytes without a request")]
    Unasked,
    /// More than a blocking exchange accepts; there is no limit under load.
    #[error("response too large: more than 16 MiB of body, or 32 MiB with its framing")]
    AnswerTooLarge,
}
