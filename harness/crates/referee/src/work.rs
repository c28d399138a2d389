//! How much CPU time a response takes: a server that caches responses needs less for a request it has seen, and
//! one that recognises the load generator may need less for its requests.
//!
//! Two sets of requests that need the same work from a server without such tricks take turns, and the CPU time of
//! the server's processes tells them apart. The data they read and the sizes of their responses are the same, so
//! caches of the CPU make no difference either. Requests go over several connections at once, as under load: a
//! server that wakes up for each request would spend most of its time on that.

use std::thread::sleep;
use std::time::{Duration, Instant};

use rand::seq::SliceRandom as _;

use super::Outcome;
use super::client::Client;
use super::process::{ProcessCheck, Scene};
use super::raw::Connection;
use super::response::excerpt;
use super::subject::TIMEOUT;

/// How many times the second set's CPU time the first may take, as the median of the rounds.
const LIMIT: f64 = 1.15;
const ROUNDS: u64 = 40;
/// A slow server gets fewer rounds, but at least so many.
const LEAST_ROUNDS: usize = 12;
const TIME: Duration = Duration::from_secs(4);
const CONNECTIONS: usize = 8;
/// A thread's CPU time is complete once it sleeps.
const REST: Duration = Duration::from_millis(1);
/// Each set reads these first users, page by page.
const USERS: u64 = 4_000;
/// The smallest page of [`repeated`]. No other check requests such pages, except a few.
const LEAST_LIMIT: u64 = 60;

pub(super) const CHECKS: &[ProcessCheck] = checks! {
    "work-repeated" => repeated: "a repeated request takes as much CPU time as a new one: no response is cached",
    "work-common" => common: "the load's most common request takes as much CPU time as others like it",
    "work-recognised" => recognised: "the load generator's requests take as much CPU time as another client's",
};

/// The two sets of requests of a round. By definition the second takes no more time.
type Sets = [Vec<Vec<u8>>; 2];

fn repeated(scene: &mut Scene<'_>) -> Outcome {
    let addr = scene.subject().addr();
    let mut rng = scene.subject().rng("work-repeated");
    let mut limits: Vec<u64> = (LEAST_LIMIT..LEAST_LIMIT + ROUNDS).collect();
    limits.shuffle(&mut rng);
    let client = Client::load();
    let rounds = limits.into_iter().map(|limit| {
        let targets = (1..=USERS / limit).map(|page| page_of(limit, page));
        let set: Vec<_> = targets
            .map(|target| client.wire(addr, "GET", &target, None))
            .collect();
        [set.clone(), set]
    });
    let what = ["new pages of users", "the same pages again"];
    compare(scene, what, rounds, Turns::Fixed)
}

fn common(scene: &mut Scene<'_>) -> Outcome {
    let addr = scene.subject().addr();
    let client = Client::load();
    let wire = |page| client.wire(addr, "GET", &page_of(20, page), None);
    let others = (2..10).cycle().take(64).map(wire);
    let sets = [others.collect(), vec![wire(1); 64]];
    let what = ["pages 2 to 9 of 20 users", "page 1"];
    let rounds = (0..ROUNDS).map(|_| sets.clone());
    compare(scene, what, rounds, Turns::Alternating)
}

fn recognised(scene: &mut Scene<'_>) -> Outcome {
    let addr = scene.subject().addr();
    let sets = [Client::curl(), Client::load()].map(|client| {
        let targets = (1..=USERS / 100).map(|page| page_of(100, page));
        targets
            .map(|target| client.wire(addr, "GET", &target, None))
            .collect::<Vec<_>>()
    });
    let what = [
        "pages of users as curl",
        "the same pages as the load generator",
    ];
    let rounds = (0..ROUNDS).map(|_| sets.clone());
    compare(scene, what, rounds, Turns::Alternating)
}

fn page_of(limit: u64, page: u64) -> String {
    format!("/api/v1/users?limit={limit}&page={page}")
}

/// Which set of a round comes first.
#[derive(PartialEq)]
enum Turns {
    Fixed,
    Alternating,
}

fn compare(
    scene: &mut Scene<'_>,
    what: [&str; 2],
    rounds: impl Iterator<Item = Sets>,
    turns: Turns,
) -> Outcome {
    let mut connections: [Option<Connection>; CONNECTIONS] = std::array::from_fn(|_| None);
    let begin = Instant::now();
    let mut ratios = Vec::new();
    let mut times = [Vec::new(), Vec::new()];
    for (number, sets) in rounds.enumerate() {
        if number >= LEAST_ROUNDS && begin.elapsed() > TIME {
            break;
        }
        let mut places = [0, 1];
        if turns == Turns::Alternating && number % 2 == 1 {
            places.reverse();
        }
        let mut cpu = [0.0; 2];
        for place in places {
            let set = &sets[place];
            let before = scene.cpu_time()?;
            send(scene, &mut connections, set).map_err(|(wire, got)| {
                let text = String::from_utf8_lossy(wire);
                let line = text.split(" HTTP/").next().unwrap_or_default();
                format!("sent: {line}\ngot:  {got}\nexpected: 200")
            })?;
            sleep(REST);
            let used = scene.cpu_time()?.saturating_sub(before);
            cpu[place] = used.as_secs_f64() * 1e6 / set.len() as f64;
            times[place].push(cpu[place]);
        }
        // The first round warms up.
        if number > 0 {
            ratios.push(cpu[0] / cpu[1]);
        }
    }
    let ratio = median(ratios);
    let [first, second] = times.map(median);
    match ratio <= LIMIT {
        true => Ok(()),
        false => Err(format!(
            "sent: {}, and {}\ngot:  {ratio:.2} times the CPU time for the first ({first:.1} µs a request, then \
             {second:.1} µs)\nexpected: at most {LIMIT} times: both need the same work",
            what[0], what[1]
        )),
    }
}

/// Sends the requests, one over each connection at a time.
///
/// # Errors
/// The first request that isn't answered with 200, and what came instead.
fn send<'w>(
    scene: &Scene<'_>,
    connections: &mut [Option<Connection>; CONNECTIONS],
    wires: &'w [Vec<u8>],
) -> Result<(), (&'w [u8], String)> {
    let addr = scene.subject().addr();
    for batch in wires.chunks(CONNECTIONS) {
        let mut open = Vec::with_capacity(CONNECTIONS);
        for (wire, connection) in batch.iter().zip(connections.iter_mut()) {
            let mut fresh = match connection.take() {
                Some(open) => open,
                None => Connection::open(addr, TIMEOUT)
                    .map_err(|error| (wire.as_slice(), error.to_string()))?,
            };
            fresh
                .send(wire)
                .map_err(|error| (wire.as_slice(), error.to_string()))?;
            open.push((wire, fresh, connection));
        }
        for (wire, mut answering, connection) in open {
            let answer = answering.answer(Instant::now());
            let answer = answer.map_err(|error| (wire.as_slice(), error.to_string()))?;
            if answer.status != 200 {
                let got = format!("{} {}", answer.status, excerpt(&answer.body));
                return Err((wire, got));
            }
            if !answer.closes {
                *connection = Some(answering);
            }
        }
    }
    Ok(())
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
