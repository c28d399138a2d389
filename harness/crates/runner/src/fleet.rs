//! The processes of an interleaved round: a fresh one for every entry, all running at once. A target has its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::thread;

use super::entry::Entry;
use super::target::Peer;
use super::trial::Settings;
use catalog::Call;
use loadgen::Script;
use machine::probe::Processes;
use record::{Failure, Figures, Step};

/// The process of an entry.
pub(super) struct Member<'e> {
    pub(super) entry: &'e Entry<'e>,
    pub(super) running: Peer,
    pub(super) processes: Processes,
    /// The figures of its start; its first trial takes them, as a process starts once.
    pub(super) start: Figures,
    /// Its resident memory at the end of its last stage, or after its start. Growth from then on belongs to the
    /// next stage.
    pub(super) rss_bytes: Option<u64>,
    /// The workload it was last checked with, and its expected responses.
    accepted: Option<(String, Script)>,
    log: PathBuf,
}

/// The requests of a stage.
pub(super) struct StageCalls<'a> {
    pub(super) round: u32,
    pub(super) workload: &'a str,
    pub(super) calls: &'a [Call],
}

impl Member<'_> {
    fn knows(&self, workload: &str) -> bool {
        let accepted = self.accepted.as_ref();
        accepted.is_some_and(|(name, _)| name == workload)
    }

    /// Checks its response to each request.
    fn accept(&mut self, asked: &StageCalls<'_>, settings: &Settings) -> Result<(), Failure> {
        let addr = self.running.addr();
        let script = self
            .entry
            .script(asked.workload, addr, asked.calls, settings);
        match script {
            Ok(script) => {
                self.accepted = Some((asked.workload.to_owned(), script));
                Ok(())
            }
            Err(error) => Err(self.running.failure(Step::Accept, error)),
        }
    }

    /// The expected responses for the current workload, and what to watch meanwhile.
    pub(super) fn parts(&mut self) -> (&Script, &mut Peer, &mut Processes) {
        let accepted = self.accepted.as_ref();
        let (_, script) = accepted.expect("`ready` comes before the load");
        (script, &mut self.running, &mut self.processes)
    }
}

/// The processes of one round. All of them end when this is dropped.
#[derive(Default)]
pub(super) struct Fleet<'e> {
    members: BTreeMap<String, Member<'e>>,
    /// Processes started in this round, to tell their logs apart.
    booted: u32,
}

impl<'e> Fleet<'e> {
    /// Makes sure that the entries run and that their responses to the workload are accepted. Returns for each
    /// why it doesn't run or which response was wrong; that process is ended.
    pub(super) fn ready(
        &mut self,
        entries: &[&'e Entry<'e>],
        asked: &StageCalls<'_>,
        settings: &Settings,
    ) -> Vec<Option<Failure>> {
        let mut failures: BTreeMap<&str, Failure> = BTreeMap::new();
        // One after another, so that no two start at the same time.
        for entry in entries {
            if !self.members.contains_key(&entry.name) && !settings.interrupt.is_set() {
                match self.boot(entry, asked.round, settings) {
                    Ok(member) => drop(self.members.insert(entry.name.clone(), member)),
                    Err(failure) => drop(failures.insert(&entry.name, failure)),
                }
            }
        }
        // All at once: with one request at a time, each entry alone would mostly wait.
        let accepted: Vec<(String, Result<(), Failure>)> = thread::scope(|scope| {
            let stale = self.members.iter_mut().filter(|(name, member)| {
                entries.iter().any(|entry| entry.name == **name) && !member.knows(asked.workload)
            });
            let threads: Vec<_> = stale
                .map(|(name, member)| {
                    let accept = move || member.accept(asked, settings);
                    (name.clone(), scope.spawn(accept))
                })
                .collect();
            threads
                .into_iter()
                .map(|(name, thread)| (name, thread.join().expect("accepting does not panic")))
                .collect()
        });
        for (name, accepted) in accepted {
            if let Err(failure) = accepted {
                let _ = self.end(&name);
                let entry = entries.iter().find(|entry| entry.name == name);
                failures.extend(entry.map(|entry| (entry.name.as_str(), failure)));
            }
        }
        entries
            .iter()
            .map(|entry| failures.remove(entry.name.as_str()))
            .collect()
    }

    fn boot(
        &mut self,
        entry: &'e Entry<'e>,
        round: u32,
        settings: &Settings,
    ) -> Result<Member<'e>, Failure> {
        let mut options = settings.boot(&format!("{}-round-{round}-{}", entry.name, self.booted));
        // A port for each, counting up from the requested one.
        options.port = options
            .port
            .map(|port| port.saturating_add(self.members.len() as u16));
        self.booted += 1;
        let running = entry.boot(&options, settings)?;
        let mut processes = running.processes();
        let start = super::trial::start_figures(&running, &mut processes);
        Ok(Member {
            entry,
            running,
            processes,
            rss_bytes: start.get("rss_idle_bytes").map(|&bytes| bytes as u64),
            start,
            accepted: None,
            log: options.log,
        })
    }

    /// The members with these names, in the same order.
    pub(super) fn members(&mut self, names: &[String]) -> Vec<&mut Member<'e>> {
        let mut all: Vec<&mut Member<'e>> = self.members.values_mut().collect();
        let place = |name: &String| names.iter().position(|wanted| wanted == name);
        all.retain(|member| place(&member.entry.name).is_some());
        all.sort_by_key(|member| place(&member.entry.name));
        all
    }

    /// Ends a process; the entry gets a new one when it is next needed.
    ///
    /// # Errors
    /// A failure of the stop step if something still listens on its port.
    pub(super) fn end(&mut self, name: &str) -> Result<(), Failure> {
        let Some(member) = self.members.remove(name) else {
            return Ok(());
        };
        let result = member.running.kill();
        super::trial::remove_empty(&member.log);
        result
    }

    /// Ends all of them; returns those that failed to end.
    pub(super) fn end_all(mut self) -> Vec<(String, Failure)> {
        let names: Vec<String> = self.members.keys().cloned().collect();
        let failed = names
            .into_iter()
            .filter_map(|name| Some((name.clone(), self.end(&name).err()?)));
        failed.collect()
    }
}
