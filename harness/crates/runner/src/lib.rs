//! Build, boot, check and measure one server.
//!
//! `Server → Built → Verified → Trial`: a trial takes a [`Verified`] server, and only
//! [`check`] makes one, so an unchecked server can't be measured. A [`Target`] already runs and is the user's own: it
//! is checked only if asked to.

mod accept;
mod boot;
mod build;
mod build_flags;
mod calibrate;
mod check;
mod control;
mod cost;
mod entry;
mod figures;
mod fleet;
mod fuzz;
mod group;
mod length;
mod live;
mod options;
mod protocol;
pub mod respond;
mod rotation;
mod rounds;
mod sampler;
mod session;
pub mod supervise;
mod target;
mod together;
mod trial;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

pub use accept::{Referee, accept, accept_by_route, wire};
pub use boot::{BootOptions, Running, boot};
pub use build::{Built, Launch, build, run_to_its_end, rustc_version, same_program};
pub use check::{CheckLimits, Checked, Verified, check};
pub use fuzz::{FuzzOptions, Replayed, fuzz, replay};
pub use group::Group;
pub use length::{LEAST_ROUNDS, Length, Sureness};
pub use live::Live;
pub use options::Options;
pub use protocol::{Done, ProtocolOptions, ServerCells, protocol};
pub use session::{Earlier, Happening, Inputs, SessionError, Watch, run};
pub use target::{Target, TargetCheck};

/// How often a long wait checks whether the user asked to stop, or a process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How many lines of a log a failure quotes.
const TAIL_LINES: usize = 20;

/// The end of a log.
pub fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Whether the user asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Set by SIGINT and SIGTERM. A second one ends the process at once with status 130, and the supervisors
    /// then end the servers.
    ///
    /// # Errors
    /// If a handler can't be installed.
    pub fn on_signals() -> std::io::Result<Self> {
        use signal_hook::consts::{SIGINT, SIGTERM};
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM] {
            let flag = Arc::clone(&interrupt.0);
            // Registered before the flag is first set, so only a second signal ends the process.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&flag))?;
            signal_hook::flag::register(signal, flag)?;
        }
        Ok(interrupt)
    }

    /// Whether it was set.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Sleeps.
    ///
    /// # Errors
    /// As soon as the user asks to stop.
    pub fn pause(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            ensure!(!self.is_set(), "interrupted");
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => thread::sleep(left.min(LOOK_EVERY)),
            }
        }
    }

    /// The flag itself, for the load generator.
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end() {
        let text: String = (0..50).map(|line| format!("{line}\n")).collect();
        let tail = tail(&text);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.starts_with("30\n") && tail.ends_with("49"));
    }
}
