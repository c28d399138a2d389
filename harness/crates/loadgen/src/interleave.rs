//! Several targets take turns in short slices.
//!
//! The targets to compare run within the same milliseconds, so that disturbances of the machine affect all of
//! them alike. A slice ends only when each of its requests has ended, so no request of another target is in
//! flight meanwhile.

use std::thread::scope;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::clock::Clock;
use super::crew::{Crew, Target, descriptors, descriptors_needed};
use super::drive::{check, measurement, unix_ns, window};
use super::recorder::nanos;
use super::slot::Plan;
use super::{DriveError, Measurement};

/// From the start signal to the first request of a slice, if several threads must receive it.
const HEADSTART: Duration = Duration::from_micros(50);

/// A time in which one target has the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The index of the target.
    pub target: usize,
    /// From the first request until the slice counts. Equals `length` if it does not count at all.
    pub lead_in: Duration,
    /// From the first request until none is due any more; the drain follows.
    pub length: Duration,
}

/// The result of a slice, once nothing is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SliceEnd {
    /// Valid responses, including lead-in and drain.
    pub answered: u64,
    /// Requests that timed out or were never sent. The target may still be working on one that timed out.
    pub unanswered: u64,
    /// From before the first request until after the last response.
    pub elapsed: Duration,
}

/// Decides who has the load next. Called between slices, when nothing is in flight.
pub trait Conductor {
    /// The next slice; `None` at the end.
    fn next(&mut self) -> Option<Slice>;

    /// The last slice has ended.
    fn ended(&mut self, slice: Slice, end: SliceEnd);
}

/// Connects to all targets and gives them the load as `conductor` says. At most `most` slices count per target.
/// All must have the same CPUs, threads and I/O backend.
///
/// A target that can't be connected to, or whose sockets fail, gets its own error and no further slices; the
/// others continue.
///
/// # Errors
/// What affects all of them: too few file descriptors, an I/O backend that this system does not support, a
/// panicking thread.
pub fn interleave(
    targets: &[Target<'_>],
    most: usize,
    conductor: &mut dyn Conductor,
) -> Result<Vec<Result<Measurement, DriveError>>, DriveError> {
    let result = check_all(targets).and_then(|()| run(targets, most, conductor));
    targets.iter().for_each(|target| target.control.end());
    result
}

fn check_all(targets: &[Target<'_>]) -> Result<(), DriveError> {
    targets.iter().try_for_each(|target| check(target.config))?;
    let connections: usize = targets.iter().map(|target| target.config.connections).sum();
    // A thread has an epoll instance, or rings, for each target.
    let threads = targets.first().map_or(0, |t| t.config.cpus.len().max(1));
    let asked = connections + threads * targets.len();
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    match descriptors_needed(asked) > limit {
        true => Err(descriptors(asked)),
        false => Ok(()),
    }
}

fn run(
    targets: &[Target<'_>],
    most: usize,
    conductor: &mut dyn Conductor,
) -> Result<Vec<Result<Measurement, DriveError>>, DriveError> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    let clock = Clock::start();
    let unix_base = unix_ns();
    scope(|scope| {
        let crew = Crew::start(scope, targets, Some(most), clock);
        let Some(mut state) = crew.wait_ready(targets) else {
            return Err(crew.end().err().unwrap_or(DriveError::Panicked));
        };
        let headstart = if crew.len() > 1 {
            HEADSTART
        } else {
            Duration::ZERO
        };
        let mut whole = true;
        while let Some(slice) = conductor.next() {
            if targets[slice.target].control.is_stopped() {
                break;
            }
            let begin = Instant::now();
            let origin = clock.now() + nanos(headstart);
            let plan = Plan {
                origin,
                start: origin + nanos(slice.lead_in),
                end: origin + nanos(slice.length),
            };
            let mut end = SliceEnd {
                answered: 0,
                unanswered: 0,
                elapsed: Duration::ZERO,
            };
            if state[slice.target].is_ok() {
                match crew.turn(slice.target, plan) {
                    Some(Ok(drained)) => {
                        (end.answered, end.unanswered) = (drained.answered, drained.unanswered);
                    }
                    Some(Err(errno)) => {
                        state[slice.target] = Err(DriveError::Engine(errno.into()));
                    }
                    None => {
                        whole = false;
                        break;
                    }
                }
            }
            end.elapsed = begin.elapsed();
            conductor.ended(slice, end);
        }
        let left = crew.end()?;
        if !whole {
            return Err(DriveError::Panicked);
        }
        let of_target = |((target, state), tallies): ((&Target<'_>, Result<(), DriveError>), _)| {
            state?;
            measurement(*target, tallies, left.pinned, |recorder| {
                window(recorder.span(), clock, unix_base)
            })
        };
        let all = targets.iter().zip(state).zip(left.tallies);
        Ok(all.map(of_target).collect())
    })
}
