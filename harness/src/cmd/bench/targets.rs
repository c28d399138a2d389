//! `--target`: services that already run.

use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::Arguments;
use crate::cmd::drive::target::Target as Url;
use crate::flags::Usage;
use catalog::{Catalog, Profile, Stage, Workload, is_reserved};
use machine::probe::{Processes, listeners};
use record::{Finding, Level, TARGET};
use runner::{Options, Target, TargetCheck};

/// The workload if none is named: the URL itself.
const URL_ITSELF: &str = "about = \"GET of the URL itself\"\n[[request]]\npath = \"/\"\n";

/// Flags about services that already run.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "A service that already runs")]
pub(super) struct Targets {
    /// Measure this service instead of servers: it is not built, started or stopped, and gets only the load
    /// you ask for, so --rate, or --connections and --duration, is required. Plain HTTP only; only load what you own.
    /// Repeatable: several take turns
    #[arg(long, value_name = "[NAME=]URL", conflicts_with_all = [
        "server", "manifest", "twin", "binary", "variant", "against", "only_check", "port", "ready_timeout",
        "server_cpus", "resume",
    ])]
    pub(super) target: Vec<String>,
    /// What to check before measuring. none: a response is valid if its status is 200 to 299. ping: also that
    /// GET /ping responds as the contract says. contract: everything that doesn't need a fresh process, as fast
    /// as it can, with some 70,000 orders; then every response under load must be right too
    #[arg(long, value_name = "WHAT", default_value = "none", requires = "target", value_parser = check_parser())]
    pub(super) check: TargetCheck,
    /// Also measure CPU time, memory and threads of this process and its descendants; with several targets
    /// NAME=PID, repeatable
    #[arg(long, value_name = "[NAME=]PID", requires = "target")]
    pub(super) pid: Vec<String>,
}

fn check_parser() -> impl TypedValueParser<Value = TargetCheck> {
    PossibleValuesParser::new(["none", "ping", "contract"]).map(|word| match word.as_str() {
        "ping" => TargetCheck::Ping,
        "contract" => TargetCheck::Contract,
        _ => TargetCheck::None,
    })
}

impl Targets {
    pub(super) fn are_given(&self) -> bool {
        !self.target.is_empty()
    }

    /// Reads the flags, and connects once to each target.
    ///
    /// # Errors
    /// [`Usage`] for a wrong flag; another error if a target can't be reached.
    pub(super) fn read(&self, timeout: Duration) -> Result<Vec<Target>> {
        let mut targets: Vec<Target> = Vec::new();
        for flag in &self.target {
            let target = self.one(flag, timeout)?;
            if targets.iter().any(|other| other.name == target.name) {
                refuse!(
                    "--target {flag}: another target is named {} too; give it a name, as in NAME=URL",
                    target.name
                );
            }
            targets.push(target);
        }
        for flag in &self.pid {
            let (name, pid) = pid(flag)?;
            let target = match (name, &mut targets[..]) {
                (None, [one]) => one,
                (None, _) => {
                    refuse!("--pid {flag}: with several targets, say whose it is, as in NAME={pid}")
                }
                (Some(name), all) => {
                    let mut all = all.iter_mut();
                    let named = all.find(|target| target.name == name);
                    named
                        .ok_or_else(|| Usage(format!("--pid {flag}: no target is named {name}")))?
                }
            };
            target.pid = Some(pid);
        }
        for target in &targets {
            let reached = target.reach(timeout);
            reached.with_context(|| format!("--target {}", target.url))?;
        }
        Ok(targets)
    }

