//! One `RwLock` around everything.

use std::sync::{PoisonError, RwLock};

use super::{Candidate, Plain, StoredOrder};

#[derive(Debug)]
pub(crate) struct OneRwLock(RwLock<Plain>);

impl Candidate for OneRwLock {
    const NAME: &'static str = "rwlock";

    fn new() -> Self {
        Self(RwLock::new(Plain::new()))
    }

    fn append(&self, entry: StoredOrder) -> u64 {
        let mut plain = self.0.write().unwrap_or_else(PoisonError::into_inner);
        plain.append(entry)
    }

    fn get(&self, id: u64) -> Option<StoredOrder> {
        let plain = self.0.read().unwrap_or_else(PoisonError::into_inner);
        plain.get(id)
    }

    fn page(&self, offset: u64, limit: u64, each: impl FnMut(u64, StoredOrder)) -> u64 {
        let plain = self.0.read().unwrap_or_else(PoisonError::into_inner);
        plain.page(offset, limit, each)
    }
}
