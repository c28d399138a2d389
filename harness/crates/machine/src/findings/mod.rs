//! What distorts measurements on this machine.
//!
//! Every check always gives one finding with a stable id, so that a reader sees what was checked. If the file
//! it reads doesn't exist (a virtual machine without frequency scaling, a container without `/sys`), the
//! finding is [`UNKNOWN`] plus the file's name, at level ok: it must be neither a warning nor silent. Whoever
//! shows findings shows these as unknown.

mod clock;
mod cpus;
mod frequency;
mod kernel;
mod memory;
mod network;
mod noise;

use super::{Layout, Now, Root, Topology};
use crate::{Finding, Level, UNKNOWN};

pub(super) use frequency::{COOLER, throttle_count, turbo_on};
pub(super) use network::descriptor_limits;
pub(super) use noise::{other_load, steal_during};

/// What the run needs from the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Connections open at the same time.
    pub connections: u32,
}

impl Needs {
    /// File descriptors that each of the two processes may need: two per connection, because the old socket
    /// may still be open during a reconnect, and 128 for logs, event queues and libraries. Both inherit the
    /// same limit.
    pub fn descriptors(self) -> u64 {
        u64::from(self.connections) * 2 + 128
    }

    /// Local ports the load generator may need: two per connection, because a closed one stays in TIME-WAIT
    /// for 60 s, and 1,000 for everything else on the machine.
    pub fn ports(self) -> u64 {
        u64::from(self.connections) * 2 + 1000
    }
}

/// The input of a check.
struct Context<'a> {
    root: &'a Root,
    topology: &'a Topology,
    layout: &'a Layout,
    needs: Needs,
    now: &'a Now,
}

impl Context<'_> {
    /// For example `over 1.2 s`: how long the machine was watched.
    fn window(&self) -> String {
        format!("over {:.1} s", self.now.window.as_secs_f64())
    }

    /// The CPUs of both sides, without duplicates.
    fn cpus(&self) -> Vec<u32> {
        self.layout.both()
    }
}

type Check = fn(&Context<'_>) -> Finding;

/// All checks, in display order.
const CHECKS: &[Check] = &[
    frequency::governor,
    frequency::turbo,
    frequency::thermal,
    cpus::layout,
    cpus::smt,
    cpus::numa,
    cpus::isolated,
    cpus::quota,
    memory::limit,
    clock::clock_source,
    noise::steal,
    noise::pressure,
    noise::load,
    noise::virtualisation,
    network::descriptors,
    network::ports,
    network::somaxconn,
    network::tw_reuse,
    network::loopback_mtu,
    kernel::mitigations,
    kernel::huge_pages,
    kernel::swap,
];

/// Checks the machine for a layout and a planned run. `now` is what others used just before, or its default.
pub fn findings(
    root: &Root,
    topology: &Topology,
    layout: &Layout,
    needs: Needs,
    now: &Now,
) -> Vec<Finding> {
    let context = Context {
        root,
        topology,
        layout,
        needs,
        now,
    };
    CHECKS.iter().map(|check| check(&context)).collect()
}

/// The command that makes all safe changes.
const TUNE: &str = "sudo scripts/tune-host";

/// What a finding is about: its id, and why it matters.
#[derive(Clone, Copy)]
pub(super) struct About<'a>(pub(super) &'a str, pub(super) &'a str);

impl About<'_> {
    fn ok(self, found: impl Into<String>) -> Finding {
        self.finding(Level::Ok, found, None)
    }

    /// `file` has no leading slash.
    fn unknown(self, file: &str) -> Finding {
        self.unknown_because(&format!("cannot read /{file}"))
    }

    fn unknown_because(self, cause: &str) -> Finding {
        self.ok(format!("{UNKNOWN}{cause}"))
    }

    pub(super) fn warn<'f>(
        self,
        found: impl Into<String>,
        fix: impl Into<Option<&'f str>>,
    ) -> Finding {
        self.finding(Level::Warn, found, fix.into())
    }

    fn fail<'f>(self, found: impl Into<String>, fix: impl Into<Option<&'f str>>) -> Finding {
        self.finding(Level::Fail, found, fix.into())
    }

    fn finding(self, level: Level, found: impl Into<String>, fix: Option<&str>) -> Finding {
        Finding {
            id: self.0.to_owned(),
            level,
            found: found.into(),
            why: self.1.to_owned(),
            fix: fix.map(str::to_owned),
        }
    }
}
