//! System calls per request, counted by strace in two runs of different length.
//!
//! The calls that a program makes to start and to end are the same in both, so they cancel out: (calls(N₂) −
//! calls(N₁)) / (N₂ − N₁). Under strace every call takes far longer, so more responses are ready at each wait
//! than without it. The share of waits is that of a client that is the bottleneck.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use super::tool::{Kind, Load, Tool, Until, is_installed};
use super::{Options, Said, Session, Step};
use cost::strace::calls;
use record::{SyscallRun, Syscalls};
use runner::Built;

/// Requests of the two runs, for tools that can count them.
const REQUESTS: [u64; 2] = [1_000, 6_000];
/// Times of the two runs, for those that can't.
const TIMES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Approximate time of both.
const BOTH: Duration = Duration::from_secs(4);

/// How long it takes.
pub(super) fn expected(options: &Options) -> Duration {
    let each = options.tools.len() * options.connections.len();
    match options.syscalls {
        true => BOTH * each as u32,
        false => Duration::ZERO,
    }
}

impl Session<'_> {
    /// Counts the calls of every tool at every number of connections.
    pub(super) fn syscalls(&mut self, built: &Built) -> Result<()> {
        if !self.options.syscalls {
            return Ok(());
        }
        let name = built.server.name.clone();
        if !is_installed("strace") {
            let why =
                "system calls are not counted: strace is not installed (apt-get install strace)";
            self.observer.happens(&Step::LeftOut(why));
            return Ok(());
        }
        let Some(running) = self.boot(built)? else {
            return Ok(());
        };
        for &connections in &self.options.connections {
            for tool in &self.options.tools {
                let what = format!(
                    "system calls of {}, {connections} connections",
                    tool.record.name
                );
                self.observer
                    .happens(&Step::Driving(what.clone(), self.left));
                let load = self.load(&running, connections, Until::Requests(0));
                let runs = self.both_runs(tool, &load)?;
                if let Err(why) = &runs {
                    self.observer
                        .happens(&Step::Trouble(format!("{what}: {why}")));
                }
                self.record.syscalls.push(Syscalls {
                    server: name.clone(),
                    tool: tool.record.name.clone(),
                    connections,
                    failure: runs.as_ref().err().cloned(),
                    runs: runs.unwrap_or_default(),
                });
                self.spend(BOTH);
            }
        }
        self.observer.keep(self.record)
    }

    fn both_runs(&mut self, tool: &Tool, load: &Load) -> Result<Result<Vec<SyscallRun>, String>> {
        let mut runs = Vec::new();
        for (time, requests) in TIMES.into_iter().zip(REQUESTS) {
            let until = match tool.kind {
                Kind::Wrk => Until::Time(time),
                _ => Until::Requests(requests),
            };
            let load = Load {
                until,
                ..load.clone()
            };
            match self.counted(tool, &load)? {
                Ok(run) => runs.push(run),
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Ok(runs))
    }

    fn counted(&mut self, tool: &Tool, load: &Load) -> Result<Result<SyscallRun, String>> {
        let table = self.bench.folder.join("strace.txt");
        let mut command = ["strace", "-c", "-f", "-o"].map(str::to_owned).to_vec();
        command.push(table.to_string_lossy().into_owned());
        command.extend(tool.command(load));
        let ran = self
            .bench
            .run(&command, Duration::from_secs(20), self.interrupt)?;
        let said = Said::new(tool, command, ran);
        Ok(said.reading.and_then(|reading| {
            let text = fs::read_to_string(&table).map_err(|error| error.to_string())?;
            Ok(SyscallRun {
                requests: reading.requests,
                calls: calls(&text).map_err(|error| format!("{error:#}"))?,
            })
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_real_table_is_understood() {
        let table = include_str!("read/samples/strace.txt");
        let calls = calls(table).unwrap();
        // The program sent 1,000 requests.
        assert_eq!(calls["sendto"], 1_000);
        assert!(calls["recvfrom"] >= 1_000);
        let last = table.lines().last().unwrap();
        let total: u64 = last.split_whitespace().nth(3).unwrap().parse().unwrap();
        assert_eq!(calls.values().sum::<u64>(), total);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        assert!(calls("").is_err());
        assert!(calls("strace: exec: Permission denied").is_err());
    }
}
