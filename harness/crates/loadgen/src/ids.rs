//! The set of ids seen so far.

use std::collections::HashSet;

/// Ids up to here are stored as bits. Higher ones, which no server that counts from 1 reaches, are hashed.
const DENSE: u64 = 1 << 30;
/// Growth of the set in bits: 4 MiB, which the system provides as zero pages until touched.
const STEP: u64 = 1 << 25;

/// A set of ids that counts repetitions.
#[derive(Debug)]
pub(crate) struct Ids {
    bits: Vec<u64>,
    beyond: HashSet<u64>,
    /// How often an inserted id was already there.
    pub(crate) repeated: u64,
}

impl Ids {
    /// Room for ids that count from 1; `expected`: whether there will be any.
    pub(crate) fn new(expected: bool) -> Self {
        let bits = if expected { STEP / 64 } else { 0 };
        Self {
            bits: vec![0; bits as usize],
            beyond: HashSet::new(),
            repeated: 0,
        }
    }

    pub(crate) fn insert(&mut self, id: u64) {
        if id >= DENSE {
            self.repeated += u64::from(!self.beyond.insert(id));
            return;
        }
        let (word, bit) = ((id / 64) as usize, 1_u64 << (id % 64));
        if word >= self.bits.len() {
            let bits = (id + 1).next_multiple_of(STEP);
            self.bits.resize((bits / 64) as usize, 0);
        }
        self.repeated += u64::from(self.bits[word] & bit != 0);
        self.bits[word] |= bit;
    }

    /// Adds the ids of another set; ids in both are repeated.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.bits.len() < other.bits.len() {
            self.bits.resize(other.bits.len(), 0);
        }
        self.repeated += other.repeated;
        for (mine, theirs) in self.bits.iter_mut().zip(&other.bits) {
            self.repeated += u64::from((*mine & theirs).count_ones());
            *mine |= theirs;
        }
        for id in &other.beyond {
            self.repeated += u64::from(!self.beyond.insert(*id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_found_within_and_across_sets() {
        let mut a = Ids::new(true);
        let mut b = Ids::new(true);
        for id in [1, 2, 3, STEP, STEP * 3 + 1, DENSE, u64::MAX] {
            a.insert(id);
            b.insert(id + 7 * u64::from(id < 10));
        }
        assert_eq!((a.repeated, b.repeated), (0, 0));
        a.insert(3);
        a.insert(u64::MAX);
        assert_eq!(a.repeated, 2);
        a.merge(&b);
        // STEP, STEP * 3 + 1, DENSE and MAX are in both.
        assert_eq!(a.repeated, 6);
        a.insert(8);
        assert_eq!(a.repeated, 7);
    }
}
