//! Whole records through [`summarise`]: verdicts, ranks and their reasons.

use super::testing::{run, server, trial};
use super::{Cause, Effect, Judgement, Reason, Trials, Why, summarise};
use catalog::Stage;
use record::{
    Ended, Environment, Failure, Finding, Level, RankInterval, RatioToBest, Record, Row, Run,
    SCHEMA_VERSION, Schedule, ServerRow, Step, Trial, Verdict,
};
use stats::MIN_REPLICATES;

/// The speed of a server in a round: rounds share a factor, and each trial has ± 1 % of its own.
fn scattered(server: &str, round: u32, speed: f64) -> f64 {
    let own: u32 = server.bytes().map(u32::from).sum::<u32>() * 7 + round * 13;
    let shared = 1.0 + f64::from(round * 5 % 7) / 30.0;
    speed * shared * (1.0 + 0.02 * (f64::from(own % 17) / 16.0 - 0.5))
}

/// A run of `mixed` with servers of these speeds.
fn record(rounds: u32, speeds: &[(&str, f64)]) -> Record {
    let trials = (1..=rounds).flat_map(|round| {
        let of_round = speeds.iter().flat_map(move |&(name, speed)| {
            let speed = scattered(name, round, speed);
            Stage::ALL.map(|stage| trial(name, stage, round, speed))
        });
        of_round.collect::<Vec<_>>()
    });
    let entered = |name: &&str| !name.ends_with("~2") && !name.starts_with("control");
    Record {
        schema_version: SCHEMA_VERSION,
        run: Run {
            seed: 7,
            rounds,
            ..run()
        },
        environment: Environment::default(),
        servers: speeds
            .iter()
            .map(|&(name, _)| name)
            .filter(entered)
            .map(server)
            .collect(),
        trials: trials.collect(),
        protocol: None,
        costs: None,
        micro: None,
        added: record::Added::default(),
    }
}

/// A row, and why its verdict is not `ok`.
fn found<'a>(summary: &'a Judgement, server: &str, stage: Stage) -> &'a (Row, Vec<Cause>) {
    summary
        .rows
        .iter()
        .find(|(row, _)| row.server == server && row.stage == stage)
        .unwrap()
}

fn row<'a>(summary: &'a Judgement, server: &str, stage: Stage) -> &'a Row {
    &found(summary, server, stage).0
}

fn of_server<'a>(summary: &'a Judgement, server: &str) -> &'a ServerRow {
    let mut rows = summary.servers.iter().map(|(row, _)| row);
    rows.find(|row| row.server == server).unwrap()
}

fn causes(reasons: &[Reason]) -> Vec<Cause> {
    reasons.iter().cloned().map(Cause::from).collect()
}

fn ranks(summary: &Judgement, stage: Stage, servers: &[&str]) -> Vec<Option<(u32, u32)>> {
    let held = |RankInterval { low, high }| (low, high);
    servers
        .iter()
        .map(|server| row(summary, server, stage).rank.map(held))
        .collect()
}

#[test]
fn servers_are_ranked_by_peak_and_near_ones_tie() {
    let summary = summarise(&record(
        10,
        &[("a", 1.0), ("b", 1.5), ("c", 1.002), ("d", 0.5)],
    ));
    let order = ranks(&summary, Stage::Peak, &["a", "b", "c", "d"]);
    assert_eq!(
        order,
        [Some((2, 3)), Some((1, 1)), Some((2, 3)), Some((4, 4))]
    );
    assert_eq!(ranks(&summary, Stage::Paced, &["a", "b"]), [None, None]);
    let ranking = &summary.rankings[0].ranking;
    assert_eq!(
        (ranking.ranked_by.as_str(), ranking.stage),
        ("requests_per_s", Stage::Peak)
    );
    let floor = ranking.noise_floor.as_ref().unwrap();
    assert!(floor.pairs.is_empty() && (floor.delta - 0.010_05).abs() < 1e-4);
    assert_eq!(
        (ranking.rate_per_s, ranking.connections),
        (Some(20_000.0), 64)
    );
    assert!(
        summary
            .rows
            .iter()
            .all(|(row, causes)| row.verdict == Verdict::Ok && causes.is_empty())
    );
    let rate = row(&summary, "b", Stage::Peak).figures["requests_per_s"];
    assert!(
        rate.low <= rate.median && rate.median <= rate.high && rate.n == 10,
        "{rate:?}"
    );
    let of_b = of_server(&summary, "b");
    assert_eq!((of_b.verdict, of_b.checks_passed), (Verdict::Ok, Some(41)));
    assert_eq!(of_b.figures["start_ms"].n, 20);
    assert!(!of_b.figures.contains_key("requests_per_s"));
}

