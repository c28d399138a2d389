//! What is seen of a load while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use crate::load::Control;

/// The counters of the load under way, or of the last one. Copies share them.
///
/// Looking costs the load nothing: its threads add to the counters every 10 ms or so, whoever looks.
#[derive(Debug, Clone, Default)]
pub struct Live(Arc<Mutex<Option<Arc<Control>>>>);

impl Live {
    pub(crate) fn begin(&self, control: &Arc<Control>) {
        *self.slot() = Some(Arc::clone(control));
    }

    /// Right answers and errors so far, warm-up included; `None` before the first load and after
    /// [`Self::forget`].
    pub fn counts(&self) -> Option<(u64, u64)> {
        let slot = self.slot();
        slot.as_ref()
            .map(|control| (control.requests(), control.errors()))
    }

    /// Counts nothing until the next load begins.
    pub fn forget(&self) {
        *self.slot() = None;
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Control>>> {
        // It holds a pointer, whole at any time.
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
        assert_eq!(other.counts(), None);
        let control = Arc::new(Control::default());
        live.begin(&control);
        control.count(3, 1);
        assert_eq!(other.counts(), Some((3, 1)));
        other.forget();
        assert_eq!(live.counts(), None);
    }
}
