//! When each connection of a thread sends next.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::clock::Clock;
use super::recorder::{Nanos, nanos};
use super::schedule::Schedule;
use super::{Arrivals, Config, Pace, Think};

/// How the connections of one thread take turns.
#[derive(Debug)]
pub(crate) enum Pacing {
    /// Each sends again as soon as it has its response.
    Closed,
    /// Each sends again some time after its response.
    Thinking(Thinking),
    /// Each has its own send times.
    Turns(Turns),
    /// Requests arrive at times that belong to no connection; whichever is free takes the next.
    Arriving(Arriving),
}

/// What has become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// This connection of the thread has one more request to send.
    Slot(usize),
    /// The think time of this connection is over.
    Thought(usize),
    /// A request waits for any free connection.
    Any,
}

impl Due {
    /// Whether it is a request with a send time of its own.
    pub(crate) fn is_arrival(self) -> bool {
        !matches!(self, Self::Thought(_))
    }
}

impl Pacing {
    /// For every `threads`-th connection, starting with `thread`.
    pub(crate) fn new(config: &Config, place: (usize, usize), seed: u64) -> Self {
        let schedule = || Schedule::new(&config.pace, config.connections);
        match (&config.pace, config.arrivals, config.think) {
            (Pace::Closed, _, None) => Self::Closed,
            (Pace::Closed, _, Some(think)) => {
                Self::Thinking(Thinking::new(think, config.connections, place, seed))
            }
            (Pace::Times(times), _, _) => {
                let list = Times::List {
                    times: times.clone(),
                    next: place.0,
                    step: place.1,
                };
                Self::Arriving(Arriving::new(list, config.connections, place))
            }
            (_, Arrivals::Constant, _) => Self::Turns(Turns {
                schedule: schedule(),
                slots: vec![Counts::default(); slots(config.connections, place)],
                place: (place.0 as u64, place.1 as u64),
                origin: 0,
                next: 0,
            }),
            (_, Arrivals::Poisson, _) => {
                let connections = config.connections;
                let random = Times::Random {
                    schedule: schedule(),
                    scale: connections as f64 / slots(connections, place) as f64,
                    gaps: Gaps {
                        rng: Pcg64::seed_from_u64(seed),
                        sum: 0.0,
                    },
                };
                Self::Arriving(Arriving::new(random, connections, place))
            }
        }
    }

    /// Whether requests have send times, whether or not earlier ones were answered.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self, Self::Turns(_) | Self::Arriving(_))
    }

    /// Sets the start of the schedule; nothing is due before. Can be called again.
    pub(crate) fn begin(&mut self, origin: Nanos) {
        match self {
            Self::Closed => {}
            Self::Thinking(thinking) => thinking.begin(origin),
            Self::Turns(turns) => turns.begin(origin),
            Self::Arriving(arriving) => arriving.begin(origin),
        }
    }

    /// When something is due next; `Nanos::MAX` if that is unknown, or never.
    pub(crate) fn next_due(&self) -> Nanos {
        match self {
            Self::Closed => Nanos::MAX,
            Self::Thinking(thinking) => thinking.next_due(),
            Self::Turns(turns) => turns.due(turns.next, turns.slots[turns.next].due),
            Self::Arriving(arriving) => arriving.due,
        }
    }

    /// Takes what is due next, if there is anything.
    pub(crate) fn take(&mut self) -> Option<Due> {
        match self {
            Self::Closed => None,
            Self::Thinking(thinking) => thinking.take().map(Due::Thought),
            Self::Turns(turns) => Some(Due::Slot(turns.take())),
            Self::Arriving(arriving) => {
                arriving.arrive();
                Some(Due::Any)
            }
        }
    }

    /// Whether this free connection has a request to send. If it must wait for one to arrive, remembers that it
    /// is free.
    #[inline]
    pub(crate) fn may_send(&mut self, slot: usize, clock: &Clock) -> bool {
        match self {
            Self::Closed => true,
            Self::Thinking(thinking) => thinking.end(slot) <= clock.now(),
            Self::Turns(turns) => turns.slots[slot].waiting() > 0,
            Self::Arriving(arriving) => {
                let sends = arriving.waiting > 0;
                if !sends {
                    arriving.rest(slot);
                }
                sends
            }
        }
    }

    /// A connection sends its next request. Returns when that was due; `None` in a closed loop.
    #[inline]
    pub(crate) fn send(&mut self, slot: usize) -> Option<Nanos> {
        match self {
            Self::Closed => None,
            Self::Thinking(thinking) => Some(thinking.end(slot)),
            Self::Turns(turns) => Some(turns.send(slot)),
            Self::Arriving(arriving) => Some(arriving.send()),
        }
    }

    /// The connection that has waited longest for a request to arrive, if there is one; it may have been closed
    /// since.
    pub(crate) fn rested(&mut self) -> Option<usize> {
        match self {
            Self::Closed | Self::Thinking(_) | Self::Turns(_) => None,
            Self::Arriving(arriving) => arriving.rested(),
        }
    }

    /// Requests that were due but not sent.
    pub(crate) fn waiting(&self) -> u64 {
        match self {
            Self::Closed | Self::Thinking(_) => 0,
            Self::Turns(turns) => turns.slots.iter().map(Counts::waiting).sum(),
            Self::Arriving(arriving) => arriving.waiting,
        }
    }
}

