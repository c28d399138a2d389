//! Ranks across workloads and runs.

use catalog::Stage;
use judge::{By, Grounds, Named, Standing, StandingChoice, Stood, standing};
use record::{Failure, RankInterval, Record, Step};
use report::{say, summarise};

use crate::compare::sample::Sample;

fn rank(runs: &[&Record]) -> Standing {
    rank_by(runs, None)
}

fn rank_by(runs: &[&Record], by: Option<By>) -> Standing {
    let named = runs.iter().map(|record| Named {
        name: &record.run.id,
        record,
    });
    let choice = StandingChoice {
        by,
        ..StandingChoice::default()
    };
    standing(&named.collect::<Vec<_>>(), &choice)
}

fn notes(found: &Standing) -> Vec<String> {
    found.notes.iter().map(say::pool_note).collect()
}

/// Two workloads of a, b and c; one is better at each, c never.
fn sample(seed: u64) -> Sample {
    let mut sample = Sample::new(seed, &[("a", 1.0), ("b", 1.0), ("c", 0.6)]);
    sample.workloads = vec!["mixed", "ping"];
    sample.bias = vec![("a", "mixed", 1.6), ("b", "ping", 1.6)];
    sample
}

fn of<'s>(standing: &'s Standing, server: &str) -> &'s Stood {
    standing
        .places
        .iter()
        .find(|place| place.server == server)
        .unwrap()
}

fn held(standing: &Standing, server: &str) -> Option<(u32, u32)> {
    of(standing, server).rank.map(|rank| (rank.low, rank.high))
}

fn near(found: f64, wanted: f64) -> bool {
    (found / wanted - 1.0).abs() < 0.04
}

#[test]
fn the_geometric_mean_of_distances_to_the_best_ranks() {
    let found = rank(&[&sample(1).record()]);
    assert_eq!((found.by, &found.withheld[..]), (By::Peak, &[][..]));
    assert_eq!(found.workloads, ["mixed", "ping"]);
    // Each is best once and 1.6 times off once: the root of 1.6 for both, so they tie.
    assert_eq!([held(&found, "a"), held(&found, "b")], [Some((1, 2)); 2]);
    assert_eq!(held(&found, "c"), Some((3, 3)));
    for (server, best_at, distances) in [("a", 0, [1.0, 1.6]), ("b", 1, [1.6, 1.0])] {
        let place = of(&found, server);
        assert!(near(place.score.median, 1.6_f64.sqrt()), "{place:?}");
        for (index, beside) in place.workloads.iter().enumerate() {
            assert_eq!(beside.best, index == best_at);
            assert!(near(beside.distance.median, distances[index]), "{place:?}");
        }
    }
    let c = of(&found, "c");
    assert!(near(c.score.median, 1.6 / 0.6), "{c:?}");
    let interval = c.score.interval.unwrap();
    assert!(interval.low <= c.score.median && c.score.median <= interval.high);
    assert_eq!(found.places[2].server, "c");
    assert_eq!(c.rounds, 10);
    // By cost it is the same: a time where the other was a rate.
    let by_cost = rank_by(&[&sample(1).record()], Some(By::Cost));
    assert_eq!(held(&by_cost, "c"), Some((3, 3)));
    assert!(near(of(&by_cost, "c").score.median, 1.6 / 0.6));
    assert_eq!((by_cost.by, &by_cost.why), (By::Cost, &Grounds::Chosen));
    assert_eq!(say::grounds(&by_cost.why), "chosen with --by");
}

#[test]
fn one_workload_of_one_run_is_ranked_as_in_its_table() {
    let mut sample = Sample::new(3, &[("a", 1.0), ("b", 1.2), ("c", 1.01), ("d", 0.5)]);
    sample.scatter = 0.1;
    sample.weather = 0.5;
    let record = sample.record();
    let summary = summarise(&record);
    let found = rank(&[&record]);
    for row in summary.rows.iter().filter(|row| row.stage == Stage::Peak) {
        let RankInterval { low, high } = row.rank.unwrap();
        assert_eq!(
            held(&found, &row.server),
            Some((low, high)),
            "{}",
            row.server
        );
    }
}

