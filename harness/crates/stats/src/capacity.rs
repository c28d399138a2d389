//! The highest rate at which a server still meets an objective, found from short trials that pass or fail by chance.
//!
//! # What is searched
//! A trial at rate r passes with a probability that falls as r grows. The **capacity** is the rate at which half of all
//! undisturbed trials pass: the median trial just meets the objective there.
//!
//! # Method
//! First the start rate is doubled until a trial fails, or halved until one passes. A failure must repeat to count, so
//! that one stall of the machine does not end the doubling. Then every trial updates a probability for each possible
//! capacity (Bayes' rule), and the next trial is made near the middle of what is still probable. That is
//! probabilistic bisection (Horstein, "Sequential transmission using noiseless feedback", 1963; Waeber, Frazier and
//! Henderson, "Bisection search with noisy responses", SIAM J. Control Optim. 51(3), 2013). How steeply the chance to
//! pass falls is not known, and a trial may fail for a reason that has nothing to do with the rate. So both are unknowns
//! too, as in adaptive measurements of thresholds (Watson and Pelli, "QUEST", 1983; Kontsevich and Tyler, "Bayesian
//! adaptive estimation of psychometric slope and threshold", 1999; Prins, "The psi-marginal adaptive method", 2013):
//!
//! ```text
//! P(pass at r | c, s, l) = f + (1 − f − l) / (1 + exp((ln r − ln c) / s))
//! ```
//!
//! with capacity c (ln c evenly distributed over the range searched), spread s (one of [`SPREADS`], equally probable),
//! disturbance l (one of [`DISTURBED`]) and f = 1 %, the chance that an overloaded trial passes.
//!
//! # Stopping
//! The search ends when the central 95 % of the probability is within ± the tolerance, after at least [`LEAST_TRIALS`],
//! or when its trials are used up; the interval is then wider, and [`CapacityEnd`] says so. The tests simulate searches
//! against queues with a known capacity and count how many intervals hold it.

use super::bootstrap::Interval;

/// Possible widths of the transition from passing to failing, in ln r. At 0.01 the chance falls from 73 to 27 % within
/// 2 % of the rate.
pub const SPREADS: [f64; 7] = [0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32];
/// Possible shares of trials that fail whatever their rate.
pub const DISTURBED: [f64; 3] = [0.01, 0.08, 0.2];
/// The chance that a trial far above capacity passes.
const LUCKY: f64 = 0.01;
/// The fewest trials at which an interval may be final, those that found the range included.
pub const LEAST_TRIALS: usize = 10;
/// The grid is this fine, in ln r.
const STEP: f64 = 0.004;
/// How far the range searched extends beyond the highest rate that passed and the lowest that failed, as a factor. The
/// trials that found them may have been lucky or disturbed.
const MARGIN: f64 = 3.0;
/// Where the next trials are made, as shares of the probability, in turn. At the middle alone, nothing would be learned
/// of the spread.
const PLACES: [f64; 4] = [0.5, 0.3, 0.5, 0.7];
/// The share outside of the interval, on each side.
const TAIL: f64 = 0.025;

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityOptions {
    /// The rate of the first trial, above 0.
    pub start: f64,
    /// No trial is below this rate, above 0.
    pub least: f64,
    /// No trial is above this rate.
    pub most: f64,
    /// The interval is precise enough if it is within ± this share of its middle; 0.05 is 5 %.
    pub tolerance: f64,
    /// Most trials, at least 1.
    pub max_trials: usize,
}

/// Why a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CapacityEnd {
    /// The interval is as narrow as asked for.
    Found,
    /// All trials were used; the interval is wider than asked for.
    Used,
    /// Even the highest rate passed: the capacity is at least that.
    AllPassed,
    /// Even the lowest rate failed: the capacity is below it.
    NonePassed,
}

impl CapacityEnd {
    /// The name used in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::Used => "trials-used",
            Self::AllPassed => "all-passed",
            Self::NonePassed => "none-passed",
        }
    }
}

/// What is known of a capacity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityEstimate {
    /// The rate above and below which the capacity is equally probable.
    pub rate: f64,
    /// Holds the capacity with a probability of 95 %.
    pub interval: Interval,
}

/// One trial.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapacityTrial {
    /// Its rate.
    pub rate: f64,
    /// Whether the objective was met.
    pub passed: bool,
}

