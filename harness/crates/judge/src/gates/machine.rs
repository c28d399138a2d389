//! Gates 9 and 10: what the machine must provide.

use std::collections::BTreeMap;

use super::super::reason::Reason;
use super::super::row_view::{WorkloadView, values};
use record::{Environment, Level, Moment, Schedule};
use stats::{Series, median, robust_spread};

/// Gate 9: ranks are withheld above this share of stolen time, of other programs' time, or of the control's
/// spread.
const NOISE_LIMIT: f64 = 0.10;
/// Gate 9: the share of the server's CPUs that waiting entries may take from the entry that has the load.
const WAITING_LIMIT: f64 = 0.03;

/// Gate 9: CPU time taken by the hypervisor, the median over trials of `steal_ratio`.
pub(super) fn stolen(workload: &WorkloadView<'_>) -> Option<Reason> {
    over_limit(workload, "steal_ratio").map(|share| Reason::Stolen { share })
}

/// Gate 9: CPU time taken by other processes, the median over trials of `other_cpu_ratio`.
pub(super) fn other_load(workload: &WorkloadView<'_>) -> Option<Reason> {
    over_limit(workload, "other_cpu_ratio").map(|share| Reason::OtherLoad { share })
}

/// Gate 9: CPU time that waiting entries took from the entry that had the load. The median over trials of
/// `waiting_cpu_ratio`, summed over the entries, as a share of the server's CPUs.
pub(super) fn waiting_load(workload: &WorkloadView<'_>) -> Option<Reason> {
    let mut shares: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for trial in workload.valid {
        let share = trial.figures.get("waiting_cpu_ratio");
        let own = shares.entry(trial.server.as_str()).or_default();
        own.extend(share);
    }
    let all: f64 = shares.values().filter_map(|own| median(own)).sum();
    let cpus = workload.environment.server_cpus.len();
    let share = all / cpus.max(1) as f64;
    (share > WAITING_LIMIT).then_some(Reason::WaitingLoad { share })
}

fn over_limit(workload: &WorkloadView<'_>, figure: &str) -> Option<f64> {
    median(&values(workload.valid, figure)).filter(|&share| share > NOISE_LIMIT)
}

/// Gate 9: the spread of the control over rounds, in the figure ranked by.
pub(super) fn control_spread(workload: &WorkloadView<'_>) -> Option<Reason> {
    let (figure, schedule) = (workload.figure, workload.run.schedule);
    unsteady(workload.control, schedule).map(|share| Reason::ControlSpread {
        figure,
        share,
        pair: schedule != Schedule::Isolated,
    })
}

/// The spread of the control over rounds, if it exceeds the limit.
///
/// In an isolated run this is the spread of the control's own figure, the larger of its entries': trials that
/// ran at different times are compared, so drift between them is error. In an interleaved run all entries of a
/// round run in the same milliseconds and drift between rounds cancels in their ratios, so this is the spread
/// of the ratio of the control's two entries. With one entry it is unknown.
pub(crate) fn unsteady(control: &[Series], schedule: Schedule) -> Option<f64> {
    let spread = |series: &Series| {
        let values: Vec<f64> = series.values().copied().collect();
        robust_spread(&values)
    };
    let worst = match (schedule, control) {
        (Schedule::Isolated, _) => control.iter().filter_map(spread).max_by(f64::total_cmp),
        (Schedule::Interleaved { .. }, [first, second, ..]) => spread(&quotients(second, first)),
        (Schedule::Interleaved { .. }, _) => None,
    }?;
    (worst > NOISE_LIMIT).then_some(worst)
}

/// `a / b` for each round that both have.
pub(super) fn quotients(a: &Series, b: &Series) -> Series {
    let of = |(round, a): (&u32, &f64)| Some((*round, a / b.get(round).filter(|b| **b > 0.0)?));
    a.iter().filter_map(of).collect()
}

/// Why there is no control, if one was requested.
pub(super) fn no_control(workload: &WorkloadView<'_>) -> Option<Reason> {
    let finding = workload.environment.control()?;
    (finding.level > Level::Ok).then(|| Reason::NoControl {
        found: finding.found.clone(),
    })
}

/// Gate 10: the first finding that invalidates figures. Warnings are in the record and under the table, not on
/// every row.
pub(super) fn finding(environment: &Environment) -> Option<Reason> {
    let wrong = |finding: &&record::Finding| finding.level == Level::Fail;
    let first = environment.findings.iter().find(wrong)?;
    Some(Reason::Machine {
        finding: first.subject().to_owned(),
    })
}

