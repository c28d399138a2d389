//! The window's requests by class, and by the stage of the rate in which they were due.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::recorder::{Nanos, RequestTimes, add, histogram, nanos};
use super::{Class, Pace, RateStage, StageFigures};

/// What one thread records by class and by stage; empty if there is only one of each.
#[derive(Debug, Default)]
pub(crate) struct Breakdown {
    classes: Vec<Part>,
    stages: Vec<Stage>,
    /// The schedule's start, and the ends of the stages relative to it.
    pub(crate) origin: Nanos,
    ends: Vec<Nanos>,
}

/// A part of the requests.
#[derive(Debug)]
struct Part {
    latency: Histogram<u64>,
    /// Valid responses in the window.
    requests: u64,
    /// Over the whole drive.
    errors: u64,
}

#[derive(Debug)]
struct Stage {
    part: Part,
    asked: u64,
    send_lag: Histogram<u64>,
}

impl Breakdown {
    /// For this many classes, the stages of `pace`, and latencies up to `max`.
    pub(crate) fn new(classes: usize, pace: &Pace, max: Duration) -> Self {
        let stages = stages(pace);
        // A single class equals the total, which is recorded anyway.
        let classes = if classes > 1 { classes } else { 0 };
        let mut end = 0;
        Self {
            // Not clones of each other, so that memory is touched only where it is used.
            classes: (0..classes).map(|_| Part::new(max)).collect(),
            stages: stages.iter().map(|_| Stage::new(max)).collect(),
            origin: 0,
            ends: (stages.iter())
                .map(|stage| {
                    end += nanos(stage.length);
                    end
                })
                .collect(),
        }
    }

    fn is_empty(&self) -> bool {
        self.classes.is_empty() && self.stages.is_empty()
    }

    /// The stage in which a request was due.
    fn stage(&mut self, intended: Nanos) -> Option<&mut Stage> {
        let since = intended.saturating_sub(self.origin);
        let index = self.ends.partition_point(|end| *end <= since);
        self.stages.get_mut(index)
    }

    /// The parts a request belongs to.
    fn parts(&mut self, class: u32, intended: Nanos, each: impl Fn(&mut Part)) {
        if self.is_empty() {
            return;
        }
        if let Some(part) = self.classes.get_mut(class as usize) {
            each(part);
        }
        if let Some(stage) = self.stage(intended) {
            each(&mut stage.part);
        }
    }

    /// A request that ended in the window, successfully or by timeout.
    pub(crate) fn time(&mut self, class: u32, request: &RequestTimes, valid: bool) {
        let latency = request.ended.saturating_sub(request.intended);
        self.parts(class, request.intended, |part| {
            part.requests += u64::from(valid);
            part.latency.saturating_record(latency);
        });
    }

    /// A request that ended with an error, inside the window or not.
    pub(crate) fn error(&mut self, class: u32, intended: Nanos) {
        self.parts(class, intended, |part| part.errors += 1);
    }

    pub(crate) fn due(&mut self, at: Nanos) {
        if let Some(stage) = self.stage(at) {
            stage.asked += 1;
        }
    }

    /// A request that was due at `intended` was sent `lag` late.
    pub(crate) fn sent(&mut self, lag: Nanos, intended: Nanos) {
        if let Some(stage) = self.stage(intended) {
            stage.send_lag.saturating_record(lag);
        }
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.classes.iter_mut().zip(&other.classes) {
            mine.merge(theirs);
        }
        for (mine, theirs) in self.stages.iter_mut().zip(&other.stages) {
            mine.part.merge(&theirs.part);
            mine.asked += theirs.asked;
            add(&mut mine.send_lag, &theirs.send_lag);
        }
    }

    /// The classes with their names; empty if there is only one.
    pub(crate) fn classes(&self, names: &[String]) -> Vec<Class> {
        let parts = self.classes.iter().zip(names);
        parts
            .map(|(part, name)| Class {
                name: name.clone(),
                requests: part.requests,
                errors: part.errors,
                latency: part.latency.clone(),
            })
            .collect()
    }

