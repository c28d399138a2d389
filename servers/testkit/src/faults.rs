//! All the faults of a group, told at once rather than one a run.

#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Vec<String>,
}

impl Faults {
    pub(crate) fn check(&mut self, right: bool, fault: impl FnOnce() -> String) {
        if !right {
            self.found.push(fault());
        }
    }

    /// # Panics
    /// Where a fault was found; shows the first twenty.
    pub(crate) fn assert_none(self) {
        let shown = self.found.len().min(20);
        assert!(
            self.found.is_empty(),
            "{} faults:\n{}",
            self.found.len(),
            self.found[..shown].join("\n")
        );
    }
}
