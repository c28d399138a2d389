//! What a run knows about its rounds so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::options::Options;
use super::trial;
use catalog::plan::{self, Plan};
use catalog::{Call, Profile, Stage};
use record::{Failure, Trial};

/// Skip a server after this many consecutive failed trials.
pub(super) const GIVE_UP: u32 = 3;

/// State kept across rounds.
pub(super) struct Course<'a> {
    options: &'a Options,
    pub(super) done: BTreeSet<plan::Step>,
    /// The last round in which an earlier process ran a trial; 0 in a new run.
    pub(super) begun: u32,
    pub(super) failed: BTreeMap<String, FailedTrials>,
    /// The round whose requests were drawn last, and its requests by workload, the same for all servers.
    drawn: (u32, BTreeMap<String, Vec<Call>>),
    pub(super) clock: Clock<'a>,
    pub(super) trials_expected: usize,
    /// All trials so far, without their large parts.
    pub(super) trials: Vec<Trial>,
}

impl<'a> Course<'a> {
    /// `earlier`: the trials of an interrupted run.
    pub(super) fn new(options: &'a Options, plan: &'a Plan, earlier: &[Trial]) -> Self {
        let rounds = options.expected_rounds();
        let expected = options.length.budget.unwrap_or_default();
        let expected = expected.max(plan.round_time(&options.profile) * rounds);
        let mut course = Self {
            options,
            done: BTreeSet::new(),
            begun: 0,
            failed: BTreeMap::new(),
            drawn: (0, BTreeMap::new()),
            clock: Clock::new(&options.profile, plan, expected),
            trials_expected: plan.round_len() * rounds as usize,
            trials: Vec::new(),
        };
        for trial in earlier {
            let step = plan::Step {
                round: trial.round,
                server: trial.server.clone(),
                workload: trial.workload.clone(),
                stage: trial.stage,
            };
            if trial::was_run(trial) {
                let failed = course.failed.entry(step.server.clone()).or_default();
                failed.note(trial);
                course.clock.passed(step.stage);
            }
            course.keep(trial.clone());
            course.begun = course.begun.max(step.round);
            course.done.insert(step);
        }
        course.clock.begin_again();
        course
    }

    /// The requests of a trial.
    pub(super) fn calls(&mut self, step: &plan::Step) -> &[Call] {
        if self.drawn.0 != step.round {
            self.drawn = (step.round, self.options.calls(step.round));
        }
        &self.drawn.1[&step.workload]
    }

    pub(super) fn keep(&mut self, mut trial: Trial) {
        trial.histograms.clear();
        trial.intervals.clear();
        self.trials.push(trial);
    }
}

#[derive(Debug, Default)]
pub(super) struct FailedTrials {
    pub(super) in_a_row: u32,
    pub(super) last: Option<Failure>,
    told: bool,
}

impl FailedTrials {
    pub(super) fn note(&mut self, trial: &Trial) {
        self.in_a_row = match trial.failure {
            Some(_) => self.in_a_row + 1,
            None => 0,
        };
        self.last.clone_from(&trial.failure);
    }

    /// True once, when the limit is reached.
    pub(super) fn just_given_up(&mut self) -> bool {
        self.in_a_row >= GIVE_UP && !std::mem::replace(&mut self.told, true)
    }
}

/// Estimates the time left: the plan's estimate, scaled by how long things took so far.
pub(super) struct Clock<'a> {
    profile: &'a Profile,
    plan: &'a Plan,
    begin: Instant,
    /// What ran before this process, by the plan's estimate.
    before: Duration,
    expected_so_far: Duration,
    expected: Duration,
}

impl<'a> Clock<'a> {
    fn new(profile: &'a Profile, plan: &'a Plan, expected: Duration) -> Self {
        Self {
            profile,
            plan,
            begin: Instant::now(),
            before: Duration::ZERO,
            expected_so_far: Duration::ZERO,
            expected,
        }
    }

    /// Counts everything passed so far as run by an earlier process.
    fn begin_again(&mut self) {
        self.before = std::mem::take(&mut self.expected_so_far);
        self.expected = self.expected.saturating_sub(self.before);
    }

    pub(super) fn passed(&mut self, stage: Stage) {
        self.expected_so_far += self.plan.trial_time(self.profile, stage);
    }

    /// The time of all trials, including those run by an earlier process.
    pub(super) fn spent(&self) -> Duration {
        self.before + self.begin.elapsed()
    }

    /// How much longer things take than estimated; 1 before anything is known.
    fn speed(&self) -> f64 {
        if self.expected_so_far.is_zero() {
            return 1.0;
        }
        self.begin.elapsed().as_secs_f64() / self.expected_so_far.as_secs_f64()
    }

    pub(super) fn per_round(&self) -> Duration {
        self.plan.round_time(self.profile).mul_f64(self.speed())
    }

    pub(super) fn left(&self) -> Duration {
        let left = self.expected.saturating_sub(self.expected_so_far);
        left.mul_f64(self.speed())
    }
}
