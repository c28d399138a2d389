//! Which CPUs each side gets, whether threads can be pinned to them, and how much others use them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::flags::Usage;
use machine::probe::{affinity, limits};
use machine::{Layout, Needs, Now, Root, StealMeter, Stolen, Topology, cpu_list};
use record::{Environment, Finding, Level};
use runner::{BootOptions, rustc_version};

/// How long to watch other processes. The kernel counts CPU time in ticks of 10 ms; this gives at least
/// a hundred of them on one CPU, so that single ticks don't matter.
pub(super) const WINDOW: Duration = Duration::from_millis(1200);

/// The reason if the user turned pinning off.
const NO_PIN: &str = "--no-pin was given";

/// Flags that select CPUs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "CPUs")]
pub(super) struct Cpus {
    /// CPUs for the server, as in 0-3,8 [default: chosen from the topology]
    #[arg(long, value_name = "LIST")]
    server_cpus: Option<String>,
    /// CPUs for the load generator, one pinned thread each [default: chosen from the topology]
    #[arg(long, value_name = "LIST")]
    driver_cpus: Option<String>,
    /// Pin neither side
    #[arg(long)]
    no_pin: bool,
}

/// The CPUs of both sides on this machine.
#[derive(Debug, Clone)]
pub(super) struct CpuPlace {
    /// The machine.
    pub(super) topology: Topology,
    /// Which side gets which CPUs.
    pub(super) layout: Layout,
    /// Why nothing is pinned, if so.
    pub(super) unpinned: Option<String>,
}

impl CpuPlace {
    /// Reads the topology, chooses CPUs, and tests whether pinning is allowed.
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

    /// The CPUs of an earlier run: chosen automatically if that gives the same ones, else as if given by hand.
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

    /// The machine as recorded, with everything that distorts measurements on it. Takes [`WINDOW`].
    pub(super) fn environment(&self, connections: u32) -> Environment {
        let rustc = rustc_version().unwrap_or_default();
        self.environment_with(&rustc, Needs { connections }, &self.watch())
    }

    /// The same, with what was seen of other processes.
    pub(super) fn environment_with(&self, rustc: &str, needs: Needs, now: &Now) -> Environment {
        let root = Root::host();
        let mut environment = machine::read(&root, &self.topology, &self.layout, rustc);
        environment.pinned = self.unpinned.is_none();
        environment.findings = machine::findings(&root, &self.topology, &self.layout, needs, now);
        environment.findings.push(self.pinning());
        environment.findings.extend(super::impair::netem::finding());
        environment
    }

    fn pinning(&self) -> Finding {
        let (level, found, fix) = match &self.unpinned {
            None => (
                Level::Ok,
                "both sides are pinned to their CPUs".to_owned(),
                None,
            ),
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
            why: "without pinning, server and load generator compete for the same CPUs".to_owned(),
            fix,
        }
    }

    /// Watches other processes for [`WINDOW`] while the harness is idle. CPU steal is visible only under
    /// load, so it may stay unknown.
    pub(super) fn watch(&self) -> Now {
        Now {
            window: WINDOW,
            stolen: self.during(|| std::thread::sleep(WINDOW)),
        }
    }

    /// The same, then for as long again with all CPUs of both sides busy, so that CPU steal is visible.
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
                    // If pinning is refused, the scheduler spreads the threads.
                    let _ = affinity::pin_current_thread(&[cpu]);
                    let begin = Instant::now();
                    while begin.elapsed() < time {
                        std::hint::spin_loop();
                    }
                });
            }
        });
    }

    /// CPUs to pin the load generator to; empty if it should not be pinned.
    pub(super) fn driver_cpus(&self) -> Vec<u32> {
        match self.unpinned {
            None => self.layout.driver.clone(),
            Some(_) => Vec::new(),
        }
    }

    /// The machine, without findings.
    pub(super) fn described(&self, rustc: &str) -> Environment {
        machine::read(&Root::host(), &self.topology, &self.layout, rustc)
    }

    /// The processor's name.
    pub(super) fn cpu_model(&self) -> String {
        machine::cpu_model(&Root::host())
    }

    /// How to start a server there.
    pub(super) fn boot(
        &self,
        log: PathBuf,
        port: Option<u16>,
        ready_timeout: Duration,
    ) -> BootOptions {
        BootOptions {
            cpus: self.server_cpus(),
            workers: self.layout.server.len(),
            port,
            socket: None,
            log,
            ready_timeout,
        }
    }

    /// CPUs to pin the server to; empty if it should not be pinned.
    pub(super) fn server_cpus(&self) -> Vec<u32> {
        match self.unpinned {
            None => self.layout.server.clone(),
            Some(_) => Vec::new(),
        }
    }
}

/// The number of files that may be open, raised if possible.
pub(super) fn descriptor_limit() -> u64 {
    limits::raise_descriptor_limit().unwrap_or_else(|_| limits::descriptor_limit().0)
}

/// The folder for logs outside of a run.
pub(super) fn log_folder(target: &Path) -> Result<PathBuf> {
    let folder = target.join("harness").join("logs");
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    Ok(folder)
}

/// Tests pinning on a separate thread, so that this one can still build on all CPUs.
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
