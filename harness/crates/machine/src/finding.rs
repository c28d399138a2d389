//! When a finding was made, and whether anything was found at all.
//!
//! One list holds what was found before the run and what was found after it. Its ids tell
//! the two apart: the same looked at over the run ends in [`DURING`], and a setting that was
//! another one at its end in [`CHANGED`], as in `steal`, `steal-during`, `governor-changed`.

use super::{Environment, Finding};

/// Ends the id of what was measured over the whole run.
pub const DURING: &str = "-during";
/// Ends the id of a setting that was another one after the run than before.
pub const CHANGED: &str = "-changed";
/// Begins what was "found" where it could not be read; such a finding has level ok.
pub const UNKNOWN: &str = "unknown: ";

/// The name of the control: a minimal responder that shows what the load generator reaches.
/// A finding of that id says what became of it.
pub const CONTROL: &str = "control";

/// When something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Before the run.
    Before,
    /// Over the run, from its start to its end.
    During,
    /// At the end of the run, where it is no longer what it was at the start.
    Changed,
}

impl Environment {
    /// What became of the control. With level ok `found` follows its name, as in `replays the answers of
    /// alder`; with another, it was asked for and there is none. Absent in older records that have one.
    #[must_use]
    pub fn control(&self) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.id == CONTROL)
    }
}

impl Finding {
    /// What was found and, where it is known, why that matters or came about.
    #[must_use]
    pub fn told(&self) -> String {
        match self.why.as_str() {
            "" => self.found.clone(),
            why => format!("{} ({why})", self.found),
        }
    }

    /// When it was found.
    #[must_use]
    pub fn moment(&self) -> Moment {
        self.parts().1
    }

    /// What it is about, whenever it was found: the id without its ending.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.parts().0
    }

    /// Whether it says no more than that something could not be read.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.found.starts_with(UNKNOWN)
    }

    fn parts(&self) -> (&str, Moment) {
        let ending = |text| self.id.strip_suffix(text);
        match (ending(DURING), ending(CHANGED)) {
            (Some(subject), _) => (subject, Moment::During),
            (_, Some(subject)) => (subject, Moment::Changed),
            _ => (&self.id, Moment::Before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Level;

    #[test]
    fn the_id_tells_when() {
        let parts = |id: &str| {
            let finding = Finding {
                id: id.to_owned(),
                level: Level::Ok,
                found: String::new(),
                why: String::new(),
                fix: None,
            };
            (finding.subject().to_owned(), finding.moment())
        };
        assert_eq!(parts("steal"), ("steal".to_owned(), Moment::Before));
        assert_eq!(parts("steal-during"), ("steal".to_owned(), Moment::During));
        assert_eq!(
            parts("clock-source-changed"),
            ("clock-source".to_owned(), Moment::Changed)
        );
    }
}
