//! Several targets in turn, in slices, over real sockets.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::load_server::*;
use loadgen::{
    Conductor, Config, Control, DriveError, Measurement, Script, Slice, SliceEnd, Target,
    interleave,
};

over_each_engine!(
    only_one_target_has_the_load,
    what_is_due_in_a_slice_counts_whenever_it_ends,
    a_slice_can_be_repeated_at_a_rate,
    a_target_that_hangs_loses_no_more_than_its_own_time,
    a_target_that_can_not_be_reached_fails_alone,
    connections_closed_between_slices_are_made_again,
    two_threads_take_turns_together,
    errors_stay_with_their_target,
);

const MS: Duration = Duration::from_millis(1);

/// Gives the load in a fixed order, and keeps what it is told.
struct Order {
    slices: std::vec::IntoIter<Slice>,
    ended: Vec<(Slice, SliceEnd)>,
}

impl Order {
    /// Each in turn, so many times.
    fn of(targets: usize, times: usize, lead_in: Duration, length: Duration) -> Self {
        let slice = |target| Slice {
            target,
            lead_in,
            length,
        };
        let slices: Vec<Slice> = (0..times).flat_map(|_| (0..targets).map(slice)).collect();
        Self {
            slices: slices.into_iter(),
            ended: Vec::new(),
        }
    }
}

impl Conductor for Order {
    fn next(&mut self) -> Option<Slice> {
        self.slices.next()
    }

    fn ended(&mut self, slice: Slice, end: SliceEnd) {
        self.ended.push((slice, end));
    }
}

type Results = Vec<Result<Measurement, DriveError>>;

fn run(configs: &[Config], scripts: &[Script], most: usize, order: &mut Order) -> Results {
    let controls: Vec<Control> = configs.iter().map(|_| Control::default()).collect();
    let targets: Vec<Target<'_>> = configs
        .iter()
        .zip(scripts)
        .zip(&controls)
        .map(|((config, script), control)| Target {
            config,
            script,
            control,
        })
        .collect();
    let results = interleave(&targets, most, order).unwrap();
    for (result, control) in results.iter().zip(&controls) {
        assert!(control.is_over());
        if let Ok(m) = result {
            assert_eq!(control.requests(), m.answered_total);
            assert_eq!(m.sent_total, m.answered_total + m.unanswered_total);
        }
    }
    results
}

fn pong() -> Vec<Act> {
    vec![Act::Write(response("200 OK", PONG).into())]
}

/// Servers that know how many requests they work on together with the others.
fn watched(count: usize, own: &Arc<[AtomicI64; 3]>, bad: &Arc<AtomicI64>) -> Vec<TestServer> {
    (0..count)
        .map(|index| {
            let (own, bad) = (own.clone(), bad.clone());
            TestServer::start(move |_, _| {
                own[index].fetch_add(1, Ordering::SeqCst);
                std::thread::sleep(MS / 5);
                for (other, at_work) in own.iter().enumerate() {
                    if other != index && at_work.load(Ordering::SeqCst) > 0 {
                        bad.fetch_add(1, Ordering::SeqCst);
                    }
                }
                own[index].fetch_sub(1, Ordering::SeqCst);
                pong()
            })
        })
        .collect()
}

