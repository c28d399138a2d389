//! `GET /api/v1/users/{id}`.

use rand::RngExt;

use super::model::{MAX_ID, USERS};
use super::response::{INVALID_PARAMETER, NOT_FOUND};
use super::subject::Subject;
use super::{CheckDef, Outcome};

const NOT_IDS: [&str; 14] = [
    "abc",
    "-1",
    "+1",
    "1.0",
    "1.5",
    "1e3",
    "0x1",
    "0x10",
    "1a",
    "1x",
    "9007199254740992",
    "18446744073709551616",
    "18446744073709551617",
    "99999999999999999999999999",
];

pub(super) const CHECKS: &[CheckDef] = checks! {
    "user-by-id" => by_id: "each user can be read by id and matches the contract's table",
    "user-missing" => missing: "an unknown id up to 2^53 - 1 returns 404 not_found",
    "user-id-invalid" => id_invalid: "an id that is not digits or is above 2^53 - 1 returns 400 invalid_parameter",
};

fn by_id(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("user-by-id");
    let edges = [1, 2, 15, 16, 255, 256, 257, 9_999, USERS];
    let drawn = (0..50).map(|_| rng.random_range(1..=USERS));
    let spread = (1..=USERS).step_by(97);
    for id in edges.into_iter().chain(drawn).chain(spread) {
        let user = subject.model.user(id).ok_or("the referee lacks a user")?;
        subject.returns(format!("/api/v1/users/{id}"), user)?;
    }
    // These are digits too; and a query has no meaning here.
    let user = subject.model.user(42).ok_or("the referee lacks a user")?;
    for target in ["/api/v1/users/0042", "/api/v1/users/42?limit=0&status=x"] {
        subject.returns(target, user)?;
    }
    Ok(())
}

fn missing(subject: &Subject) -> Outcome {
    for id in [0, USERS + 1, u64::from(u32::MAX) + 2, MAX_ID] {
        subject.refuses(format!("/api/v1/users/{id}"), NOT_FOUND)?;
    }
    Ok(())
}

fn id_invalid(subject: &Subject) -> Outcome {
    refuses_ids(subject, "/api/v1/users")
}

/// Percent-encoding in paths is optional, so it isn't tested here.
pub(super) fn refuses_ids(subject: &Subject, path: &str) -> Outcome {
    NOT_IDS
        .iter()
        .try_for_each(|id| subject.refuses(format!("{path}/{id}"), INVALID_PARAMETER))
}
