//! Counts what a request costs a server: instructions, system calls, allocations and the like.
//!
//! Requests per second depend on the machine and the hour. These counts don't: one connection sends one request
//! after the other, always the same ones, and each counter sees a short and a long load of the same process. What
//! a request costs is (count of the long load − count of the short one) / (requests of the long load − requests of
//! the short one), so that opening the connection and attaching the counter cancel out.
//!
//! | file | counts | with |
//! |---|---|---|
//! | `callgrind` | instructions | valgrind's callgrind, a fresh process |
//! | `perf` | instructions, cycles, misses | `perf stat`, where the machine has counters |
//! | `allocations` | allocations and their bytes | a build of its own, with a counting allocator |
//! | `strace` | system calls by name | `strace -c` |
//! | `plain` | context switches, page faults, bytes sent, energy | `/proc`, the load generator, RAPL |
//!
//! `footprint` measures what a server needs apart from that: memory, threads, descriptors, time to start.
//! `fairness` looks at the conditions under which it runs: threads, allocator, socket options, limits.

mod allocations;
mod callgrind;
mod fairness;
mod footprint;
mod load;
mod perf;
mod plain;
pub mod profile;
pub mod strace;
mod tool;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};

use catalog::{CHECKED_CALLS, Call, Workload};
use record::{Failure, Step, WorkloadCost, figure};
use runner::{BootOptions, Built, Interrupt, Launch, Referee};

pub use callgrind::Callgrind;
pub use fairness::{FairnessOptions, fairness};
pub use footprint::{FootprintOptions, footprint};
pub use load::Loaded;
pub use tool::Tools;

/// What every server and workload has in common.
#[derive(Debug, Clone)]
pub struct CostOptions {
    /// How to start a server.
    pub boot: BootOptions,
    /// The CPU of the load generator; any if empty.
    pub driver_cpus: Vec<u32>,
    /// Requests of the short and of the long load; the second number is higher. Multiples of [`CHECKED_CALLS`] have
    /// each request of a workload equally often, so that what a request costs doesn't depend on the length.
    pub requests: [u64; 2],
    /// How often each figure is counted, at least once.
    pub repeats: u32,
    /// What to count.
    pub kinds: Vec<CostKind>,
    /// Seed of the drawn requests.
    pub seed: u64,
    /// Time limit for a response.
    pub timeout: Duration,
    /// A folder for the counters' own files.
    pub scratch: PathBuf,
}

/// A server to count.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The build whose speed is measured too.
    pub built: &'a Built,
    /// The build with the counting allocator, or why there is none.
    pub counted: Result<&'a Built, &'a str>,
}

/// A kind of counting, each with processes of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CostKind {
    /// Allocations and their bytes.
    Allocations,
    /// Instructions, and what else the processor counts.
    Instructions,
    /// System calls.
    Syscalls,
    /// Context switches, page faults, bytes and energy.
    Process,
}

impl CostKind {
    /// All kinds, in the order of counting.
    pub const ALL: [Self; 4] = [
        Self::Allocations,
        Self::Instructions,
        Self::Syscalls,
        Self::Process,
    ];

    /// Its name in flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Allocations => "allocations",
            Self::Instructions => "instructions",
            Self::Syscalls => "syscalls",
            Self::Process => "process",
        }
    }
}

/// Counts of one load, by figure or by the name of a system call.
type Counted = BTreeMap<String, f64>;

/// Counts what a request of a workload costs. A figure that can't be counted is in [`WorkloadCost::absent`]. Calls
/// `show` with what is counted next.
///
/// # Errors
/// A [`Failure`] if the server can't be started or answers wrongly.
pub fn measure(
    subject: &Subject<'_>,
    workload: &Workload,
    tools: &Tools,
    options: &CostOptions,
    interrupt: &Interrupt,
    show: &mut dyn FnMut(&'static str),
) -> Result<WorkloadCost, Failure> {
    let job = Counting {
        calls: workload.draw(options.seed, CHECKED_CALLS),
        referee: Referee::new(),
        options,
        interrupt,
    };
    let mut cost = WorkloadCost {
        name: workload.name.clone(),
        ..WorkloadCost::default()
    };
    for kind in &options.kinds {
        show(kind.name());
        match kind {
            CostKind::Allocations => job.allocations(subject, &mut cost)?,
            CostKind::Instructions => job.instructions(subject, tools, &mut cost)?,
            CostKind::Syscalls => job.syscalls(subject, tools, &mut cost)?,
            CostKind::Process => job.process(subject, &mut cost)?,
        }
    }
    Ok(cost)
}

/// What is counted in each process of a server.
struct Counting<'a> {
    calls: Vec<Call>,
    referee: Referee,
    options: &'a CostOptions,
    interrupt: &'a Interrupt,
}

