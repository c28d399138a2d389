//! The referee: an independent implementation of the contract.
//!
//! Nothing here comes from a server's code: a bug shared by server and referee would be invisible. The data are
//! written out a second time from the contract's text.
//!
//! [`check`] tests everything that the contract requires of a freshly started server's responses.
//! [`check_process`] also tests how much work
//! its process does, how it refuses to start and how it stops. Each check has an id. The
//! files below hold them by route or concern, and [`all`] lists them.

/// A table of checks: `id => function: requirement`.
macro_rules! checks {
    ($($id:literal => $run:ident: $about:literal,)+) => {
        &[$(crate::Definition { id: $id, about: $about, run: $run }),+]
    };
}

mod bodies;
mod client;
mod compressed;
mod connection;
mod dependency;
mod drawn;
mod errors;
mod fresh;
mod headers;
mod missing;
mod model;
mod orders_concurrent;
mod orders_create;
mod orders_kept;
mod orders_read;
mod orders_stock;
mod ping;
mod precedence;
mod process;
pub mod raw;
mod response;
mod routes;
mod stop;
mod subject;
mod text;
mod timing;
mod upstream;
mod user;
mod users;
mod wait;
mod work;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

pub use client::load_wire;
pub use dependency::Dependency;
pub use missing::MissingRoute;
pub use model::{Expected, Model, UserFields, unit_price_cents, user};
use process::ProcessCheck;
pub use process::{Ended, Process, Stop};
pub use response::excerpt;
use subject::Subject;

/// `Err` is the request, the response and the expected response, in a few lines.
type Outcome = Result<(), String>;

/// A check as it is written down.
struct Definition<Run> {
    id: &'static str,
    about: &'static str,
    run: Run,
}

/// A check that sends requests.
type CheckDef = Definition<fn(&Subject) -> Outcome>;

/// One check of the referee.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Check {
    /// A stable name in kebab-case, as in `users-limit-range`.
    pub id: &'static str,
    /// One line on what the contract requires.
    pub about: &'static str,
    /// The route or concern it belongs to, as in `users`.
    pub group: &'static str,
}

/// What to check, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Ids of the checks to run; all if empty. The caller rejects unknown ids, see [`ids`].
    pub only: Vec<String>,
    /// Limit on the median time to the first byte of a warm request at idle, and from there to the last byte.
    pub first_byte_limit: Duration,
    /// Seed of the random inputs.
    pub seed: u64,
    /// A server that takes longer than this to accept 65,536 orders is not judged on how many it keeps: slow is
    /// not wrong, and finding out would take minutes.
    pub fill_limit: Duration,
    /// The server answers `/ping` alone: only checks that need no more are made.
    pub only_ping: bool,
    /// The groups of routes that the server doesn't have, of [`CAN_LACK`]: their checks are left out.
    pub lacks: Vec<String>,
}

/// The groups of checks whose route a server may lack.
pub const CAN_LACK: [&str; 5] = ["wait", "download", "upload", "compressed", "upstream"];

/// The checks of responses that a server of `/ping` alone takes. Those of the process it takes too.
const OF_PING: [&str; 8] = [
    "first-byte",
    "ping",
    "header-content-type",
    "header-content-length",
    "header-once",
    "header-date",
    "header-date-moves",
    "connection-reuse",
];

impl Default for CheckOptions {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            first_byte_limit: Duration::from_millis(5),
            seed: 1,
            fill_limit: Duration::from_secs(5),
            only_ping: false,
            lacks: Vec::new(),
        }
    }
}

impl CheckOptions {
    fn lacks_group(&self, group: &str) -> bool {
        self.lacks.iter().any(|lacks| lacks == group)
    }

    fn selects(&self, id: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == id)
    }
}

/// The result of the checks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// Every selected check, in the order they ran.
    pub results: Vec<CheckResult>,
    /// Median time from sending a warm request at idle to the first byte of the status line, over 100 of them
    /// on one connection. Absent if it was not selected or could not be measured.
    pub first_byte: Option<Duration>,
    /// What came of the requests that had arrived at SIGTERM; absent where it was not sent.
    pub at_stop: Option<AtStop>,
    /// Routes that the server doesn't have; only looked for if a check failed.
    pub missing: Vec<MissingRoute>,
}

/// Requests that had arrived whole when the server was asked to stop: the mean over several stops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AtStop {
    /// Those that got no byte of a response.
    pub lost: u32,
    /// All of them.
    pub sent: u32,
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
    /// See [`Check::id`].
    pub id: &'static str,
    /// See [`Check::about`].
    pub about: &'static str,
    /// If it failed: the request, the response and the expected response, in a few lines.
    pub outcome: Result<(), String>,
}

