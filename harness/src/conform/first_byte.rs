//! The first byte of a warm request at idle.

use std::time::Duration;

use super::raw;
use super::subject::Subject;
use super::{CheckDef, Outcome};

const WARM_UP: usize = 20;
const MEASURED: usize = 100;

pub(super) const CHECKS: &[CheckDef] = &[CheckDef {
    id: "first-byte",
    about: "at idle the first byte of an answer comes within the limit (median of 100)",
    run: first_byte,
}];

fn first_byte(subject: &Subject) -> Outcome {
    let median = median_first_byte(subject)
        .map_err(|reason| format!("sent: GET /ping\ngot:  {reason}\nexpected: an answer"))?;
    subject.set_first_byte(median);
    let limit = subject.first_byte_limit;
    if median > limit {
        return Err(format!(
            "sent: GET /ping, {MEASURED} times on one connection\n\
             got:  the first byte after {median:.1?} (median)\nexpected: at most {limit:.1?}"
        ));
    }
    Ok(())
}

fn median_first_byte(subject: &Subject) -> Result<Duration, String> {
    let ping = raw::get("/ping");
    let mut connection = None;
    let mut times = Vec::with_capacity(MEASURED);
    for position in 0..WARM_UP + MEASURED {
        let answer = subject.exchange(&mut connection, &ping)?;
        if position >= WARM_UP {
            times.push(answer.first_byte);
        }
    }
    times.sort_unstable();
    // Of an even number of values, the mean of the middle two.
    Ok((times[MEASURED / 2 - 1] + times[MEASURED / 2]) / 2)
}