/// Gate 10: the settings that changed during the run.
pub(super) fn changed(environment: &Environment) -> Option<Reason> {
    let findings = environment.findings.iter();
    let what: Vec<String> = findings
        .filter(|finding| finding.moment() == Moment::Changed && finding.level > Level::Ok)
        .map(|finding| finding.subject().to_owned())
        .collect();
    (!what.is_empty()).then_some(Reason::Changed { findings: what })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::testing::{run, trial};
    use super::*;
    use catalog::Stage;
    use record::{Finding, Run, Trial};

    fn of(trials: &[Trial], control: &[Series], gate: Gate) -> Option<Reason> {
        of_run(&run(), trials, control, gate)
    }

    fn of_run(run: &Run, trials: &[Trial], control: &[Series], gate: Gate) -> Option<Reason> {
        gate(&WorkloadView {
            run,
            environment: &Environment::default(),
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
            ("steal_ratio", stolen as Gate, Reason::Stolen { share: 0.2 }),
            (
                "other_cpu_ratio",
                other_load,
                Reason::OtherLoad { share: 0.2 },
            ),
        ] {
            assert_eq!(with(figure, &[0.01, 0.5, 0.02], gate), None);
            assert_eq!(with(figure, &[0.01, 0.5, 0.2], gate), Some(reason));
            assert_eq!(with(figure, &[], gate), None);
        }
    }

    #[test]
    fn what_waiting_entries_take_adds_up() {
        let taken = |shares: &[(&str, f64)]| {
            let trial = |&(server, share): &(&str, f64)| {
                let mut trial = trial(server, Stage::Peak, 1, 1.0);
                trial.figures.insert("waiting_cpu_ratio".to_owned(), share);
                trial
            };
            let trials: Vec<Trial> = shares.iter().map(trial).collect();
            of(&trials, &[], waiting_load)
        };
        assert_eq!(taken(&[("alpha", 0.02), ("beta", 0.01)]), None);
        let found = taken(&[("alpha", 0.02), ("beta", 0.02)]);
        assert!(
            matches!(found, Some(Reason::WaitingLoad { share }) if (share - 0.04).abs() < 1e-9)
        );
        // A burst in one of three rounds is not typical of the entry.
        let burst = [("alpha", 0.5), ("alpha", 0.0), ("alpha", 0.0)];
        assert_eq!(taken(&burst), None);
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
    fn interleaved_it_is_the_ratio_of_its_entries_that_must_be_steady() {
        let schedule = Schedule::Interleaved {
            slice_ms: 20.0,
            lead_in_ms: 1.0,
        };
        let run = Run { schedule, ..run() };
        // Rounds differ by up to half; the second entry is alternately this much above and below the first.
        let pair = |off: f64| -> Vec<Series> {
            let round = |r: u32| 100.0 + 50.0 * f64::from(r * 5 % 9) / 9.0;
            let turn = |r: u32| 1.0 + off * (f64::from(r % 3) - 1.0);
            vec![
                (1..=9).map(|r| (r, round(r))).collect(),
                (1..=9).map(|r| (r, round(r) * turn(r))).collect(),
            ]
        };
        assert!(of(&[], &pair(0.01), control_spread).is_some(), "isolated");
        assert_eq!(of_run(&run, &[], &pair(0.01), control_spread), None);
        let found = of_run(&run, &[], &pair(0.2), control_spread);
        assert!(
            matches!(found, Some(Reason::ControlSpread { share, pair: true, .. }) if share > 0.2),
            "{found:?}"
        );
        assert_eq!(of_run(&run, &[], &pair(0.2)[..1], control_spread), None);
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
            Some(Reason::Machine {
                finding: "descriptors".to_owned()
            })
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
        // Not ideal, but constant.
        assert_eq!(found(&["governor", "load-during"]), None);
        assert_eq!(
            found(&["governor", "governor-changed", "thermal-changed"]),
            Some(Reason::Changed {
                findings: vec!["governor".into(), "thermal".into()]
            })
        );
    }

    fn finding_of(findings: Vec<Finding>) -> Option<Reason> {
        finding(&Environment {
            findings,
            ..Environment::default()
        })
    }
}
