//! An incremental decoder of the chunked transfer coding (RFC 9112, section 7.1).

use super::malformed::Malformed;

/// Maximum length of a chunk size line with its extensions, and of the trailer section.
const MAX_LINE: u32 = 8 * 1024;

/// Decoder state within a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chunked {
    at: At,
    /// The size being read, then the remaining bytes of the chunk.
    left: u64,
    /// Hexadecimal digits of the size read so far.
    digits: u8,
    /// Bytes of extensions and trailers read since the last chunk.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Size,
    /// Spaces after the size.
    SizeEnd,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The beginning of a trailer, or of the empty line at the end.
    Line,
    /// The same after a trailer, which may also be folded.
    NextLine,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            at: At::Size,
            left: 0,
            digits: 0,
            line: 0,
        }
    }

    /// Decodes `input` and passes the data to `data`. Returns the number of bytes used and whether the body is
    /// complete; if not, all of `input` is used.
    pub(super) fn feed(
        &mut self,
        input: &[u8],
        mut data: impl FnMut(&[u8]),
    ) -> Result<(usize, bool), Malformed> {
        let mut used = 0;
        while self.at != At::End {
            let rest = &input[used..];
            let Some(&byte) = rest.first() else {
                return Ok((used, false));
            };
            if self.at == At::Data {
                let take = usize::try_from(self.left).map_or(rest.len(), |l| l.min(rest.len()));
                data(&rest[..take]);
                used += take;
                self.left -= take as u64;
                if self.left == 0 {
                    self.at = At::DataCr;
                }
            } else {
                self.at = self.step(byte)?;
                used += 1;
            }
        }
        Ok((used, true))
    }

    /// Handles a byte that is not data.
    fn step(&mut self, byte: u8) -> Result<At, Malformed> {
        match self.at {
            At::Size | At::SizeEnd | At::Extension | At::SizeLf => self.step_of_size(byte),
            At::DataCr if byte == b'\r' => Ok(At::DataLf),
            At::DataLf if byte == b'\n' => Ok(At::Size),
            At::Data | At::DataCr | At::DataLf => Err(Malformed::ChunkEnd),
            _ => self.step_of_trailer(byte),
        }
    }

    fn step_of_size(&mut self, byte: u8) -> Result<At, Malformed> {
        match (self.at, byte) {
            (At::Size, b) if b.is_ascii_hexdigit() => self.digit(b),
            (At::Size, _) if self.digits == 0 => Err(Malformed::ChunkSize),
            (At::Size | At::SizeEnd | At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Size | At::SizeEnd, b' ' | b'\t') => self.more_of_line(At::SizeEnd),
            (At::Size | At::SizeEnd, b';') => self.more_of_line(At::Extension),
            (At::Extension, b) if is_text(b) => self.more_of_line(At::Extension),
            (At::SizeLf, b'\n') => Ok(self.sized()),
            _ => Err(Malformed::ChunkSize),
        }
    }

    /// After the last chunk.
    fn step_of_trailer(&mut self, byte: u8) -> Result<At, Malformed> {
        match (self.at, byte) {
            (At::Line | At::NextLine, b'\r') => Ok(At::EndLf),
            (At::Line | At::NextLine | At::TrailerName, b) if is_token(b) => {
                self.more_of_line(At::TrailerName)
            }
            (At::NextLine, b' ' | b'\t') => self.more_of_line(At::TrailerValue),
            (At::TrailerName, b':') => self.more_of_line(At::TrailerValue),
            (At::TrailerValue, b'\r') => Ok(At::TrailerLf),
            (At::TrailerValue, b) if is_text(b) => self.more_of_line(At::TrailerValue),
            (At::TrailerLf, b'\n') => Ok(At::NextLine),
            (At::EndLf, b'\n') => Ok(At::End),
            _ => Err(Malformed::Trailer),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<At, Malformed> {
        // Sixteen digits fill 64 bits.
        if self.digits == 16 {
            return Err(Malformed::ChunkSize);
        }
        let value = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => byte - b'A' + 10,
        };
        self.digits += 1;
        self.left = self.left << 4 | u64::from(value);
        Ok(At::Size)
    }

    fn sized(&mut self) -> At {
        self.digits = 0;
        if self.left == 0 {
            At::Line
        } else {
            self.line = 0;
            At::Data
        }
    }

    fn more_of_line(&mut self, at: At) -> Result<At, Malformed> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(Malformed::LineTooLong);
        }
        Ok(at)
    }
}

/// A character of a header field name (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A character of a header field value or of an extension: not a control character.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || byte >= b' ' && byte != 0x7f
}
