//! `fairness.json`: whether servers run under the same conditions, as seen in their processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Document, Failure, Head};

/// The file's name.
pub const FAIRNESS_FILE: &str = "fairness.json";

/// How a number is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As it is. The largest value that was tried, if there is one, stands for all from there on.
    Count(Option<u64>),
    /// In KiB, likewise.
    Kib(Option<u64>),
    /// In seconds, rounded to a tenth, likewise.
    Seconds(Option<u64>),
}

/// A property of a server.
#[derive(Debug, Clone, Copy)]
pub struct Property {
    /// Its name in `fairness.json`.
    pub id: &'static str,
    /// Its row in a table.
    pub head: &'static str,
    /// For a number.
    pub shown: Shown,
    /// What a difference changes in a comparison.
    pub effect: &'static str,
}

/// Numbers of workers that a server is started with.
pub const WORKERS: [u64; 2] = [1, 2];
/// The most requests sent on one connection.
pub const MOST_REQUESTS: u64 = 1_000;
/// The longest that an idle connection is watched, seconds.
pub const MOST_IDLE_S: u64 = 10;
/// The most headers sent in one request.
pub const MOST_HEADERS: u64 = 1_000;
/// The longest head or body sent, bytes.
pub const MOST_BYTES: u64 = 1 << 20;

const fn property(
    id: &'static str,
    head: &'static str,
    shown: Shown,
    effect: &'static str,
) -> Property {
    Property {
        id,
        head,
        shown,
        effect,
    }
}

const LIMITS: &str = "a limit costs next to nothing; what lies beyond it is refused";

/// All properties, in the order of the table.
pub const PROPERTIES: &[Property] = &[
    property(
        "busy_threads_1",
        "busy threads, 1 worker",
        Shown::Count(None),
        "a server with more of them gets more CPU time where CPUs are free",
    ),
    property(
        "busy_threads_2",
        "busy threads, 2 workers",
        Shown::Count(None),
        "a server with more of them gets more CPU time where CPUs are free",
    ),
    property(
        "threads_2",
        "all threads, 2 workers",
        Shown::Count(None),
        "threads that sleep cost memory only",
    ),
    property(
        "allocator",
        "allocator",
        Shown::Count(None),
        "a faster allocator helps a server that allocates much",
    ),
    property(
        "nodelay",
        "TCP_NODELAY",
        Shown::Count(None),
        "without it, a response in several writes may wait for the client's acknowledgement",
    ),
    property(
        "send_buffer_bytes",
        "send buffer, KiB",
        Shown::Kib(None),
        "a response that doesn't fit needs a second write",
    ),
    property(
        "backlog",
        "backlog",
        Shown::Count(None),
        "a shorter queue loses connections if many clients connect at once",
    ),
    property(
        "listeners",
        "listening sockets",
        Shown::Count(None),
        "with one per worker, the kernel spreads connections by chance; with one, workers share them",
    ),
    property(
        "reuse_port",
        "SO_REUSEPORT",
        Shown::Count(None),
        "another process may listen on the same port",
    ),
    property(
        "keepalive_requests",
        "requests per connection",
        Shown::Count(Some(MOST_REQUESTS)),
        "a server that closes connections also pays for new ones",
    ),
    property(
        "keepalive_idle_s",
        "idle connection kept, s",
        Shown::Seconds(Some(MOST_IDLE_S)),
        "a short limit closes connections between the slices of a run",
    ),
    property(
        "body_limit_bytes",
        "longest body, bytes",
        Shown::Count(Some(MOST_BYTES)),
        LIMITS,
    ),
    property(
        "body_limit_answer",
        "a longer body gets",
        Shown::Count(None),
        LIMITS,
    ),
    property(
        "headers_limit",
        "most headers",
        Shown::Count(Some(MOST_HEADERS)),
        LIMITS,
    ),
    property(
        "headers_limit_answer",
        "more headers get",
        Shown::Count(None),
        LIMITS,
    ),
    property(
        "head_limit_bytes",
        "longest head, KiB",
        Shown::Kib(Some(MOST_BYTES)),
        LIMITS,
    ),
    property(
        "head_limit_answer",
        "a longer head gets",
        Shown::Count(None),
        LIMITS,
    ),
    property(
        "date_lag_s",
        "Date behind by up to, s",
        Shown::Seconds(None),
        "a Date that is kept for a while costs less than one made for each response",
    ),
    property(
        "parser",
        "HTTP parser",
        Shown::Count(None),
        "the same parser costs the same",
    ),
];