/// A search, given one trial after another.
#[derive(Debug, Clone)]
pub struct CapacitySearch {
    options: CapacityOptions,
    trials: Vec<CapacityTrial>,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    /// Looking for a rate that passes and one that fails.
    Bracket {
        passed: Option<f64>,
        failed: Option<f64>,
        next: f64,
        /// Whether `next` has failed once.
        doubted: bool,
    },
    /// Between those.
    Bisect(Posterior),
    Ended(CapacityEnd),
}

impl CapacitySearch {
    /// Begins one.
    pub fn new(options: CapacityOptions) -> Self {
        let start = options.start.clamp(options.least, options.most);
        Self {
            options,
            trials: Vec::new(),
            phase: Phase::Bracket {
                passed: None,
                failed: None,
                next: start,
                doubted: false,
            },
        }
    }

    /// The rate of the next trial; `None` at the end.
    pub fn next_rate(&self) -> Option<f64> {
        if self.end().is_some() {
            return None;
        }
        match &self.phase {
            Phase::Bracket { next, .. } => Some(*next),
            Phase::Bisect(posterior) => {
                let place = PLACES[posterior.updates % PLACES.len()];
                let rate = posterior.quantile(place).exp();
                Some(rate.clamp(self.options.least, self.options.most))
            }
            Phase::Ended(_) => None,
        }
    }

    /// Why the search ended; `None` while it goes on.
    pub fn end(&self) -> Option<CapacityEnd> {
        match &self.phase {
            Phase::Ended(end) => Some(*end),
            Phase::Bisect(posterior)
                if self.trials.len() >= LEAST_TRIALS
                    && posterior.half_width() <= self.options.tolerance.ln_1p() =>
            {
                Some(CapacityEnd::Found)
            }
            _ if self.trials.len() >= self.options.max_trials => Some(CapacityEnd::Used),
            _ => None,
        }
    }

    /// Takes the result of a trial at [`Self::next_rate`].
    pub fn record(&mut self, trial: CapacityTrial) {
        self.trials.push(trial);
        match &mut self.phase {
            Phase::Bisect(posterior) => {
                posterior.update(trial);
                self.widen();
            }
            Phase::Bracket { .. } => self.bracket(trial),
            Phase::Ended(_) => {}
        }
    }

    /// Searches a wider range if the capacity may be beyond an end: the trials that set it were lucky or disturbed.
    fn widen(&mut self) {
        let CapacityOptions { least, most, .. } = self.options;
        let Phase::Bisect(posterior) = &self.phase else {
            return;
        };
        let (low, high) = posterior.range();
        let near = |share: f64, end: f64| (posterior.quantile(share) - end.ln()).abs() < 2.0 * STEP;
        let wider = (
            if near(TAIL, low) { low / MARGIN } else { low },
            if near(1.0 - TAIL, high) {
                high * MARGIN
            } else {
                high
            },
        );
        let wider = (wider.0.max(least), wider.1.min(most));
        if wider.0 < low * 0.99 || wider.1 > high * 1.01 {
            self.phase = Phase::Bisect(Posterior::of(wider, &self.trials));
        }
    }

    fn bracket(&mut self, trial: CapacityTrial) {
        let CapacityOptions { least, most, .. } = self.options;
        let Phase::Bracket {
            passed,
            failed,
            next,
            doubted,
        } = &mut self.phase
        else {
            return;
        };
        if trial.passed {
            *passed = Some(passed.map_or(*next, |rate| rate.max(*next)));
        } else if !*doubted {
            *doubted = true;
            return;
        } else {
            *failed = Some(failed.map_or(*next, |rate| rate.min(*next)));
        }
        *doubted = false;
        self.phase = match (*passed, *failed) {
            (Some(low), Some(high)) => {
                let range = (low.min(high) / MARGIN, high.max(low) * MARGIN);
                let range = (range.0.max(least), range.1.min(most));
                Phase::Bisect(Posterior::of(range, &self.trials))
            }
            (Some(low), None) if low >= most => Phase::Ended(CapacityEnd::AllPassed),
            (None, Some(high)) if high <= least => Phase::Ended(CapacityEnd::NonePassed),
            (Some(low), None) => {
                *next = (low * 2.0).min(most);
                return;
            }
            (_, Some(high)) => {
                *next = (high / 2.0).max(least);
                return;
            }
            (None, None) => return,
        };
    }

    /// All trials so far.
    pub fn trials(&self) -> &[CapacityTrial] {
        &self.trials
    }

    /// What is known so far; `None` until a rate has passed and another has failed.
    pub fn estimate(&self) -> Option<CapacityEstimate> {
        let Phase::Bisect(posterior) = &self.phase else {
            return None;
        };
        let at = |share| posterior.quantile(share).exp();
        Some(CapacityEstimate {
            rate: at(0.5),
            interval: Interval {
                low: at(TAIL),
                high: at(1.0 - TAIL),
            },
        })
    }
}

