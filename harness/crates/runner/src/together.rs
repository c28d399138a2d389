//! One stage of one workload, with all entries taking turns.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;

use super::entry::Entry;
use super::fleet::{Fleet, Member, StageCalls};
use super::rotation::{Cut, Rotation, Turns};
use super::trial::{self, Before, Meters, Part, Settings};
use super::{cost, figures};
use catalog::Call;
use loadgen::{Config, Control, DriveError, Measurement, Pace, Target};
use record::{Failure, Step, Trial};

/// Minimum requests due in a paced slice; also at least one per connection.
const LEAST_REQUESTS: usize = 16;

/// What all entries of a stage have in common.
pub(super) struct Task<'a> {
    pub(super) calls: &'a [Call],
    pub(super) pace: Pace,
    pub(super) cut: Cut,
    pub(super) seed: u64,
}

/// Runs the stage. A failure is part of an entry's trial, and the others continue.
pub(super) fn measure<'e>(
    parts: &[Part<'e>],
    fleet: &mut Fleet<'e>,
    task: &Task<'_>,
    settings: &Settings,
) -> Vec<Trial> {
    let mut trials: Vec<Trial> = parts.iter().map(trial::blank).collect();
    let Some(first) = parts.first() else {
        return trials;
    };
    let asked = StageCalls {
        round: first.step.round,
        workload: &first.step.workload,
        calls: task.calls,
    };
    let entries: Vec<&Entry<'_>> = parts.iter().map(|part| part.entry).collect();
    let failures = fleet.ready(&entries, &asked, settings);
    for (trial, failure) in trials.iter_mut().zip(failures) {
        trial.failure = failure;
    }
    let ready: Vec<usize> = (0..parts.len())
        .filter(|&index| trials[index].failure.is_none() && !settings.interrupt.is_set())
        .collect();
    if ready.is_empty() {
        return trials;
    }
    let names: Vec<String> = ready.iter().map(|&i| parts[i].entry.name.clone()).collect();
    let found = drive(fleet.members(&names), task, settings);
    let costs: Vec<_> = found
        .iter()
        .map(|found| match &found.measured {
            Some((measured, turns)) => cost::of_slices(measured, turns),
            None => Vec::new(),
        })
        .collect();
    let slowness = cost::slowness(&costs);
    for ((index, found), costs) in ready.into_iter().zip(found).zip(&costs) {
        let trial = &mut trials[index];
        trial.figures = found.figures;
        if let Some((measured, turns)) = &found.measured {
            let answered = measured.intervals.iter().map(|slice| slice.answered).sum();
            let typical = cost::typical(costs, &slowness);
            let typical_ns = cost::with_ticks(typical, &turns.slices, answered);
            trial::note_load(trial, measured, &task.pace);
            let cpus = settings.server_cpus.len();
            let rss_before = found.rss_before;
            trial.figures.extend(figures::of_turns(
                measured, turns, typical_ns, rss_before, cpus,
            ));
            trial.intervals = figures::slices(measured, turns);
        }
        trial.figures.extend(found.after);
        trial.failure = found.failure;
        if trial.failure.is_some() {
            // Its next trial gets a new process.
            let _ = fleet.end(&parts[index].entry.name);
        }
    }
    trials
}

/// The result of one entry.
struct StageResult {
    /// Of its start, and of the machine meanwhile.
    figures: record::Figures,
    measured: Option<(Measurement, Turns)>,
    /// Its resident memory before this stage.
    rss_before: Option<u64>,
    /// From the comparison of the server's state before and after.
    after: record::Figures,
    failure: Option<Failure>,
}

