//! Chains: how far each user of a thread has come in a session.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::ErrorKind;
use super::engine::Engine;
use super::judge::{Verdict, clip, judge};
use super::recorder::{Moments, Nanos, RequestTimes, add, histogram};
use super::response::ParsedResponse;
use super::same;
use super::script::{ScriptEntry, SessionScript};
use super::session::{Session, Taken};
use super::tally::Tally;

/// Bytes reserved for a body that a later one is compared with.
const BODY: usize = 1024;

/// The chains of one thread.
#[derive(Debug)]
pub(crate) struct Chains<'w> {
    script: &'w SessionScript,
    users: Vec<Chain>,
}

/// Where one user is.
#[derive(Debug)]
struct Chain {
    /// The step in flight, or the next one; `None` between two chains.
    step: Option<usize>,
    /// When its first request was sent.
    began: Nanos,
    taken: Taken,
    /// The bodies of the responses that later ones must equal, by step.
    bodies: Vec<Vec<u8>>,
}

/// What is wrong with a response besides what its request expects.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    /// It differs from the body of this step's response.
    Differs { from: usize },
    /// This value of the step can't be taken.
    Lacks { take: usize },
}

impl<'w> Chains<'w> {
    pub(crate) fn new(script: &'w SessionScript, users: usize) -> Self {
        let steps = &script.session.steps;
        let room = |step| match steps.iter().any(|later| later.same_as == Some(step)) {
            true => Vec::with_capacity(BODY),
            false => Vec::new(),
        };
        let chain = || Chain {
            step: None,
            began: 0,
            taken: Taken::new(script.session.values.len()),
            bodies: (0..steps.len()).map(room).collect(),
        };
        Self {
            script,
            users: (0..users).map(|_| chain()).collect(),
        }
    }

    fn session(&self) -> &'w Session {
        &self.script.session
    }

    /// Whether this user's next request belongs to the same chain as the last one, so that there is no think time before.
    pub(crate) fn goes_on(&self, slot: usize) -> bool {
        self.users[slot].step.is_some()
    }

    /// A user begins a chain.
    pub(crate) fn begin(&mut self, slot: usize, now: Nanos) {
        let chain = &mut self.users[slot];
        (chain.step, chain.began) = (Some(0), now);
        chain.taken.clear();
    }

    /// Sends the request of `entry`, with the values that the user has taken.
    pub(crate) fn send(
        &self,
        slot: usize,
        entry: u32,
        wire: &'w [u8],
        engine: &mut impl Engine<'w>,
    ) -> Result<(), rustix::io::Errno> {
        match &self.script.templates[entry as usize] {
            None => engine.send(slot, wire),
            Some(template) => {
                let length = template.write(&self.users[slot].taken, engine.draft(slot));
                engine.send_draft(slot, length)
            }
        }
    }

    /// Judges a response to a user's request, counts it, and moves the user on.
    pub(crate) fn answer(
        &mut self,
        slot: usize,
        tally: &mut Tally,
        entry: &ScriptEntry,
        answer: &ParsedResponse<'_>,
        request: &RequestTimes,
        surplus: bool,
    ) -> bool {
        let mut verdict = judge(entry, answer);
        let mut flaw = None;
        if !matches!(verdict, Verdict::Wrong(_)) {
            flaw = self.flaw(slot, answer);
            if flaw.is_some() {
                verdict = Verdict::Wrong(ErrorKind::Body);
            }
        }
        let note = || self.note(slot, flaw);
        let right = tally.answer(verdict, entry, answer, request, surplus, note);
        match right {
            true => self.step_done(slot, tally, request.ended),
            false => self.failed(slot, tally, request.ended),
        }
        right
    }

    /// Compares a response with an earlier one and takes what the step takes.
    fn flaw(&mut self, slot: usize, answer: &ParsedResponse<'_>) -> Option<Flaw> {
        let chain = &mut self.users[slot];
        let place = chain.step?;
        let step = &self.script.session.steps[place];
        if let Some(from) = step.same_as {
            let earlier = &chain.bodies[from];
            let same = answer.is_whole()
                && (answer.body == &earlier[..] || means_the_same(answer.body, earlier));
            if !same {
                return Some(Flaw::Differs { from });
            }
        }
        for (take, (value, pointer)) in step.takes.iter().enumerate() {
            if !answer.is_whole() || !chain.taken.take(*value, pointer, answer.body) {
                return Some(Flaw::Lacks { take });
            }
        }
        if chain.bodies[place].capacity() > 0 {
            chain.bodies[place].clear();
            chain.bodies[place].extend_from_slice(answer.body);
        }
        None
    }

    /// What a message about a request of this user must add: the step, its values, and what was expected.
    fn note(&self, slot: usize, flaw: Option<Flaw>) -> String {
        let chain = &self.users[slot];
        let Some(place) = chain.step else {
            return String::new();
        };
        let session = self.session();
        let step = &session.steps[place];
        let mut note = match flaw {
            None => String::new(),
            Some(Flaw::Differs { from }) => format!(
                "\n  expected the body of the response to {}: {}",
                session.steps[from].name,
                clip(&chain.bodies[from])
            ),
            Some(Flaw::Lacks { take }) => {
                let (value, pointer) = &step.takes[take];
                let name = &session.values[*value];
                format!("\n  expected a number or a text at {pointer}, to take as {name}")
            }
        };
        note += &format!("\n  in step {}", step.name);
        let taken = chain.taken.words(&session.values);
        if !taken.is_empty() {
            note += &format!(" with {taken}");
        }
        note
    }

    /// The same for a request without a response.
    pub(crate) fn note_of_lost(&self, slot: usize) -> String {
        self.note(slot, None)
    }

    fn step_done(&mut self, slot: usize, tally: &mut Tally, ended: Nanos) {
        let chain = &mut self.users[slot];
        let next = chain.step.map(|step| step + 1);
        chain.step = next.filter(|next| *next < self.script.session.steps.len());
        if chain.step.is_none() {
            tally.chain_ended(ended, Ok(ended.saturating_sub(chain.began)));
        }
    }

    /// The request of the current step failed, which ends the chain.
    pub(crate) fn failed(&mut self, slot: usize, tally: &mut Tally, ended: Nanos) {
        if let Some(step) = self.users[slot].step.take() {
            tally.chain_ended(ended, Err(step));
        }
    }

    /// How long the chain of a user whose request has no response has taken so far.
    pub(crate) fn waited(&self, slot: usize, now: Nanos) -> u64 {
        now.saturating_sub(self.users[slot].began)
    }
}