    /// The stages of `pace`, of which `window` was run.
    pub(crate) fn stages(&self, pace: &Pace, window: Duration) -> Vec<StageFigures> {
        let mut left = window;
        let all = self.stages.iter().zip(stages(pace));
        let mut ran = |length: Duration| {
            let ran = length.min(left);
            left -= ran;
            ran
        };
        all.map(|(stage, as_asked)| StageFigures {
            stage: *as_asked,
            ran: ran(as_asked.length),
            asked: stage.asked,
            requests: stage.part.requests,
            errors: stage.part.errors,
            latency: stage.part.latency.clone(),
            send_lag: stage.send_lag.clone(),
        })
        .collect()
    }
}

fn stages(pace: &Pace) -> &[RateStage] {
    match pace {
        Pace::Stages(stages) => stages,
        Pace::Closed | Pace::Rate { .. } | Pace::Times(_) => &[],
    }
}

impl Part {
    fn new(max: Duration) -> Self {
        Self {
            latency: histogram(max),
            requests: 0,
            errors: 0,
        }
    }

    fn merge(&mut self, other: &Self) {
        add(&mut self.latency, &other.latency);
        self.requests += other.requests;
        self.errors += other.errors;
    }
}

impl Stage {
    fn new(max: Duration) -> Self {
        Self {
            part: Part::new(max),
            asked: 0,
            send_lag: histogram(max),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn two_stages() -> Pace {
        let stage = |from, to| RateStage {
            length: SECOND,
            from,
            to,
        };
        Pace::Stages(vec![stage(10.0, 10.0), stage(10.0, 20.0)])
    }

    fn breakdown() -> Breakdown {
        let mut breakdown = Breakdown::new(2, &two_stages(), 10 * SECOND);
        breakdown.origin = 5_000_000_000;
        breakdown
    }

    fn ended(intended: Nanos, took: Nanos) -> RequestTimes {
        RequestTimes {
            intended,
            sent: intended,
            first_byte: intended + took,
            ended: intended + took,
        }
    }

    #[test]
    fn requests_belong_to_the_stage_in_which_they_were_due() {
        let mut breakdown = breakdown();
        for at in [5_000_000_000, 5_999_999_999, 6_000_000_000] {
            breakdown.due(at);
            // All of them end in the second stage.
            breakdown.time(0, &ended(at, 1_500_000_000), at != 5_999_999_999);
            breakdown.sent(1000, at);
        }
        breakdown.error(1, 5_999_999_999);
        breakdown.due(7_000_000_000);
        let stages = breakdown.stages(&two_stages(), SECOND * 3 / 2);
        let counts = |n: usize| (stages[n].asked, stages[n].requests, stages[n].errors);
        assert_eq!([counts(0), counts(1)], [(2, 1, 1), (1, 1, 0)]);
        let lengths = |n: usize| (stages[n].latency.len(), stages[n].send_lag.len());
        assert_eq!([lengths(0), lengths(1)], [(2, 2), (1, 1)]);
        assert_eq!(stages[1].stage.to, 20.0);
        assert_eq!([0, 1].map(|n| stages[n].ran), [SECOND, SECOND / 2]);
    }

    #[test]
    fn classes_of_two_threads_add_up() {
        let (mut a, mut b) = (breakdown(), breakdown());
        a.time(0, &ended(5_000_000_000, 100), true);
        b.time(0, &ended(5_000_000_000, 300), true);
        b.time(1, &ended(5_000_000_000, 700), true);
        b.error(1, 0);
        a.merge(&b);
        let classes = a.classes(&["GET /".to_owned(), "POST /".to_owned()]);
        let figures = classes
            .iter()
            .map(|c| (c.requests, c.errors, c.latency.max()));
        assert_eq!(figures.collect::<Vec<_>>(), [(2, 0, 300), (1, 1, 700)]);
    }

    #[test]
    fn a_single_class_is_not_recorded_twice() {
        let mut one = Breakdown::new(1, &Pace::Closed, SECOND);
        one.time(0, &ended(0, 100), true);
        assert!(one.is_empty() && one.classes(&["all".to_owned()]).is_empty());
    }
}
