//! One thread of a load: what it sends on which connection and when, and what becomes of it.
//!
//! [`work`] is its whole life. A [`Worker`] is one target's part of it, and its functions come in the order in
//! which they are needed: it opens its connections, then in each turn it sends, handles what it receives, and
//! reopens connections that end.

use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use rustix::io::Errno;

use super::breakdown::Breakdown;
use super::chains::{ChainTally, Chains};
use super::clock::{Clock, ThreadClocks};
use super::crew::{Drained, NotReady, Ready, Share, Target, Turn};
use super::dial::{Dial, why_not};
use super::engine::{Engine, Event};
use super::ids::Ids;
use super::judge::{clip, expected, judge};
use super::known::KnownHead;
use super::pacing::{Due, Pacing};
use super::pick::Pick;
use super::recorder::{Nanos, Recorder, RequestTimes, nanos};
use super::response::ParsedResponse;
use super::retry::{Retry, Waiting};
use super::schedule;
use super::script::{Expect, ScriptEntry};
use super::slot::{Plan, Slot, SlotState};
use super::stretch::Stretch;
use super::tally::{Counts, Tally};
use super::{Control, ErrorKind, Malformed, Order, Unfinished};

/// Connections being opened at a time before the clock runs, so that no listen queue overflows.
const OPENING: usize = 64;
/// How soon to retry when the listen queue was full.
const QUEUED: Nanos = 5_000_000;
/// How long a slice waits for reconnects.
const RECONNECT: Nanos = 20_000_000;
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

/// Connects to every target, reports that, and takes turns until there are no more. Returns a tally for each
/// target. `make` creates the engine for a number of connections, and a number of bytes for the draft of each.
pub(super) fn work<'w, E: Engine<'w>>(
    share: &Share<'w>,
    make: impl Fn(Dial, usize, usize) -> Result<E, Errno>,
    ready: &Sender<Ready>,
    turns: &Receiver<Turn>,
    drained: &Sender<Result<Drained, Errno>>,
) -> Result<Vec<Tally>, Errno> {
    let mut workers = Vec::with_capacity(share.targets.len());
    for target in share.targets {
        let dial = Dial::new(&target.config.addr, &target.config.from, share.place)?;
        let connections = share.connections(target.config).len();
        let engine = make(dial, connections, target.script.room())?;
        workers.push(Worker::new(engine, share, target));
    }
    let connect = |worker: &mut Worker<'w, E>| {
        let made = worker.establish();
        (worker.tally.counts.established, made)
    };
    // The receivers outlive the threads.
    let _ = ready.send(workers.iter_mut().map(connect).collect());
    while let Ok(Turn { target, plan }) = turns.recv() {
        let _ = drained.send(workers[target].run(plan));
    }
    let tally = |mut worker: Worker<'w, E>| {
        worker.tally.recorder.settle();
        worker.tally
    };
    Ok(workers.into_iter().map(tally).collect())
}

/// The load of one thread on one target.
struct Worker<'w, E> {
    engine: E,
    entries: &'w [ScriptEntry],
    list: &'w [u32],
    pick: Pick,
    /// Where each user is, if the requests are those of sessions.
    chains: Option<Chains<'w>>,
    control: &'w Control,
    pacing: Pacing,
    /// Failed requests that will be sent again; they count as in flight.
    again: Waiting,
    /// Such a request found no free connection, and none has become free since.
    crowded: bool,
    /// Requests per connection, if the first of them opens it; 0 if connections are kept open.
    per_connection: u32,
    timeout: Nanos,
    spin: bool,
    /// Whether it runs in slices, each of which ends with nothing in flight.
    sliced: bool,
    clock: Clock,
    plan: Plan,
    slots: Vec<Slot>,
    /// When the next turn comes on any slot, as far as known.
    next_due: Nanos,
    stretch: Stretch,
    /// When to check timeouts, reconnects and the stop flag next.
    tick_at: Nanos,
    /// Requests that were sent, or whose own connection was begun, and that have not ended.
    in_flight: usize,
    opening: usize,
    /// Whether to send requests: between the schedule's start and the window's end.
    sending: bool,
    /// Requests still to be sent; the maximum if there is no limit.
    left: u64,
    keep: usize,
    /// The last head of each kind of response.
    known: Vec<KnownHead>,
    tally: Tally,
    /// Responses and errors already added to the live counters.
    told: (u64, u64),
    /// At the start of the window.
    at_start: Option<ThreadClocks>,
}