#[test]
fn the_order_of_trials_changes_nothing() {
    let mut record = record(8, &[("a", 1.0), ("b", 1.02), ("c", 0.98)]);
    let expected = summarise(&record);
    record.trials.reverse();
    assert_eq!(summarise(&record), expected);
    record.trials.rotate_left(17);
    assert_eq!(summarise(&record), expected);
}

#[test]
fn a_server_that_was_not_measured_has_failed_rows_and_the_others_are_ranked() {
    let mut record = record(10, &[("a", 1.0), ("b", 1.5)]);
    let mut broken = server("broken");
    let reason = "exited before its first answer".to_owned();
    broken.failure = Some(Failure {
        step: Step::Boot,
        reason: reason.clone(),
        log_tail: "panicked".into(),
    });
    broken.check = None;
    record.servers.insert(0, broken);
    let summary = summarise(&record);
    for stage in Stage::ALL {
        let (row, why) = found(&summary, "broken", stage);
        assert_eq!(row.verdict, Verdict::Failed);
        let broken = Reason::Broken {
            step: Step::Boot,
            reason: reason.clone(),
            server: true,
        };
        assert_eq!(*why, causes(&[broken]));
        assert!(row.figures.is_empty() && row.rank.is_none());
    }
    let broken = &summary.servers[0].0;
    assert_eq!(broken.verdict, Verdict::Failed);
    assert_eq!(broken.checks_total, None);
    assert_eq!(
        ranks(&summary, Stage::Peak, &["a", "b"]),
        [Some((2, 2)), Some((1, 1))]
    );
}

/// Server `b` answers wrongly, but very fast, in its first `wrong` of ten rounds.
fn with_wrong_answers(wrong: u32) -> Judgement {
    let mut record = record(10, &[("a", 1.0), ("b", 0.5)]);
    for trial in &mut record.trials {
        if trial.server == "b" && trial.stage == Stage::Peak && trial.round <= wrong {
            trial.errors.insert("status".into(), 1_000);
            trial.first_error = Some("GET /ping: got 500, want 200".into());
            trial.figures.insert("requests_per_s".into(), 900_000.0);
            trial
                .figures
                .insert("latency_mean_us".into(), 64e6 / 900_000.0);
        }
    }
    summarise(&record)
}

#[test]
fn a_few_invalid_trials_mark_and_do_not_count() {
    let summary = with_wrong_answers(5);
    let (row, why) = found(&summary, "b", Stage::Peak);
    assert_eq!(row.verdict, Verdict::Marked);
    let errors = Reason::Errors {
        total: 1_000,
        kinds: [("status".to_owned(), 1_000)].into(),
        first: Some("GET /ping: got 500, want 200".into()),
    };
    let trials = Trials {
        rounds: vec![1, 2, 3, 4, 5],
        ran: 10,
    };
    let expected = Cause {
        reason: errors,
        effect: Effect::Invalidates,
        trials: Some(trials),
    };
    assert_eq!(*why, [expected]);
    let rate = row.figures["requests_per_s"];
    assert!(
        rate.n == 5 && rate.high < 40_000.0,
        "errors counted as throughput: {rate:?}"
    );
    assert_eq!(
        ranks(&summary, Stage::Peak, &["a", "b"]),
        [Some((1, 1)), Some((2, 2))]
    );
    let of_b = of_server(&summary, "b");
    assert_eq!(of_b.verdict, Verdict::Marked);
}

/// A stall of the machine in one trial of ten moves no median; what the server did wrong is always told.
#[test]
fn what_the_machine_may_have_done_to_few_trials_marks_no_row() {
    let marked = |figure: &str, value: f64, rounds: u32| {
        let mut record = record(10, &[("a", 1.0), ("b", 1.5)]);
        let struck = |trial: &&mut Trial| {
            trial.server == "a" && trial.stage == Stage::Paced && trial.round <= rounds
        };
        for trial in record.trials.iter_mut().filter(struck) {
            trial.figures.insert(figure.into(), value);
        }
        row(&summarise(&record), "a", Stage::Paced).verdict == Verdict::Marked
    };
    for (figure, value) in [("achieved_ratio", 0.9), ("send_lag_p99_us", 5_000.0)] {
        assert!(!marked(figure, value, 2), "{figure}");
        assert!(marked(figure, value, 3), "{figure}");
    }
    assert!(marked("ids_repeated", 1.0, 1));
}

