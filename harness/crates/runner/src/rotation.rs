//! Gives the load to the entries of a round in turn, and reads their counters between slices.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::target::Peer;
use catalog::plan;
use loadgen::{Conductor, Slice, SliceEnd};
use machine::probe::{LightSample, Processes, Sample};

/// A slice is at least this many times as long as the slowest entry's latency. Otherwise it would mostly
/// measure filling and draining.
const LATENCIES_A_SLICE: f64 = 6.0;
/// A lead-in is as long as one request: by then the queue has filled.
const LATENCIES_A_LEAD_IN: f64 = 1.0;
/// At a fixed rate, what is taken for a latency is this many times the drain: requests that take longer than the
/// lead-in would count as missing from a slice.
const DRAINS_A_LATENCY: f64 = 1.5;
/// An entry that uses more than this share of a CPU while it waits takes it from the others, so from then on it
/// is stopped while it waits. See METHODOLOGY, "Entries that wait".
const PAUSE_FROM: f64 = 0.05;
/// Waiting time needed to judge that.
const PAUSE_AFTER: Duration = Duration::from_millis(300);

/// How a stage is cut into slices.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cut {
    /// Length of a slice, lead-in included.
    pub(super) slice: Duration,
    pub(super) lead_in: Duration,
    /// For each entry, over all slices, without lead-ins.
    pub(super) measured: Duration,
    /// For each entry, in slices at the start that don't count.
    pub(super) warmup: Duration,
}

impl Cut {
    /// Turns of each entry with the shortest slices.
    pub(super) fn cycles(self) -> usize {
        let counts = self.slice.saturating_sub(self.lead_in).as_secs_f64();
        ((self.measured.as_secs_f64() / counts.max(1e-6)).round() as usize).max(1)
    }

    /// Turns of each entry before slices count.
    fn warmup_cycles(self) -> usize {
        (self.warmup.as_secs_f64() / self.slice.as_secs_f64()).ceil() as usize
    }

    /// Fewer but longer slices, so that at this rate at least `requests` are due in one.
    pub(super) fn holding(self, requests: usize, per_second: f64) -> Self {
        let needed = Duration::from_secs_f64(requests as f64 / per_second);
        Self {
            slice: self.slice.max(self.lead_in + needed).min(self.longest()),
            ..self
        }
    }

    /// A single slice for the whole time.
    fn longest(self) -> Duration {
        self.measured + self.lead_in
    }

    /// Longer slices, and never more of them, if the slowest entry has this latency.
    fn fitting(self, latency: Duration) -> Self {
        let lead_in = self
            .lead_in
            .max(latency.mul_f64(LATENCIES_A_LEAD_IN))
            .min(self.longest() / 4);
        let counts = self.slice.saturating_sub(self.lead_in);
        Self {
            slice: (lead_in + counts)
                .max(latency.mul_f64(LATENCIES_A_SLICE))
                .min(lead_in + self.measured),
            lead_in,
            ..self
        }
    }
}

/// Readings of an entry between slices.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// Of each slice that counts: before its first request, and after its last response.
    pub(super) slices: Vec<(LightSample, LightSample)>,
    /// Total time of these slices.
    pub(super) elapsed: Duration,
    /// Before the first slice that counts and after the last, with the connections open.
    pub(super) start: Option<Sample>,
    pub(super) end: Option<Sample>,
    /// CPU time it used while others had the load, and how long that was.
    pub(super) waiting_cpu_ns: u64,
    pub(super) waiting: Duration,
    /// Whether it was stopped meanwhile.
    pub(super) paused: bool,
    /// Why it lost its turn, if it did.
    pub(super) out: Option<String>,
}

impl Turns {
    /// The readings before the first slice that counts, and after each.
    pub(super) fn edges(&self) -> Vec<LightSample> {
        let first = self.slices.first().map(|(before, _)| *before);
        let after = self.slices.iter().map(|(_, after)| *after);
        first.into_iter().chain(after).collect()
    }
}

struct Entrant<'m> {
    running: &'m mut Peer,
    processes: &'m mut Processes,
    turns: Turns,
    /// When its last slice ended, and its CPU time then.
    rests: Option<(Instant, Option<u64>)>,
    before: LightSample,
    stopped: bool,
    /// The lowest latency in a slice of the warm-up. A stall of the machine is not the server's fault.
    latency: Option<Duration>,
}

/// The order of the slices of one stage, and the readings between them.
pub(super) struct Rotation<'m> {
    entrants: Vec<Entrant<'m>>,
    cut: Cut,
    /// Requests in flight in a closed loop.
    in_flight: Option<usize>,
    timeout: Duration,
    seed: u64,
    order: std::vec::IntoIter<usize>,
    counts: bool,
    begun: Option<Instant>,
    /// From the first slice that counts to the end of the last.
    pub(super) wall: Duration,
}

impl<'m> Rotation<'m> {
    pub(super) fn new(
        members: Vec<(&'m mut Peer, &'m mut Processes)>,
        cut: Cut,
        in_flight: Option<usize>,
        timeout: Duration,
        seed: u64,
    ) -> Self {
        let entrants: Vec<Entrant<'m>> = members
            .into_iter()
            .map(|(running, processes)| Entrant {
                running,
                processes,
                turns: Turns::default(),
                rests: None,
                before: LightSample::default(),
                stopped: false,
                latency: None,
            })
            .collect();
        let warm_up = plan::turns(entrants.len(), cut.warmup_cycles(), !seed);
        Self {
            entrants,
            cut,
            in_flight,
            timeout,
            seed,
            order: warm_up.into_iter(),
            counts: false,
            begun: None,
            wall: Duration::ZERO,
        }
    }