fn only_one_target_has_the_load() {
    let (own, bad) = (Arc::default(), Arc::default());
    let servers = watched(3, &own, &bad);
    let configs: Vec<Config> = servers.iter().map(|s| config(s.addr)).collect();
    let mut order = Order::of(3, 4, 2 * MS, 12 * MS);
    let results = run(&configs, &[ping(), ping(), ping()], 4, &mut order);
    assert_eq!(bad.load(Ordering::SeqCst), 0);
    assert_eq!(order.ended.len(), 12);
    for (target, (result, server)) in results.iter().zip(&servers).enumerate() {
        let m = result.as_ref().unwrap();
        assert_clean(m);
        assert_eq!(m.sent_total, server.seen());
        assert_eq!(m.window, 40 * MS, "four times 12 less 2 ms");
        assert_eq!(m.intervals.len(), 4);
        let told = order
            .ended
            .iter()
            .filter(|(slice, _)| slice.target == target);
        for (slice, (_, end)) in m.intervals.iter().zip(told) {
            assert_eq!(slice.length, 10 * MS);
            assert_eq!(slice.answered, end.answered);
            assert!(slice.requests <= slice.answered);
            assert_eq!(slice.latency.len(), slice.requests);
            assert!(end.elapsed >= 12 * MS && end.unanswered == 0);
        }
        let answered: u64 = m.intervals.iter().map(|slice| slice.answered).sum();
        assert_eq!(answered, m.answered_total);
        // Requests of the lead-in are answered and don't count. A thread without a CPU can miss some lead-ins.
        assert!(
            m.intervals
                .iter()
                .any(|slice| slice.requests < slice.answered)
        );
        assert_eq!(m.threads.len(), 1);
        assert!(m.threads[0].wall_ns > 20_000_000, "{:?}", m.threads);
    }
    // One after the other, with the time of the others between.
    let starts: Vec<Duration> = results[0]
        .as_ref()
        .unwrap()
        .intervals
        .iter()
        .map(|s| s.start)
        .collect();
    assert!(
        starts.windows(2).all(|pair| pair[1] - pair[0] >= 36 * MS),
        "{starts:?}"
    );
}

/// A stall at the end of a slice outlives it, and is in its latencies all the same.
fn what_is_due_in_a_slice_counts_whenever_it_ends() {
    let server = TestServer::start(|_, _| {
        let mut acts = vec![Act::Sleep(30 * MS)];
        acts.extend(pong());
        acts
    });
    let configs = [paced(server.addr, 400.0)];
    let mut order = Order::of(1, 2, Duration::ZERO, 20 * MS);
    let results = run(&configs, &[ping()], 2, &mut order);
    let m = results[0].as_ref().unwrap();
    assert_clean(m);
    // 8 are due in each slice, and 4 connections answer one each in 30 ms.
    assert_eq!((m.asked, m.requests, m.unsent), (16, 16, 0));
    for slice in &m.intervals {
        assert_eq!((slice.asked, slice.requests, slice.on_time), (8, 8, 0));
    }
    // The second four of a slice waited for the first.
    assert!(m.latency.min() >= 29_900_000);
    assert!(m.latency.count_between(40_000_000, u64::MAX) >= 8);
    // On the wire each took its own time alone.
    assert!(m.wire.min() < m.latency.max());
}

fn a_slice_can_be_repeated_at_a_rate() {
    let servers = [
        TestServer::start(|_, _| pong()),
        TestServer::start(|_, _| pong()),
    ];
    let configs = servers.each_ref().map(|server| paced(server.addr, 1000.0));
    let mut order = Order::of(2, 10, 5 * MS, 25 * MS);
    let results = run(&configs, &[ping(), ping()], 10, &mut order);
    for (result, server) in results.iter().zip(&servers) {
        let m = result.as_ref().unwrap();
        assert_clean(m);
        // 25 are due in each slice, 5 of them in the lead-in.
        assert_eq!((m.asked, m.sent_total, server.seen()), (200, 250, 250));
        assert_eq!(m.requests, 200);
        assert!(
            m.intervals
                .iter()
                .all(|slice| slice.asked == 20 && slice.answered == 25)
        );
        assert_eq!(m.send_lag.len(), 200);
    }
}

fn a_target_that_hangs_loses_no_more_than_its_own_time() {
    let hangs = TestServer::start(|n, _| if n > 4 { vec![Act::Hang] } else { pong() });
    let right = TestServer::start(|_, _| pong());
    let configs = [&hangs, &right].map(|server| Config {
        timeout: 50 * MS,
        ..config(server.addr)
    });
    let mut order = Order::of(2, 3, MS, 10 * MS);
    let results = run(&configs, &[ping(), ping()], 3, &mut order);
    let m = results[0].as_ref().unwrap();
    assert!(m.errors["timeout"] >= 4, "{:?}", m.errors);
    assert_eq!(
        m.unanswered, 0,
        "a slice waits until each of its requests has ended"
    );
    let told: u64 = order
        .ended
        .iter()
        .filter(|(s, _)| s.target == 0)
        .map(|(_, e)| e.unanswered)
        .sum();
    assert_eq!(told, m.errors["timeout"]);
    let m = results[1].as_ref().unwrap();
    assert_clean(m);
    assert_eq!(m.window, 27 * MS);
}

