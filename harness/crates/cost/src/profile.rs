//! Where a server's time goes, and where it allocates: a profile of its call stacks under a load of its own.
//!
//! | file | contents |
//! |---|---|
//! | `perf` | records samples at a paced rate, with the kernel's part |
//! | `perf_script`, `callgrind_out` | read what the two tools write, both into a `CallTree` |
//! | `tree` | call stacks and their cost |
//! | `source` | the source of an instruction, inlined functions included |
//! | `classes` | which kind of work a function is: the table `classes.toml` |
//! | `attribution` | the share of each kind of work, and the places that allocate |
//! | `flame` | the flame graph |

mod attribution;
mod callgrind_out;
mod classes;
mod flame;
mod perf;
mod perf_script;
mod segments;
mod source;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use super::allocations::Allocations;
use super::load::Loaded;
use super::{Callgrind, CostOptions, Subject};
use attribution::Attribution;
use catalog::{CHECKED_CALLS, Workload};
use record::{Allocated, ClassShare, Failure, HotFunction, Step, WorkloadProfile};
use runner::{Interrupt, Launch, Referee};
use tree::CallTree;

pub use classes::{WorkClass, WorkClasses};
pub use perf::event;

/// Allocations per request below which a place is left out: those of opening the connection.
const RARE_ALLOCATION: f64 = 2e-3;

/// What records the CPU profile.
#[derive(Debug, Clone, PartialEq)]
pub enum Profiler {
    /// perf samples the server at a paced rate.
    Perf {
        /// What it samples by, from [`event`].
        event: &'static str,
        /// Requests per second; half of a short peak measurement if absent.
        rate: Option<f64>,
        /// How long it samples.
        duration: Duration,
    },
    /// callgrind counts every instruction of a serial load.
    Callgrind,
}

/// What all profiles have in common.
#[derive(Debug)]
pub struct ProfileOptions<'a> {
    /// How to start and load a server. The second number of requests is what callgrind counts.
    pub cost: CostOptions,
    /// What records the CPU profile.
    pub profiler: Profiler,
    /// The kinds of work.
    pub classes: &'a WorkClasses,
    /// Whether valgrind is installed, which finds the places that allocate.
    pub valgrind: Result<(), String>,
    /// The files of stacks go here.
    pub folder: PathBuf,
    /// The workspace: its sources are named relative to it.
    pub root: PathBuf,
}

/// Profiles a server under a workload. Calls `show` with what is done next.
///
/// # Errors
/// A [`Failure`] if the server can't be started or answers wrongly, or the profile can't be recorded or stored.
pub fn profile(
    name: &str,
    subject: &Subject<'_>,
    workload: &Workload,
    options: &ProfileOptions<'_>,
    interrupt: &Interrupt,
    show: &mut dyn FnMut(&'static str),
) -> Result<WorkloadProfile, Failure> {
    let job = Job {
        calls: workload.draw(options.cost.seed, CHECKED_CALLS),
        referee: Referee::new(),
        options,
        interrupt,
    };
    let launch = &subject.built.launch;
    let (tree, load) = match &options.profiler {
        Profiler::Perf { .. } => {
            show("recording with perf");
            job.sampled(launch)?
        }
        Profiler::Callgrind => {
            show("counting under callgrind");
            job.counted(launch)?
        }
    };
    show("reading the stacks");
    let written = job.written(name, workload, &tree, load);
    let mut profile = written.map_err(|error| failed(format!("{error:#}")))?;
    match &options.valgrind {
        Err(why) => profile.no_allocations = Some(why.clone()),
        Ok(()) => {
            show("finding where it allocates");
            profile.allocations = Some(job.allocated(subject)?);
        }
    }
    Ok(profile)
}

fn failed(reason: String) -> Failure {
    Failure {
        step: Step::Drive,
        reason,
        log_tail: String::new(),
    }
}

/// What was sent while a profile was recorded.
struct Sent {
    event: &'static str,
    requests: u64,
    rate: Option<f64>,
}

struct Job<'a> {
    calls: Vec<catalog::Call>,
    referee: Referee,
    options: &'a ProfileOptions<'a>,
    interrupt: &'a Interrupt,
}

