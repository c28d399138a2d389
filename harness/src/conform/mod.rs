//! The referee: an independent reading of the contract.
//!
//! Nothing here comes from a server's code: a fault shared by server and referee would
//! be invisible. The data are written out from the contract's text once more.
//!
//! [`check`] asks a freshly started server everything the contract fixes. Each check has
//! an id; the files below hold them by route or concern, and [`all`] lists them.

mod answer;
mod connection;
mod errors;
mod first_byte;
pub mod fuzz;
mod headers;
mod model;
mod orders_concurrent;
mod orders_create;
mod orders_kept;
mod orders_read;
mod ping;
pub mod protocol;
mod raw;
mod subject;
mod user;
mod users;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

pub use model::{Expected, Model};
use subject::Subject;

/// `Err` is the request sent, the answer got and the answer expected, in a few lines.
type Outcome = Result<(), String>;

/// One check of the referee.
#[derive(Debug, Clone, Copy)]
pub struct CheckDef {
    /// A stable name in kebab-case, as in `users-limit-range`.
    pub id: &'static str,
    /// One line on what the contract asks for.
    pub about: &'static str,
    run: fn(&Subject) -> Outcome,
}

/// What to check, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Ids of the checks to run; all where it is empty. The caller refuses unknown ids,
    /// see [`ids`].
    pub only: Vec<String>,
    /// The longest median time to the first byte of a warm request at idle.
    pub first_byte_limit: Duration,
    /// The random inputs are drawn from it.
    pub seed: u64,
    /// A server that takes longer to accept 65,536 orders is not judged on how many it
    /// keeps: being slow is not being wrong, and finding out would take minutes.
    pub fill_limit: Duration,
}

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            first_byte_limit: Duration::from_millis(5),
            seed: 1,
            fill_limit: Duration::from_secs(5),
        }
    }
}

/// What the referee found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Every check that was asked for, in the order they ran.
    pub results: Vec<CheckResult>,
    /// Median time from sending a warm request at idle to the first byte of the status
    /// line, over 100 of them on one connection. Absent where it was not asked for or
    /// could not be measured.
    pub first_byte: Option<Duration>,
}

impl CheckReport {
    /// The checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &CheckResult> {
        self.results.iter().filter(|result| result.outcome.is_err())
    }
}

/// The result of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckResult {
    /// See [`CheckDef::id`].
    pub id: &'static str,
    /// See [`CheckDef::about`].
    pub about: &'static str,
    /// Where it failed: the request sent, the answer got and the answer expected, in a
    /// few lines.
    pub outcome: Result<(), String>,
}

/// All checks in the order they run. The first reads of orders come before the first
/// order, the check that fills the store comes last.
pub fn all() -> &'static [CheckDef] {
    static ALL: LazyLock<Vec<CheckDef>> = LazyLock::new(|| {
        [
            first_byte::CHECKS,
            ping::CHECKS,
            users::CHECKS,
            user::CHECKS,
            errors::CHECKS,
            orders_read::CHECKS_AT_START,
            orders_create::CHECKS,
            orders_read::CHECKS,
            orders_concurrent::CHECKS,
            headers::CHECKS,
            connection::CHECKS,
            orders_kept::CHECKS,
        ]
        .concat()
    });
    &ALL
}

/// The one check that holds of a freshly started process alone.
pub const AT_START: &str = "orders-none-at-start";

/// The ids of [`all`] checks.
pub fn ids() -> impl Iterator<Item = &'static str> {
    all().iter().map(|check| check.id)
}

/// Runs all checks, or those selected, against a freshly started server.
///
/// A right server takes less than 10 s with the default options. A server that no longer answers fails the
/// remaining checks at once.
pub fn check(addr: SocketAddr, options: &CheckOptions) -> CheckReport {
    let selected = |check: &&CheckDef| {
        options.only.is_empty() || options.only.iter().any(|only| only == check.id)
    };
    let subject = Subject::new(addr, options);
    let results = all()
        .iter()
        .filter(selected)
        .map(|check| CheckResult {
            id: check.id,
            about: check.about,
            outcome: subject.answers().and_then(|()| (check.run)(&subject)),
        })
        .collect();
    CheckReport {
        results,
        first_byte: subject.first_byte(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_and_in_kebab_case() {
        let distinct: HashSet<_> = ids().collect();
        assert_eq!(distinct.len(), all().len());
        for id in distinct {
            assert!(
                id.bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'-'),
                "{id}"
            );
        }
    }

    #[test]
    fn a_server_that_is_not_there_fails_every_check_at_once() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = listener.local_addr().unwrap();
        drop(listener);
        let report = check(addr, &CheckOptions::default());
        assert_eq!(report.results.len(), all().len());
        assert_eq!(report.failures().count(), all().len());
        let last = report.results.last().unwrap().outcome.as_ref().unwrap_err();
        assert!(last.contains("server no longer answers"), "{last}");
        assert_eq!(report.first_byte, None);
    }
}