/// The probability of each capacity, spread and disturbance.
#[derive(Debug, Clone)]
struct Posterior {
    /// The lowest capacity, as its logarithm.
    low: f64,
    /// By capacity, then spread, then disturbance.
    weights: Vec<[[f64; DISTURBED.len()]; SPREADS.len()]>,
    updates: usize,
}

impl Posterior {
    fn new((low, high): (f64, f64)) -> Self {
        let points = ((high / low).ln() / STEP).ceil() as usize + 1;
        Self {
            low: low.ln(),
            weights: vec![[[1.0; DISTURBED.len()]; SPREADS.len()]; points],
            updates: 0,
        }
    }

    /// Over this range, after these trials.
    fn of(range: (f64, f64), trials: &[CapacityTrial]) -> Self {
        let mut posterior = Self::new(range);
        trials.iter().for_each(|trial| posterior.update(*trial));
        posterior
    }

    /// The lowest and the highest capacity.
    fn range(&self) -> (f64, f64) {
        let high = self.low + (self.weights.len() - 1) as f64 * STEP;
        (self.low.exp(), high.exp())
    }

    fn update(&mut self, trial: CapacityTrial) {
        let at = trial.rate.ln();
        let mut sum = 0.0;
        for (place, of_spreads) in self.weights.iter_mut().enumerate() {
            let above = at - (self.low + place as f64 * STEP);
            for (spread, of_disturbed) in SPREADS.iter().zip(of_spreads) {
                let undisturbed = 1.0 / (1.0 + (above / spread).exp());
                for (disturbed, weight) in DISTURBED.iter().zip(of_disturbed) {
                    let passes = LUCKY + (1.0 - LUCKY - disturbed) * undisturbed;
                    *weight *= if trial.passed { passes } else { 1.0 - passes };
                    sum += *weight;
                }
            }
        }
        // Every likelihood is at least 1 %, so the sum is above 0.
        for weight in self.weights.iter_mut().flatten().flatten() {
            *weight /= sum;
        }
        self.updates += 1;
    }

    /// ln of the rate below which the capacity is with this probability.
    fn quantile(&self, share: f64) -> f64 {
        let of = |weights: &[[f64; DISTURBED.len()]; SPREADS.len()]| -> f64 {
            weights.iter().flatten().sum()
        };
        let total: f64 = self.weights.iter().map(of).sum();
        let mut below = 0.0;
        for (place, weights) in self.weights.iter().enumerate() {
            let here = of(weights);
            if below + here >= share * total {
                let within = ((share * total - below) / here).clamp(0.0, 1.0);
                return self.low + (place as f64 + within - 0.5) * STEP;
            }
            below += here;
        }
        self.low + (self.weights.len() - 1) as f64 * STEP
    }

