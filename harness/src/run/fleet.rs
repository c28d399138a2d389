//! The processes of an interleaved round: a fresh one of every entry, all running at once.

use std::collections::BTreeMap;

use super::boot::{BootOptions, Running, boot};
use super::entry::Entry;
use super::trial::Settings;
use super::{Interrupt, Referee};
use crate::catalog::Call;
use crate::load::Script;
use crate::probe::Processes;
use crate::record::{Failure, Figures, Step};

/// The process of an entry.
pub(super) struct Member<'e> {
    pub(super) entry: &'e Entry<'e>,
    pub(super) running: Running,
    pub(super) processes: Processes,
    /// The figures of its start; taken by its first trial, as a process starts once.
    pub(super) start: Figures,
    /// Its resident memory when its last stage ended, or when it had started: what it takes from then on
    /// belongs to the next stage.
    pub(super) rss_bytes: Option<u64>,
    /// The workload whose answers it was asked last, and what is expected of it.
    accepted: Option<(String, Script)>,
    boot: BootOptions,
}

impl Member<'_> {
    /// What is expected of its answers to the workload under way, and what is watched meanwhile.
    pub(super) fn parts(&mut self) -> (&Script, &mut Running, &mut Processes) {
        let accepted = self.accepted.as_ref();
        let (_, script) = accepted.expect("a member is ready before it is loaded");
        (script, &mut self.running, &mut self.processes)
    }
}

/// The processes of one round. All of them end with it.
#[derive(Default)]
pub(super) struct Fleet<'e> {
    members: BTreeMap<String, Member<'e>>,
    /// Processes started in this round, to tell their logs apart.
    booted: u32,
}

impl<'e> Fleet<'e> {
    /// Sees to it that the entry runs and that its answers to the workload are accepted.
    ///
    /// # Errors
    /// Why it does not run, or which answer was wrong; it is ended then.
    pub(super) fn ready(
        &mut self,
        entry: &'e Entry<'e>,
        (round, workload, calls): (u32, &str, &[Call]),
        settings: &Settings,
        referee: &Referee,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        if !self.members.contains_key(&entry.name) {
            let boot_options = BootOptions {
                cpus: settings.server_cpus.clone(),
                workers: settings.workers,
                port: settings.port.map(|port| port + self.members.len() as u16),
                log: settings
                    .logs
                    .join(format!("{}-round-{round}-{}.log", entry.name, self.booted)),
                ready_timeout: settings.ready_timeout,
            };
            self.booted += 1;
            let running = boot(entry.launch(), &boot_options, referee, interrupt)?;
            let mut processes = Processes::in_group(running.group(), Some(running.group()));
            let start = super::trial::start_figures(&running, &mut processes);
            let member = Member {
                entry,
                running,
                processes,
                rss_bytes: start.get("rss_idle_bytes").map(|&bytes| bytes as u64),
                start,
                accepted: None,
                boot: boot_options,
            };
            self.members.insert(entry.name.clone(), member);
        }
        let member = self
            .members
            .get_mut(&entry.name)
            .expect("it is there by now");
        if member
            .accepted
            .as_ref()
            .is_some_and(|(name, _)| name == workload)
        {
            return Ok(());
        }
        let timeout = settings.timeout;
        let accepted = entry.script(
            workload,
            member.running.addr,
            calls,
            referee,
            timeout,
            interrupt,
        );
        match accepted {
            Ok(script) => {
                member.accepted = Some((workload.to_owned(), script));
                Ok(())
            }
            Err(error) => {
                let failure = member.running.failure(Step::Accept, format!("{error:#}"));
                let _ = self.end(&entry.name);
                Err(failure)
            }
        }
    }

    /// The members of these names, in the order of the names.
    pub(super) fn members(&mut self, names: &[String]) -> Vec<&mut Member<'e>> {
        let mut all: Vec<&mut Member<'e>> = self.members.values_mut().collect();
        let place = |name: &String| names.iter().position(|wanted| wanted == name);
        all.retain(|member| place(&member.entry.name).is_some());
        all.sort_by_key(|member| place(&member.entry.name));
        all
    }

    /// Ends a process; the entry has another one when it is next needed.
    ///
    /// # Errors
    /// A failure of the stop step where somebody still listens on its port.
    pub(super) fn end(&mut self, name: &str) -> Result<(), Failure> {
        let Some(member) = self.members.remove(name) else {
            return Ok(());
        };
        let result = member.running.kill();
        super::trial::remove_empty(&member.boot.log);
        result
    }

    /// Ends all of them; which of them failed to.
    pub(super) fn end_all(mut self) -> Vec<(String, Failure)> {
        let names: Vec<String> = self.members.keys().cloned().collect();
        let failed = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.end(&name).err()?)));
        failed.collect()
    }
}
