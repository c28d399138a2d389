//! Counters of a load while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use loadgen::Control;

/// The counters of the current or last loads, by the name of the entry. Copies share them.
///
/// Reading costs the load nothing: its threads add to the counters about every 10 ms anyway.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Mutex<Loads>>);

/// Each entry's load.
type Loads = Vec<(String, Arc<Control>)>;

impl Live {
    /// From now on each entry is loaded by these.
    pub fn begin(&self, loads: Loads) {
        *self.slot() = loads;
    }

    /// Correct responses and errors of an entry so far, warm-up included; `None` before its first load and
    /// after [`Self::forget`].
    pub fn counts(&self, entry: &str) -> Option<(u64, u64)> {
        let slot = self.slot();
        let (_, control) = slot.iter().find(|(name, _)| name == entry)?;
        Some((control.requests(), control.errors()))
    }

    /// Counts nothing until the next load begins.
    pub fn forget(&self) {
        self.slot().clear();
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Loads> {
        // It holds pointers, which are always in a valid state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_see_the_load_under_way_and_forget_it_together() {
        let live = Live::default();
        let other = live.clone();
        assert_eq!(other.counts("alder"), None);
        let control = Arc::new(Control::default());
        live.begin(vec![("alder".to_owned(), Arc::clone(&control))]);
        control.count(3, 1);
        assert_eq!(other.counts("alder"), Some((3, 1)));
        assert_eq!(other.counts("beech"), None);
        other.forget();
        assert_eq!(live.counts("alder"), None);
    }
}
