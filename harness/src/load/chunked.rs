//! The chunked transfer coding (RFC 9112, section 7.1), decoded as it comes in.

use super::response::Malformed;

/// The longest line of a chunk size with its extensions, and the longest trailer section.
const MAX_LINE: u32 = 8 * 1024;

/// A decoder in the middle of a body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunked {
    at: At,
    /// The size being read, then the bytes of the chunk still to come.
    left: u64,
    /// Hexadecimal digits read of the size.
    digits: u8,
    /// Bytes of extensions and trailers read since the last chunk.
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    TrailerStart,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl Chunked {
    pub(crate) fn new() -> Self {
        Self {
            at: At::Size,
            left: 0,
            digits: 0,
            line: 0,
        }
    }

    /// Decodes from `input`, gives the data to `data`, and returns the bytes used and whether
    /// the body is complete. All of `input` is used where it is not.
    pub(crate) fn feed(
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

    /// Takes one byte that is not data.
    fn step(&mut self, byte: u8) -> Result<At, Malformed> {
        match (self.at, byte) {
            (At::Size, b) if b.is_ascii_hexdigit() => self.digit(b),
            (At::Size, b'\r') if self.digits > 0 => Ok(At::SizeLf),
            (At::Size, b';' | b' ' | b'\t') if self.digits > 0 => Ok(At::Extension),
            (At::Size, _) => Err(Malformed("a chunk size that is no hexadecimal number")),
            (At::Extension, b'\r') => Ok(At::SizeLf),
            (At::Extension, _) => self.more_of_line(At::Extension),
            (At::SizeLf, b'\n') => Ok(self.sized()),
            (At::DataCr, b'\r') => Ok(At::DataLf),
            (At::DataLf, b'\n') => Ok(At::Size),
            (At::TrailerStart, b'\r') => Ok(At::EndLf),
            (At::TrailerStart, _) => self.more_of_line(At::Trailer),
            (At::Trailer, b'\r') => Ok(At::TrailerLf),
            (At::Trailer, _) => self.more_of_line(At::Trailer),
            (At::TrailerLf, b'\n') => Ok(At::TrailerStart),
            (At::EndLf, b'\n') => Ok(At::End),
            _ => Err(Malformed("a chunk that does not end where its size says")),
        }
    }

    fn digit(&mut self, byte: u8) -> Result<At, Malformed> {
        // Sixteen digits fill 64 bits.
        if self.digits == 16 {
            return Err(Malformed("a chunk size beyond 64 bits"));
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
            At::TrailerStart
        } else {
            self.line = 0;
            At::Data
        }
    }

    fn more_of_line(&mut self, at: At) -> Result<At, Malformed> {
        self.line += 1;
        if self.line > MAX_LINE {
            return Err(Malformed("chunk extensions or trailers without end"));
        }
        Ok(at)
    }
}
