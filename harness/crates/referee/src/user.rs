//! `GET /api/v1/users/{id}`.

use rand::RngExt;

use super::model::{MAX_ID, USERS};
use super::subject::Subject;
use super::{CheckDef, Outcome};

/// Texts that are not an id. Percent-encoding in paths is optional, so it isn't tested here.
pub(super) const NOT_IDS: [&str; 14] = [
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

pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef {
        id: "user-by-id",
        about: "each user can be read by id and matches the contract's table",
        run: by_id,
    },
    CheckDef {
        id: "user-missing",
        about: "an unknown id up to 2^53 - 1 returns 404 not_found",
        run: missing,
    },
    CheckDef {
        id: "user-id-invalid",
        about: "an id that is not digits or is above 2^53 - 1 returns 400 invalid_parameter",
        run: id_invalid,
    },
];

fn by_id(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("user-by-id");
    let edges = [1, 2, 15, 16, 255, 256, 257, 9_999, USERS];
    let drawn = (0..50).map(|_| rng.random_range(1..=USERS));
    let spread = (1..=USERS).step_by(97);
    for id in edges.into_iter().chain(drawn).chain(spread) {
        let user = subject.model.user(id).ok_or("the referee lacks a user")?;
        subject.get(format!("/api/v1/users/{id}"))?.is(200, user)?;
    }
    // These are digits too; and a query has no meaning here.
    let user = subject.model.user(42).ok_or("the referee lacks a user")?;
    for target in ["/api/v1/users/0042", "/api/v1/users/42?limit=0&status=x"] {
        subject.get(target)?.is(200, user)?;
    }
    Ok(())
}

fn missing(subject: &Subject) -> Outcome {
    for id in [0, USERS + 1, u64::from(u32::MAX) + 2, MAX_ID] {
        subject
            .get(format!("/api/v1/users/{id}"))?
            .is_error(404, "not_found")?;
    }
    Ok(())
}

fn id_invalid(subject: &Subject) -> Outcome {
    for id in NOT_IDS {
        subject
            .get(format!("/api/v1/users/{id}"))?
            .is_error(400, "invalid_parameter")?;
    }
    Ok(())
}
