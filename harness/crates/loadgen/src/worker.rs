//! One thread: decides what to send on which connection and when. `connections` opens its connections, and
//! `replies` handles what it receives.

use std::ops::RangeInclusive;
use std::time::Duration;

use rustix::io::Errno;

use super::breakdown::Breakdown;
use super::clock::{Clock, thread_cpu};
use super::engine::{Engine, Event};
use super::ids::Ids;
use super::known::Known;
use super::pacing::{Pacing, Turn};
use super::pick::Pick;
use super::recorder::{Nanos, Recorder, nanos};
use super::schedule::share;
use super::script::{Entry, Expect};
use super::slot::{Plan, Slot, State};
use super::stretch::Stretch;
use super::tally::{Counts, Tally};
use super::{Config, Control, Order, Script, ThreadTime};
use crate::run_delay::run_delay_ns;

/// One iteration of the spinning loop takes about a microsecond. In a longer one the thread was interrupted or
/// lost its CPU, which doesn't count as spinning.
const LONGEST_TURN: Nanos = 20_000;
/// Minimum and maximum time between checks of timeouts, reconnects and the stop flag. A microsecond is added
/// per connection, so that thousands of them cost no more. A kernel timer ends each wait, and one that is due
/// before the kernel's next tick costs a write to the CPU's timer. On a virtual CPU that is an exit to the
/// host: up to a tenth of a request.
const TICKS: RangeInclusive<Nanos> = 5_000_000..=50_000_000;
/// The longest wait for responses after the window.
const DRAIN: Nanos = 1_000_000_000;
/// The same after a stop.
const SHORT_DRAIN: Nanos = 40_000_000;
/// Bytes kept of a split body beyond twice the expected length.
const KEEP: usize = 64 * 1024;

/// Time a thread has used so far.
#[derive(Debug, Clone, Copy)]
struct Clocks {
    cpu: Nanos,
    wait: Option<Nanos>,
    wall: Nanos,
}

/// The load of one thread.
pub(crate) struct Worker<'w, E> {
    pub(crate) engine: E,
    pub(crate) entries: &'w [Entry],
    list: &'w [u32],
    pick: Pick,
    pub(crate) control: &'w Control,
    pub(crate) pacing: Pacing,
    /// Requests per connection, if the first of them opens it; 0 if connections are kept open.
    pub(crate) per_connection: u32,
    pub(crate) timeout: Nanos,
    spin: bool,
    /// Whether it runs in slices, each of which ends with nothing in flight.
    sliced: bool,
    clock: Clock,
    pub(crate) plan: Plan,
    pub(crate) slots: Vec<Slot>,
    /// When the next turn comes on any slot, as far as known.
    next_due: Nanos,
    stretch: Stretch,
    /// When to check timeouts, reconnects and the stop flag next.
    tick_at: Nanos,
    /// Requests that were sent, or whose own connection was begun, and that have not ended.
    pub(crate) in_flight: usize,
    pub(crate) opening: usize,
    /// Whether to send requests: between the schedule's start and the window's end.
    pub(crate) sending: bool,
    /// Requests still to be sent; the maximum if there is no limit.
    left: u64,
    pub(crate) keep: usize,
    /// The last head of each kind of response.
    pub(crate) known: Vec<Known>,
    pub(crate) tally: Tally,
    /// Responses and errors already added to the live counters.
    told: (u64, u64),
    /// At the start of the window.
    at_start: Option<Clocks>,
}