/// The checks that send requests, by group, in the order they run. The first reads of orders come before the
/// first order; the check that fills the store comes last.
const ASKED: &[(&str, &[CheckDef])] = &[
    ("timing", timing::CHECKS),
    ("ping", ping::CHECKS),
    ("users", users::CHECKS),
    ("user", user::CHECKS),
    ("orders", orders_read::CHECKS_AT_START),
    ("errors", errors::CHECKS),
    ("routes", routes::CHECKS),
    ("orders", orders_create::CHECKS),
    ("orders", orders_read::CHECKS),
    ("drawn", drawn::CHECKS),
    ("stock", orders_stock::CHECKS),
    ("orders", fresh::CHECKS),
    ("concurrent", orders_concurrent::CHECKS),
    ("errors", precedence::CHECKS),
    ("headers", headers::CHECKS),
    ("connection", connection::CHECKS),
    ("client", client::CHECKS),
    ("download", bodies::DOWNLOAD_CHECKS),
    ("upload", bodies::UPLOAD_CHECKS),
    ("compressed", compressed::CHECKS),
    ("wait", wait::CHECKS),
    ("upstream", upstream::CHECKS),
    ("orders", orders_kept::CHECKS),
];

/// The checks of the process, likewise: it has served a load by then, and the last ones end it.
const OF_PROCESS: &[(&str, &[ProcessCheck])] = &[
    ("work", work::CHECKS),
    ("upstream", upstream::PROCESS_CHECKS),
    ("process", process::CHECKS),
];

/// All checks in the order they run.
pub fn all() -> &'static [Check] {
    static ALL: LazyLock<Vec<Check>> = LazyLock::new(|| {
        let asked = ASKED.iter().flat_map(|(group, checks)| {
            checks.iter().map(|check| Check {
                id: check.id,
                about: check.about,
                group,
            })
        });
        let of_process = OF_PROCESS.iter().flat_map(|(group, checks)| {
            checks.iter().map(|check| Check {
                id: check.id,
                about: check.about,
                group,
            })
        });
        asked.chain(of_process).collect()
    });
    &ALL
}

/// The only check that needs a process that has served nothing else.
pub const AT_START: &str = "orders-none-at-start";

/// [`AT_START`], and the checks that need the limited item's stock, which lasts as long as the process: they pass only
/// once.
pub const ONCE: [&str; 3] = [AT_START, "orders-out-of-stock", "orders-limited-concurrent"];

/// The ids of [`all`] checks.
pub fn ids() -> impl Iterator<Item = &'static str> {
    all().iter().map(|check| check.id)
}

/// Runs all or the selected checks of a server's responses against a freshly started one.
///
/// With the default options, a correct server takes less than 10 s. If a server no longer responds, the
/// remaining checks fail at once.
pub fn check(addr: SocketAddr, options: &CheckOptions) -> CheckReport {
    let subject = Subject::new(addr, options);
    let (results, missing) = asked(&subject, options);
    report(&subject, results, missing, None)
}

/// Like [`check`], plus the checks of how the process refuses to start and how it stops, which end it.
pub fn check_process(process: &mut dyn Process, options: &CheckOptions) -> CheckReport {
    let subject = Subject::new(process.addr(), options);
    let (mut results, missing) = asked(&subject, options);
    let mut scene = process::Scene::new(process, &subject);
    // A server of `/ping` alone has nothing that takes work.
    let of_process = OF_PROCESS
        .iter()
        .filter(|(group, _)| !options.only_ping || *group == "process")
        .filter(|(group, _)| !options.lacks_group(group));
    for check in of_process.flat_map(|(_, checks)| checks.iter()) {
        if options.selects(check.id) {
            results.push(CheckResult {
                id: check.id,
                about: check.about,
                outcome: subject.answers().and_then(|()| (check.run)(&mut scene)),
            });
        }
    }
    let at_stop = scene.at_stop();
    report(&subject, results, missing, at_stop)
}

fn asked(subject: &Subject, options: &CheckOptions) -> (Vec<CheckResult>, Vec<MissingRoute>) {
    let checks = ASKED
        .iter()
        .filter(|(group, _)| !options.lacks_group(group))
        .flat_map(|(_, checks)| checks.iter());
    let results: Vec<CheckResult> = checks
        .filter(|check| options.selects(check.id))
        .filter(|check| !options.only_ping || OF_PING.contains(&check.id))
        .map(|check| CheckResult {
            id: check.id,
            about: check.about,
            outcome: subject.answers().and_then(|()| (check.run)(subject)),
        })
        .collect();
    let missing = match results.iter().all(|result| result.outcome.is_ok()) {
        true => Vec::new(),
        false => missing::missing(subject, &options.lacks),
    };
    (results, missing)
}

fn report(
    subject: &Subject,
    results: Vec<CheckResult>,
    missing: Vec<MissingRoute>,
    at_stop: Option<AtStop>,
) -> CheckReport {
    CheckReport {
        results,
        missing,
        first_byte: subject.first_byte(),
        at_stop,
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
        let asked: usize = ASKED.iter().map(|(_, checks)| checks.len()).sum();
        assert_eq!(report.results.len(), asked);
        assert_eq!(report.failures().count(), asked);
        let last = report.results.last().unwrap().outcome.as_ref().unwrap_err();
        assert!(last.contains("server no longer responds"), "{last}");
        assert_eq!(report.first_byte, None);
    }
}