    fn one(&self, flag: &str, timeout: Duration) -> Result<Target> {
        let (name, url) = match flag.split_once('=') {
            Some((name, url)) if is_name(name) => (Some(name), url),
            _ => (None, flag),
        };
        let usage = |error: anyhow::Error| Usage(format!("--target {error}"));
        let url = Url::parse(url).map_err(usage)?;
        let name = match name {
            Some(name) if is_reserved(name) => {
                refuse!("--target {flag}: that name is reserved")
            }
            Some(name) => name.to_owned(),
            None => url.authority().replace(['[', ']'], "").replace(':', "-"),
        };
        if self.check != TargetCheck::None && url.path() != "/" {
            refuse!(
                "--target {flag}: --check needs a URL without a path, as the contract's paths begin there"
            );
        }
        let addr = url.resolve(timeout);
        Ok(Target {
            name,
            url: url.shown(),
            addr: addr.with_context(|| format!("--target {flag}"))?,
            host: url.authority(),
            path: url.path().to_owned(),
            pid: None,
            check: self.check,
        })
    }

    /// The workloads: those named, or the contract's if that was checked, or the URL itself.
    pub(super) fn workloads(
        &self,
        arguments: &Arguments,
        catalog: &Catalog,
        profile: &Profile,
    ) -> Result<Vec<Workload>> {
        let loads = &arguments.filters.loads;
        if loads.workload.is_empty() && self.check != TargetCheck::Contract {
            let parsed = Workload::parse("url.toml".as_ref(), URL_ITSELF);
            return Ok(vec![parsed?]);
        }
        for flag in &self.target {
            if flag.contains('?') {
                refuse!(
                    "--target {flag}: with --workload the URL is a prefix for its paths, so it can't have a query"
                );
            }
        }
        loads.workloads(catalog, profile.workloads)
    }

    /// The stages: paced if there is a rate, otherwise peak, unless --stage names others.
    ///
    /// # Errors
    /// [`Usage`] if the load is not said in full.
    pub(super) fn stages(&self, arguments: &Arguments) -> Result<Vec<Stage>> {
        let stages = match (
            arguments.filters.loads.stage.is_empty(),
            arguments.rate.is_empty(),
        ) {
            (false, _) => arguments.filters.loads.stages()?,
            (true, false) => vec![Stage::Paced],
            (true, true) => vec![Stage::Peak],
        };
        let closed = arguments.connections.is_some() && arguments.duration.is_some();
        if stages.contains(&Stage::Peak) && !closed {
            refuse!(
                "--target: say how much load the service may get: --rate for a fixed rate, or --connections and \
                 --duration for as much as that many connections can send"
            );
        }
        Ok(stages)
    }
}

/// Refuses a paced stage without a rate: it would be calibrated, with more load than the user asked for.
pub(super) fn refuse_calibration(options: &Options) -> Result<()> {
    let paced = options.stages.contains(&Stage::Paced);
    let rated = |workload: &&Workload| !options.rates_per_s.contains_key(&workload.name);
    if let (true, Some(workload)) = (paced, options.workloads.iter().find(rated)) {
        refuse!(
            "--target: the paced stage of {} has no rate: add --rate RATE or --rate {}=RATE",
            workload.name,
            workload.name
        );
    }
    if options.length.precision.is_some() && options.targets.len() == 1 {
        refuse!(
            "--precision: one target has no ratio to measure: add another, or use --rounds or --budget"
        );
    }
    Ok(())
}

/// What is recorded about each target, and about a process that is not its listener.
pub(super) fn findings(targets: &[Target]) -> Vec<Finding> {
    let stranger = targets.iter().filter_map(stranger);
    targets.iter().map(about).chain(stranger).collect()
}

fn about(target: &Target) -> Finding {
    let counts = match target.check {
        TargetCheck::None => "a response is valid if its status is 200 to 299",
        TargetCheck::Ping => {
            "GET /ping was checked; a response is valid if its status is 200 to 299"
        }
        TargetCheck::Contract => "it was checked against the contract, and so is every response",
    };
    let figures = match target.pid {
        None => "nor its CPU time, memory and threads, as there was no --pid".to_owned(),
        Some(pid) => {
            format!("CPU time, memory and threads are those of process {pid} and its descendants")
        }
    };
    Finding {
        id: TARGET.to_owned(),
        level: Level::Ok,
        found: format!(
            "{}: {}, which already ran; {counts}",
            target.name, target.url
        ),
        why: format!(
            "not measured: its build, start and stop, and other programs' CPU time; {figures}"
        ),
        fix: None,
    }
}