impl Job<'_> {
    fn start(&self, launch: &Launch, log: &str) -> Result<Loaded, Failure> {
        let options = &self.options.cost;
        let (calls, referee) = (&self.calls, &self.referee);
        Loaded::start(launch, log, calls, options, referee, self.interrupt)
    }

    /// Starts a process, records its profile, and ends it.
    fn record<T>(
        &self,
        launch: &Launch,
        log: &str,
        record: impl FnOnce(&mut Loaded) -> Result<T>,
    ) -> Result<T, Failure> {
        let mut loaded = self.start(launch, log)?;
        match record(&mut loaded) {
            Ok(recorded) => loaded.running.kill().map(|()| recorded),
            Err(error) => Err(loaded.running.failure(Step::Drive, format!("{error:#}"))),
        }
    }

    fn sampled(&self, launch: &Launch) -> Result<(CallTree, Sent), Failure> {
        self.record(launch, "perf", |loaded| {
            perf::record(loaded, &self.options.profiler, &self.options.cost.scratch)
        })
    }

    fn counted(&self, launch: &Launch) -> Result<(CallTree, Sent), Failure> {
        let (callgrind, launch) = self.under_callgrind(launch);
        let requests = self.options.cost.requests[1];
        self.record(&launch, "callgrind", |loaded| {
            callgrind.dump(loaded)?;
            loaded.send(requests)?;
            callgrind.dump(loaded)?;
            let event = "instructions";
            let rate = None;
            Ok((
                read(&callgrind)?,
                Sent {
                    event,
                    requests,
                    rate,
                },
            ))
        })
    }

    fn under_callgrind(&self, launch: &Launch) -> (Callgrind, Launch) {
        let callgrind = Callgrind::new(&self.options.cost.scratch);
        let mut launch = callgrind.launch(launch);
        // After valgrind's own name.
        let flags = callgrind_out::FLAGS.map(str::to_owned);
        launch.command.splice(1..1, flags);
        (callgrind, launch)
    }

    /// Where the server allocates: the callers of the allocator, whose calls callgrind counts exactly.
    fn allocated(&self, subject: &Subject<'_>) -> Result<Allocated, Failure> {
        let requests = self.options.cost.requests[1];
        // The build with the counting allocator says whether callgrind saw every allocation.
        let counter = subject.counted.ok().map(|counted| {
            (
                Allocations::new(&self.options.cost.scratch),
                &counted.launch,
            )
        });
        let launch = counter
            .as_ref()
            .map_or(&subject.built.launch, |(_, launch)| launch);
        let (callgrind, mut launch) = self.under_callgrind(launch);
        if let Some((counter, _)) = &counter {
            launch = counter.launch(&launch);
        }
        let (tree, counts) = self.record(&launch, "allocations", |loaded| {
            callgrind.dump(loaded)?;
            let counts = match &counter {
                Some((counter, _)) => Some(counter.around(loaded, requests)?),
                None => loaded.send(requests).map(|_| None)?,
            };
            callgrind.dump(loaded)?;
            Ok((read(&callgrind)?, counts))
        })?;
        let mut sites =
            Attribution::new(&tree, self.options.classes, &self.options.root).allocations();
        for site in &mut sites {
            site.per_request /= requests as f64;
        }
        let counted = |figure: &str| Some(counts.as_ref()?.get(figure)? / requests as f64);
        let per_request = sites.iter().map(|site| site.per_request).sum();
        sites.retain(|site| site.per_request >= RARE_ALLOCATION);
        Ok(Allocated {
            per_request,
            counted_per_request: counted(record::figure::ALLOCATIONS),
            bytes_per_request: counted(record::figure::ALLOCATED),
            requests,
            sites,
        })
    }

    /// Writes the stacks and the flame graph, and says what they show.
    fn written(
        &self,
        name: &str,
        workload: &Workload,
        tree: &CallTree,
        sent: Sent,
    ) -> Result<WorkloadProfile> {
        let total = tree.total();
        ensure!(
            total > 0,
            "the profile is empty: the server did nothing while it was recorded"
        );
        let classes = &self.options.classes.all;
        let (of_all, of_functions) =
            Attribution::new(tree, self.options.classes, &self.options.root).costs();
        let share = |cost: f64| cost / total as f64;
        let inclusive = tree.functions();
        let mut functions: Vec<HotFunction> = of_functions
            .iter()
            .map(|(function, costs)| {
                let most =
                    (0..classes.len()).max_by(|one, other| costs[*one].total_cmp(&costs[*other]));
                HotFunction {
                    function: (*function).to_owned(),
                    class: classes[most.unwrap_or_default()].name.clone(),
                    own: share(costs.iter().sum()),
                    total: share(inclusive[function].1 as f64),
                }
            })
            .collect();
        functions.sort_by(|one, other| other.own.total_cmp(&one.own));
        let stem = format!("{name}-{}", workload.name);
        let folded = format!("{stem}.folded");
        let flame_graph = format!("{stem}.svg");
        let lines = tree.folded();
        let write = |file: &str, text: Vec<u8>| {
            let path = self.options.folder.join(file);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write(&folded, (lines.join("\n") + "\n").into_bytes())?;
        let title = format!("{name}, {}: {}", workload.name, sent.event);
        let unit = match self.options.profiler {
            Profiler::Perf { .. } => "samples",
            Profiler::Callgrind => "instructions",
        };
        let colours = functions
            .iter()
            .map(|function| (function.function.as_str(), function.class.as_str()));
        write(
            &flame_graph,
            flame::graph(&title, unit, &lines, colours, self.options.classes)?,
        )?;
        Ok(WorkloadProfile {
            name: workload.name.clone(),
            tool: match self.options.profiler {
                Profiler::Perf { .. } => "perf",
                Profiler::Callgrind => "callgrind",
            }
            .to_owned(),
            event: sent.event.to_owned(),
            total,
            requests: sent.requests,
            rate: sent.rate,
            classes: classes
                .iter()
                .zip(&of_all)
                .map(|(class, cost)| ClassShare {
                    class: class.name.clone(),
                    about: class.about.clone(),
                    share: share(*cost),
                })
                .collect(),
            functions,
            allocations: None,
            no_allocations: None,
            flame_graph,
            folded,
        })
    }
}

/// The profiles of all processes.
fn read(callgrind: &Callgrind) -> Result<CallTree> {
    let mut tree = CallTree::default();
    for path in callgrind.profiles()? {
        let text = std::fs::read_to_string(&path)?;
        callgrind_out::read(&text, &mut tree)?;
    }
    Ok(tree)
}
