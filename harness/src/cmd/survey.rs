//! What commands have in common that measure rounds of fresh processes: `capacity`, `ladder`, `restart` and `upstream`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::machine::{CpuPlace, descriptor_limit};
use super::progress::Progress;
use super::results::Folder;
use catalog::{Catalog, Server};
use machine::probe::limits;
use record::Failure;
use runner::{BootOptions, Built, Interrupt};
use traffic::{Contender, ServedOptions};

/// Descriptors that the harness and a server need besides one for each connection.
const OTHER_DESCRIPTORS: u64 = 100;

/// A server and its build.
pub(super) type Build<'a> = (&'a Server, Result<Built, Failure>);

/// Refuses more connections than there may be descriptors, of which one process needs `each` for a connection; `fewer`
/// says how to use fewer.
pub(super) fn refuse_too_many(connections: usize, each: usize, fewer: &str) -> anyhow::Result<()> {
    let limit = descriptor_limit();
    let needed = connections * each;
    if needed as u64 + OTHER_DESCRIPTORS > limit {
        let (_, hard) = limits::descriptor_limit();
        refuse!(
            "{connections} connections need {needed} file descriptors, and the limit is {limit} (hard limit {hard}): \
             raise it with `ulimit -Hn`, or use {fewer}"
        );
    }
    Ok(())
}

/// How servers are started on their CPUs and loaded; the log is set for each. `timeout` is for a start and for a
/// response. `workers`: if not one for each CPU.
pub(super) fn served_options(
    place: &CpuPlace,
    workers: Option<u32>,
    connections: u32,
    seed: u64,
    timeout: Duration,
) -> ServedOptions {
    let boot = place.boot(PathBuf::new(), None, timeout);
    ServedOptions {
        boot: BootOptions {
            workers: workers.map_or(boot.workers, |workers| workers as usize),
            ..boot
        },
        driver_cpus: place.driver_cpus(),
        connections: connections as usize,
        filled: false,
        seed,
        timeout,
    }
}

/// Builds every server; `None` if interrupted.
pub(super) fn build_all<'a>(
    catalog: &Catalog,
    servers: &'a [Server],
    interrupt: &Interrupt,
    progress: &mut Progress,
) -> Option<Vec<Build<'a>>> {
    let mut all = Vec::new();
    for server in servers {
        progress.note(&format!("building {}", server.name));
        let built = runner::build(catalog, server, interrupt);
        if interrupt.is_set() {
            progress.finish();
            return None;
        }
        if let Err(failure) = &built {
            progress.fail(&server.name, failure);
        }
        all.push((server, built));
    }
    Some(all)
}

/// The SHA-256 of a build, or its failure without this machine's folders.
pub(super) fn stored(
    built: &Result<Built, Failure>,
    folder: &Folder,
) -> (Option<String>, Option<Failure>) {
    match built {
        Ok(built) => (built.record.sha256.clone(), None),
        Err(failure) => {
            let mut failure = failure.clone();
            folder.clean(&mut failure);
            (None, Some(failure))
        }
    }
}

/// The servers that were built and take part in a workload, or have a route.
pub(super) fn contenders<'a>(built: &'a [Build<'a>], workload: &str) -> Vec<Contender<'a>> {
    let serving = built
        .iter()
        .filter(|(server, _)| server.takes_part(workload));
    let contender = |(server, built): &'a Build<'a>| {
        let launch = &built.as_ref().ok()?.launch;
        let name = &server.name;
        Some(Contender { name, launch })
    };
    serving.filter_map(contender).collect()
}

/// The time left, from an estimate that is scaled by how long the parts so far took in truth.
#[derive(Debug)]
pub(super) struct TimeLeft {
    begin: Instant,
    whole: Duration,
    done: Duration,
}

impl TimeLeft {
    /// Begins now; `whole` is the estimate.
    pub(super) fn new(whole: Duration) -> Self {
        Self {
            begin: Instant::now(),
            whole,
            done: Duration::ZERO,
        }
    }

    /// A part is done, for which this was the estimate.
    pub(super) fn done(&mut self, estimate: Duration) {
        self.done += estimate;
    }

    /// The time left as a function of now, until the next part is done.
    pub(super) fn counter(&self) -> impl Fn() -> Duration + use<> {
        let begin = self.begin;
        let scale = match self.done {
            Duration::ZERO => 1.0,
            done => begin.elapsed().as_secs_f64() / done.as_secs_f64(),
        };
        let whole = self.whole.mul_f64(scale);
        move || whole.saturating_sub(begin.elapsed())
    }
}