/// The finding if none of the processes listens on the target's port, as far as that can be seen.
fn stranger(target: &Target) -> Option<Finding> {
    let pid = target.pid?;
    let found = listeners(target.addr.port()).ok()?;
    let own = Processes::under(pid).pids();
    if found.unowned > 0 || found.pids.iter().any(|pid| own.contains(pid)) {
        return None;
    }
    let listener = match &found.pids[..] {
        [] => "no process of this machine does".to_owned(),
        pids => format!(
            "process {} does",
            pids.iter()
                .map(u32::to_string)
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    Some(Finding {
        id: "pid".to_owned(),
        level: Level::Warn,
        found: format!(
            "process {pid} does not listen on port {}; {listener}",
            target.addr.port()
        ),
        why: "its CPU time and memory may be another program's".to_owned(),
        fix: Some("give the listener's id with --pid; `ss -tlnp` shows it".to_owned()),
    })
}

/// Whether a target can have this name: it is part of file names, and other characters mean something else in the
/// name of an entry.
fn is_name(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.chars().all(allowed)
}

/// Parses `[NAME=]PID` of a process that exists.
fn pid(flag: &str) -> Result<(Option<&str>, u32)> {
    let (name, pid) = match flag.split_once('=') {
        Some((name, pid)) => (Some(name), pid),
        None => (None, flag),
    };
    let Ok(pid) = pid.parse::<u32>() else {
        refuse!("--pid {flag}: expected the id of a process, or NAME=PID");
    };
    if Processes::under(pid).pids().is_empty() {
        refuse!(
            "--pid {flag}: there is no process {pid} on this machine; `ss -tlnp` shows who listens on a port"
        );
    }
    Ok((name, pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: &[&str], pid: &[&str], check: TargetCheck) -> Result<Vec<Target>> {
        let own = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let (target, pid) = (own(target), own(pid));
        Targets { target, check, pid }.read(Duration::from_secs(1))
    }

    #[test]
    fn a_target_has_the_name_given_or_that_of_its_address() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        let own = std::process::id();
        let plain = format!("http://{addr}/a?b=c");
        let named = format!("mine={addr}");
        let pid = format!("mine={own}");
        let targets = read(&[&plain, &named], &[&pid], TargetCheck::None).unwrap();
        let default = format!("127.0.0.1-{}", addr.port());
        assert_eq!(targets[0].name, default);
        assert_eq!((targets[0].path.as_str(), targets[0].pid), ("/a?b=c", None));
        assert_eq!(
            (targets[1].name.as_str(), targets[1].pid),
            ("mine", Some(own))
        );
        assert_eq!(
            (targets[1].path.as_str(), targets[1].host.as_str()),
            ("/", addr.to_string().as_str())
        );
        // This process listens there, and so is no stranger.
        let ids: Vec<String> = findings(&targets)
            .into_iter()
            .map(|finding| finding.id)
            .collect();
        assert_eq!(ids, [TARGET, TARGET]);
        for (target, pid, check, words) in [
            (
                vec![&*named, &*named],
                vec![],
                TargetCheck::None,
                "another target is named mine",
            ),
            (
                vec![&*plain, &*named],
                vec!["1"],
                TargetCheck::None,
                "say whose it is",
            ),
            (
                vec![&*named],
                vec!["you=1"],
                TargetCheck::None,
                "no target is named you",
            ),
            (
                vec![&*named],
                vec!["4294967295"],
                TargetCheck::None,
                "no process 4294967295",
            ),
            (
                vec![&*named],
                vec!["x"],
                TargetCheck::None,
                "expected the id",
            ),
            (vec![&*plain], vec![], TargetCheck::Ping, "without a path"),
            (vec!["all=http://h"], vec![], TargetCheck::None, "reserved"),
            (
                vec!["https://h/"],
                vec![],
                TargetCheck::None,
                "https is not supported",
            ),
        ] {
            let error = read(&target, &pid, check).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