#[test]
fn a_server_that_makes_a_connection_for_each_request_of_a_workload_is_not_ranked() {
    let mut record = sample(1).record();
    let closing = |trial: &&mut record::Trial| {
        (trial.workload.as_str(), trial.server.as_str()) == ("ping", "a")
    };
    for trial in record.trials.iter_mut().filter(closing) {
        let figures = [("reconnects", 5_000.0), ("requests_sent", 5_000.0)];
        let figures = figures.map(|(name, value)| (name.to_owned(), value));
        trial.figures.extend(figures);
    }
    let found = rank(&[&record]);
    let [unranked] = &found.unranked[..] else {
        panic!("{:?}", found.unranked);
    };
    assert_eq!(unranked.server, "a");
    let cause = say::unfit(&unranked.cause);
    assert!(cause.starts_with("ping in "), "{cause}");
    assert!(
        cause.contains("every request opened a connection"),
        "{cause}"
    );
    assert_eq!(
        [held(&found, "b"), held(&found, "c")],
        [Some((1, 1)), Some((2, 2))]
    );
}

#[test]
fn a_peak_limited_by_the_load_generator_has_cost_rank_all() {
    let mut record = sample(1).record();
    let limited = |trial: &&mut record::Trial| {
        trial.workload == "ping" && trial.server == "b" && trial.stage == Stage::Peak
    };
    for trial in record.trials.iter_mut().filter(limited) {
        trial.figures.insert("driver_busy_ratio".into(), 0.99);
        trial.figures.insert("server_busy_ratio".into(), 0.6);
    }
    let found = rank(&[&record]);
    assert_eq!(found.by, By::Cost);
    let why = say::grounds(&found.why);
    assert!(
        why.contains("in ping of") && why.contains("peak rate of b"),
        "{why}"
    );
    assert_eq!(held(&found, "c"), Some((3, 3)));
    // Who asks for peak all the same gets the figures, and no ranks.
    let found = rank_by(&[&record], Some(By::Peak));
    let why = say::withheld(&found.withheld).unwrap();
    assert!(
        why.contains("ping: the peak rate of b may be") && why.contains("--by"),
        "{why}"
    );
    assert_eq!(held(&found, "c"), None);
    assert!(near(of(&found, "c").score.median, 1.6 / 0.6));
}

#[test]
fn only_servers_valid_in_every_workload_are_ranked() {
    let mut record = sample(1).record();
    let mut fourth = record.servers[0].clone();
    fourth.name = "d".into();
    fourth.display = "d".into();
    fourth.failure = Some(Failure {
        step: Step::Boot,
        reason: "exited at once".into(),
        log_tail: String::new(),
    });
    record.servers.push(fourth);
    // Of b too few rounds are whole; c answers wrongly in ping.
    let rounds = |trial: &record::Trial| {
        trial.server != "b" || trial.round + u32::from(trial.workload == "ping") * 5 <= 7
    };
    record.trials.retain(rounds);
    for trial in record
        .trials
        .iter_mut()
        .filter(|t| t.server == "c" && t.workload == "ping")
    {
        trial.errors.insert("body".into(), 7);
    }
    let found = rank(&[&record]);
    let servers: Vec<&str> = found
        .places
        .iter()
        .map(|place| place.server.as_str())
        .collect();
    assert_eq!(servers, ["a"]);
    assert_eq!(held(&found, "a"), Some((1, 1)));
    let causes: Vec<(&str, String)> = found
        .unranked
        .iter()
        .map(|one| (one.server.as_str(), say::unfit(&one.cause)))
        .collect();
    let [b, c, d] = &causes[..] else {
        panic!("{causes:?}")
    };
    assert!(
        b.0 == "b"
            && b.1
                .starts_with("only 2 rounds have a valid trial in every workload"),
        "{b:?}"
    );
    assert!(
        c.0 == "c" && c.1.starts_with("ping in ") && c.1.contains("0 of 10"),
        "{c:?}"
    );
    assert!(
        d.0 == "d" && d.1.contains("boot failed: exited at once"),
        "{d:?}"
    );
}