    /// The readings of each entry, in their order.
    pub(super) fn finish(mut self) -> (Vec<Turns>, Duration) {
        for entrant in &mut self.entrants {
            entrant.go_on();
        }
        let turns = self.entrants.into_iter().map(|entrant| entrant.turns);
        (turns.collect(), self.wall)
    }

    /// Ends the warm-up: from here on every slice counts.
    fn begin_counting(&mut self) {
        let slowest = self
            .entrants
            .iter()
            .filter_map(|entrant| entrant.latency)
            .max();
        self.cut = self.cut.fitting(slowest.unwrap_or_default());
        self.order = plan::turns(self.entrants.len(), self.cut.cycles(), self.seed).into_iter();
        self.counts = true;
        for entrant in &mut self.entrants {
            entrant.settle();
        }
        self.begun = Some(Instant::now());
    }

    fn slice(&self, target: usize) -> Slice {
        let length = self.cut.slice;
        let lead_in = if self.counts {
            self.cut.lead_in
        } else {
            length
        };
        Slice {
            target,
            lead_in,
            length,
        }
    }
}

impl Conductor for Rotation<'_> {
    fn next(&mut self) -> Option<Slice> {
        loop {
            let Some(target) = self.order.next() else {
                if self.counts {
                    self.wall = self.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
                    for entrant in &mut self.entrants {
                        entrant.go_on();
                        entrant.turns.end = Some(entrant.processes.sample());
                    }
                    return None;
                }
                self.begin_counting();
                continue;
            };
            let entrant = &mut self.entrants[target];
            if entrant.turns.out.is_none() {
                entrant.begin();
                return Some(self.slice(target));
            }
        }
    }

    fn ended(&mut self, slice: Slice, end: SliceEnd) {
        let entrant = &mut self.entrants[slice.target];
        entrant.end(self.counts, &end);
        if end.unanswered > 0 {
            entrant.turns.out = Some(format!(
                "{} requests of one slice were not answered within {} s; its later slices were skipped",
                end.unanswered,
                self.timeout.as_secs_f64()
            ));
        }
        if let Some(how) = entrant.running.ended() {
            entrant.turns.out = Some(format!("it ended {how} under load"));
        }
        if entrant.turns.out.is_some() {
            // It may still be working on earlier requests. It is ended when the stage is over, when all its
            // results are known.
            entrant.stop();
        } else if !self.counts && end.answered > 0 {
            let latency = match self.in_flight {
                // Little's law.
                Some(in_flight) => end.elapsed.mul_f64(in_flight as f64 / end.answered as f64),
                // The last request is due at the end of the slice, and the drain is its latency.
                None => {
                    let drain = end.elapsed.saturating_sub(slice.length);
                    drain.mul_f64(DRAINS_A_LATENCY)
                }
            };
            let least = entrant.latency.map_or(latency, |least| least.min(latency));
            entrant.latency = Some(least);
        }
    }
}

impl Entrant<'_> {
    fn begin(&mut self) {
        self.go_on();
        self.before = self.processes.sample_light();
        let Some((since, cpu_ns)) = self.rests.take() else {
            return;
        };
        let turns = &mut self.turns;
        turns.waiting += since.elapsed();
        let grown = cpu_ns.zip(self.before.cpu_ns);
        turns.waiting_cpu_ns += grown.map_or(0, |(then, now)| now.saturating_sub(then));
        let share = turns.waiting_cpu_ns as f64 / turns.waiting.as_nanos() as f64;
        turns.paused |=
            self.running.started().is_some() && turns.waiting > PAUSE_AFTER && share > PAUSE_FROM;
    }

    fn end(&mut self, counts: bool, end: &SliceEnd) {
        let after = self.processes.sample_light();
        if counts {
            self.turns.slices.push((self.before, after));
            self.turns.elapsed += end.elapsed;
        }
        self.rest(after.cpu_ns);
    }

    /// Between the warm-up and the slices that count.
    fn settle(&mut self) {
        if self.turns.out.is_some() {
            return;
        }
        self.begin();
        (self.turns.waiting, self.turns.waiting_cpu_ns) = (Duration::ZERO, 0);
        self.turns.start = Some(self.processes.sample());
        self.rest(self.before.cpu_ns);
    }

    fn rest(&mut self, cpu_ns: Option<u64>) {
        self.rests = Some((Instant::now(), cpu_ns));
        if self.turns.paused {
            self.stop();
        }
    }

    /// Only its own processes: the supervisor must stay awake to end them with the harness. Never a target.
    fn stop(&mut self) {
        if self.running.started().is_none() {
            return;
        }
        self.processes.signal(Signal::STOP);
        self.stopped = true;
    }

    fn go_on(&mut self) {
        if self.stopped && self.turns.out.is_none() {
            self.processes.signal(Signal::CONT);
            self.stopped = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slower_entries_get_longer_slices_and_never_more_of_them() {
        let ms = Duration::from_millis;
        let cut = Cut {
            slice: ms(10),
            lead_in: ms(1),
            measured: ms(350),
            warmup: ms(80),
        };
        for latency in (0..200_000).step_by(250).map(Duration::from_micros) {
            let fitted = cut.fitting(latency);
            assert!(fitted.cycles() <= cut.cycles(), "{latency:?}: {fitted:?}");
            assert!(fitted.slice >= cut.slice, "{latency:?}: {fitted:?}");
            assert!(
                fitted.lead_in * 4 <= fitted.slice + ms(1),
                "{latency:?}: {fitted:?}"
            );
        }
    }
}