#[cold]
fn means_the_same(body: &[u8], earlier: &[u8]) -> bool {
    serde_json::from_slice(earlier).is_ok_and(|json| same::means(body, &json))
}

/// What one thread records of chains.
#[derive(Debug)]
pub(crate) struct ChainTally {
    /// End to end time of those that were completed in the window.
    pub(crate) time: Histogram<u64>,
    pub(crate) moments: Moments,
    /// Those that failed in the window.
    pub(crate) failed_in_window: u64,
    /// Over the whole drive: complete, and failed by step.
    pub(crate) complete_total: u64,
    pub(crate) failed: Vec<u64>,
    /// How long those had taken whose request had no response at the end.
    pub(crate) unfinished: Vec<u64>,
}

impl ChainTally {
    /// For chains of this many steps, each of which takes up to `max`.
    pub(crate) fn new(steps: usize, max: Duration) -> Self {
        Self {
            time: histogram(max.saturating_mul(steps as u32)),
            moments: Moments::default(),
            failed_in_window: 0,
            complete_total: 0,
            failed: vec![0; steps],
            unfinished: Vec::new(),
        }
    }

    /// A chain has ended: with its time, or by failing at a step.
    pub(crate) fn ended(&mut self, result: Result<u64, usize>, in_window: bool) {
        match result {
            Ok(time) => {
                self.complete_total += 1;
                if in_window {
                    self.time.saturating_record(time);
                    self.moments.add(time);
                }
            }
            Err(step) => {
                self.failed[step] += 1;
                self.failed_in_window += u64::from(in_window);
            }
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        add(&mut self.time, &other.time);
        self.moments.merge(&other.moments);
        self.failed_in_window += other.failed_in_window;
        self.complete_total += other.complete_total;
        for (mine, theirs) in self.failed.iter_mut().zip(&other.failed) {
            *mine += theirs;
        }
        self.unfinished.extend(&other.unfinished);
    }
}
