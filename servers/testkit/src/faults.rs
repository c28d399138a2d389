//! All the faults of a group, told at once rather than one a run.

use serde_json::Value;

use crate::Answer;

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

    /// Status and whole body.
    pub(crate) fn check_answer(&mut self, request: &str, got: &Answer, status: u16, body: &Value) {
        self.check(got.status == status && got.body == *body, || {
            format!(
                "{request}\n  got {} {}\n  due {status} {body}",
                got.status, got.body
            )
        });
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