impl<'w, E: Engine<'w>> Worker<'w, E> {
    fn new(engine: E, share: &Share<'w>, target: &Target<'w>) -> Self {
        let &Target {
            config,
            script,
            control,
        } = target;
        let place = share.place;
        let entries = &script.entries[..];
        let longest = entries.iter().map(|e| e.expect.body().len()).max();
        let numbered = |e: &ScriptEntry| matches!(e.expect, Expect::Numbered { .. });
        // The highest possible latency: due at once, sent at the end, timed out.
        let max = config.warmup + config.duration + config.timeout + Duration::from_secs(2);
        let per_connection = config.requests_per_connection.unwrap_or(0);
        let session = script.session.as_ref();
        let users = share.connections(config).len();
        if per_connection > 0 {
            // Prepared now, not while the clock runs.
            for entry in entries {
                entry.last();
            }
        }
        // Streams of one generator may be correlated, so each thread has its own seed.
        let seed = config
            .seed
            .wrapping_add((place.0 as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut recorder = match share.slices {
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
                Order::InTurn => Pick::in_turn(place, script.list.len()),
            },
            chains: session.map(|session| Chains::new(session, users)),
            control,
            pacing: Pacing::new(config, place, seed),
            again: Waiting::new(config.retries, seed),
            crowded: false,
            per_connection,
            timeout: nanos(config.timeout),
            spin: config.spin,
            sliced: share.slices.is_some(),
            clock: share.clock,
            plan: Plan {
                origin: Nanos::MAX,
                start: Nanos::MAX,
                end: Nanos::MAX,
            },
            slots: share.connections(config).map(|_| Slot::new()).collect(),
            next_due: Nanos::MAX,
            stretch: Stretch::default(),
            tick_at: 0,
            in_flight: 0,
            opening: 0,
            sending: false,
            left: schedule::share(config.limit, place),
            keep: longest.unwrap_or(0) * 2 + KEEP,
            known: vec![KnownHead::new(); script.kinds],
            tally: Tally {
                recorder,
                ids: Ids::new(entries.iter().any(numbered)),
                counts: Counts::default(),
                chains: session.map(|session| ChainTally::new(session.session.steps.len(), max)),
            },
            told: (0, 0),
            at_start: None,
        }
    }

    /// Nanoseconds on the common clock.
    fn now(&self) -> Nanos {
        self.clock.now()
    }

    // --- Before the clock runs ---

    /// Opens all connections; each may take up to the timeout.
    fn establish(&mut self) -> Result<(), NotReady> {
        let mut begun = 0;
        let mut deadline = self.now() + self.timeout;
        loop {
            while begun < self.slots.len() && self.opening < OPENING {
                match self.engine.open(begun) {
                    // The listen queue of a Unix socket is full: continue when some are accepted.
                    Err(Errno::AGAIN) => break,
                    opened => opened?,
                }
                self.opening_since(begun, self.now());
                begun += 1;
            }
            if self.opening == 0 && begun == self.slots.len() {
                return Ok(());
            }
            self.engine.wait(Duration::from_millis(10))?;
            while let Some((slot, event)) = self.engine.next() {
                match event {
                    Event::Opened => {
                        self.tally.counts.established += 1;
                        deadline = self.now() + self.timeout;
                    }
                    Event::OpenFailed(errno) => return Err(errno.into()),
                    _ => {}
                }
                self.handle(slot, event);
            }
            if self.control.is_stopped() {
                return Err(NotReady::Stopped);
            }
            if self.now() > deadline {
                return Err(Errno::TIMEDOUT.into());
            }
        }
    }

    // --- One turn: the whole load, or one slice of it ---

    /// Sends, measures and drains as planned.
    fn run(&mut self, plan: Plan) -> Result<Drained, Errno> {
        let before = self.drained();
        self.begin(plan)?;
        self.load()?;
        // Send what became due while the thread slept towards the end.
        if self.sending {
            self.send_due(self.plan.end);
        }
        if let Some(start) = self.at_start {
            let end = ThreadClocks::at(self.now());
            end.add_since(start, &mut self.tally.counts.time);
        }
        // Requests due in a slice are sent, however late: the wait is part of their latency.
        self.sending = self.sliced && self.pacing.is_open();
        if !self.sliced {
            self.count_unsent();
        }
        self.drain()?;
        self.sending = false;
        if self.sliced {
            self.count_unsent();
        }
        let after = self.drained();
        Ok(Drained {
            answered: after.answered - before.answered,
            unanswered: after.unanswered - before.unanswered,
        })
    }

    /// Valid responses so far, and requests that timed out or were never sent.
    fn drained(&self) -> Drained {
        let Tally {
            recorder, counts, ..
        } = &self.tally;
        Drained {
            answered: counts.answered,
            unanswered: recorder.timeouts() + counts.unanswered + counts.unsent,
        }
    }

    /// Prepares the turn, waits for its start, and lets the first requests go.
    fn begin(&mut self, plan: Plan) -> Result<(), Errno> {
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
        Ok(())
    }

    /// Before a slice, reopens the connections that the server closed since the last one.
    fn reconnect(&mut self) -> Result<(), Errno> {
        let deadline = self.now() + RECONNECT;
        loop {
            while self.engine.wait(Duration::ZERO)? {
                self.handle_all();
            }
            let now = self.now();
            let mut all_stand = true;
            for index in 0..self.slots.len() {
                match self.slots[index].state {
                    SlotState::Closed { until } if until <= now => self.open(index, now),
                    SlotState::Idle => continue,
                    _ => {}
                }
                all_stand = false;
            }
            if all_stand || now > deadline {
                return Ok(());
            }
        }
    }

    /// Closes all connections. Opening them has shown that it works; requests will open their own.
    fn close_all(&mut self) {
        for (index, slot) in self.slots.iter_mut().enumerate() {
            self.engine.close(index);
            slot.state = SlotState::Idle;
            (slot.barren, slot.allowed) = (0, 0);
        }
    }

    /// Sends and receives until the end of the window.
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
            let again = self.send_again(now);
            if !self.sending && self.in_flight == 0 {
                // The limit is reached and every response has arrived; the last one is in the window.
                self.plan.end = now + 1;
                self.tally
                    .recorder
                    .end_early(self.plan.end.max(self.plan.start + 1));
                break;
            }
            let asleep = self
                .next_due
                .min(again)
                .saturating_sub(self.stretch.length());
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
        let waiting = self.again.end();
        self.in_flight -= waiting.len();
        while (self.in_flight > 0 || self.sending && self.pacing.waiting() > 0) && now < deadline {
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
        // What waited to be sent again has no response either.
        let waiting = waiting.iter().map(|retry| {
            let waited_ns = now.saturating_sub(retry.intended);
            Unfinished {
                waited_ns,
                first_byte_ns: waited_ns,
            }
        });
        self.tally.recorder.unfinished = unfinished.chain(waiting).collect();
        if let (Some(chains), Some(tally)) = (&self.chains, &mut self.tally.chains) {
            let busy = |slot: &usize| self.slots[*slot].state == SlotState::Busy;
            let busy = (0..self.slots.len()).filter(busy);
            tally.unfinished = busy.map(|slot| chains.waited(slot, now)).collect();
        }
        self.tell();
        Ok(())
    }

    /// Counts requests that were due but not sent. Those beyond the limit were not meant to be sent.
    fn count_unsent(&mut self) {
        self.tally.counts.unsent += self.pacing.waiting().min(self.left);
    }

    // --- Sending ---

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
            if due >= self.plan.start && turn.is_arrival() {
                self.tally.counts.asked += 1;
                self.tally.recorder.due(due);
            }
            match turn {
                Due::Slot(slot) | Due::Thought(slot) => self.free(slot),
                Due::Any => self.free_any(),
            }
        }
    }

    /// Sends the failed requests that are due again by `now` on free connections. Returns when the next one is due; the
    /// maximum if one waits for a connection, which then takes it.
    fn send_again(&mut self, now: Nanos) -> Nanos {
        while self.again.next_due() <= now {
            let mut slots = self.slots.iter();
            let free = match self.crowded {
                true => None,
                false => slots.position(|slot| slot.state == SlotState::Idle),
            };
            let Some(index) = free else {
                self.crowded = true;
                return Nanos::MAX;
            };
            self.free(index);
        }
        self.again.next_due()
    }

    /// Keeps a request that failed, to be sent again, if it may be.
    fn keep(&mut self, index: usize, now: Nanos) {
        if self.may_retry(index, now) {
            let slot = &self.slots[index];
            self.again
                .keep(now, slot.intended, slot.entry, slot.attempt);
            self.in_flight += 1;
        }
    }

    /// Whether the request of this connection is sent again if it fails now.
    fn may_retry(&self, index: usize, now: Nanos) -> bool {
        self.again.takes(self.slots[index].attempt) && now < self.plan.end
    }

    /// Lets a free connection send its next request, first one that has failed.
    fn free(&mut self, index: usize) {
        if !self.again.is_empty() && self.slots[index].state == SlotState::Idle {
            let now = self.now();
            if let Some(retry) = self.again.take(now) {
                return self.retry(index, retry, now);
            }
        }
        if self.slots[index].state != SlotState::Idle {
            return;
        }
        if self.sending && self.pacing.may_send(index, &self.clock) {
            self.request(index);
        } else {
            self.crowded = false;
        }
    }

    /// Lets the connection that has been free longest send, if there is one.
    fn free_any(&mut self) {
        while let Some(slot) = self.pacing.rested() {
            // It may have been closed since.
            if self.slots[slot].state == SlotState::Idle {
                return self.free(slot);
            }
        }
    }

    /// Sends a request, or opens its connection first.
    fn request(&mut self, index: usize) {
        let now = self.now();
        let slot = &mut self.slots[index];
        let entry = match &mut self.chains {
            Some(chains) if chains.goes_on(index) => slot.entry + 1,
            chains => {
                if let Some(chains) = chains {
                    chains.begin(index, now);
                }
                self.list[self.pick.next(self.list.len())]
            }
        };
        (slot.entry, slot.intended, slot.attempt) = (entry, now, 0);
        if let Some(due) = self.pacing.send(index) {
            let lag = now.saturating_sub(due.max(slot.free_at));
            self.tally.recorder.sent(lag, due, now);
            if self.pacing.is_open() {
                slot.intended = due;
            }
        }
        self.in_flight += 1;
        self.left -= 1;
        if self.left == 0 {
            self.sending = false;
        }
        self.begin_request(index, now);
    }

    /// Sends a failed request again.
    fn retry(&mut self, index: usize, retry: Retry, now: Nanos) {
        let slot = &mut self.slots[index];
        (slot.entry, slot.intended) = (retry.entry, retry.intended);
        slot.attempt = retry.attempt;
        self.tally.counts.retries += 1;
        self.begin_request(index, now);
    }

    fn begin_request(&mut self, index: usize, now: Nanos) {
        self.tally.counts.sent += 1;
        if self.per_connection > 0 && self.slots[index].allowed == 0 {
            self.open(index, now);
        } else {
            self.transmit(index, now);
        }
    }

    /// Writes the request of an open connection.
    fn transmit(&mut self, index: usize, now: Nanos) {
        let slot = &mut self.slots[index];
        let entry = &self.entries[slot.entry as usize];
        slot.sent = now;
        slot.first_byte = 0;
        slot.state = SlotState::Busy;
        slot.fed = false;
        let mut wire = &entry.wire[..];
        if self.per_connection > 0 {
            slot.allowed -= 1;
            if slot.allowed == 0 {
                wire = entry.last();
            }
        }
        let sent = match &self.chains {
            None => self.engine.send(index, wire),
            Some(chains) => chains.send(index, slot.entry, wire, &mut self.engine),
        };
        if let Err(errno) = sent {
            self.handle(index, Event::Failed(errno));
        }
    }

    // --- What arrives ---

    fn handle_all(&mut self) {
        while let Some((slot, event)) = self.engine.next() {
            self.handle(slot, event);
            // A long batch must not delay requests that are due.
            if self.next_due != Nanos::MAX {
                let now = self.now();
                if now >= self.next_due {
                    self.send_due(now);
                    // Now, not together with those from the rest of the batch. If it fails, the next wait
                    // fails too and reports it.
                    let _ = self.engine.flush();
                }
            }
        }
    }

    fn handle(&mut self, slot: usize, event: Event) {
        let now = self.now();
        match event {
            Event::Received { ended } => self.received(slot, ended, now),
            Event::Opened => self.opened(slot, now),
            Event::OpenFailed(errno) => self.open_failed(slot, errno, now),
            Event::Ended => self.ended(slot, now),
            Event::Failed(errno) => self.failed(slot, errno, now),
        }
    }

    fn received(&mut self, index: usize, ended: bool, now: Nanos) {
        let input = self.engine.received();
        self.tally.counts.bytes_received += input.len() as u64;
        let slot = &mut self.slots[index];
        if slot.state != SlotState::Busy {
            self.tally.error(ErrorKind::Protocol, now, || {
                format!("{}: {}", Malformed::Unasked, clip(input))
            });
            return self.reopen(index, now);
        }
        let mut request = slot.ended(now);
        let entry = &self.entries[slot.entry as usize];
        let known = &mut self.known[entry.kind as usize];
        let response = match slot.read(input, entry.head_only, known, self.keep) {
            Ok(Some(response)) => response,
            Ok(None) => return slot.part_arrived(now),
            Err(malformed) => {
                let got = format!("{malformed}: {}", clip(input));
                return self.lost(index, ErrorKind::Protocol, &got, now);
            }
        };
        if response.begins {
            request.first_byte = now;
        }
        let surplus = response.consumed < input.len();
        // If a request was answered before it was sent completely, the rest is not sent, and the server would
        // read whatever follows as that rest (RFC 9112, section 9.3).
        let cut = !self.engine.sent_whole(index);
        let last = response.close || ended || surplus || cut;
        let of_server = response.status >= 500 || surplus;
        let (tally, chains) = (&mut self.tally, &mut self.chains);
        if !answer(tally, chains, index, entry, &response, &request, surplus) && of_server {
            self.keep(index, now);
        }
        self.done(index, last, now);
    }

    /// The server ended its side.
    fn ended(&mut self, index: usize, now: Nanos) {
        let slot = &mut self.slots[index];
        match slot.state {
            SlotState::Busy => {}
            // The server may close a connection between requests.
            SlotState::Idle => return self.reopen(index, now),
            SlotState::Opening { .. } | SlotState::Queued { .. } | SlotState::Closed { .. } => {
                return;
            }
        }
        let request = slot.ended(now);
        if slot.fed
            && let Some(response) = slot.parser.finish()
        {
            let entry = &self.entries[slot.entry as usize];
            let of_server = response.status >= 500;
            let (tally, chains) = (&mut self.tally, &mut self.chains);
            if !answer(tally, chains, index, entry, &response, &request, false) && of_server {
                self.keep(index, now);
            }
            self.done(index, true, now);
        } else {
            let got = "the end of the connection before a complete response";
            self.lost(index, ErrorKind::Closed, got, now);
        }
    }

    fn failed(&mut self, index: usize, errno: Errno, now: Nanos) {
        match self.slots[index].state {
            SlotState::Busy if errno == Errno::PIPE => {
                let got = "a connection the server had closed";
                self.lost(index, ErrorKind::Closed, got, now);
            }
            SlotState::Busy => self.lost(index, ErrorKind::Reset, &errno.to_string(), now),
            SlotState::Idle => self.reopen(index, now),
            SlotState::Opening { .. } | SlotState::Queued { .. } | SlotState::Closed { .. } => {}
        }
    }

    fn timed_out(&mut self, index: usize, at: Nanos) {
        let slot = &self.slots[index];
        let class = self.entries[slot.entry as usize].class;
        if !self.may_retry(index, at) {
            self.tally.recorder.timed_out(&slot.ended(at), class);
        }
        let got = if slot.has_begun() {
            "only part of a response in time"
        } else {
            "no response in time"
        };
        self.lost(index, ErrorKind::Timeout, got, at);
    }

    /// A response, right or wrong, is complete; `last`: it is the last on this connection.
    fn done(&mut self, index: usize, last: bool, now: Nanos) {
        self.rest(index, now);
        let slot = &mut self.slots[index];
        slot.barren = 0;
        slot.free_at = now;
        slot.state = SlotState::Idle;
        // It was the connection's last request.
        let spent = self.per_connection > 0 && slot.allowed == 0;
        if last || spent {
            self.reopen(index, now);
        } else {
            self.free(index);
        }
    }

    /// A request will get no response.
    fn lost(&mut self, index: usize, kind: ErrorKind, got: &str, now: Nanos) {
        let slot = &self.slots[index];
        let broken = matches!(kind, ErrorKind::Closed | ErrorKind::Reset);
        self.tally.counts.truncated += u64::from(broken && slot.has_begun());
        let entry = &self.entries[slot.entry as usize];
        self.tally.failed(kind, entry, &slot.ended(now), || {
            let (line, expected) = (entry.line(), expected(entry));
            let chains = self.chains.as_ref();
            let note = chains.map_or(String::new(), |chains| chains.note_of_lost(index));
            format!("{line}\n  got {got}\n  expected {expected}{note}")
        });
        if let Some(chains) = &mut self.chains {
            chains.failed(index, &mut self.tally, now);
        }
        self.rest(index, now);
        self.keep(index, now);
        self.reopen(index, now);
    }

    /// A request has ended, successfully or not.
    fn rest(&mut self, index: usize, now: Nanos) {
        self.in_flight -= 1;
        // A user thinks between chains, not within one.
        let chains = self.chains.as_ref();
        if chains.is_some_and(|chains| chains.goes_on(index)) {
            return;
        }
        if let Pacing::Thinking(thinking) = &mut self.pacing {
            let end = thinking.rest(index, now);
            self.next_due = self.next_due.min(end);
        }
    }

    // --- Connections ---

    fn open(&mut self, index: usize, now: Nanos) {
        let opened = self.engine.open(index);
        self.opening_since(index, now);
        if let Err(errno) = opened {
            self.handle(index, Event::OpenFailed(errno));
        }
    }

    fn opening_since(&mut self, index: usize, now: Nanos) {
        self.opening += 1;
        let slot = &mut self.slots[index];
        slot.state = SlotState::Opening { since: now };
        slot.barren += 1;
    }

    /// Retries a listen queue that has been full since `since`.
    fn open_again(&mut self, index: usize, since: Nanos, now: Nanos) {
        match self.engine.open(index) {
            Ok(()) => {
                self.slots[index].state = SlotState::Opening { since };
                self.opening += 1;
            }
            Err(Errno::AGAIN) => self.look_by(now + QUEUED),
            Err(errno) => self.open_failed(index, errno, now),
        }
    }

    fn opened(&mut self, index: usize, now: Nanos) {
        self.opening -= 1;
        let slot = &mut self.slots[index];
        if let SlotState::Opening { since } = slot.state {
            self.tally.recorder.connected(now - since);
        }
        // Before the clock runs, nothing is reopened.
        let running = self.plan.origin != Nanos::MAX;
        self.tally.counts.reconnects += u64::from(running);
        if running && self.per_connection > 0 {
            slot.allowed = self.per_connection;
            self.transmit(index, now);
        } else {
            slot.state = SlotState::Idle;
            slot.free_at = now;
            self.free(index);
        }
    }

    fn open_failed(&mut self, index: usize, errno: Errno, now: Nanos) {
        if let SlotState::Opening { since } = self.slots[index].state {
            self.opening -= 1;
            if errno == Errno::AGAIN {
                self.slots[index].state = SlotState::Queued { since };
                return self.look_by(now + QUEUED);
            }
        }
        if self.per_connection > 0 {
            let got = format!("no connection: {}", why_not(errno));
            return self.lost(index, ErrorKind::Connect, &got, now);
        }
        self.tally.error(ErrorKind::Connect, now, || {
            format!("reconnecting failed: {}", why_not(errno))
        });
        self.reopen(index, now);
    }

    /// Closes a connection and reopens it, at once or after a pause.
    fn reopen(&mut self, index: usize, now: Nanos) {
        self.engine.close(index);
        let slot = &mut self.slots[index];
        // Send times limit how often a connection is tried that a request opens: each of them is tried when it is due.
        let tried_when_due = self.per_connection > 0 && self.pacing.is_open();
        let pause = if tried_when_due { 0 } else { slot.pause() };
        slot.allowed = 0;
        slot.state = SlotState::Closed { until: now + pause };
        match (pause, slot.barren) {
            (0, 0) => self.resume(index, now),
            // Not at once: each of the requests that wait for it might fail in turn, within this call.
            _ => self.look_by(now + pause),
        }
    }

    /// Uses a closed connection whose pause is over.
    fn resume(&mut self, index: usize, now: Nanos) {
        if self.per_connection > 0 {
            let slot = &mut self.slots[index];
            slot.state = SlotState::Idle;
            slot.free_at = now;
            self.free(index);
        } else if self.sends() {
            self.open(index, now);
        }
    }

    /// Whether there may be requests to send.
    fn sends(&self) -> bool {
        self.sending || !self.again.is_empty()
    }

    // --- Periodic work ---

    /// Periodic work at `tick_at`, which it sets to its next time.
    fn tick(&mut self, now: Nanos) {
        let least = TICKS.start() + 1000 * self.slots.len() as u64;
        // No request begun from now on can time out earlier.
        let longest = TICKS.end().min(&self.timeout);
        self.tick_at = now + least.max(*longest);
        if self.at_start.is_none() {
            if now >= self.plan.start {
                self.at_start = Some(ThreadClocks::at(self.now()));
            } else {
                self.look_by(self.plan.start);
            }
        }
        for index in 0..self.slots.len() {
            let state = self.slots[index].state;
            let due = match state {
                SlotState::Busy => self.slots[index].sent + self.timeout,
                SlotState::Opening { since } | SlotState::Queued { since } => since + self.timeout,
                SlotState::Closed { until } if self.sends() => until,
                SlotState::Closed { .. } | SlotState::Idle => continue,
            };
            if due > now {
                match state {
                    SlotState::Queued { since } => self.open_again(index, since, now),
                    _ => self.look_by(due.max(now + least)),
                }
                continue;
            }
            match state {
                SlotState::Busy => self.timed_out(index, due),
                SlotState::Opening { .. } => self.handle(index, Event::OpenFailed(Errno::TIMEDOUT)),
                SlotState::Queued { .. } => self.open_failed(index, Errno::TIMEDOUT, now),
                SlotState::Closed { .. } | SlotState::Idle => self.resume(index, now),
            }
        }
        self.tell();
    }

    /// Makes the next check happen by `time`.
    fn look_by(&mut self, time: Nanos) {
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
}

/// Judges the response to a request of connection `slot` and counts it; returns whether it was right.
#[inline]
fn answer(
    tally: &mut Tally,
    chains: &mut Option<Chains<'_>>,
    slot: usize,
    entry: &ScriptEntry,
    response: &ParsedResponse<'_>,
    request: &RequestTimes,
    surplus: bool,
) -> bool {
    match chains {
        None => {
            let verdict = judge(entry, response);
            tally.answer(verdict, entry, response, request, surplus, String::new)
        }
        Some(chains) => chains.answer(slot, tally, entry, response, request, surplus),
    }
}