/// What was seen of each server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fairness {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// One for each server.
    pub servers: Vec<ServerFairness>,
}

/// What was seen of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerFairness {
    /// Its name.
    pub name: String,
    /// The name shown in tables.
    pub display: String,
    /// As in `framework`.
    pub class: String,
    /// The version of its framework.
    pub version: Option<String>,
    /// Whether it is a package of the workspace, so that its allocator is our choice.
    pub package: bool,
    /// Why it could not be looked at to the end.
    pub failure: Option<Failure>,
    /// By id; see [`PROPERTIES`].
    pub properties: BTreeMap<String, Observed>,
    /// Why a property is absent, by its id.
    pub absent: BTreeMap<String, String>,
}

/// The value of a property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Observed {
    /// Yes or no.
    Flag(bool),
    /// A number.
    Number(f64),
    /// Words.
    Text(String),
}

/// A difference that makes a comparison unfair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfair {
    /// A server doesn't serve with as many threads as it was told.
    Workers {
        /// The name shown in tables.
        server: String,
        /// `--workers`.
        asked: u64,
        /// Threads that served.
        busy: u64,
    },
    /// Packages of the workspace have different allocators: each with the servers that have it.
    Allocators(BTreeMap<String, Vec<String>>),
}

impl Document for Fairness {
    const WHAT: &'static str = "fairness table";
    const KIND: &'static str = "fairness";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Fairness {
    /// Differences that make a comparison unfair; all others are only shown.
    pub fn unfair(&self) -> Vec<Unfair> {
        let mut unfair = Vec::new();
        let mut allocators: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for server in &self.servers {
            for asked in WORKERS {
                let seen = server.properties.get(&busy_threads(asked));
                if let Some(Observed::Number(busy)) = seen
                    && *busy != asked as f64
                {
                    unfair.push(Unfair::Workers {
                        server: server.display.clone(),
                        asked,
                        busy: *busy as u64,
                    });
                }
            }
            if let (true, Some(Observed::Text(allocator))) =
                (server.package, server.properties.get("allocator"))
            {
                let with = allocators.entry(allocator.clone()).or_default();
                with.push(server.display.clone());
            }
        }
        if allocators.len() > 1 {
            unfair.push(Unfair::Allocators(allocators));
        }
        unfair
    }
}

/// The id of the threads seen busy with so many workers.
pub fn busy_threads(workers: u64) -> String {
    format!("busy_threads_{workers}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(name: &str, package: bool, properties: &[(&str, Observed)]) -> ServerFairness {
        let owned = |(id, seen): &(&str, Observed)| ((*id).to_owned(), seen.clone());
        ServerFairness {
            display: name.to_owned(),
            package,
            properties: properties.iter().map(owned).collect(),
            ..ServerFairness::default()
        }
    }

    fn unfair(servers: Vec<ServerFairness>) -> Vec<Unfair> {
        let fairness = Fairness {
            head: Head {
                ..Head::of::<Fairness>()
            },
            servers,
        };
        let json = serde_json::to_string(&fairness).unwrap();
        assert_eq!(serde_json::from_str::<Fairness>(&json).unwrap(), fairness);
        fairness.unfair()
    }

    #[test]
    fn only_workers_and_allocators_of_packages_are_errors() {
        let text = |text: &str| Observed::Text(text.to_owned());
        let right = [
            ("busy_threads_1", Observed::Number(1.0)),
            ("busy_threads_2", Observed::Number(2.0)),
            ("allocator", text("a")),
            ("nodelay", Observed::Flag(true)),
        ];
        let other = [("allocator", text("b")), ("nodelay", Observed::Flag(false))];
        let more = [("busy_threads_2", Observed::Number(4.0))];
        assert_eq!(
            unfair(vec![server("x", true, &right), server("y", false, &other)]),
            []
        );
        let found = unfair(vec![
            server("x", true, &right),
            server("y", true, &other),
            server("z", false, &more),
        ]);
        let groups = [("a", "x"), ("b", "y")].map(|(a, s)| (a.to_owned(), vec![s.to_owned()]));
        assert_eq!(
            found,
            [
                Unfair::Workers {
                    server: "z".to_owned(),
                    asked: 2,
                    busy: 4
                },
                Unfair::Allocators(groups.into())
            ]
        );
    }
}