#[test]
fn under_half_valid_fails_the_row() {
    let summary = with_wrong_answers(6);
    let (failed, why) = found(&summary, "b", Stage::Peak);
    assert_eq!((failed.verdict, failed.rank), (Verdict::Failed, None));
    assert_eq!(why[0].reason, Reason::TooFewValid { valid: 4, ran: 10 });
    assert_eq!(ranks(&summary, Stage::Peak, &["a"]), [Some((1, 1))]);
    assert_eq!(row(&summary, "b", Stage::Paced).verdict, Verdict::Ok);
}

#[test]
fn where_the_driver_was_the_limit_cost_ranks() {
    let mut record = record(10, &[("a", 1.0), ("b", 1.5), ("c", 0.7)]);
    for trial in record.trials.iter_mut().filter(|trial| trial.server == "b") {
        trial.figures.insert("driver_busy_ratio".into(), 0.99);
        trial.figures.insert("server_busy_ratio".into(), 0.7);
    }
    let summary = summarise(&record);
    let bound = row(&summary, "b", Stage::Peak);
    assert!(bound.lower_bound && bound.verdict == Verdict::Marked);
    assert!(!row(&summary, "a", Stage::Peak).lower_bound);
    let judged = &summary.rankings[0];
    assert_eq!(
        (judged.ranking.ranked_by.as_str(), judged.ranking.stage),
        ("cpu_us_per_request", Stage::Paced)
    );
    let servers = vec!["b".to_owned()];
    assert_eq!(judged.why, Why::DriverMayBind { servers });
    let order = ranks(&summary, Stage::Paced, &["a", "b", "c"]);
    assert_eq!(order, [Some((2, 2)), Some((1, 1)), Some((3, 3))]);
    assert_eq!(ranks(&summary, Stage::Peak, &["a", "b", "c"]), [None; 3]);
}

#[test]
fn two_rounds_have_no_ranks_and_say_so() {
    let summary = summarise(&record(2, &[("a", 1.0), ("b", 9.0)]));
    assert_eq!(ranks(&summary, Stage::Peak, &["a", "b"]), [None, None]);
    let few = Reason::TooFewRounds {
        rounds: 2,
        needed: MIN_REPLICATES,
    };
    assert_eq!(summary.rankings[0].withheld, causes(&[few]));
    let one = summarise(&record(1, &[("a", 1.0)]));
    let rate = row(&one, "a", Stage::Peak).figures["requests_per_s"];
    assert_eq!((rate.low, rate.high, rate.n), (rate.median, rate.median, 1));
}

#[test]
fn the_control_gives_the_ceiling_and_the_noise_floor_and_no_rank() {
    let speeds = [("a", 1.0), ("b", 2.0), ("control", 2.5), ("control~2", 2.6)];
    let summary = summarise(&record(10, &speeds));
    // 2.0 of about 2.55 is over 70 %.
    assert!(row(&summary, "b", Stage::Peak).lower_bound);
    assert!(!row(&summary, "a", Stage::Peak).lower_bound);
    assert!(!row(&summary, "control", Stage::Peak).lower_bound);
    assert_eq!(of_server(&summary, "control~2").class, "control");
    assert_eq!(
        ranks(&summary, Stage::Paced, &["a", "b"]),
        [Some((2, 2)), Some((1, 1))]
    );
    assert_eq!(
        ranks(&summary, Stage::Paced, &["control", "control~2"]),
        [None, None]
    );
    // The entries always differ by about 4 %, so smaller differences are none.
    let floor = summary.rankings[0].ranking.noise_floor.as_ref().unwrap();
    let pair = &floor.pairs[0];
    assert_eq!(
        (pair.first.as_str(), pair.second.as_str()),
        ("control", "control~2")
    );
    let (low, high) = pair.low.zip(pair.high).unwrap();
    assert!(
        low <= pair.ratio && pair.ratio <= high && high < 1.0,
        "{pair:?}"
    );
    assert!(
        (1.0 / low - 1.0 - floor.delta).abs() < 1e-9,
        "the far end of the interval"
    );
}

