//! One `Mutex` around everything.

use std::sync::{Mutex, PoisonError};

use super::{Candidate, Plain, StoredOrder};

#[derive(Debug)]
pub(crate) struct OneMutex(Mutex<Plain>);

impl Candidate for OneMutex {
    const NAME: &'static str = "mutex";

    fn new() -> Self {
        Self(Mutex::new(Plain::new()))
    }

    fn append(&self, entry: StoredOrder) -> u64 {
        let mut plain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plain.append(entry)
    }

    fn get(&self, id: u64) -> Option<StoredOrder> {
        let plain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plain.get(id)
    }

    fn page(&self, offset: u64, limit: u64, each: impl FnMut(u64, StoredOrder)) -> u64 {
        let plain = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        plain.page(offset, limit, each)
    }
}