/// Number of `connections` that belong to this thread.
fn slots(connections: usize, (thread, threads): (usize, usize)) -> usize {
    (thread..connections).step_by(threads).len()
}

/// Send times of each connection, computed in closed form.
#[derive(Debug)]
pub(crate) struct Turns {
    schedule: Schedule,
    slots: Vec<Counts>,
    /// The index of the thread, and the number of threads.
    place: (u64, u64),
    origin: Nanos,
    /// The slot whose request is due next.
    next: usize,
}

/// The requests of one slot so far.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    due: u64,
    sent: u64,
}

impl Counts {
    fn waiting(&self) -> u64 {
        self.due - self.sent
    }
}

impl Turns {
    fn begin(&mut self, origin: Nanos) {
        (self.origin, self.next) = (origin, 0);
        self.slots.fill(Counts::default());
    }

    /// When request `k` of a slot is due.
    fn due(&self, slot: usize, k: u64) -> Nanos {
        let connection = self.place.0 + slot as u64 * self.place.1;
        let due = self.schedule.due_ns(connection, k);
        due.saturating_add(self.origin)
    }

    fn take(&mut self) -> usize {
        let slot = self.next;
        self.slots[slot].due += 1;
        self.next = if slot + 1 == self.slots.len() {
            0
        } else {
            slot + 1
        };
        slot
    }

    /// Sends a slot's next request; returns when it was due.
    fn send(&mut self, slot: usize) -> Nanos {
        let due = self.due(slot, self.slots[slot].sent);
        self.slots[slot].sent += 1;
        due
    }
}

/// Connections that pause between a response and the next request.
#[derive(Debug)]
pub(crate) struct Thinking {
    think: Think,
    rng: Pcg64,
    /// When each slot's think time ends. Entries that are no longer valid are skipped.
    ends: BinaryHeap<Reverse<(Nanos, u32)>>,
    /// The valid entry of each slot; 0 if none.
    valid: Vec<Nanos>,
    /// The position of each slot among all connections, from 0 to 1.
    phase: Vec<f64>,
}

impl Thinking {
    fn new(think: Think, connections: usize, place: (usize, usize), seed: u64) -> Self {
        let phase: Vec<f64> = (place.0..connections)
            .step_by(place.1)
            .map(|connection| connection as f64 / connections as f64)
            .collect();
        Self {
            think,
            rng: Pcg64::seed_from_u64(seed),
            ends: BinaryHeap::with_capacity(2 * phase.len()),
            valid: vec![0; phase.len()],
            phase,
        }
    }

    /// Spreads the first requests over one mean think time, so that they are no denser than later ones.
    fn begin(&mut self, origin: Nanos) {
        let mean = nanos(self.think.mean()) as f64;
        for slot in 0..self.phase.len() {
            let first = origin + (mean * self.phase[slot]) as Nanos;
            self.until(slot, first);
        }
    }

    fn until(&mut self, slot: usize, end: Nanos) {
        self.valid[slot] = end;
        self.ends.push(Reverse((end, slot as u32)));
    }

    /// A request of this slot has ended. Returns when its next is due.
    pub(crate) fn rest(&mut self, slot: usize, now: Nanos) -> Nanos {
        let time = match self.think {
            Think::Fixed(time) => nanos(time),
            Think::Uniform(least, most) => self.rng.random_range(nanos(least)..=nanos(most)),
            Think::Exponential(mean) => {
                (nanos(mean) as f64 * exponential(&mut self.rng)).round() as Nanos
            }
        };
        let end = now + time.max(1);
        self.until(slot, end);
        end
    }