#[test]
fn an_interleaved_run_is_ranked_though_the_control_drifts_as_long_as_its_entries_drift_alike() {
    let mut record = with_unsteady_control(&["requests_per_s", "cpu_us_per_request"]);
    let twin = record.trials.clone().into_iter();
    let twin = twin.filter(|trial| trial.server == "control");
    record.trials.extend(twin.map(|trial| Trial {
        server: "control~2".into(),
        ..trial
    }));
    let isolated = summarise(&record);
    assert!(isolated.rows.iter().all(|(row, _)| row.rank.is_none()));
    record.run.schedule = Schedule::Interleaved {
        slice_ms: 20.0,
        lead_in_ms: 1.0,
    };
    let summary = summarise(&record);
    assert_eq!(summary.rankings[0].ranking.ranked_by, "requests_per_s");
    assert_eq!(
        ranks(&summary, Stage::Peak, &["a", "b"]),
        [Some((2, 2)), Some((1, 1))]
    );
}

/// A run whose control swings by up to 60 % between rounds in these figures.
fn with_unsteady_control(figures: &[&str]) -> Record {
    let mut record = record(10, &[("a", 1.0), ("b", 1.5), ("control", 4.0)]);
    let controls = record.trials.iter_mut();
    for trial in controls.filter(|trial| trial.server == "control") {
        let swing = 1.0 + 0.3 * f64::from(trial.round % 3);
        for figure in figures {
            let value = trial.figures.get_mut(*figure).unwrap();
            *value *= swing;
        }
        let figures = &mut trial.figures;
        if trial.stage == Stage::Peak {
            let latency_us = 64e6 / figures["requests_per_s"];
            figures.insert("latency_mean_us".into(), latency_us);
        }
    }
    record
}

#[test]
fn where_the_controls_peak_is_unsteady_its_cost_must_be_steady_for_ranks_by_cost() {
    let summary = summarise(&with_unsteady_control(&["requests_per_s"]));
    let judged = &summary.rankings[0];
    assert_eq!(
        (judged.ranking.ranked_by.as_str(), judged.ranking.stage),
        ("cpu_us_per_request", Stage::Paced)
    );
    let own_rate = matches!(judged.why, Why::ControlVaried { pair: false, .. });
    assert!(own_rate, "{:?}", judged.why);
    let order = ranks(&summary, Stage::Paced, &["a", "b"]);
    assert_eq!(order, [Some((2, 2)), Some((1, 1))]);
}

#[test]
fn a_control_unsteady_in_all_that_could_rank_withholds_ranks_and_keeps_figures() {
    let both = with_unsteady_control(&["requests_per_s", "cpu_us_per_request"]);
    let mut peak_only = with_unsteady_control(&["requests_per_s"]);
    peak_only.trials.retain(|trial| trial.stage == Stage::Peak);
    for (record, figure) in [(both, "cpu_us_per_request"), (peak_only, "requests_per_s")] {
        let summary = summarise(&record);
        assert!(summary.rows.iter().all(|(row, _)| row.rank.is_none()));
        let withheld = &summary.rankings[0].withheld;
        let Reason::ControlSpread {
            figure: varied,
            pair: false,
            ..
        } = withheld[0].reason
        else {
            panic!("{withheld:?}");
        };
        assert_eq!(varied, figure);
        assert_eq!(row(&summary, "a", Stage::Peak).verdict, Verdict::Ok);
    }
}

#[test]
fn a_twin_ties_with_its_first_entry() {
    let summary = summarise(&record(10, &[("a", 1.0), ("a~2", 1.003), ("b", 1.5)]));
    assert_eq!(row(&summary, "a~2", Stage::Peak).display, "a~2");
    let order = ranks(&summary, Stage::Peak, &["a", "a~2", "b"]);
    assert_eq!(order, [Some((2, 3)), Some((2, 3)), Some((1, 1))]);
}

#[test]
fn what_did_not_run_is_a_failed_row() {
    let mut record = record(10, &[("a", 1.0), ("b", 1.5)]);
    record.run.ended = Ended::Interrupted;
    record.trials.retain(|trial| trial.server == "a");
    record.run.workloads.insert("ping".into(), String::new());
    let summary = summarise(&record);
    let (_, why) = found(&summary, "b", Stage::Peak);
    assert_eq!(*why, causes(&[Reason::NoTrial]));
    assert_eq!(summary.rankings.len(), 2);
    let ping = summary
        .rankings
        .iter()
        .find(|judged| judged.ranking.workload == "ping")
        .unwrap();
    assert!(!ping.withheld.is_empty());
    assert_eq!(summary.rows.len(), 8);
}