    fn half_width(&self) -> f64 {
        (self.quantile(1.0 - TAIL) - self.quantile(TAIL)) / 2.0
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    const OPTIONS: CapacityOptions = CapacityOptions {
        start: 100.0,
        least: 1.0,
        most: 1e6,
        tolerance: 0.05,
        max_trials: 60,
    };

    fn search(options: CapacityOptions, mut passes: impl FnMut(f64) -> bool) -> CapacitySearch {
        let mut search = CapacitySearch::new(options);
        while let Some(rate) = search.next_rate() {
            let passed = passes(rate);
            search.record(CapacityTrial { rate, passed });
        }
        search
    }

    /// The share of searches whose interval holds the capacity, and the mean number of trials. Starts are from a
    /// 27th of the capacity to twice it.
    fn coverage(
        searches: u32,
        (tolerance, capacity): (f64, f64),
        mut passes: impl FnMut(f64, &mut Pcg64) -> bool,
    ) -> (f64, f64) {
        let mut random = Pcg64::seed_from_u64(5);
        let (mut held, mut trials) = (0, 0);
        for _ in 0..searches {
            let start = capacity / 27.0 * 54.0_f64.powf(random.random::<f64>());
            let options = CapacityOptions {
                start,
                tolerance,
                ..OPTIONS
            };
            let found = search(options, |rate| passes(rate, &mut random));
            let Interval { low, high } = found.estimate().unwrap().interval;
            held += u32::from(low <= capacity && capacity <= high);
            trials += found.trials().len();
        }
        let of = f64::from(searches);
        (f64::from(held) / of, trials as f64 / of)
    }

    #[test]
    fn intervals_hold_the_capacity_of_a_queue() {
        // M/M/1: the time in the system is exponential with rate µ − λ (Kleinrock, "Queueing Systems" I, 1975, section
        // 3.2), so its 99th percentile is ln 100 / (µ − λ), and it is at most L up to λ = µ − ln 100 / L.
        const SERVICE: f64 = 1_000.0;
        const LIMIT: f64 = 0.02;
        let capacity = SERVICE - 100.0_f64.ln() / LIMIT;
        // A trial of that queue: Lindley's recursion, from an empty queue, the first quarter not counted.
        let passes = |rate: f64, random: &mut Pcg64| {
            const COUNTED: usize = 6_000;
            let mut exponential = |rate: f64| -(1.0 - random.random::<f64>()).ln() / rate;
            let (mut waits, mut above) = (0.0_f64, 0);
            for request in 0..COUNTED + COUNTED / 4 {
                let served = waits + exponential(SERVICE);
                above += usize::from(request >= COUNTED / 4 && served > LIMIT);
                waits = (served - exponential(rate)).max(0.0);
            }
            above <= COUNTED / 100
        };
        let (held, trials) = coverage(300, (0.1, capacity), passes);
        assert!(held >= 0.93, "{held} of the intervals hold {capacity}");
        assert!(trials < 35.0, "{trials} trials");
    }

    #[test]
    fn intervals_hold_the_capacity_although_trials_are_disturbed() {
        for (spread, disturbed) in [(0.001, 0.0), (0.03, 0.0), (0.03, 0.15), (0.1, 0.05)] {
            let passes = |rate: f64, random: &mut Pcg64| {
                let chance = 1.0 / (1.0 + ((rate / 540.0).ln() / spread).exp());
                random.random::<f64>() < chance * (1.0 - disturbed)
            };
            let (held, trials) = coverage(200, (0.1, 540.0), passes);
            assert!(
                held >= 0.92,
                "spread {spread}, {disturbed} disturbed: {held}, {trials} trials"
            );
        }
    }

    #[test]
    fn a_certain_capacity_takes_few_trials() {
        let found = search(OPTIONS, |rate| rate < 12_345.0);
        let CapacityEstimate { rate, interval } = found.estimate().unwrap();
        assert_eq!(found.end(), Some(CapacityEnd::Found));
        assert!((rate / 12_345.0 - 1.0).abs() < 0.02, "{rate}");
        assert!(
            interval.high / interval.low < 1.05_f64.powi(2) + 1e-9,
            "{interval:?}"
        );
        assert!(found.trials().len() <= 30, "{:?}", found.trials());
    }

    #[test]
    fn one_stall_does_not_end_the_doubling() {
        let mut trials = 0;
        let found = search(OPTIONS, |rate| {
            trials += 1;
            // The third one, at 400.
            rate < 50_000.0 && trials != 3
        });
        let rate = found.estimate().unwrap().rate;
        assert!((rate / 50_000.0 - 1.0).abs() < 0.05, "{rate}");
    }

    #[test]
    fn a_wrong_bracket_is_widened() {
        let mut trials = 0;
        let found = search(OPTIONS, |rate| {
            trials += 1;
            // Twice at 200: the range first ends at 600.
            rate < 50_000.0 && !(2..=3).contains(&trials)
        });
        let rate = found.estimate().unwrap().rate;
        assert!(
            (rate / 50_000.0 - 1.0).abs() < 0.1,
            "{rate}: {:?}",
            found.trials()
        );
    }

    #[test]
    fn a_capacity_outside_of_the_range_has_no_interval() {
        let all = search(OPTIONS, |_| true);
        assert_eq!(
            (all.end(), all.estimate()),
            (Some(CapacityEnd::AllPassed), None)
        );
        let highest = all.trials().last().unwrap().rate;
        assert_eq!(highest, OPTIONS.most);
        let none = search(OPTIONS, |_| false);
        assert_eq!(
            (none.end(), none.estimate()),
            (Some(CapacityEnd::NonePassed), None)
        );
        assert_eq!(none.trials().last().unwrap().rate, OPTIONS.least);
    }

    #[test]
    fn no_more_trials_than_allowed() {
        let mut random = Pcg64::seed_from_u64(5);
        let options = CapacityOptions {
            max_trials: 12,
            ..OPTIONS
        };
        let found = search(options, |rate| rate < 500.0 && random.random::<f64>() < 0.7);
        assert_eq!(
            (found.end(), found.trials().len()),
            (Some(CapacityEnd::Used), 12)
        );
    }
}
