//! `POST /api/v1/upload`: the answer says what arrived.

use serde::Serialize;

/// The largest body that `POST /api/v1/upload` accepts, in bytes; a longer one is answered 413.
pub const MAX_UPLOAD_BYTES: usize = 64 * 1024;

/// The answer to an upload. It takes a look at every byte, so none can be skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Upload {
    bytes: usize,
    sum: u64,
}

impl Upload {
    /// Of this body.
    pub fn of(body: &[u8]) -> Self {
        Self {
            bytes: body.len(),
            sum: body.iter().map(|byte| u64::from(*byte)).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_is_counted_and_summed() {
        assert_eq!(Upload::of(b""), Upload { bytes: 0, sum: 0 });
        let most = vec![255; MAX_UPLOAD_BYTES];
        let sum = 16_711_680;
        assert_eq!(Upload::of(&most), Upload { bytes: 65_536, sum });
    }
}