#[test]
fn ranks_are_withheld_where_a_run_withholds_its_own_for_noise() {
    let mut record = sample(1).record();
    for trial in record
        .trials
        .iter_mut()
        .filter(|trial| trial.workload == "ping")
    {
        trial.figures.insert("steal_ratio".into(), 0.3);
    }
    let found = rank(&[&record]);
    let why = say::withheld(&found.withheld).unwrap();
    assert!(
        why.starts_with("ping in ") && why.contains("hypervisor took 30 %"),
        "{why}"
    );
    assert_eq!(held(&found, "a"), None);
    // The best stands first all the same.
    assert_eq!(found.places[2].server, "c");
}

#[test]
fn the_same_workloads_in_two_runs_have_the_rounds_of_both() {
    let near_ties = |seed| {
        let mut sample = Sample::new(seed, &[("a", 1.0), ("b", 1.1)]);
        sample.scatter = 0.15;
        sample.weather = 0.3;
        sample
    };
    let runs: Vec<Record> = (1..=4).map(|seed| near_ties(seed).record()).collect();
    let one = rank(&[&runs[0]]);
    let all = rank(&runs.iter().collect::<Vec<_>>());
    assert_eq!((of(&one, "a").rounds, of(&all, "a").rounds), (10, 40));
    assert_eq!(
        (held(&one, "a"), held(&all, "a")),
        (Some((1, 2)), Some((2, 2)))
    );
    let width = |standing: &Standing| {
        let interval = of(standing, "a").score.interval.unwrap();
        interval.high / interval.low
    };
    assert!(width(&all) < width(&one));
}

#[test]
fn workloads_of_several_runs_are_pooled() {
    let whole = sample(1);
    let part = |seed, workload, rounds| {
        let mut part = sample(seed);
        part.workloads = vec![workload];
        part.rounds = rounds;
        part.record()
    };
    let found = rank(&[&part(1, "mixed", 10), &part(2, "ping", 12)]);
    assert_eq!(found.workloads, whole.workloads);
    assert_eq!(
        [held(&found, "a"), held(&found, "c")],
        [Some((1, 2)), Some((3, 3))]
    );
    assert_eq!(of(&found, "a").rounds, 10);
    let used = "ping: only 10 of its 12 rounds are used";
    assert!(
        notes(&found).iter().any(|note| note.starts_with(used)),
        "{:?}",
        found.notes
    );
}

#[test]
fn what_differs_between_pooled_runs_is_noted() {
    let (first, mut second) = (sample(1).record(), sample(2).record());
    assert_eq!(rank(&[&first, &second]).notes, []);
    second.run.connections = 128;
    for trial in &mut second.trials {
        trial
            .figures
            .insert("connections_established".into(), 128.0);
        trial.figures.remove("latency_mean_us");
    }
    second.run.rates_per_s.insert("ping".into(), 9_000.0);
    let notes = notes(&rank_by(&[&first, &second], Some(By::Cost)));
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(
        notes
            .iter()
            .any(|n| n.starts_with("ping: paced rates differ: 20000/s in")),
        "{notes:?}"
    );
    assert!(
        notes
            .iter()
            .any(|n| n.starts_with("mixed: connections differ: 64 in")),
        "{notes:?}"
    );
}

#[test]
fn second_entries_give_the_noise_floor_and_no_place() {
    let mut sample = sample(1);
    sample
        .entries
        .extend([("a~2", 1.2), ("control", 5.0), ("control~2", 5.0)]);
    sample.bias.push(("a~2", "mixed", 1.6));
    let found = rank_by(&[&sample.record()], Some(By::Cost));
    assert_eq!((found.places.len(), found.floor.pairs), (3, 2));
    assert!(
        (0.15..0.25).contains(&found.floor.delta),
        "{:?}",
        found.floor
    );
    // c is further off than that, a and b are not.
    assert_eq!(
        [held(&found, "a"), held(&found, "c")],
        [Some((1, 2)), Some((3, 3))]
    );
}