    /// When the slot's think time ends.
    fn end(&self, slot: usize) -> Nanos {
        self.valid[slot]
    }

    fn next_due(&self) -> Nanos {
        self.ends.peek().map_or(Nanos::MAX, |end| end.0.0)
    }

    fn take(&mut self) -> Option<usize> {
        let Reverse((end, slot)) = self.ends.pop()?;
        let slot = slot as usize;
        (self.valid[slot] == end).then_some(slot)
    }
}

/// Requests that arrive at times which belong to no connection.
#[derive(Debug)]
pub(crate) struct Arriving {
    origin: Nanos,
    /// The time of the next arrival, and of the next request to send: the same sequence twice, so that waiting
    /// requests need no memory.
    coming: Times,
    sending: Times,
    due: Nanos,
    /// Requests that arrived and were not sent.
    waiting: u64,
    /// Free connections, the one free for longest first.
    idle: VecDeque<u32>,
    is_idle: Vec<bool>,
}

/// When the requests of one thread arrive.
#[derive(Debug, Clone)]
enum Times {
    /// At random, like those of many independent users.
    ///
    /// A Poisson process of rate 1 is a sum of exponential gaps. Mapped through `Λ⁻¹`, the inverse of the
    /// integrated rate, it becomes one of that rate, constant or not (the time change of Çinlar, *Introduction to
    /// Stochastic Processes*, 1975, chapter 4.7). Each thread has its own process with its connections' share of
    /// the rate; together they form one with the full rate (superposition). Gaps are drawn from a generator seeded
    /// by run and thread and are never measured, so the times are the same in each run and nothing drifts.
    Random {
        schedule: Schedule,
        /// Requests of all threads per request of this thread.
        scale: f64,
        gaps: Gaps,
    },
    /// At every `step`-th of these times, in nanoseconds after the start.
    List {
        times: Arc<[u64]>,
        next: usize,
        step: usize,
    },
}

impl Times {
    /// Starts again. Random gaps continue their sequence.
    fn restart(&mut self) {
        match self {
            Self::Random { gaps, .. } => gaps.sum = 0.0,
            Self::List { next, step, .. } => *next %= *step,
        }
    }

    /// The next time, in nanoseconds after the start; the maximum if there is none.
    fn next(&mut self) -> u64 {
        match self {
            Self::Random {
                schedule,
                scale,
                gaps,
            } => schedule.at_ns(gaps.next() * *scale),
            Self::List { times, next, step } => {
                let time = times.get(*next).copied().unwrap_or(u64::MAX);
                *next += *step;
                time
            }
        }
    }
}

impl Arriving {
    fn new(times: Times, connections: usize, place: (usize, usize)) -> Self {
        let slots = slots(connections, place);
        Self {
            origin: 0,
            coming: times.clone(),
            sending: times,
            due: Nanos::MAX,
            waiting: 0,
            idle: VecDeque::with_capacity(slots),
            is_idle: vec![false; slots],
        }
    }

    fn begin(&mut self, origin: Nanos) {
        self.origin = origin;
        self.waiting = 0;
        self.coming.restart();
        self.sending = self.coming.clone();
        self.due = self.coming.next().saturating_add(origin);
    }

    fn arrive(&mut self) {
        self.waiting += 1;
        self.due = self.coming.next().saturating_add(self.origin);
    }

    /// Takes the request that has waited longest; returns when it arrived.
    fn send(&mut self) -> Nanos {
        self.waiting -= 1;
        self.sending.next().saturating_add(self.origin)
    }

    /// A connection has nothing to send.
    fn rest(&mut self, slot: usize) {
        if !self.is_idle[slot] {
            self.is_idle[slot] = true;
            self.idle.push_back(slot as u32);
        }
    }

    /// A connection that had nothing to send; it may have been closed since.
    fn rested(&mut self) -> Option<usize> {
        let slot = self.idle.pop_front()? as usize;
        self.is_idle[slot] = false;
        Some(slot)
    }
}

/// The sums of exponential gaps with mean 1.
#[derive(Debug, Clone)]
struct Gaps {
    rng: Pcg64,
    sum: f64,
}

impl Gaps {
    fn next(&mut self) -> f64 {
        self.sum += exponential(&mut self.rng);
        self.sum
    }
}

