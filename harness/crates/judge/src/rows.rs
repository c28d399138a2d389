//! One row: its trials, what the gates find, and its figures.

use std::collections::BTreeMap;
use std::mem::discriminant;

use super::reason::{Cause, Effect, Reason, Trials, causes};
use super::row_view::RowView;
use super::{Court, Entry, estimates, gates, ranking};
use catalog::Stage;
use record::{Row, Run, Schedule, Trial, Verdict, is_control};
use stats::Series;

/// A smaller share of the trials counts as few.
const FEW: f64 = 0.25;

/// A row and what is needed to rank it.
pub(super) struct Judged<'a> {
    pub(super) row: Row,
    /// Why its verdict is not `ok`.
    pub(super) causes: Vec<Cause>,
    pub(super) valid: Vec<&'a Trial>,
    /// Gate 4 was tested and passes.
    pub(super) server_bound: bool,
    /// Why it is not ranked with the others of its stage.
    pub(super) apart: Option<Cause>,
}

/// All rows of a workload, failed ones too.
pub(super) fn of_workload<'a>(court: &mut Court<'a>, workload: &str) -> Vec<Judged<'a>> {
    let control = court.control(workload);
    let places: Vec<(Stage, usize)> = court
        .stages()
        .into_iter()
        .flat_map(|stage| (0..court.entries.len()).map(move |entry| (stage, entry)))
        .filter(|&(_, entry)| court.takes_part(workload, entry))
        .collect();
    let mut judged: Vec<Judged<'a>> = places
        .into_iter()
        .map(|(stage, entry)| judge(court, workload, stage, entry, &control))
        .collect();
    rank_alike(&mut judged);
    judged
}

/// If every row of a stage would be set apart, they are comparable, so none is.
fn rank_alike(judged: &mut [Judged<'_>]) {
    for stage in Stage::ALL {
        if !judged.iter().any(|j| ranking::at(j, stage)) {
            let own = judged.iter_mut().filter(|j| j.row.stage == stage);
            own.for_each(|j| j.apart = None);
        }
    }
}

fn judge<'a>(
    court: &mut Court<'a>,
    workload: &str,
    stage: Stage,
    entry: usize,
    control: &[Series],
) -> Judged<'a> {
    let run = &court.record.run;
    let entry = &court.entries[entry];
    let mut row = blank(entry, workload, stage);
    if let Some(causes) = not_measured(run, entry) {
        row.verdict = Verdict::Failed;
        return Judged {
            row,
            causes,
            valid: Vec::new(),
            server_bound: false,
            apart: None,
        };
    }
    let trials = court.trials(workload, stage, entry.name);
    let found: Vec<(u32, Vec<Reason>)> = trials
        .iter()
        .map(|trial| (trial.round, gates::on_trial(run, trial)))
        .collect();
    let valid = court.valid(workload, stage, entry.name);
    let control = if is_control(entry.name) { &[] } else { control };
    let mut of_row = Vec::new();
    if trials.is_empty() {
        of_row.push(Reason::NoTrial);
    } else if 2 * valid.len() < trials.len() {
        of_row.push(Reason::TooFewValid {
            valid: valid.len(),
            ran: trials.len(),
        });
    }
    if !valid.is_empty() {
        let others = match run.schedule {
            Schedule::Isolated => Vec::new(),
            Schedule::Interleaved { .. } => court.others(workload, stage, entry.name),
        };
        of_row.extend(gates::on_row(&RowView {
            run,
            stage,
            valid: &valid,
            others: &others,
            control,
        }));
    }
    if !trials.is_empty() {
        of_row.extend(gates::on_machine(&court.record.environment));
    }
    let worst = |effect| of_row.iter().any(|reason| reason.effect() == effect);
    row.lower_bound = worst(Effect::Bounds);
    let failed = worst(Effect::Fails);
    let apart = of_row.iter().find(|r| r.effect() == Effect::SetsApart);
    let apart = apart.cloned().map(Cause::from);
    let server_bound = !row.lower_bound && !of_row.contains(&Reason::DriverUnknown);
    let mut causes = causes(of_row);
    causes.extend(told_once(&found));
    row.verdict = match (failed, causes.is_empty()) {
        (true, _) => Verdict::Failed,
        (false, false) => Verdict::Marked,
        (false, true) => Verdict::Ok,
    };
    row.figures = estimates(&valid, |_| true, &mut court.bootstrap);
    Judged {
        row,
        causes,
        valid,
        server_bound,
        apart,
    }
}

fn blank(entry: &Entry<'_>, workload: &str, stage: Stage) -> Row {
    Row {
        server: entry.name.to_owned(),
        display: entry.display.clone(),
        workload: workload.to_owned(),
        stage,
        verdict: Verdict::Ok,
        reasons: Vec::new(),
        rank: None,
        lower_bound: false,
        ratio_to_best: BTreeMap::new(),
        figures: record::Estimates::new(),
    }
}

/// Why a server was not measured at all.
pub(super) fn not_measured(run: &Run, entry: &Entry<'_>) -> Option<Vec<Cause>> {
    let reasons = gates::on_server(run, entry.server?);
    let fails = reasons
        .iter()
        .any(|reason| reason.effect() == Effect::Fails);
    fails.then(|| causes(reasons))
}

/// The reasons found on trials, one per kind: the first, and which trials have it. Reasons that the machine may
/// cause are left out if few trials have them, because they affect neither the median nor its interval.
fn told_once(found: &[(u32, Vec<Reason>)]) -> Vec<Cause> {
    let mut kinds: Vec<(&Reason, Vec<u32>)> = Vec::new();
    for (round, reason) in found
        .iter()
        .flat_map(|(r, all)| all.iter().map(move |one| (*r, one)))
    {
        match kinds
            .iter_mut()
            .find(|(first, _)| discriminant(*first) == discriminant(reason))
        {
            Some((_, rounds)) => rounds.push(round),
            None => kinds.push((reason, vec![round])),
        }
    }
    let ran = found.len();
    let told = |(first, rounds): (&Reason, Vec<u32>)| Cause {
        trials: Some(Trials { rounds, ran }),
        ..Cause::from(first.clone())
    };
    let counts = |(first, rounds): &(&Reason, Vec<u32>)| {
        !first.may_be_the_machine() || rounds.len() as f64 >= FEW * ran as f64
    };
    kinds.into_iter().filter(counts).map(told).collect()
}