fn drive(
    mut members: Vec<&mut Member<'_>>,
    task: &Task<'_>,
    settings: &Settings,
) -> Vec<StageResult> {
    let posts = task.calls.iter().any(|call| call.method == "POST");
    let before: Vec<anyhow::Result<Before>> = members
        .iter_mut()
        .map(|member| {
            let posts = posts && member.entry.keeps_orders();
            let (running, processes) = (&member.running, &mut member.processes);
            Before::read(posts, running, processes, settings.timeout)
        })
        .collect();
    let meters = Meters::start(settings);
    let cpu_ns = |members: &mut [&mut Member<'_>]| -> Vec<Option<u64>> {
        let of = |member: &mut &mut Member<'_>| member.processes.sample_light().cpu_ns;
        members.iter_mut().map(of).collect()
    };
    let unloaded_ns = cpu_ns(&mut members);
    let (measured, turns, wall) = take_turns(&mut members, task, settings);
    let loaded_ns = cpu_ns(&mut members);
    let served: Option<u64> = unloaded_ns
        .iter()
        .zip(&loaded_ns)
        // The CPU time of a process that ended is unknown and counts as other processes' time, so leave the
        // share out.
        .map(|(before, after)| Some((*after)?.saturating_sub((*before)?)))
        .sum();
    let served = served.filter(|_| members.iter().all(|m| m.running.started().is_some()));
    let machine = meters.stop(served);
    let elapsed: Duration = turns.iter().map(|turns| turns.elapsed).sum();
    let mut all = Vec::new();
    for (((member, before), measured), turns) in
        members.into_iter().zip(before).zip(measured).zip(turns)
    {
        let mut found = StageResult {
            figures: std::mem::take(&mut member.start),
            measured: None,
            rss_before: member.rss_bytes,
            after: record::Figures::new(),
            failure: None,
        };
        found
            .figures
            .extend(figures::of_counting(&member.processes));
        found.figures.extend(machine.clone());
        if !wall.is_zero() {
            let between = 1.0 - elapsed.as_secs_f64() / wall.as_secs_f64();
            figures::note(&mut found.figures, "between_slices_ratio", between.max(0.0));
        }
        member.rss_bytes = turns.edges().last().and_then(|edge| edge.rss_bytes);
        let judged = match (before, measured) {
            (Err(error), _) => Err(error),
            (_, Err(error)) => Err(error.into()),
            (Ok(before), Ok(measured)) => {
                let after = after(&before, &measured, &turns, member, settings);
                found.measured = Some((measured, turns));
                after.map(|figures| found.after = figures)
            }
        };
        found.failure = judged
            .err()
            .map(|error| member.running.failure(Step::Drive, error));
        all.push(found);
    }
    all
}

/// Why the trial does not count, or the figures of the server's state after the load.
fn after(
    before: &Before,
    measured: &Measurement,
    turns: &Turns,
    member: &mut Member<'_>,
    settings: &Settings,
) -> anyhow::Result<record::Figures> {
    if let Some(out) = &turns.out {
        bail!("{out}");
    }
    trial::refuse_disturbed(measured, settings)?;
    let (running, processes) = (&member.running, &mut member.processes);
    before.compare(measured, running, processes, settings.timeout)
}

type Driven = (Vec<Result<Measurement, DriveError>>, Vec<Turns>, Duration);

fn take_turns(members: &mut [&mut Member<'_>], task: &Task<'_>, settings: &Settings) -> Driven {
    let loads: Vec<(String, Arc<Control>)> = members
        .iter()
        .map(|member| {
            let control = Control::new(settings.interrupt.flag());
            (member.entry.name.clone(), Arc::new(control))
        })
        .collect();
    settings.live.begin(loads.clone());
    let configs: Vec<Config> = members
        .iter()
        .map(|member| Config {
            // A request's latency is at most a slice plus its timeout.
            duration: task.cut.measured,
            warmup: task.cut.warmup,
            ..trial::config(&member.running, task.pace.clone(), settings, task.seed)
        })
        .collect();
    let mut targets = Vec::new();
    let mut watched = Vec::new();
    for ((member, config), (_, control)) in members.iter_mut().zip(&configs).zip(&loads) {
        let (script, running, processes) = member.parts();
        targets.push(Target {
            config,
            script,
            control,
        });
        watched.push((running, processes));
    }
    let (cut, in_flight) = match task.pace {
        Pace::Rate { per_second } => {
            let requests = settings.connections.max(LEAST_REQUESTS);
            (task.cut.holding(requests, per_second), None)
        }
        _ => (task.cut, Some(settings.connections)),
    };
    let mut rotation = Rotation::new(watched, cut, in_flight, settings.timeout, task.seed);
    let driven = loadgen::interleave(&targets, cut.cycles(), &mut rotation);
    let (turns, wall) = rotation.finish();
    let measured = driven.unwrap_or_else(|error| {
        // What stops all of them is reported for each.
        let why = error.to_string();
        turns
            .iter()
            .map(|_| Err(DriveError::Config(why.clone())))
            .collect()
    });
    (measured, turns, wall)
}
