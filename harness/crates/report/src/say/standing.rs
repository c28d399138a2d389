//! What is said of a ranking across workloads.

use judge::{By, Grounds, PoolNote, Shared, Unfit, Withheld};

use super::{cause, causes, joined, why};

/// Why a server isn't ranked.
pub fn unfit(unfit: &Unfit) -> String {
    match unfit {
        Unfit::NotMeasured { run, causes: all } => format!("in {run}: {}", causes(all)),
        Unfit::Failed {
            workload,
            run,
            causes: all,
        } => format!("{workload} in {run}: {}", causes(all)),
        Unfit::SetApart {
            workload,
            run,
            cause: one,
        } => format!("{workload} in {run}: {}", cause(one)),
        Unfit::NoFigure { workload, figure } => format!("{workload}: no valid {figure}"),
        Unfit::TooFewRounds { rounds, needed } => format!(
            "only {rounds} rounds have a valid trial in every workload; at least {needed} are \
             needed, 10 are better"
        ),
    }
}

/// Why servers are ranked by one figure and not by another.
pub fn grounds(grounds: &Grounds) -> String {
    match grounds {
        Grounds::Chosen => "chosen with --by".to_owned(),
        Grounds::ServerBound => {
            "the load generator limited no server's peak in any workload".to_owned()
        }
        Grounds::Workload {
            workload,
            run,
            why: one,
        } => format!("in {workload} of {run}, {}", why(one)),
    }
}

/// Why there are no ranks; `None` if there are.
pub fn withheld(all: &[Withheld]) -> Option<String> {
    let one = |one: &Withheld| match one {
        Withheld::Noise {
            workload,
            run,
            cause: noise,
        } => format!("{workload} in {run}: {}", cause(noise)),
        Withheld::DriverMayBind { workload, servers } => format!(
            "{workload}: the peak rate of {} may be the load generator's limit; --by {} ranks by \
             cost",
            servers.join(", "),
            By::Cost.figure()
        ),
        Withheld::NoServer => "no server has a valid row in every workload".to_owned(),
    };
    (!all.is_empty()).then(|| joined(all, one))
}

/// A note on pooled runs.
pub fn pool_note(note: &PoolNote) -> String {
    match note {
        PoolNote::RoundsUnused {
            workload,
            rounds,
            used,
        } => format!(
            "{workload}: only {used} of its {rounds} rounds are used, because another workload has \
             no more"
        ),
        PoolNote::Differs {
            workload,
            what,
            runs,
        } => {
            let (what, unit) = match what {
                Shared::Connections => ("connections", ""),
                Shared::PacedRate => ("paced rates", "/s"),
            };
            let all: Vec<String> = runs
                .iter()
                .map(|(run, value)| format!("{value}{unit} in {run}"))
                .collect();
            format!(
                "{workload}: {what} differ: {}; servers are only compared within a round, so each \
                 ratio has one condition",
                all.join(", ")
            )
        }
        PoolNote::OtherBuilds { servers } => format!(
            "different binaries between the runs: {}; their rounds are pooled",
            servers.join(", ")
        ),
    }
}
