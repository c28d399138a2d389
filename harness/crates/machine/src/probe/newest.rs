//! Detects whether a process was started on this machine.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Watches the last field of `/proc/loadavg`, the id of the most recently started process or thread
/// (proc(5)). That is much faster than listing all processes.
#[derive(Debug)]
pub(super) struct Newest {
    file: Option<File>,
    last: Option<u32>,
}

impl Default for Newest {
    fn default() -> Self {
        Self {
            file: File::open("/proc/loadavg").ok(),
            last: None,
        }
    }
}

impl Newest {
    /// Whether one was started since the last call; also true if that is unknown.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = self.read();
        let changed = now.is_none() || now != self.last;
        self.last = now;
        changed
    }

    fn read(&self) -> Option<u32> {
        let mut buffer = [0_u8; 128];
        let length = self.file.as_ref()?.read_at(&mut buffer, 0).ok()?;
        let text = str::from_utf8(buffer.get(..length)?).ok()?;
        text.split_ascii_whitespace().last()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_process_that_was_started_shows() {
        let mut newest = Newest::default();
        assert!(newest.has_changed());
        assert!(newest.read().is_some());
        Command::new("true").status().unwrap();
        assert!(newest.has_changed());
    }

    #[test]
    fn what_is_not_known_may_have_changed() {
        let mut newest = Newest {
            file: None,
            last: None,
        };
        assert!(newest.has_changed() && newest.has_changed());
    }
}