#[test]
fn a_server_has_no_row_of_a_workload_it_took_no_part_in() {
    let mut record = record(10, &[("a", 1.0), ("b", 1.5)]);
    record.run.ended = Ended::Interrupted;
    for trial in record.trials.iter_mut().filter(|t| t.server == "b") {
        trial.workload = "ping".into();
    }
    record.run.workloads.insert("ping".into(), String::new());
    let rows = |record: &Record| {
        let summary = summarise(record);
        let of_b = |row: &&(Row, Vec<Cause>)| row.0.server == "b";
        summary.rows.iter().filter(of_b).count()
    };
    assert_eq!(rows(&record), 4, "it may have had no turn yet");
    record.run.ended = Ended::Complete;
    assert_eq!(rows(&record), 2);
    record.run.ended = Ended::Interrupted;
    let server = record.servers.iter_mut().find(|s| s.name == "b").unwrap();
    server.class = catalog::PARTIAL.to_owned();
    assert_eq!(rows(&record), 2);
}

#[test]
fn an_empty_record_has_an_empty_summary() {
    let mut empty = record(0, &[]);
    empty.run.workloads.clear();
    assert_eq!(summarise(&empty), Judgement::default());
}

#[test]
fn a_machine_that_changed_marks_every_row() {
    let mut record = record(10, &[("alpha", 1.2), ("beta", 1.0)]);
    let before = Finding {
        id: "governor".into(),
        level: Level::Warn,
        found: "powersave".into(),
        why: "it idles".into(),
        fix: None,
    };
    record.environment.findings = vec![before.clone()];
    let summary = summarise(&record);
    assert!(all_ok(&summary));
    record.environment.findings.push(Finding {
        id: "governor-changed".into(),
        found: "was powersave, is performance".into(),
        ..before
    });
    let summary = summarise(&record);
    assert_eq!(summary.rows.len(), 4);
    for (row, why) in &summary.rows {
        assert_eq!(row.verdict, Verdict::Marked);
        let findings = vec!["governor".to_owned()];
        assert_eq!(why[0].reason, Reason::Changed { findings });
    }
}

fn all_ok(summary: &Judgement) -> bool {
    let mut rows = summary.rows.iter();
    rows.all(|(row, _)| row.verdict == Verdict::Ok)
}

fn ratio<'a>(summary: &'a Judgement, server: &str, stage: Stage, figure: &str) -> &'a RatioToBest {
    &row(summary, server, stage).ratio_to_best[figure]
}

/// The same run, without what each server's trials differ by in `figure`.
fn exactly(mut record: Record, figure: &str, value: impl Fn(&Trial) -> f64) -> Record {
    for trial in &mut record.trials {
        let value = value(trial);
        trial.figures.insert(figure.into(), value);
    }
    record
}

fn speed(trial: &Trial) -> f64 {
    match trial.server.as_str() {
        "a" => 1.0,
        "b" => 1.25,
        "a@1a2b3c4" => 1.1,
        _ => 2.0,
    }
}

/// What a round shares is in no ratio, and which way is better is the figure's own.
#[test]
fn each_row_has_its_ratio_to_the_best() {
    let entries = [
        ("a", 1.0),
        ("b", 1.25),
        ("control", 2.0),
        ("control~2", 2.0),
    ];
    let record = exactly(record(10, &entries), "cpu_us_per_request", |trial| {
        // Rounds differ by up to a half; `a` is 0 to 2 % dearer than its speed says.
        let round = 1.0 + f64::from(trial.round * 7 % 10) / 20.0;
        let more = if trial.server == "a" {
            200.0
        } else {
            f64::INFINITY
        };
        18.0 / speed(trial) * round * (1.0 + f64::from(trial.round % 5) / more)
    });
    let summary = summarise(&exactly(record, "requests_per_s", |t| 5e4 * speed(t)));
    let a = ratio(&summary, "a", Stage::Paced, "cpu_us_per_request");
    assert!((a.ratio - 1.25 * 1.01).abs() < 1e-9, "{a:?}");
    let (low, high) = a.interval().unwrap();
    assert!(1.249 < low && low < a.ratio && a.ratio < high && high < 1.276);
    assert_eq!((a.rounds, a.best.as_str(), a.by_machine), (10, "b", false));
    let b = ratio(&summary, "b", Stage::Paced, "cpu_us_per_request");
    assert_eq!((b.ratio, b.interval(), b.best.as_str()), (1.0, None, "b"));
    let rate = ratio(&summary, "a", Stage::Peak, "requests_per_s");
    assert!(
        (rate.ratio - 0.8).abs() < 1e-9,
        "a rate below the best's: {rate:?}"
    );
    let control = ratio(&summary, "control", Stage::Paced, "cpu_us_per_request");
    assert!((control.ratio - 1.25 / 2.0).abs() < 1e-9, "{control:?}");
    // The rate of the paced stage is given, and no figure of a server's.
    let paced = &row(&summary, "a", Stage::Paced).ratio_to_best;
    assert!(!paced.contains_key("requests_per_s"));
}

