//! `GET /api/v1/users`.

use rand::RngExt;

use super::model::{MAX_PAGE, Page, STATUSES, USERS};
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

pub(super) const CHECKS: &[CheckDef] = &[
    CheckDef {
        id: "users-defaults",
        about: "by default a page is the first and has 20 users",
        run: defaults,
    },
    CheckDef {
        id: "users-status",
        about: "users are filtered by status, and total counts all that match",
        run: status,
    },
    CheckDef {
        id: "users-pages",
        about: "any page of any limit and status holds the right users in id order",
        run: pages,
    },
    CheckDef {
        id: "users-all",
        about: "all 10,000 users, page by page, match the contract's table",
        run: all,
    },
    CheckDef {
        id: "users-past-the-end",
        about: "a page past the end has no users and the right total, up to page 1,000,000",
        run: past_the_end,
    },
    CheckDef {
        id: "users-limit-range",
        about: "a limit is digits from 1 to 100, otherwise 400 invalid_parameter",
        run: limit_range,
    },
    CheckDef {
        id: "users-page-range",
        about: "a page is digits from 1 to 1,000,000, otherwise 400 invalid_parameter",
        run: page_range,
    },
    CheckDef {
        id: "users-status-unknown",
        about: "a status other than the three returns 400 invalid_parameter",
        run: status_unknown,
    },
    CheckDef {
        id: "users-unknown-parameter",
        about: "unknown parameters are ignored",
        run: unknown_parameter,
    },
    CheckDef {
        id: "users-percent-decoded",
        about: "query values are percent-decoded",
        run: percent_decoded,
    },
];

/// The number of users with this status.
fn total(status: Option<&str>) -> u64 {
    match status {
        None => USERS,
        Some("active") => 6_000,
        Some(_) => 2_000,
    }
}

fn expect_page(subject: &Subject, query: &str, status: Option<&str>, page: Page) -> Outcome {
    let expected = subject.model.users(status, page);
    subject
        .get(format!("/api/v1/users{query}"))?
        .is(200, &expected)
}

fn defaults(subject: &Subject) -> Outcome {
    let default = Page::default();
    expect_page(subject, "", None, default)?;
    expect_page(subject, "?page=2", None, Page { page: 2, ..default })?;
    expect_page(
        subject,
        "?limit=3",
        None,
        Page {
            limit: 3,
            ..default
        },
    )?;
    expect_page(subject, "?limit=020&page=01", None, default)
}

fn status(subject: &Subject) -> Outcome {
    for status in STATUSES {
        let query = format!("?status={status}");
        expect_page(subject, &query, Some(status), Page::default())?;
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
        expect_page(subject, &query, status, Page { limit, page })?;
    }
    Ok(())
}

/// Those of each status too, and the empty pages behind the last.
fn all(subject: &Subject) -> Outcome {
    for status in [None].into_iter().chain(STATUSES.map(Some)) {
        let filter = status.map_or_else(String::new, |status| format!("status={status}&"));
        for page in (1..=total(status) / 100 + 1).chain([MAX_PAGE]) {
            let query = format!("?{filter}limit=100&page={page}");
            expect_page(subject, &query, status, Page { limit: 100, page })?;
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
        expect_page(subject, &query, None, Page { limit, page })?;
    }
    let page = Page {
        limit: 100,
        page: 21,
    };
    expect_page(
        subject,
        "?status=pending&limit=100&page=21",
        Some("pending"),
        page,
    )
}

fn limit_range(subject: &Subject) -> Outcome {
    for limit in [1, 2, 99, 100] {
        let page = Page { limit, page: 1 };
        expect_page(subject, &format!("?limit={limit}"), None, page)?;
    }
    refuses_values(subject, "/api/v1/users", "limit", "101")
}

fn page_range(subject: &Subject) -> Outcome {
    refuses_values(subject, "/api/v1/users", "page", "1000001")
}

/// `above` is the smallest value that is too large.
pub(super) fn refuses_values(subject: &Subject, path: &str, name: &str, above: &str) -> Outcome {
    for value in NOT_NUMBERS.iter().chain([&above]) {
        subject
            .get(format!("{path}?{name}={value}"))?
            .is_error(400, "invalid_parameter")?;
    }
    let valid = if name == "limit" { "page" } else { "limit" };
    subject
        .get(format!("{path}?{valid}=5&{name}=x"))?
        .is_error(400, "invalid_parameter")
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
        subject
            .get(format!("/api/v1/users?status={status}"))?
            .is_error(400, "invalid_parameter")?;
    }
    Ok(())
}

fn unknown_parameter(subject: &Subject) -> Outcome {
    let page = Page { limit: 2, page: 3 };
    for query in [
        "?limit=2&page=3&sort=name",
        "?Limit=0&limit=2&page=3",
        "?pages=0&page=3&limit=2&q=%C3%A9",
        "?offset=-1&limit=2&statuses=none&page=3",
    ] {
        expect_page(subject, query, None, page)?;
    }
    Ok(())
}

fn percent_decoded(subject: &Subject) -> Outcome {
    let page = Page { limit: 12, page: 7 };
    expect_page(
        subject,
        "?status=%61rchi%76e%64&limit=1%32&page=%37",
        Some("archived"),
        page,
    )
}