impl Counting<'_> {
    /// Starts a process, and warms it up.
    fn start(&self, launch: &Launch, log: &str) -> Result<Loaded, Failure> {
        Loaded::start(
            launch,
            log,
            &self.calls,
            self.options,
            &self.referee,
            self.interrupt,
        )
    }

    fn allocations(&self, subject: &Subject<'_>, cost: &mut WorkloadCost) -> Result<(), Failure> {
        let counted = match subject.counted {
            Ok(counted) => counted,
            Err(why) => {
                lacks(cost, &allocations::FIGURES, why);
                return Ok(());
            }
        };
        let counter = allocations::Allocations::new(&self.options.scratch);
        let mut loaded = self.start(&counter.launch(&counted.launch), "allocations")?;
        let counts = self.count(&mut loaded, 1, &mut |loaded, requests| {
            counter.around(loaded, requests)
        });
        note(cost, &allocations::FIGURES, counts, loaded)
    }

    fn instructions(
        &self,
        subject: &Subject<'_>,
        tools: &Tools,
        cost: &mut WorkloadCost,
    ) -> Result<(), Failure> {
        let launch = &subject.built.launch;
        match (&tools.hardware, &tools.callgrind) {
            (Ok(()), _) => {
                let mut loaded = self.start(launch, "perf")?;
                let counts = self.count(&mut loaded, 1, &mut |loaded, requests| {
                    perf::around(&self.options.scratch, loaded, requests)
                });
                note(cost, &perf::FIGURES, counts, loaded)
            }
            (Err(_), Ok(())) => {
                let counter = Callgrind::new(&self.options.scratch);
                let mut loaded = self.start(&counter.launch(launch), "callgrind")?;
                let counts = counter
                    .times(&mut loaded, self.options.requests)
                    .and_then(|times| {
                        self.count(&mut loaded, times, &mut |loaded, requests| {
                            counter.around(loaded, requests)
                        })
                    });
                note(cost, &[figure::INSTRUCTIONS], counts, loaded)
            }
            (Err(no_counters), Err(no_valgrind)) => {
                lacks(
                    cost,
                    &[figure::INSTRUCTIONS],
                    &format!("{no_counters}; {no_valgrind}"),
                );
                Ok(())
            }
        }
    }

    fn syscalls(
        &self,
        subject: &Subject<'_>,
        tools: &Tools,
        cost: &mut WorkloadCost,
    ) -> Result<(), Failure> {
        if let Err(why) = &tools.strace {
            lacks(cost, &[strace::FIGURE], why);
            return Ok(());
        }
        let mut loaded = self.start(&subject.built.launch, "strace")?;
        let calls = self.count(&mut loaded, 1, &mut |loaded, requests| {
            strace::around(&self.options.scratch, loaded, requests)
        });
        let counts = calls.map(|calls| {
            cost.syscalls = medians(&calls);
            totals(&calls, self.options.repeats)
        });
        note(cost, &[strace::FIGURE], counts, loaded)
    }

    fn process(&self, subject: &Subject<'_>, cost: &mut WorkloadCost) -> Result<(), Failure> {
        let mut loaded = self.start(&subject.built.launch, "plain")?;
        let counts = self.count(&mut loaded, 1, &mut |loaded, requests| {
            plain::around(loaded, requests)
        });
        note(cost, &plain::FIGURES, counts, loaded)
    }

    /// Every repeat's counts per request. The difference of the loads is this many times the usual requests.
    fn count(
        &self,
        loaded: &mut Loaded,
        times: u64,
        around: &mut dyn FnMut(&mut Loaded, u64) -> Result<Counted>,
    ) -> Result<BTreeMap<String, Vec<f64>>> {
        let [few, many] = self.options.requests;
        let many = few + (many - few) * times;
        let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for _ in 0..self.options.repeats {
            let short = around(loaded, few)?;
            let long = around(loaded, many)?;
            for (name, count) in &long {
                let before = short.get(name).copied().unwrap_or(0.0);
                let each = (count - before) / (many - few) as f64;
                all.entry(name.clone()).or_default().push(each);
            }
            if self.interrupt.is_set() {
                return Err(anyhow!("interrupted"));
            }
        }
        Ok(all)
    }
}

/// Stores what was counted, or why it wasn't, and ends the process.
///
/// # Errors
/// A [`Failure`] if the server ended.
fn note(
    cost: &mut WorkloadCost,
    figures: &[&str],
    counted: Result<BTreeMap<String, Vec<f64>>>,
    mut loaded: Loaded,
) -> Result<(), Failure> {
    match counted {
        Ok(counted) => {
            cost.figures.extend(counted);
            loaded.running.kill()
        }
        Err(error) if loaded.running.ended().is_some() => {
            Err(loaded.running.failure(Step::Drive, format!("{error:#}")))
        }
        Err(error) => {
            lacks(cost, figures, &format!("{error:#}"));
            loaded.running.kill()
        }
    }
}

fn lacks(cost: &mut WorkloadCost, figures: &[&str], why: &str) {
    let each = figures
        .iter()
        .map(|figure| ((*figure).to_owned(), why.to_owned()));
    cost.absent.extend(each);
}

/// The median of each system call, without those that are rarer than one in a hundred requests.
fn medians(calls: &BTreeMap<String, Vec<f64>>) -> Counted {
    const RARE: f64 = 1e-2;
    let median = |(name, values): (&String, &Vec<f64>)| Some((name.clone(), middle(values)?));
    let all = calls.iter().filter_map(median);
    all.filter(|(_, each)| *each >= RARE).collect()
}

fn middle(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied()
}

/// All calls of each repeat.
fn totals(calls: &BTreeMap<String, Vec<f64>>, repeats: u32) -> BTreeMap<String, Vec<f64>> {
    let of = |repeat: usize| calls.values().filter_map(|values| values.get(repeat)).sum();
    let all = (0..repeats as usize).map(of).collect();
    BTreeMap::from([(strace::FIGURE.to_owned(), all)])
}
