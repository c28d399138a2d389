//! The first and the last byte of a warm request at idle.

use std::time::Duration;

use super::raw::{self, RawResponse};
use super::subject::Subject;
use super::{CheckDef, Outcome};

const WARM_UP: usize = 20;
const MEASURED: usize = 100;
/// A page that is longer than one TCP segment on most links.
const PAGE: &str = "/api/v1/users?limit=100";

pub(super) const CHECKS: &[CheckDef] = checks! {
    "first-byte" => first_byte: "at idle, the first byte of a response arrives within the limit (median of 100)",
    "last-byte" => last_byte:
        "at idle, the last byte of a response follows the first within the limit (median of 100)",
};

fn first_byte(subject: &Subject) -> Outcome {
    let median = median(subject, "/ping", |answer| answer.first_byte)?;
    subject.set_first_byte(median);
    within(subject.first_byte_limit, median, "/ping", "the first byte")
}

fn last_byte(subject: &Subject) -> Outcome {
    let after_first = |answer: &RawResponse| answer.last_byte.saturating_sub(answer.first_byte);
    let median = median(subject, PAGE, after_first)?;
    let what = "the last byte, counted from the first,";
    within(subject.first_byte_limit, median, PAGE, what)
}

fn within(limit: Duration, median: Duration, target: &str, what: &str) -> Outcome {
    if median > limit {
        return Err(format!(
            "sent: GET {target}, {MEASURED} times on one connection\n\
             got:  {what} after {median:.1?} (median)\nexpected: at most {limit:.1?}"
        ));
    }
    Ok(())
}

fn median(
    subject: &Subject,
    target: &str,
    time: impl Fn(&RawResponse) -> Duration,
) -> Result<Duration, String> {
    let wire = raw::get(target);
    let mut connection = None;
    let mut times = Vec::with_capacity(MEASURED);
    for position in 0..WARM_UP + MEASURED {
        let answer = subject.exchange(&mut connection, &wire).map_err(|reason| {
            format!("sent: GET {target}\ngot:  {reason}\nexpected: a response")
        })?;
        if position >= WARM_UP {
            times.push(time(&answer));
        }
    }
    times.sort_unstable();
    // For an even number of values, the mean of the middle two.
    Ok((times[MEASURED / 2 - 1] + times[MEASURED / 2]) / 2)
}
