//! `GET /api/v1/users`.

use rand::RngExt;

use super::model::{MAX_PAGE, Page, STATUSES, USERS};
use super::response::INVALID_PARAMETER;
use super::subject::Subject;
use super::{CheckDef, Outcome};

/// Values that are neither a limit nor a page.
pub(super) const NOT_NUMBERS: [&str; 19] = [
    "",
    "0",
    "-1",
    "+1",
    "%2B1",
    "1.0",
    "1.5",
    "1e1",
    "0x1",
    "0x10",
    "ten",
    "abc",
    "1_0",
    "%201",
    "1%20",
    "%D9%A1",
    "18446744073709551616",
    "18446744073709551617",
    "99999999999999999999999999",
];

pub(super) const CHECKS: &[CheckDef] = checks! {
    "users-defaults" => defaults: "by default a page is the first and has 20 users",
    "users-status" => status: "users are filtered by status, and total counts all that match",
    "users-pages" => pages: "any page of any limit and status holds the right users in id order",
    "users-all" => all: "all 10,000 users, page by page, match the contract's table",
    "users-past-the-end" => past_the_end:
        "a page past the end has no users and the right total, up to page 1,000,000",
    "users-limit-range" => limit_range: "a limit is digits from 1 to 100, otherwise 400 invalid_parameter",
    "users-page-range" => page_range: "a page is digits from 1 to 1,000,000, otherwise 400 invalid_parameter",
    "users-status-unknown" => status_unknown: "a status other than the three returns 400 invalid_parameter",
    "users-unknown-parameter" => unknown_parameter: "unknown parameters are ignored",
    "users-percent-decoded" => percent_decoded: "query values are percent-decoded",
};

/// The number of users with this status.
fn total(status: Option<&str>) -> u64 {
    match status {
        None => USERS,
        Some("active") => 6_000,
        Some(_) => 2_000,
    }
}

fn expect_page(
    subject: &Subject,
    query: &str,
    status: Option<&str>,
    (limit, page): (u64, u64),
) -> Outcome {
    let expected = subject.model.users(status, Page { limit, page });
    subject.returns(format!("/api/v1/users{query}"), &expected)
}

fn defaults(subject: &Subject) -> Outcome {
    expect_page(subject, "", None, (20, 1))?;
    expect_page(subject, "?page=2", None, (20, 2))?;
    expect_page(subject, "?limit=3", None, (3, 1))?;
    expect_page(subject, "?limit=020&page=01", None, (20, 1))
}

fn status(subject: &Subject) -> Outcome {
    for status in STATUSES {
        expect_page(subject, &format!("?status={status}"), Some(status), (20, 1))?;
    }
    Ok(())
}

/// Drawn from all limits, pages and statuses, with the parameters in any order. The load draws from far fewer.
fn pages(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("users-pages");
    for _ in 0..60 {
        let status =
            [None, Some("active"), Some("pending"), Some("archived")][rng.random_range(0..4)];
        let limit = rng.random_range(1..=100);
        let page = rng.random_range(1..=total(status) / limit + 2);
        let mut parameters = vec![format!("limit={limit}"), format!("page={page}")];
        parameters.extend(status.map(|status| format!("status={status}")));
        let turn = rng.random_range(0..parameters.len());
        parameters.rotate_left(turn);
        let query = format!("?{}", parameters.join("&"));
        expect_page(subject, &query, status, (limit, page))?;
    }
    Ok(())
}

/// Those of each status too, and the empty pages behind the last.
fn all(subject: &Subject) -> Outcome {
    for status in [None].into_iter().chain(STATUSES.map(Some)) {
        let filter = status.map_or_else(String::new, |status| format!("status={status}&"));
        for page in (1..=total(status) / 100 + 1).chain([MAX_PAGE]) {
            let query = format!("?{filter}limit=100&page={page}");
            expect_page(subject, &query, status, (100, page))?;
        }
    }
    Ok(())
}

fn past_the_end(subject: &Subject) -> Outcome {
    for (limit, page) in [
        (20, 500),
        (20, 501),
        (100, 100),
        (100, 101),
        (1, 10_000),
        (1, 10_001),
        (99, 102),
        (100, MAX_PAGE),
    ] {
        let query = format!("?limit={limit}&page={page}");
        expect_page(subject, &query, None, (limit, page))?;
    }
    let query = "?status=pending&limit=100&page=21";
    expect_page(subject, query, Some("pending"), (100, 21))
}

fn limit_range(subject: &Subject) -> Outcome {
    for limit in [1, 2, 99, 100] {
        expect_page(subject, &format!("?limit={limit}"), None, (limit, 1))?;
    }
    refuses_values(subject, "/api/v1/users", "limit", "101")
}

fn page_range(subject: &Subject) -> Outcome {
    refuses_values(subject, "/api/v1/users", "page", "1000001")
}

/// `above` is the smallest value that is too large.
pub(super) fn refuses_values(subject: &Subject, path: &str, name: &str, above: &str) -> Outcome {
    for value in NOT_NUMBERS.iter().chain([&above]) {
        subject.refuses(format!("{path}?{name}={value}"), INVALID_PARAMETER)?;
    }
    let valid = if name == "limit" { "page" } else { "limit" };
    subject.refuses(format!("{path}?{valid}=5&{name}=x"), INVALID_PARAMETER)
}

fn status_unknown(subject: &Subject) -> Outcome {
    for status in [
        "",
        "unknown",
        "Active",
        "ACTIVE",
        "active%20",
        "activ",
        "actives",
        "active,pending",
        "deleted",
        "0",
        "1",
        "%FF",
        "%00",
    ] {
        subject.refuses(format!("/api/v1/users?status={status}"), INVALID_PARAMETER)?;
    }
    Ok(())
}

fn unknown_parameter(subject: &Subject) -> Outcome {
    for query in [
        "?limit=2&page=3&sort=name",
        "?Limit=0&limit=2&page=3",
        "?pages=0&page=3&limit=2&q=%C3%A9",
        "?offset=-1&limit=2&statuses=none&page=3",
    ] {
        expect_page(subject, query, None, (2, 3))?;
    }
    Ok(())
}

fn percent_decoded(subject: &Subject) -> Outcome {
    let query = "?status=%61rchi%76e%64&limit=1%32&page=%37";
    expect_page(subject, query, Some("archived"), (12, 7))
}