fn a_target_that_can_not_be_reached_fails_alone() {
    let right = TestServer::start(|_, _| pong());
    let configs = [config(nobody()), config(right.addr)];
    let mut order = Order::of(2, 2, MS, 10 * MS);
    let results = run(&configs, &[ping(), ping()], 2, &mut order);
    assert!(
        matches!(results[0], Err(DriveError::Refused { asked: 4, .. })),
        "{:?}",
        results[0]
    );
    assert_clean(results[1].as_ref().unwrap());
    let without: Vec<u64> = order
        .ended
        .iter()
        .filter(|(s, _)| s.target == 0)
        .map(|(_, e)| e.answered)
        .collect();
    assert_eq!(without, [0, 0]);
}

/// As a server with a short keep-alive does while others have the load.
fn connections_closed_between_slices_are_made_again() {
    let closes = TestServer::start(|n, _| {
        let mut acts = pong();
        // Each of the four connections after its second answer, a little later.
        if n > 4 && n <= 8 {
            acts.extend([Act::Sleep(5 * MS), Act::Close]);
        }
        acts
    });
    let right = TestServer::start(|_, _| pong());
    let slow = Config {
        // Two requests a connection in the first slice.
        ..paced(closes.addr, 160.0)
    };
    let configs = [slow, config(right.addr)];
    // Slices so long that the connections close before the next one, also on a busy machine.
    let mut order = Order::of(2, 3, Duration::ZERO, 50 * MS);
    let results = run(&configs, &[ping(), ping()], 3, &mut order);
    let m = results[0].as_ref().unwrap();
    assert_clean(m);
    assert_eq!((m.requests, m.reconnects), (24, 4));
    assert_clean(results[1].as_ref().unwrap());
}

fn two_threads_take_turns_together() {
    let (own, bad) = (Arc::default(), Arc::default());
    let servers = watched(2, &own, &bad);
    let configs: Vec<Config> = servers
        .iter()
        .map(|server| Config {
            cpus: vec![0, 0],
            ..config(server.addr)
        })
        .collect();
    let mut order = Order::of(2, 5, MS, 9 * MS);
    let results = run(&configs, &[ping(), ping()], 5, &mut order);
    assert_eq!(bad.load(Ordering::SeqCst), 0);
    for (result, server) in results.iter().zip(&servers) {
        let m = result.as_ref().unwrap();
        assert_clean(m);
        assert_eq!((m.threads.len(), m.established), (2, 4));
        assert_eq!((m.window, m.sent_total), (40 * MS, server.seen()));
    }
}

fn errors_stay_with_their_target() {
    let wrong = TestServer::start(|n, _| {
        let status = if n % 3 == 0 { "500 Oops" } else { "200 OK" };
        vec![Act::Write(response(status, PONG).into())]
    });
    let right = TestServer::start(|_, _| pong());
    let configs = [config(wrong.addr), config(right.addr)];
    let mut order = Order::of(2, 2, MS, 10 * MS);
    let results = run(&configs, &[ping(), ping()], 2, &mut order);
    let m = results[0].as_ref().unwrap();
    assert_eq!(m.errors.keys().collect::<Vec<_>>(), [&"status"]);
    let of_slices: u64 = m.intervals.iter().map(|slice| slice.errors).sum();
    assert_eq!(of_slices, m.errors_total());
    assert_clean(results[1].as_ref().unwrap());
}

#[test]
fn too_few_descriptors_are_told_before_anything_is_begun() {
    let addr: std::net::SocketAddr = ([127, 0, 0, 1], 9).into();
    let config = Config {
        connections: 999_999,
        ..Config::new(addr)
    };
    let (script, control) = (ping(), Control::default());
    let target = Target {
        config: &config,
        script: &script,
        control: &control,
    };
    let mut order = Order::of(2, 1, Duration::ZERO, MS);
    let refused = interleave(&[target, target], 1, &mut order).unwrap_err();
    // Twice a million connections are more than a process may have.
    assert!(
        matches!(refused, DriveError::Descriptors { asked, .. } if asked >= 1_999_998 || asked == 999_999),
        "{refused}"
    );
    assert!(order.ended.is_empty());
}
