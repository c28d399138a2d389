//! Identifies the operation of a completion.

const GENERATION_BITS: u32 = 28;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    Connect,
    Receive,
    Send,
    Cancel,
}

/// An operation on one opening of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) op: Op,
    pub(super) connection: u32,
    /// Counts the openings of the connection, to recognise completions that arrive after it was closed.
    pub(super) generation: u32,
}

impl Tag {
    pub(super) fn pack(self) -> u64 {
        (self.op as u64) << 60 | u64::from(self.generation) << 32 | u64::from(self.connection)
    }

    pub(super) fn unpack(packed: u64) -> Self {
        let op = match packed >> 60 {
            0 => Op::Connect,
            1 => Op::Receive,
            2 => Op::Send,
            _ => Op::Cancel,
        };
        Self {
            op,
            connection: packed as u32,
            generation: (packed >> 32) as u32 & (u32::MAX >> (32 - GENERATION_BITS)),
        }
    }
}

/// The generation after this one; wraps after about 268 million openings.
pub(super) fn next_generation(generation: u32) -> u32 {
    generation.wrapping_add(1) & (u32::MAX >> (32 - GENERATION_BITS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_comes_back_as_it_was() {
        for op in [Op::Connect, Op::Receive, Op::Send, Op::Cancel] {
            for connection in [0, 1, 999_999, u32::MAX] {
                for generation in [0, 1, (1 << GENERATION_BITS) - 1] {
                    let tag = Tag {
                        op,
                        connection,
                        generation,
                    };
                    assert_eq!(Tag::unpack(tag.pack()), tag);
                }
            }
        }
    }

    #[test]
    fn generations_begin_again() {
        assert_eq!(next_generation(0), 1);
        assert_eq!(next_generation((1 << GENERATION_BITS) - 1), 0);
    }
}
