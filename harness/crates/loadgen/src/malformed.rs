//! What can be wrong with something that should have been a response.

/// Why what came back is not one HTTP/1.1 response (RFC 9112): the kinds of
/// [`ErrorKind::Protocol`](super::ErrorKind::Protocol).
///
/// What is merely lax and can't be misread is taken: a bare line feed that ends a line of the
/// head, a status line without a reason, spaces after a chunk size. The fold of a header line is
/// read as spaces, but not in a field that delimits the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Malformed {
    /// No `HTTP/1.1 200 OK` or `HTTP/1.0 200 OK`; also where empty lines precede it, as the
    /// rest of an earlier answer whose length was wrong would look the same.
    #[error("bad status line")]
    StatusLine,
    /// A status below 100, or 101: nobody asked for another protocol.
    #[error("a status that answers nothing that was asked")]
    Status,
    /// A line that is no header field: a name that is no token, a space before the colon, a
    /// fold before the first field, a control character, a bare carriage return.
    #[error("bad header")]
    Header,
    /// Status line and headers are longer than 256 KiB together.
    #[error("head too large: more than 256 KiB")]
    HeadTooLarge,
    /// More header fields than are taken.
    #[error("too many headers: more than 1,024")]
    TooManyHeaders,
    /// A Content-Length that is no decimal number of 64 bits, or that is folded.
    #[error("bad content length: no decimal number")]
    ContentLength,
    /// Different Content-Lengths, or one beside a Transfer-Encoding.
    #[error("conflicting length: two Content-Lengths, or one with a Transfer-Encoding")]
    ConflictingLength,
    /// A Transfer-Encoding that is empty or folded, has chunked twice or with a parameter, or
    /// comes with HTTP/1.0, which has none.
    #[error("bad transfer coding")]
    TransferCoding,
    /// A chunk size that is not one to sixteen hexadecimal digits, or what follows on its line.
    #[error("bad chunk size")]
    ChunkSize,
    /// A chunk that does not end where its size says.
    #[error("bad chunk end: not where its size says")]
    ChunkEnd,
    /// A line after the last chunk that is no header field.
    #[error("bad trailer")]
    Trailer,
    /// Extensions of a chunk, or trailers, longer than 8 KiB.
    #[error("chunk extensions or trailers too long: more than 8 KiB")]
    LineTooLong,
    /// More bytes than the head says: it can't be told where the next answer begins.
    #[error("surplus: more bytes came than its head says")]
    Surplus,
    /// Bytes where no request was in flight.
    #[error("bytes that answer no request")]
    Unasked,
    /// More than one blocking exchange takes; no limit under load.
    #[error("answer too large: more than 16 MiB of body, or 32 MiB with its framing")]
    AnswerTooLarge,
}
