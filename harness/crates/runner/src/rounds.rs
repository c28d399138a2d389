//! Measures rounds of trials until there are enough.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use super::entry::Entry;
use super::fleet::Fleet;
use super::rotation::Cut;
use super::session::{Happening, Session, SessionError, Watch};
use super::together::{self, Part};
use super::trial::{self, Task};
use catalog::plan::{self, Plan, round_seed};
use catalog::{Call, DISTINCT_CALLS, Profile, Workload};
use loadgen::Pace;
use record::{Failure, Schedule, StoppedBy, Trial};

/// Skip a server after this many consecutive failed trials.
const GIVE_UP: u32 = 3;

impl<W: Watch> Session<'_, W> {
    /// Runs all trials of every round that haven't run yet.
    pub(super) fn measure(
        &mut self,
        entries: &[Entry<'_>],
        run: &record::Run,
    ) -> Result<StoppedBy, SessionError> {
        let plan = Plan {
            entries: run.entries.clone(),
            ..self.options.plan()
        };
        let mut course = Course::new(self, &plan);
        for round in 1..=plan.rounds {
            let steps = plan.round(round);
            let mut fleet = Fleet::default();
            let mut place = (round as usize - 1) * steps.len();
            for together in plan.together(&steps) {
                let begin = place;
                place += together.len();
                let missing: Vec<Planned<'_>> = together
                    .iter()
                    .enumerate()
                    .map(|(index, step)| Planned {
                        step,
                        index: begin + index,
                    })
                    .filter(|planned| !course.done.contains(planned.step))
                    .collect();
                if missing.is_empty() {
                    continue;
                }
                self.go_on()?;
                let rate = run.rates_per_s.get(&together[0].workload).copied();
                self.some(entries, &missing, rate, &mut fleet, &mut course)?;
            }
            self.end_round(fleet, &mut course);
            // A later round has begun, so this one was already found not to be the last.
            if round < course.begun {
                continue;
            }
            if let Some(why) = self.enough(round, &plan, &course) {
                return Ok(why);
            }
        }
        Ok(StoppedBy::Rounds)
    }

    /// Runs trials that belong together, or says why one of them is skipped, and stores them.
    fn some<'e>(
        &mut self,
        entries: &'e [Entry<'e>],
        planned: &[Planned<'_>],
        rate: Option<f64>,
        fleet: &mut Fleet<'e>,
        course: &mut Course<'_>,
    ) -> Result<(), SessionError> {
        let first = planned[0];
        let mut trials = Vec::new();
        let mut runs = Vec::new();
        let mut pace = None;
        for one in planned {
            let failed = course.failed.entry(one.step.server.clone()).or_default();
            match self.can_run(one.step, rate, failed) {
                Ok(its) => {
                    pace = Some(its);
                    runs.push(*one);
                }
                Err(failure) => trials.push(trial::not_run(one.step, one.index as u32, failure)),
            }
        }
        if let Some(pace) = pace {
            let steps: Vec<plan::Step> = runs.iter().map(|one| one.step.clone()).collect();
            let (all, left) = (course.trials_expected, course.clock.left());
            self.watch
                .happens(&Happening::Trials(&steps, first.index, all, left));
            let calls = course
                .drawn
                .calls(&self.options.workloads, first.step, self.options.seed);
            let measured = match self.options.schedule {
                Schedule::Isolated => runs
                    .iter()
                    .map(|one| self.trial(entries, *one, calls, pace.clone()))
                    .collect::<Result<Vec<_>, _>>()?,
                Schedule::Interleaved { .. } => self.in_turn(entries, &runs, calls, pace, fleet)?,
            };
            // A trial that was cut short says nothing about its server.
            self.go_on()?;
            trials.extend(measured);
        }
        self.store
            .put_trials(&trials)
            .context("cannot store a trial")?;
        for trial in trials {
            let failed = course.failed.entry(trial.server.clone()).or_default();
            if trial::was_run(&trial) {
                self.watch.happens(&Happening::Measured(&trial));
                failed.note(&trial);
            }
            if failed.just_given_up() {
                self.watch.happens(&Happening::GivenUp(&trial.server));
            }
            course.keep(trial);
        }
        for one in planned {
            course.clock.passed(one.step);
        }
        Ok(())
    }

    /// Ends the processes of a round. If one still holds its port, its next trial fails because it can't have
    /// that port. So the failure is only reported here.
    fn end_round(&mut self, fleet: Fleet<'_>, course: &mut Course<'_>) {
        for (name, failure) in fleet.end_all() {
            self.watch.happens(&Happening::Left(&name, &failure));
            course.failed.entry(name).or_default().last = Some(failure);
        }
    }

    /// The pace of a trial, or why it is skipped.
    fn can_run(
        &self,
        step: &plan::Step,
        rate_per_s: Option<f64>,
        failed: &Failed,
    ) -> Result<Pace, Failure> {
        let not_run = |reason: String| Failure {
            step: record::Step::Drive,
            reason,
            log_tail: String::new(),
        };
        if let (true, Some(last)) = (failed.in_a_row >= GIVE_UP, &failed.last) {
            return Err(not_run(format!(
                "skipped after {GIVE_UP} consecutive failures; the last: {}",
                last.reason
            )));
        }
        trial::pace(step.stage, rate_per_s).ok_or_else(|| {
            let why = self.uncalibrated.get(&step.workload);
            let why = why.map_or("no server could be calibrated", String::as_str);
            not_run(format!("no paced rate: {why}; set one with --rate"))
        })
    }

    fn trial(
        &self,
        entries: &[Entry<'_>],
        Planned { step, index }: Planned<'_>,
        calls: &[Call],
        pace: Pace,
    ) -> Result<Trial, SessionError> {
        let task = Task {
            step,
            position: index as u32,
            log: format!("{index:04}"),
            calls,
            pace,
            warmup: self.options.profile.warmup,
            duration: self.options.profile.measured(step.stage),
            seed: round_seed(self.options.seed, step.round),
        };
        let entry = named(entries, &step.server)?;
        Ok(trial::measure(
            entry,
            &task,
            &self.settings,
            &self.referee,
            self.interrupt,
        ))
    }

    /// Runs a stage of a workload with all entries taking turns.
    fn in_turn<'e>(
        &self,
        entries: &'e [Entry<'e>],
        planned: &[Planned<'_>],
        calls: &[Call],
        pace: Pace,
        fleet: &mut Fleet<'e>,
    ) -> Result<Vec<Trial>, SessionError> {
        let step = planned[0].step;
        let part = |one: &Planned<'_>| {
            Ok(Part {
                entry: named(entries, &one.step.server)?,
                step: one.step.clone(),
                position: one.index as u32,
            })
        };
        let parts: Vec<Part<'e>> = planned
            .iter()
            .map(part)
            .collect::<Result<_, SessionError>>()?;
        let millis = |ms: Option<f64>| Duration::from_secs_f64(ms.unwrap_or_default() / 1e3);
        let profile = &self.options.profile;
        let task = together::Task {
            calls,
            pace,
            cut: Cut {
                slice: millis(self.options.schedule.slice_ms()),
                lead_in: millis(self.options.schedule.lead_in_ms()),
                measured: profile.measured(step.stage),
                warmup: profile.warmup,
            },
            // Each stage has its own order.
            seed: round_seed(self.options.seed, step.round) ^ planned[0].index as u64,
        };
        let (settings, referee) = (&self.settings, &self.referee);
        Ok(together::measure(
            &parts,
            fleet,
            &task,
            settings,
            referee,
            self.interrupt,
        ))
    }

    /// Whether to stop after this round, and why.
    fn enough(&mut self, round: u32, plan: &Plan, course: &Course<'_>) -> Option<StoppedBy> {
        let length = self.options.length;
        if !length.is_adaptive() {
            return None;
        }
        let sureness = length
            .precision
            .and_then(|_| (self.sureness)(&course.trials));
        let why = length.ended(
            round,
            course.clock.spent(),
            course.clock.per_round(plan),
            sureness.as_ref(),
        );
        if let (None, Some(sureness)) = (why, &sureness) {
            let wanting = length.rounds_wanting(round, sureness);
            self.watch
                .happens(&Happening::Known(round, sureness, wanting));
        }
        why
    }
}