/// An exponential variate with mean 1, by inversion: `-ln U` with U uniform, above 0 and up to 1.
fn exponential(rng: &mut Pcg64) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::RateStage;

    const SECOND: Nanos = 1_000_000_000;

    fn config(pace: Pace) -> Config {
        Config {
            connections: 7,
            pace,
            ..Config::new(std::net::SocketAddr::from(([127, 0, 0, 1], 9)))
        }
    }

    fn pacing(config: &Config, place: (usize, usize)) -> Pacing {
        let mut pacing = Pacing::new(config, place, 5 + place.0 as u64);
        pacing.begin(SECOND);
        pacing
    }

    /// All turns before `end`.
    fn turns(pacing: &mut Pacing, end: Nanos) -> Vec<(Nanos, Due)> {
        let mut all = Vec::new();
        while pacing.next_due() < end {
            let due = pacing.next_due();
            all.extend(pacing.take().map(|turn| (due, turn)));
        }
        all
    }

    fn poisson(pace: Pace) -> Config {
        Config {
            arrivals: Arrivals::Poisson,
            ..config(pace)
        }
    }

    #[test]
    fn all_connections_have_their_turn_at_even_steps() {
        let config = config(Pace::Rate { per_second: 1000.0 });
        let mut due: Vec<Nanos> = Vec::new();
        for thread in 0..3 {
            let turns = turns(&mut pacing(&config, (thread, 3)), 2 * SECOND);
            // 7 connections over 3 threads: 3, 2 and 2.
            let slots = [3, 2, 2][thread];
            for (n, (_, turn)) in turns.iter().enumerate() {
                assert_eq!(*turn, Due::Slot(n % slots));
            }
            due.extend(turns.iter().map(|(due, _)| due));
        }
        due.sort_unstable();
        let even: Vec<Nanos> = (0..1000).map(|n| SECOND + n * 1_000_000).collect();
        assert_eq!(due, even);
    }

    #[test]
    fn random_arrivals_are_the_same_for_the_same_seed() {
        let config = poisson(Pace::Rate { per_second: 1000.0 });
        let all = |thread| turns(&mut pacing(&config, (thread, 3)), 4 * SECOND);
        assert_eq!(all(0), all(0));
        assert_ne!(all(1), all(2));
    }

    #[test]
    fn random_arrivals_are_sent_at_the_times_they_came() {
        let mut pacing = pacing(&poisson(Pace::Rate { per_second: 500.0 }), (0, 1));
        let turns = turns(&mut pacing, 3 * SECOND);
        let Pacing::Arriving(arriving) = &mut pacing else {
            unreachable!()
        };
        assert_eq!(arriving.waiting, turns.len() as u64);
        for (due, _) in turns {
            assert_eq!(arriving.send(), due);
        }
        assert_eq!(arriving.waiting, 0);
    }

    /// The mean and the standard deviation of an exponential distribution are equal, and 1/e of its values are
    /// above the mean.
    #[test]
    fn the_threads_together_are_one_poisson_process() {
        let config = poisson(Pace::Rate { per_second: 2000.0 });
        let mut due: Vec<Nanos> = Vec::new();
        for thread in 0..3 {
            due.extend(
                turns(&mut pacing(&config, (thread, 3)), 26 * SECOND)
                    .iter()
                    .map(|t| t.0),
            );
        }
        due.sort_unstable();
        // 50,000 expected, give or take √50,000 = 224.
        assert!(due.len().abs_diff(50_000) < 900, "{}", due.len());
        let gaps: Vec<f64> = due.windows(2).map(|w| (w[1] - w[0]) as f64).collect();
        let n = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / n;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / n;
        assert!(
            (variance.sqrt() / mean - 1.0).abs() < 0.03,
            "{mean} {variance}"
        );
        let long = gaps.iter().filter(|gap| **gap > mean).count() as f64 / n;
        assert!((long - (-1.0_f64).exp()).abs() < 0.01, "{long}");
        // A gap says nothing about the next one.
        let pairs = gaps.windows(2).map(|w| (w[0] - mean) * (w[1] - mean));
        let correlation = pairs.sum::<f64>() / n / variance;
        assert!(correlation.abs() < 0.02, "{correlation}");
    }

    #[test]
    fn random_arrivals_follow_a_ramp() {
        let length = Duration::from_secs(10);
        let stages =
            [(0.0, 4000.0), (4000.0, 4000.0)].map(|(from, to)| RateStage { length, from, to });
        let mut pacing = pacing(&poisson(Pace::Stages(stages.to_vec())), (0, 1));
        let due = turns(&mut pacing, Nanos::MAX);
        let before = |ns| due.iter().filter(|(due, _)| *due < SECOND + ns).count();
        // 200 t² in the ramp: 5,000 in its first half; then 40,000. Within 5 √n.
        for (ns, expected) in [
            (5 * SECOND, 5_000.0),
            (10 * SECOND, 20_000.0),
            (20 * SECOND, 60_000.0_f64),
        ] {
            let off = (before(ns) as f64 - expected).abs();
            assert!(off < 5.0 * expected.sqrt(), "{ns}: {off} of {expected}");
        }
        assert_eq!(before(20 * SECOND), due.len());
    }

    #[test]
    fn given_times_are_shared_out_and_come_again_after_each_begin() {
        let times: Vec<Nanos> = [0, 5, 5, 7, 100, 1000, 1001].to_vec();
        let config = config(Pace::Times(times.clone().into()));
        let mut all = Vec::new();
        for thread in 0..3 {
            let mut pacing = pacing(&config, (thread, 3));
            let due = turns(&mut pacing, Nanos::MAX);
            pacing.begin(SECOND);
            assert_eq!(turns(&mut pacing, Nanos::MAX), due);
            let Pacing::Arriving(arriving) = &mut pacing else {
                unreachable!()
            };
            assert_eq!(arriving.waiting, [3, 2, 2][thread]);
            for (at, _) in &due {
                assert_eq!(arriving.send(), *at);
            }
            all.extend(due.iter().map(|(at, _)| at - SECOND));
        }
        all.sort_unstable();
        assert_eq!(all, times);
    }

    #[test]
    fn a_free_connection_is_listed_once() {
        let mut pacing = pacing(&poisson(Pace::Rate { per_second: 1.0 }), (0, 2));
        let Pacing::Arriving(arriving) = &mut pacing else {
            unreachable!()
        };
        for slot in [2, 0, 2] {
            arriving.rest(slot);
        }
        assert_eq!(
            [(); 3].map(|()| arriving.rested()),
            [Some(2), Some(0), None]
        );
        arriving.rest(2);
        assert_eq!(arriving.rested(), Some(2));
    }

    #[test]
    fn thinking_is_staggered_at_first_and_then_follows_the_answers() {
        let config = Config {
            think: Some(Think::Fixed(Duration::from_millis(70))),
            ..config(Pace::Closed)
        };
        let mut pacing = pacing(&config, (1, 2));
        let ms = 1_000_000;
        let first = turns(&mut pacing, Nanos::MAX);
        let at = |n: u64| SECOND + n * 10 * ms;
        assert_eq!(
            first,
            [(at(1), 0), (at(3), 1), (at(5), 2)].map(|(at, slot)| (at, Due::Thought(slot)))
        );
        let Pacing::Thinking(thinking) = &mut pacing else {
            unreachable!()
        };
        assert_eq!(thinking.rest(2, at(6)), at(13));
        // Only the last call counts.
        assert_eq!(thinking.rest(2, at(7)), at(14));
        assert_eq!(thinking.end(2), at(14));
        assert_eq!(turns(&mut pacing, Nanos::MAX), [(at(14), Due::Thought(2))]);
    }

    /// `count` think times in nanoseconds.
    fn think_times(think: Think, count: usize) -> Vec<Nanos> {
        let config = Config {
            think: Some(think),
            ..config(Pace::Closed)
        };
        let Pacing::Thinking(mut thinking) = pacing(&config, (0, 1)) else {
            unreachable!()
        };
        let times = (0..count).map(|_| thinking.rest(0, SECOND) - SECOND);
        times.collect()
    }

    #[test]
    fn random_think_times_have_their_mean() {
        let ms = Duration::from_millis;
        for think in [Think::Exponential(ms(3)), Think::Uniform(ms(1), ms(5))] {
            let times = think_times(think, 20_000);
            let mean = times.iter().sum::<Nanos>() as f64 / times.len() as f64;
            assert!((mean / 3e6 - 1.0).abs() < 0.03, "{think:?}: {mean}");
        }
        let uniform = think_times(Think::Uniform(ms(1), ms(5)), 20_000);
        let least = uniform.iter().min().copied().unwrap();
        let most = uniform.iter().max().copied().unwrap();
        assert!((1_000_000..1_010_000).contains(&least), "{least}");
        assert!((4_990_000..=5_000_000).contains(&most), "{most}");
    }
}
