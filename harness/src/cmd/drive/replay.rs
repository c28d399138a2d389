//! The requests of an access log at the times they were logged.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_pcg::Pcg64;

use super::Arguments;
use super::pace::Spread;
use super::requests::is_method;
use crate::cmd::access_log::{Log, Logged, SECOND, routes};
use loadgen::{Config, Expect, Pace};

/// Time after the last request was due and its timeout, in which nothing more can happen.
const AFTER: Duration = Duration::from_secs(1);

/// A log to send.
#[derive(Debug)]
pub(super) struct Replay {
    /// Its different requests, each with its route.
    pub(super) requests: Vec<(String, Logged)>,
    /// The index of each request, in order of time.
    pub(super) list: Vec<u32>,
    /// When each is due, in nanoseconds after the start.
    times: Arc<[u64]>,
    pub(super) speed: f64,
}

impl Replay {
    /// Reads the log that the flags name; prints what it leaves out.
    ///
    /// # Errors
    /// [`Usage`](crate::flags::Usage) if it can't be read, or nothing of it is to be sent.
    pub(super) fn read(path: &std::path::Path, arguments: &Arguments) -> Result<Self> {
        let has_body = arguments.body.is_some() || arguments.body_file.is_some();
        let log = Log::read(path, true, |request| refuse(request, has_body))?;
        log.tell();
        let rng = match arguments.pace.arrivals {
            Some(Spread::Poisson) => Some(Pcg64::seed_from_u64(arguments.seed)),
            Some(Spread::Constant) | None => None,
        };
        let mut times = times(&log, arguments.speed, rng);
        let longest = arguments.duration.map_or(u64::MAX, |duration| {
            u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
        });
        let within = times.partition_point(|time| *time < longest);
        let most = arguments.requests.unwrap_or(u64::MAX);
        times.truncate(within.min(usize::try_from(most).unwrap_or(usize::MAX)));
        if times.is_empty() {
            refuse!(
                "--duration: the first request of {} is due later",
                path.display()
            );
        }
        let mut list: Vec<u32> = log.requests.iter().map(|(_, index)| *index).collect();
        list.truncate(times.len());
        Ok(Self {
            requests: routes(&log.distinct)
                .into_iter()
                .zip(log.distinct)
                .collect(),
            list,
            times: times.into(),
            speed: arguments.speed,
        })
    }

    /// The same drive with the pace of the log. It ends when every request has ended.
    pub(super) fn paced(&self, config: Config) -> Config {
        let last = self.times.last().copied().unwrap_or(0);
        Config {
            duration: Duration::from_nanos(last) + config.timeout + AFTER,
            limit: Some(self.times.len() as u64),
            pace: Pace::Times(self.times.clone()),
            ..config
        }
    }
}

/// The response to expect: the one that was logged. For a server that failed or refused because of its load it is a
/// success; 304 was the answer to a condition, which a log doesn't have.
pub(super) fn expected(logged: &Logged) -> Expect {
    match logged.status {
        ..=299 | 304 | 408 | 429 | 499.. => Expect::Success,
        status => Expect::Status(status),
    }
}

/// Whether a request of this method needs a body.
pub(super) fn takes_body(method: &str) -> bool {
    ["POST", "PUT", "PATCH"].contains(&method)
}

/// Why a request is left out.
fn refuse(request: &Logged, has_body: bool) -> Option<String> {
    let Logged { method, status, .. } = request;
    if !is_method(method) {
        return Some(format!("a {method} request, which has no path"));
    }
    if *status < 200 {
        return Some(format!("a request with status {status}, another protocol"));
    }
    (takes_body(method) && !has_body)
        .then(|| format!("a {method} request: a log has no bodies, but --body can give it one"))
}

/// When each request is due, in nanoseconds after the start of the log. If the log has only whole seconds, those of a
/// second are spread over it: evenly, or at random with `rng`, as in a Poisson process of which only the count is known.
fn times(log: &Log, speed: f64, mut rng: Option<Pcg64>) -> Vec<u64> {
    let (start, _) = log.span();
    let is_whole = log.has_whole_seconds();
    let mut times = Vec::with_capacity(log.requests.len());
    for same in log.requests.chunk_by(|(a, _), (b, _)| a == b) {
        let n = same.len() as f64;
        let since = (same[0].0 - start) as f64;
        let mut within: Vec<f64> = match &mut rng {
            _ if !is_whole => vec![0.0; same.len()],
            Some(rng) => same.iter().map(|_| rng.random()).collect(),
            None => (0..same.len()).map(|k| (k as f64 + 0.5) / n).collect(),
        };
        within.sort_by(f64::total_cmp);
        let due = |part: &f64| ((since + part * SECOND as f64) / speed).round() as u64;
        times.extend(within.iter().map(due));
    }
    times
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(times: &[i64]) -> Log {
        Log {
            requests: times.iter().map(|time| (*time, 0)).collect(),
            ..Log::default()
        }
    }

    #[test]
    fn requests_of_a_second_are_spread_over_it() {
        let at = 1_700_000_000 * SECOND;
        let log = log(&[
            at,
            at,
            at + 2 * SECOND,
            at + 2 * SECOND,
            at + 2 * SECOND,
            at + 2 * SECOND,
        ]);
        let ms = |times: Vec<u64>| times.iter().map(|ns| ns / 1_000_000).collect::<Vec<_>>();
        assert_eq!(
            ms(times(&log, 1.0, None)),
            [250, 750, 2125, 2375, 2625, 2875]
        );
        assert_eq!(
            ms(times(&log, 2.0, None)),
            [125, 375, 1062, 1187, 1312, 1437]
        );
        let random = times(&log, 1.0, Some(Pcg64::seed_from_u64(1)));
        assert!(
            random.is_sorted() && random[1] < 1_000_000_000,
            "{random:?}"
        );
        assert!(
            random[2] >= 2_000_000_000 && random[5] < 3_000_000_000,
            "{random:?}"
        );
        assert_ne!(random, times(&log, 1.0, None));
    }

    #[test]
    fn finer_times_are_kept() {
        let at = 1_700_000_000 * SECOND;
        let log = log(&[at + 5, at + 5, at + 1005]);
        assert_eq!(times(&log, 0.5, None), [0, 0, 2000]);
    }

    #[test]
    fn the_logged_status_is_expected_unless_it_shows_overload() {
        let expected = |status| {
            expected(&Logged {
                method: "GET".to_owned(),
                target: "/".to_owned(),
                status,
            })
        };
        for status in [200, 206, 304, 429, 499, 500, 503] {
            assert!(matches!(expected(status), Expect::Success), "{status}");
        }
        for status in [301, 400, 404] {
            assert!(matches!(expected(status), Expect::Status(s) if s == status));
        }
    }
}