#[test]
fn the_best_is_no_control_no_second_entry_and_nothing_that_failed() {
    let entries = [
        ("a", 1.0),
        ("b", 1.25),
        ("b~2", 2.0),
        ("c", 2.0),
        ("control", 2.0),
    ];
    let mut record = exactly(record(10, &entries), "requests_per_s", |t| 5e4 * speed(t));
    for trial in record.trials.iter_mut().filter(|trial| trial.server == "c") {
        trial.errors.insert("status".into(), 1_000);
    }
    let summary = summarise(&record);
    assert_eq!(row(&summary, "c", Stage::Peak).verdict, Verdict::Failed);
    assert!(row(&summary, "c", Stage::Peak).ratio_to_best.is_empty());
    let twin = ratio(&summary, "b~2", Stage::Peak, "requests_per_s");
    assert_eq!(twin.best, "b");
    assert!((twin.ratio - 1.6).abs() < 1e-9, "{twin:?}");
}

/// The record with connections made again by these servers, so many for 100 requests.
fn reconnecting(mut record: Record, servers: &[&str], connections: f64) -> Record {
    for trial in &mut record.trials {
        let own = servers.contains(&trial.server.as_str());
        let made = if own { connections } else { 0.0 };
        let figures = [("reconnects", 100.0 * made), ("requests_sent", 10_000.0)];
        let figures = figures.map(|(name, value)| (name.to_owned(), value));
        trial.figures.extend(figures);
    }
    record
}

#[test]
fn a_server_that_made_connections_has_no_rank_beside_those_that_keep_theirs() {
    let speeds = [("a", 1.0), ("b", 1.5), ("c", 0.5)];
    // The fastest, so that it would be the first and the best.
    let summary = summarise(&reconnecting(record(10, &speeds), &["b"], 100.0));
    for stage in Stage::ALL {
        let (closing, why) = found(&summary, "b", stage);
        let expected = Reason::Reconnects {
            connections: 100_000.0,
            requests: 100_000.0,
        };
        assert_eq!(*why, causes(&[expected]));
        assert_eq!(why[0].effect, Effect::SetsApart);
        assert_eq!((closing.verdict, closing.rank), (Verdict::Marked, None));
        assert!(closing.figures.contains_key("requests_per_s"));
        let best = |row: &Row| row.ratio_to_best["cpu_us_per_request"].best.clone();
        assert_eq!(best(closing), "a");
        assert_eq!(best(row(&summary, "c", stage)), "a");
    }
    let order = ranks(&summary, Stage::Peak, &["a", "b", "c"]);
    assert_eq!(order, [Some((1, 1)), None, Some((2, 2))]);
}

#[test]
fn a_few_connections_made_again_are_a_note_and_move_no_rank() {
    let speeds = [("a", 1.0), ("b", 1.5)];
    let summary = summarise(&reconnecting(record(10, &speeds), &["b"], 1.0));
    let (noted, why) = found(&summary, "b", Stage::Peak);
    assert_eq!(noted.verdict, Verdict::Marked);
    let expected = Reason::Reconnects {
        connections: 1_000.0,
        requests: 100_000.0,
    };
    assert_eq!(why[0].reason, expected);
    let order = ranks(&summary, Stage::Peak, &["a", "b"]);
    assert_eq!(order, [Some((2, 2)), Some((1, 1))]);
}

