//! Which counters this machine has.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use super::{perf, plain, strace};
use machine::Root;
use record::figure;

/// The counters of this machine, or why one can't be used and what to do about it.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The processor's counters, through perf.
    pub hardware: Result<(), String>,
    /// valgrind's callgrind, which is used without them.
    pub callgrind: Result<(), String>,
    /// strace.
    pub strace: Result<(), String>,
    /// The energy of the processor packages.
    pub energy: Result<(), String>,
}

impl Tools {
    /// Looks for them.
    pub fn find() -> Self {
        Self {
            hardware: perf::is_supported(),
            callgrind: installed("vgdb", "--help", "valgrind is not installed (apt-get install valgrind)"),
            strace: installed("strace", "-V", "strace is not installed (apt-get install strace)"),
            energy: plain::energy_uj(&Root::host())
                .map(|_| ())
                .ok_or_else(|| "the processor's energy (RAPL) can't be read: it needs root, and a machine that exposes it".to_owned()),
        }
    }

    /// What counts each figure.
    pub fn counted_by(&self) -> BTreeMap<String, String> {
        let instructions = match (&self.hardware, &self.callgrind) {
            (Ok(()), _) => Some("perf"),
            (Err(_), Ok(())) => Some("callgrind"),
            (Err(_), Err(_)) => None,
        };
        let strace = self.strace.as_ref().ok().map(|()| "strace");
        let all = [
            (figure::INSTRUCTIONS, instructions),
            (strace::FIGURE, strace),
        ];
        let used = all
            .into_iter()
            .filter_map(|(figure, tool)| Some((figure, tool?)));
        used.map(|(figure, tool)| (figure.to_owned(), tool.to_owned()))
            .collect()
    }

    /// Why a figure can't be counted on this machine.
    pub fn absent(&self) -> BTreeMap<String, String> {
        let mut absent = BTreeMap::new();
        if let Err(why) = &self.hardware {
            let hardware_only = perf::FIGURES
                .into_iter()
                .filter(|id| *id != figure::INSTRUCTIONS);
            absent.extend(hardware_only.map(|id| (id.to_owned(), why.clone())));
        }
        if let Err(why) = &self.energy {
            absent.insert(plain::ENERGY.to_owned(), why.clone());
        }
        absent
    }
}

fn installed(program: &str, argument: &str, missing: &str) -> Result<(), String> {
    let tried = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    tried.map(|_| ()).map_err(|_| missing.to_owned())
}
