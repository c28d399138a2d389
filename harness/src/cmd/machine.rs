//! Which CPUs each side gets, whether they can be kept to them, and what others take of them.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::flags::Usage;
use machine::probe::affinity;
use machine::{Layout, Needs, Now, Root, StealMeter, Stolen, Topology, cpu_list};
use record::{Environment, Finding, Level};

/// How long others are watched: the kernel counts CPU time in ticks of 10 ms, and on one CPU
/// this gives the hundred without which single ticks would decide.
pub(super) const WINDOW: Duration = Duration::from_millis(1200);

/// Why nothing is pinned where the user wants it so.
const NO_PIN: &str = "--no-pin was given";

/// Flags about CPUs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "CPUs")]
pub(super) struct Cpus {
    /// CPUs of the server, as in 0-3,8; chosen from the topology where not given
    #[arg(long, value_name = "LIST")]
    server_cpus: Option<String>,
    /// CPUs of the load generator, one pinned thread each
    #[arg(long, value_name = "LIST")]
    driver_cpus: Option<String>,
    /// Pin neither side
    #[arg(long)]
    no_pin: bool,
}

/// The CPUs of both sides on this machine.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The machine.
    pub(super) topology: Topology,
    /// Who gets what.
    pub(super) layout: Layout,
    /// Why nothing is pinned, where it is not.
    pub(super) unpinned: Option<String>,
}

impl Place {
    /// Reads the topology, chooses, and tries whether pinning is allowed.
    pub(super) fn find(cpus: &Cpus) -> Result<Self> {
        let topology = Topology::read(&Root::host()).context("cannot read the CPU topology")?;
        let layout = Layout::new(
            &topology,
            cpus.server_cpus.as_deref(),
            cpus.driver_cpus.as_deref(),
        )
        .map_err(|error| Usage(error.to_string()))?;
        let unpinned = if cpus.no_pin {
            Some(NO_PIN.to_owned())
        } else {
            try_to_pin(&layout)
        };
        Ok(Self {
            topology,
            layout,
            unpinned,
        })
    }

    /// The CPUs of an earlier run: those that would be chosen again, or else given by hand.
    pub(super) fn of_earlier(earlier: &Environment) -> Result<Self> {
        let chosen = Self::find(&Cpus {
            no_pin: !earlier.pinned,
            ..Cpus::default()
        })?;
        let sides = (&chosen.layout.server, &chosen.layout.driver);
        if sides == (&earlier.server_cpus, &earlier.driver_cpus) {
            return Ok(chosen);
        }
        Self::find(&Cpus {
            server_cpus: Some(cpu_list::format(&earlier.server_cpus)),
            driver_cpus: Some(cpu_list::format(&earlier.driver_cpus)),
            no_pin: !earlier.pinned,
        })
    }

    /// What is recorded of the machine, with all that spoils a measurement on it. Takes
    /// [`WINDOW`].
    pub(super) fn environment(&self, rustc: &str, needs: Needs) -> Environment {
        self.environment_with(rustc, needs, &self.watch())
    }

    /// The same, with what was seen of others.
    pub(super) fn environment_with(&self, rustc: &str, needs: Needs, now: &Now) -> Environment {
        let root = Root::host();
        let mut environment = machine::read(&root, &self.topology, &self.layout, rustc);
        environment.pinned = self.unpinned.is_none();
        environment.findings = machine::findings(&root, &self.topology, &self.layout, needs, now);
        environment.findings.push(self.pinning());
        environment
    }

    fn pinning(&self) -> Finding {
        let (level, found, fix) = match &self.unpinned {
            None => (Level::Ok, "both sides keep to their CPUs".to_owned(), None),
            Some(why) => {
                let fix = match why.as_str() {
                    NO_PIN => "leave out --no-pin",
                    _ => "let the container or sandbox allow sched_setaffinity",
                };
                let found = format!("neither side is pinned: {why}");
                (Level::Warn, found, Some(fix.to_owned()))
            }
        };
        Finding {
            id: "pinning".to_owned(),
            level,
            found,
            why: "unpinned, server and load generator take each other's CPUs".to_owned(),
            fix,
        }
    }

    /// Watches others for [`WINDOW`] while the harness does nothing. What the host steals shows
    /// only where there is work, so it may stay unknown.
    pub(super) fn watch(&self) -> Now {
        Now {
            window: WINDOW,
            stolen: self.during(|| std::thread::sleep(WINDOW)),
        }
    }

    /// The same, and for as long again with all CPUs of both sides at work, so that what the
    /// host steals shows.
    pub(super) fn watch_at_work(&self) -> Now {
        let mut now = self.watch();
        now.stolen.steal = self.during(|| self.work(WINDOW)).steal;
        now
    }

    fn during(&self, act: impl FnOnce()) -> Stolen {
        let online = &self.topology.online;
        let meter = StealMeter::start(&Root::host(), &self.layout.both(), online);
        act();
        meter.stop()
    }

    /// Keeps every CPU of both sides busy.
    fn work(&self, time: Duration) {
        std::thread::scope(|scope| {
            for cpu in self.layout.both() {
                scope.spawn(move || {
                    // Where it is refused, the threads spread by themselves.
                    let _ = affinity::pin_current_thread(&[cpu]);
                    let begin = Instant::now();
                    while begin.elapsed() < time {
                        std::hint::spin_loop();
                    }
                });
            }
        });
    }

    /// CPUs to pin the server to; none where it is not to be pinned.
    pub(super) fn server_cpus(&self) -> Vec<u32> {
        match self.unpinned {
            None => self.layout.server.clone(),
            Some(_) => Vec::new(),
        }
    }
}

/// Tries on a thread of its own, so that this one stays free to build on all CPUs.
fn try_to_pin(layout: &Layout) -> Option<String> {
    let sides = [layout.server.clone(), layout.driver.clone()];
    let pin = move || {
        sides
            .iter()
            .try_for_each(|cpus| affinity::pin_current_thread(cpus))
    };
    std::thread::spawn(pin).join().map_or_else(
        |_| Some("the attempt panicked".to_owned()),
        |result| result.err().map(|error| error.to_string()),
    )
}