#[test]
fn servers_that_all_make_connections_are_ranked() {
    let speeds = [("a", 1.0), ("b", 1.5), ("control", 6.0), ("control~2", 6.0)];
    let summary = summarise(&reconnecting(record(10, &speeds), &["a", "b"], 100.0));
    let order = ranks(&summary, Stage::Peak, &["a", "b", "control"]);
    assert_eq!(order, [Some((2, 2)), Some((1, 1)), None]);
    assert_eq!(
        row(&summary, "a", Stage::Peak).ratio_to_best["requests_per_s"].best,
        "b"
    );
}

#[test]
fn a_control_that_was_asked_for_and_is_missing_is_told_of_each_workload() {
    let with_finding = |level, found: &str| {
        let mut record = record(10, &[("a", 1.0), ("b", 1.5)]);
        record.environment.findings = vec![Finding {
            id: "control".into(),
            level,
            found: found.into(),
            why: String::new(),
            fix: None,
        }];
        let summary = summarise(&record);
        assert!(all_ok(&summary));
        summary.rankings[0].notes.clone()
    };
    let missing = "there is no control: the disk is full";
    let found = missing.to_owned();
    assert_eq!(
        with_finding(Level::Warn, missing),
        causes(&[Reason::NoControl { found }])
    );
    assert!(with_finding(Level::Ok, "is left out, as --no-control asks").is_empty());
}

#[test]
fn another_build_may_be_the_best_and_two_rounds_have_no_interval() {
    let record = record(2, &[("a", 1.0), ("a@1a2b3c4", 1.1)]);
    let summary = summarise(&exactly(record, "requests_per_s", |t| 5e4 * speed(t)));
    let a = ratio(&summary, "a", Stage::Peak, "requests_per_s");
    assert_eq!(
        (a.best.as_str(), a.rounds, a.interval()),
        ("a@1a2b3c4", 2, None)
    );
    assert!((a.ratio - 1.0 / 1.1).abs() < 1e-9, "{a:?}");
}

/// A run with p99 in the paced stage: `b` has 1.5 times that of `a`. In each round each entry's
/// differs by up to its share, by chance.
fn with_tails(noise: &[(&str, f64)]) -> Judgement {
    let entries = [("a", 1.0), ("b", 1.0), ("control", 3.0), ("control~2", 3.0)];
    let mut record = record(12, &entries);
    for trial in record.trials.iter_mut().filter(|t| t.stage == Stage::Paced) {
        let share = noise
            .iter()
            .find(|(name, _)| *name == trial.server)
            .unwrap()
            .1;
        let place = entries.iter().position(|(name, _)| *name == trial.server);
        let off = trial.round * (2 * place.unwrap() as u32 + 3) % 13;
        let by = (share * (f64::from(off) / 6.5 - 1.0)).exp();
        let level = if trial.server == "b" { 150.0 } else { 100.0 };
        trial.figures.insert("latency_p99_us".into(), level * by);
    }
    summarise(&record)
}

fn by_machine(summary: &Judgement) -> Vec<&str> {
    let rows = summary.rows.iter().map(|(row, _)| row);
    let paced = rows.filter(|row| row.stage == Stage::Paced);
    paced
        .filter(|row| row.ratio_to_best["latency_p99_us"].by_machine)
        .map(|row| row.server.as_str())
        .collect()
}

#[test]
fn a_tail_is_the_machines_where_neither_copies_nor_servers_can_be_compared_in_it() {
    // Nothing repeats: nobody's tail is known, the best's neither.
    let loose = with_tails(&[("a", 1.0), ("b", 1.0), ("control", 1.0), ("control~2", 1.0)]);
    assert_eq!(by_machine(&loose), ["a", "b", "control", "control~2"]);
    let notes = &loose.rankings[0].notes;
    assert_eq!(notes.len(), 1, "{notes:?}");
    let Reason::MachineTail { figures, .. } = &notes[0].reason else {
        panic!("{notes:?}");
    };
    assert_eq!(figures, &["latency_p99_us"]);
    // The copies differ, and the servers' ratio is known all the same.
    let own = with_tails(&[
        ("a", 0.01),
        ("b", 0.01),
        ("control", 1.0),
        ("control~2", 1.0),
    ]);
    assert_eq!(by_machine(&own), ["control", "control~2"]);
    // The copies repeat: what varies is the server.
    let server = with_tails(&[
        ("a", 0.01),
        ("b", 1.0),
        ("control", 0.01),
        ("control~2", 0.01),
    ]);
    assert!(by_machine(&server).is_empty());
    assert!(server.rankings[0].notes.is_empty());
}
