//! What is said of a comparison.

use judge::{Condition, Lengths, NotJudged, Note, Obstacle};

use super::{cause, causes};

/// Why something can't be compared, or counts as failed.
pub fn obstacle(obstacle: &Obstacle) -> String {
    match obstacle {
        Obstacle::StageNotRun { run } => format!("not run in {run}"),
        Obstacle::NotIn { run } => format!("not in {run}"),
        Obstacle::Connections { base, new } => {
            format!("{base} connections in base and {new} in new")
        }
        Obstacle::Engines { base, new } => format!(
            "different I/O backends: {base} in base and {new} in new, and their cost is in every \
             figure; run both with the same --engine"
        ),
        Obstacle::Schedules { base, new } => {
            format!("base is {base} and new is {new}; run both with or both without --isolated")
        }
        Obstacle::Rates { base, new } => format!(
            "{base}/s in base and {new}/s in new: latency and cost depend on the rate; run both \
             with the same --rate"
        ),
        Obstacle::RateUnknown => "the paced rate was not recorded in both".to_owned(),
        Obstacle::NoTrial { run } => format!("no trial in {run}"),
        Obstacle::LowerBound { run } => {
            format!("the peak rate is a lower bound (≥), limited by the load generator, in {run}")
        }
        Obstacle::DriverMayBind { run } => {
            format!("the peak rate may be the load generator's limit in {run}")
        }
        Obstacle::NotMeasured { run } => format!("not measured in {run}"),
        Obstacle::TooFewRounds { base, new, needed } => {
            format!("fewer than {needed} valid rounds ({base} in base, {new} in new)")
        }
        Obstacle::TooFewInCommon { needed } => format!("fewer than {needed} rounds in common"),
        Obstacle::NoValidTrials => "no valid trials in both".to_owned(),
        Obstacle::NoEqualLoad => {
            "no paced stage had the same load in both, and memory depends on the load".to_owned()
        }
        Obstacle::Failed { run, causes: why } => format!("failed in {run}: {}", causes(why)),
        Obstacle::FailedInBoth { new } => format!("failed in both; in new: {}", causes(new)),
    }
}

/// What was not compared, ordered by what is said of it.
pub fn not_compared(all: &[NotJudged]) -> Vec<(String, &NotJudged)> {
    let mut said: Vec<(String, &NotJudged)> =
        all.iter().map(|one| (obstacle(&one.cause), one)).collect();
    said.sort_by(|(a, one), (b, other)| a.cmp(b).then_with(|| one.place.cmp(&other.place)));
    said
}

/// A note on the runs.
pub fn note(note: &Note) -> String {
    match note {
        Note::Open { run } => format!("{}: still running, or killed", called(run)),
        Note::Interrupted { run } => format!("{}: interrupted", called(run)),
        Note::Noise {
            run,
            workload,
            cause: noise,
        } => format!("{}, {workload}: {}", called(run), cause(noise)),
        Note::Marked { run, rows } => {
            let are = if *rows == 1 { "row is" } else { "rows are" };
            format!(
                "{}: {rows} {are} marked; see `harness report` for the reasons",
                called(run)
            )
        }
        Note::Lengths { base, new } => format!(
            "the stages have different lengths: {} in base, {} in new",
            lengths(base),
            lengths(new)
        ),
        Note::Differs { what, base, new } => {
            let what = match what {
                Condition::Harness => "the harness (and its control)",
                Condition::Compiler => "the compiler",
                Condition::Control => "the control",
            };
            format!("{what} differs: {base} in base, {new} in new")
        }
        Note::Description { workload } => {
            format!("the description of workload {workload} differs: it may have changed")
        }
        Note::Flags { servers, base, new } => {
            let shown =
                |flags: &Option<String>| flags.clone().unwrap_or_else(|| "not recorded".to_owned());
            format!(
                "built with different flags: {} (base: {}; new: {})",
                servers.join(", "),
                shown(base),
                shown(new)
            )
        }
        Note::SameBinaries { servers } => format!(
            "same binary in both: {}; any change there is noise or caused by the machine",
            servers.join(", ")
        ),
        Note::SameProgram { base, new } => {
            format!("{base} and {new} are the same program: any difference between them is noise")
        }
    }
}

fn called(run: &Option<String>) -> &str {
    run.as_deref().unwrap_or("the run")
}

fn lengths(lengths: &Lengths) -> String {
    let seconds = |ms: u64| ms as f64 / 1e3;
    format!(
        "{} s peak and {} s paced after {} s of warm-up",
        seconds(lengths.peak_ms),
        seconds(lengths.paced_ms),
        seconds(lengths.warmup_ms)
    )
}