/// A trial of the plan and its position there.
#[derive(Debug, Clone, Copy)]
struct Planned<'a> {
    step: &'a plan::Step,
    index: usize,
}

fn named<'e>(entries: &'e [Entry<'e>], name: &str) -> Result<&'e Entry<'e>, SessionError> {
    let found = entries.iter().find(|entry| entry.name == name);
    let found =
        found.with_context(|| format!("the plan names {name}, but there is no such entry"))?;
    Ok(found)
}

/// State kept across rounds.
struct Course<'a> {
    done: BTreeSet<plan::Step>,
    /// The last round in which an earlier process ran a trial; 0 in a new run.
    begun: u32,
    failed: BTreeMap<String, Failed>,
    drawn: Drawn,
    clock: Clock<'a>,
    trials_expected: usize,
    /// All trials so far, without their large parts.
    trials: Vec<Trial>,
}

impl<'a> Course<'a> {
    fn new<W: Watch>(session: &Session<'a, W>, plan: &'a Plan) -> Self {
        let options = session.options;
        let rounds = options.expected_rounds();
        let expected = options.length.budget.unwrap_or_default();
        let expected = expected.max(plan.round_time(&options.profile) * rounds);
        let mut course = Self {
            done: BTreeSet::new(),
            begun: 0,
            failed: BTreeMap::new(),
            drawn: Drawn::default(),
            clock: Clock::new(&options.profile, plan, expected),
            trials_expected: plan.round_len() * rounds as usize,
            trials: Vec::new(),
        };
        for trial in &session.earlier.trials {
            let step = plan::Step {
                round: trial.round,
                server: trial.server.clone(),
                workload: trial.workload.clone(),
                stage: trial.stage,
            };
            if trial::was_run(trial) {
                let failed = course.failed.entry(step.server.clone()).or_default();
                failed.note(trial);
                course.clock.passed(&step);
            }
            course.keep(trial.clone());
            course.begun = course.begun.max(step.round);
            course.done.insert(step);
        }
        course.clock.begin_again();
        course
    }

