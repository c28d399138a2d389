//! Gates 9 and 10: what the machine must allow.

use super::super::reason::Reason;
use super::super::row_view::{WorkloadView, values};
use crate::record::{Environment, Level, Moment};
use crate::stats::{Series, median, robust_spread};

/// Gate 9: the share of stolen time, of others' time, or of the control's spread from which
/// ranks are withheld.
const NOISE_LIMIT: f64 = 0.10;

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

/// Gate 9: how far the control's own value of the figure ranked by spreads over rounds.
pub(super) fn control_spread(workload: &WorkloadView<'_>) -> Option<Reason> {
    let figure = workload.figure;
    unsteady(workload.control).map(|share| Reason::ControlSpread { figure, share })
}

/// The spread over rounds of the control, the worse of its entries, where it is over the limit.
pub(in crate::judge) fn unsteady(control: &[Series]) -> Option<f64> {
    let spread = |series: &Series| {
        let values: Vec<f64> = series.values().copied().collect();
        robust_spread(&values)
    };
    let worst = control.iter().filter_map(spread).max_by(f64::total_cmp)?;
    (worst > NOISE_LIMIT).then_some(worst)
}

/// Gate 10: the first finding by which figures will be wrong. Warnings stand in the record
/// and under the table, not on every row.
pub(super) fn finding(environment: &Environment) -> Option<Reason> {
    let wrong = |finding: &&crate::record::Finding| finding.level == Level::Fail;
    let first = environment.findings.iter().find(wrong)?;
    Some(Reason::Machine(first.subject().to_owned()))
}

/// Gate 10: the settings that were others after the run than before.
pub(super) fn changed(environment: &Environment) -> Option<Reason> {
    let findings = environment.findings.iter();
    let what: Vec<String> = findings
        .filter(|finding| finding.moment() == Moment::Changed && finding.level > Level::Ok)
        .map(|finding| finding.subject().to_owned())
        .collect();
    (!what.is_empty()).then_some(Reason::Changed(what))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::testing::{run, trial};
    use super::*;
    use crate::catalog::Stage;
    use crate::record::{Finding, Trial};

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
        assert!(matches!(spread(10.0), Some(Reason::ControlSpread { share, .. }) if share > 0.1));
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
    fn a_setting_that_changed_marks_the_run_and_one_that_did_not_does_not() {
        let found = |ids: &[&str]| {
            let findings = ids.iter().map(|id| Finding {
                id: (*id).to_owned(),
                level: Level::Warn,
                found: "was one, is another".into(),
                why: String::new(),
                fix: None,
            });
            changed(&Environment {
                findings: findings.collect(),
                ..Environment::default()
            })
        };
        // Not as it should be, but all the time.
        assert_eq!(found(&["governor", "load-during"]), None);
        assert_eq!(
            found(&["governor", "governor-changed", "thermal-changed"]),
            Some(Reason::Changed(vec!["governor".into(), "thermal".into()]))
        );
    }

    fn finding_of(findings: Vec<Finding>) -> Option<Reason> {
        finding(&Environment {
            findings,
            ..Environment::default()
        })
    }
}
