//! Gates 9 and 10: what the machine must allow.

use super::super::reason::Reason;
use super::super::row_view::{WorkloadView, values};
use crate::record::{Environment, Level};
use crate::stats::{median, robust_spread};

/// Gate 9: the share of stolen time, of others' time, or of the control's spread from which
/// ranks are withheld.
const NOISE_LIMIT: f64 = 0.10;
/// Gate 10: the CPUs were slowed down for their heat, so they are no longer what they were.
const THROTTLED: &str = "thermal-during";

/// Gate 9: CPU time taken by the hypervisor, the median over trials of `steal_ratio`.
pub(super) fn stolen(workload: &WorkloadView<'_>) -> Option<Reason> {
    over_limit(workload, "steal_ratio").map(Reason::Stolen)
}

/// Gate 9: CPU time taken by other processes, the median over trials of `other_cpu_ratio`.
pub(super) fn other_load(workload: &WorkloadView<'_>) -> Option<Reason> {
    over_limit(workload, "other_cpu_ratio").map(Reason::OtherLoad)
}

fn over_limit(workload: &WorkloadView<'_>, figure: &str) -> Option<f64> {
    median(&values(workload.valid, figure)).filter(|&share| share > NOISE_LIMIT)
}

/// Gate 9: how far the control's own peak rate spreads over rounds, the worse of its entries.
pub(super) fn control_spread(workload: &WorkloadView<'_>) -> Option<Reason> {
    let spread = |series: &crate::stats::Series| {
        let rates: Vec<f64> = series.values().copied().collect();
        robust_spread(&rates)
    };
    let worst = workload
        .control
        .iter()
        .filter_map(spread)
        .max_by(f64::total_cmp)?;
    (worst > NOISE_LIMIT).then_some(Reason::ControlSpread(worst))
}

/// Gate 10: the first finding by which figures will be wrong. Warnings stand in the record
/// and under the table, not on every row.
pub(super) fn finding(environment: &Environment) -> Option<Reason> {
    let wrong = |finding: &&crate::record::Finding| finding.level == Level::Fail;
    let first = environment.findings.iter().find(wrong)?;
    Some(Reason::Machine(first.id.clone()))
}

/// Gate 10: what was no longer so after the run, by its ids.
pub(super) fn changed(environment: &Environment) -> Option<Reason> {
    let is_change = |id: &&str| id.ends_with("-changed") || *id == THROTTLED;
    let not_ok = environment.findings.iter().filter(|f| f.level > Level::Ok);
    let ids: Vec<&str> = not_ok.map(|f| f.id.as_str()).filter(is_change).collect();
    (!ids.is_empty()).then(|| Reason::MachineChanged(ids.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::testing::{run, trial};
    use super::*;
    use crate::catalog::Stage;
    use crate::record::{Finding, Trial};
    use crate::stats::Series;

    fn of(trials: &[Trial], control: &[Series], gate: Gate) -> Option<Reason> {
        gate(&WorkloadView {
            run: &run(),
            stage: Stage::Peak,
            figure: "requests_per_s",
            valid: &trials.iter().collect::<Vec<_>>(),
            control,
            first_position: &BTreeMap::new(),
        })
    }

    type Gate = fn(&WorkloadView<'_>) -> Option<Reason>;

    fn with(figure: &str, shares: &[f64], gate: Gate) -> Option<Reason> {
        let trial = |&share: &f64| {
            let mut trial = trial("alpha", Stage::Peak, 1, 1.0);
            trial.figures.insert(figure.to_owned(), share);
            trial
        };
        of(&shares.iter().map(trial).collect::<Vec<_>>(), &[], gate)
    }

    #[test]
    fn what_others_took_counts_by_its_median() {
        for (figure, gate, reason) in [
            ("steal_ratio", stolen as Gate, Reason::Stolen(0.2)),
            ("other_cpu_ratio", other_load, Reason::OtherLoad(0.2)),
        ] {
            assert_eq!(with(figure, &[0.01, 0.5, 0.02], gate), None);
            assert_eq!(with(figure, &[0.01, 0.5, 0.2], gate), Some(reason));
            assert_eq!(with(figure, &[], gate), None);
        }
    }

    #[test]
    fn an_unsteady_control_withholds_ranks() {
        let spread = |step: f64| {
            let entry: Series = (1..=9).map(|r| (r, 100.0 + step * f64::from(r))).collect();
            of(&[], &[entry], control_spread)
        };
        assert_eq!(spread(1.0), None);
        assert!(matches!(spread(10.0), Some(Reason::ControlSpread(share)) if share > 0.1));
        assert_eq!(of(&[], &[], control_spread), None);
    }

    #[test]
    fn only_what_makes_figures_wrong_is_on_the_rows() {
        let at = |level| {
            let finding = Finding {
                id: "descriptors".into(),
                level,
                found: "64 descriptors".into(),
                why: "connections can't be opened".into(),
                fix: Some("ulimit -n 4096".into()),
            };
            finding_of(vec![finding.clone(), finding])
        };
        assert_eq!(at(Level::Warn), None);
        assert_eq!(
            at(Level::Fail),
            Some(Reason::Machine("descriptors".to_owned()))
        );
    }

    #[test]
    fn a_change_during_the_run_marks_it() {
        let ids = |ids: &[(&str, Level)]| {
            let finding = |&(id, level): &(&str, Level)| Finding {
                id: id.to_owned(),
                level,
                found: "was powersave, is performance".into(),
                why: "trials before and after the change cannot be compared".into(),
                fix: None,
            };
            let findings = ids.iter().map(finding).collect();
            changed(&Environment {
                findings,
                ..Environment::default()
            })
        };
        let before = [("governor", Level::Warn), ("steal-during", Level::Warn)];
        assert_eq!(ids(&before), None);
        assert_eq!(ids(&[("governor-changed", Level::Ok)]), None);
        let both = [
            ("governor-changed", Level::Warn),
            ("thermal-during", Level::Warn),
        ];
        let named = "governor-changed, thermal-during".to_owned();
        assert_eq!(ids(&both), Some(Reason::MachineChanged(named)));
    }

    fn finding_of(findings: Vec<Finding>) -> Option<Reason> {
        finding(&Environment {
            findings,
            ..Environment::default()
        })
    }
}