    fn keep(&mut self, mut trial: Trial) {
        trial.histograms.clear();
        trial.intervals.clear();
        self.trials.push(trial);
    }
}

/// The failed trials of a server.
#[derive(Debug, Default)]
struct Failed {
    in_a_row: u32,
    last: Option<Failure>,
    told: bool,
}

impl Failed {
    fn note(&mut self, trial: &Trial) {
        self.in_a_row = match trial.failure {
            Some(_) => self.in_a_row + 1,
            None => 0,
        };
        self.last.clone_from(&trial.failure);
    }

    /// True once, when the limit is reached.
    fn just_given_up(&mut self) -> bool {
        self.in_a_row >= GIVE_UP && !std::mem::replace(&mut self.told, true)
    }
}

/// The requests of the current round, drawn once for all servers.
#[derive(Default)]
struct Drawn {
    round: u32,
    calls: BTreeMap<String, Vec<Call>>,
}

impl Drawn {
    fn calls(&mut self, workloads: &[Workload], step: &plan::Step, seed: u64) -> &[Call] {
        if self.round != step.round {
            let seed = round_seed(seed, step.round);
            self.calls = workloads
                .iter()
                .map(|workload| (workload.name.clone(), workload.draw(seed, DISTINCT_CALLS)))
                .collect();
            self.round = step.round;
        }
        &self.calls[&step.workload]
    }
}

/// Estimates the time left: the plan's estimate, scaled by how long things took so far.
struct Clock<'a> {
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

    fn passed(&mut self, step: &plan::Step) {
        self.expected_so_far += self.plan.trial_time(self.profile, step.stage);
    }

    /// The time of all trials, including those run by an earlier process.
    fn spent(&self) -> Duration {
        self.before + self.begin.elapsed()
    }

    /// How much longer things take than estimated; 1 before anything is known.
    fn speed(&self) -> f64 {
        if self.expected_so_far.is_zero() {
            return 1.0;
        }
        self.begin.elapsed().as_secs_f64() / self.expected_so_far.as_secs_f64()
    }

    fn per_round(&self, plan: &Plan) -> Duration {
        plan.round_time(self.profile).mul_f64(self.speed())
    }

    fn left(&self) -> Duration {
        let left = self.expected.saturating_sub(self.expected_so_far);
        left.mul_f64(self.speed())
    }
}