impl<'w, E: Engine<'w>> Worker<'w, E> {
    /// A worker for every `threads`-th connection, starting with `thread`. It has one window, or at most this
    /// many counted slices.
    pub(crate) fn new(
        engine: E,
        (thread, threads): (usize, usize),
        config: &Config,
        script: &'w Script,
        control: &'w Control,
        clock: Clock,
        slices: Option<usize>,
    ) -> Self {
        let entries = &script.entries[..];
        let longest = entries.iter().map(|e| e.expect.body_len()).max();
        let numbered = |e: &Entry| matches!(e.expect, Expect::Numbered { .. });
        // The highest possible latency: due at once, sent at the end, timed out.
        let max = config.warmup + config.duration + config.timeout + Duration::from_secs(2);
        let connections = (thread..config.connections).step_by(threads);
        let per_connection = config.requests_per_connection.unwrap_or(0);
        if per_connection > 0 {
            // Prepared now, not while the clock runs.
            for entry in entries {
                entry.last();
            }
        }
        // Streams of one generator may be correlated, so each thread has its own seed.
        let seed = config
            .seed
            .wrapping_add((thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut recorder = match slices {
            None => Recorder::new(config.duration, config.interval, max),
            Some(slices) => Recorder::sliced(slices, max),
        };
        recorder.breakdown = Breakdown::new(script.classes.len(), &config.pace, max);
        Self {
            engine,
            entries,
            list: &script.list,
            pick: match script.order {
                Order::Drawn => Pick::drawn(seed),
                Order::InTurn => Pick::in_turn((thread, threads), script.list.len()),
            },
            control,
            pacing: Pacing::new(config, (thread, threads), seed),
            per_connection,
            timeout: nanos(config.timeout),
            spin: config.spin,
            sliced: slices.is_some(),
            clock,
            plan: Plan {
                origin: Nanos::MAX,
                start: Nanos::MAX,
                end: Nanos::MAX,
            },
            slots: connections.map(|_| Slot::new()).collect(),
            next_due: Nanos::MAX,
            stretch: Stretch::default(),
            tick_at: 0,
            in_flight: 0,
            opening: 0,
            sending: false,
            left: share(config.limit, (thread, threads)),
            keep: longest.unwrap_or(0) * 2 + KEEP,
            known: vec![Known::new(); script.kinds],
            tally: Tally {
                recorder,
                ids: Ids::new(entries.iter().any(numbered)),
                counts: Counts::default(),
            },
            told: (0, 0),
            at_start: None,
        }
    }

    /// Nanoseconds on the common clock.
    pub(crate) fn now(&self) -> Nanos {
        self.clock.now()
    }

    /// Sends, measures and drains as planned. Called again for each slice.
    pub(crate) fn run(&mut self, plan: Plan) -> Result<(), Errno> {
        self.next_due = Nanos::MAX;
        if self.sliced {
            self.reconnect()?;
        }
        self.plan = plan;
        let recorder = &mut self.tally.recorder;
        recorder.begin(plan.start..plan.end);
        recorder.breakdown.origin = plan.origin;
        self.pacing.begin(plan.origin);
        self.at_start = None;
        for slot in &mut self.slots {
            (slot.next, slot.due) = (0, 0);
        }
        if self.per_connection > 0 {
            self.close_all();
        }
        // A closed loop sends only after responses, so start it exactly on time.
        let early = match self.pacing {
            Pacing::Closed => 0,
            _ => 1_000_000,
        };
        let wait = plan.origin.saturating_sub(self.now() + early);
        std::thread::sleep(Duration::from_nanos(wait));
        self.sending = self.left > 0;
        for slot in 0..self.slots.len() {
            self.free(slot);
        }
        self.load()?;
        // Send what became due while the thread slept towards the end.
        if self.sending {
            self.send_due(self.plan.end);
        }
        self.end_time();
        // Requests due in a slice are sent, however late: the wait is part of their latency.
        self.sending = self.sliced && !matches!(self.pacing, Pacing::Closed | Pacing::Thinking(_));
        if !self.sliced {
            self.count_unsent();
        }
        self.drain()?;
        self.sending = false;
        if self.sliced {
            self.count_unsent();
        }
        Ok(())
    }

    /// Valid responses so far.
    pub(crate) fn answered(&self) -> u64 {
        self.tally.counts.answered
    }

    /// Requests so far that timed out or were never sent.
    pub(crate) fn unanswered(&self) -> u64 {
        let counts = &self.tally.counts;
        self.tally.recorder.timeouts() + counts.unanswered + counts.unsent
    }

    fn load(&mut self) -> Result<(), Errno> {
        let mut now = self.now();
        self.tick_at = now;
        while now < self.plan.end {
            if now >= self.tick_at {
                self.tick(now);
                if self.control.is_stopped() {
                    self.tally.counts.stopped = true;
                    self.plan.end = now;
                    self.tally.recorder.end_early(now);
                    break;
                }
            }
            if self.sending {
                self.send_due(now);
            } else {
                // Nothing to spin for.
                self.next_due = Nanos::MAX;
            }
            if !self.sending && self.in_flight == 0 {
                // The limit is reached and every response has arrived; the last one is in the window.
                self.plan.end = now + 1;
                self.tally
                    .recorder
                    .end_early(self.plan.end.max(self.plan.start + 1));
                break;
            }
            let asleep = self.next_due.saturating_sub(self.stretch.length());
            let wake = asleep.min(self.tick_at).min(self.plan.end);
            let limit = if self.spin {
                0
            } else {
                wake.saturating_sub(now)
            };
            let any = self.engine.wait(Duration::from_nanos(limit))?;
            if any {
                self.handle_all();
            }
            let then = self.now();
            let turned = then - now;
            self.stretch.passes(turned);
            if !any && limit > 0 {
                self.stretch.overslept(then.saturating_sub(wake));
            }
            if !any && limit == 0 && turned < LONGEST_TURN && self.at_start.is_some() {
                self.tally.counts.time.spin_ns += turned;
            }
            now = then;
        }
        Ok(())
    }

    fn handle_all(&mut self) {
        while let Some((slot, event)) = self.engine.next() {
            self.handle(slot, event);
            // A long batch must not delay requests that are due.
            if self.next_due != Nanos::MAX {
                let now = self.now();
                if now >= self.next_due {
                    self.send_due(now);
                    self.flush();
                }
            }
        }
    }

    /// Sends due requests now, not together with those from the rest of the batch.
    fn flush(&mut self) {
        // If it fails, the next wait fails too and reports it.
        let _ = self.engine.flush();
    }

    /// Sends what is due by `now` on free connections; on busy ones it waits.
    fn send_due(&mut self, now: Nanos) {
        loop {
            let due = self.pacing.next_due();
            if due >= self.plan.end {
                self.next_due = Nanos::MAX;
                return;
            }
            if due > now {
                self.next_due = due;
                return;
            }
            let Some(turn) = self.pacing.take() else {
                continue;
            };
            match turn {
                Turn::Slot(slot) => {
                    self.due(due);
                    self.slots[slot].due += 1;
                    self.free(slot);
                }
                Turn::Any => {
                    self.due(due);
                    self.free_any();
                }
                Turn::Thought(slot) => self.free(slot),
            }
        }
    }

    /// Counts a send time that has come.
    fn due(&mut self, at: Nanos) {
        if at >= self.plan.start {
            self.tally.counts.asked += 1;
            self.tally.recorder.due(at);
        }
    }

    /// Lets a free connection send its next request.
    pub(crate) fn free(&mut self, index: usize) {
        let slot = &self.slots[index];
        if !self.sending || slot.state != State::Idle {
            return;
        }
        let sends = match &mut self.pacing {
            Pacing::Closed => true,
            Pacing::Turns(_) => slot.next < slot.due,
            Pacing::Thinking(thinking) => thinking.end(index) <= self.clock.now(),
            Pacing::Poisson(poisson) => {
                let sends = poisson.waiting > 0;
                if !sends {
                    poisson.rest(index);
                }
                sends
            }
        };
        if sends {
            self.request(index);
        }
    }

    /// Lets the connection that has been free longest send, if there is one.
    fn free_any(&mut self) {
        loop {
            let Pacing::Poisson(poisson) = &mut self.pacing else {
                return;
            };
            match poisson.rested() {
                None => return,
                // It may have been closed since.
                Some(slot) if self.slots[slot].state != State::Idle => {}
                Some(slot) => return self.free(slot),
            }
        }
    }

    /// A connection's request has ended, successfully or not.
    pub(crate) fn rest(&mut self, index: usize, now: Nanos) {
        if let Pacing::Thinking(thinking) = &mut self.pacing {
            let end = thinking.rest(index, now);
            self.next_due = self.next_due.min(end);
        }
    }

    /// Sends a request, or opens its connection first.
    fn request(&mut self, index: usize) {
        let entry = self.list[self.pick.next(self.list.len())];
        let now = self.now();
        let slot = &mut self.slots[index];
        let due = match &mut self.pacing {
            Pacing::Closed => None,
            Pacing::Thinking(thinking) => Some(thinking.end(index)),
            Pacing::Turns(turns) => Some(turns.due(index, slot.next)),
            Pacing::Poisson(poisson) => Some(poisson.send()),
        };
        if let Some(due) = due {
            let lag = now.saturating_sub(due.max(slot.free_at));
            self.tally.recorder.sent(lag, due, now);
        }
        slot.intended = match self.pacing {
            Pacing::Closed | Pacing::Thinking(_) => now,
            Pacing::Turns(_) | Pacing::Poisson(_) => due.unwrap_or(now),
        };
        slot.next += 1;
        slot.entry = entry;
        self.in_flight += 1;
        self.left -= 1;
        if self.left == 0 {
            self.sending = false;
        }
        self.tally.counts.sent += 1;
        if self.per_connection > 0 && self.slots[index].allowed == 0 {
            self.open(index, now);
        } else {
            self.transmit(index, now);
        }
    }

    /// Writes the request of an open connection.
    pub(crate) fn transmit(&mut self, index: usize, now: Nanos) {
        let slot = &mut self.slots[index];
        let entry = &self.entries[slot.entry as usize];
        slot.sent = now;
        slot.first_byte = 0;
        slot.state = State::Busy;
        slot.fed = false;
        let mut wire = &entry.wire[..];
        if self.per_connection > 0 {
            slot.allowed -= 1;
            if slot.allowed == 0 {
                wire = entry.last();
            }
        }
        if let Err(errno) = self.engine.send(index, wire) {
            self.handle(index, Event::Failed(errno));
        }
    }

    /// Periodic work at `tick_at`, which it sets to its next time.
    fn tick(&mut self, now: Nanos) {
        let least = TICKS.start() + 1000 * self.slots.len() as u64;
        // No request begun from now on can time out earlier.
        let longest = TICKS.end().min(&self.timeout);
        self.tick_at = now + least.max(*longest);
        if self.at_start.is_none() {
            if now >= self.plan.start {
                self.at_start = Some(self.clocks());
            } else {
                self.look_by(self.plan.start);
            }
        }
        for index in 0..self.slots.len() {
            let state = self.slots[index].state;
            let due = match state {
                State::Busy => self.slots[index].sent + self.timeout,
                State::Opening { since } | State::Queued { since } => since + self.timeout,
                State::Closed { until } if self.sending => until,
                State::Closed { .. } | State::Idle => continue,
            };
            if due > now {
                match state {
                    State::Queued { since } => self.open_again(index, since, now),
                    _ => self.look_by(due.max(now + least)),
                }
                continue;
            }
            match state {
                State::Busy => self.timed_out(index, due),
                State::Opening { .. } => self.handle(index, Event::OpenFailed(Errno::TIMEDOUT)),
                State::Queued { .. } => self.open_failed(index, Errno::TIMEDOUT, now),
                State::Closed { .. } | State::Idle => self.resume(index, now),
            }
        }
        self.tell();
    }

    /// Makes the next check happen by `time`.
    pub(crate) fn look_by(&mut self, time: Nanos) {
        self.tick_at = self.tick_at.min(time);
    }

    /// Updates the live counters.
    fn tell(&mut self) {
        let (answered, errors) = (
            self.tally.counts.answered,
            self.tally.recorder.errors_total(),
        );
        self.control
            .count(answered - self.told.0, errors - self.told.1);
        self.told = (answered, errors);
    }

    fn end_time(&mut self) {
        if let Some(start) = self.at_start {
            let end = self.clocks();
            let waited = end.wait.zip(start.wait);
            let before = self.tally.counts.time;
            let waited = waited.map(|(end, start)| end.saturating_sub(start));
            self.tally.counts.time = ThreadTime {
                cpu_ns: before.cpu_ns + end.cpu.saturating_sub(start.cpu),
                wall_ns: before.wall_ns + end.wall.saturating_sub(start.wall),
                spin_ns: before.spin_ns,
                wait_ns: waited.map(|waited| before.wait_ns.unwrap_or(0) + waited),
            };
        }
    }

    fn clocks(&self) -> Clocks {
        Clocks {
            cpu: thread_cpu(),
            wait: run_delay_ns(),
            wall: self.now(),
        }
    }

    /// Requests that were due but not sent.
    fn waiting(&self) -> u64 {
        match &self.pacing {
            Pacing::Closed | Pacing::Thinking(_) => 0,
            Pacing::Turns(_) => self.slots.iter().map(|slot| slot.due - slot.next).sum(),
            Pacing::Poisson(poisson) => poisson.waiting,
        }
    }

    fn count_unsent(&mut self) {
        // Requests beyond the limit were not meant to be sent.
        self.tally.counts.unsent += self.waiting().min(self.left);
    }

    /// Waits for outstanding responses, so that the number of accepted requests is exact. A slice waits until
    /// every request has ended or timed out.
    fn drain(&mut self) -> Result<(), Errno> {
        let mut now = self.now();
        let deadline = now
            + match self.tally.counts.stopped {
                true => self.timeout.min(SHORT_DRAIN),
                false if self.sliced => self.timeout + *TICKS.end(),
                false => self.timeout.min(DRAIN),
            };
        while (self.in_flight > 0 || self.sending && self.waiting() > 0) && now < deadline {
            let limit = (deadline - now).min(*TICKS.start());
            if self.engine.wait(Duration::from_nanos(limit))? {
                self.handle_all();
            }
            now = self.now();
            self.tick(now);
        }
        self.tally.counts.unanswered = self.in_flight as u64;
        let kept = self.per_connection == 0;
        let unfinished = self
            .slots
            .iter()
            .filter_map(|slot| slot.unfinished(now, kept));
        self.tally.recorder.unfinished = unfinished.collect();
        self.tell();
        Ok(())
    }
}
