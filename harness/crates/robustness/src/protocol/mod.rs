//! How a server handles unusual, slow, wrong or hostile clients.
//!
//! Each [`Case`] is data: what to send, what RFC 9110 and RFC 9112 require, and how to judge the behaviour. The
//! result is a cell of the protocol matrix. It is shown but excludes no server, unless the case stays within
//! the contract's terms and gets a wrong response. The caller watches whether the process survives.
//!
//! Each case is an entry in one of the files below; [`all`] lists them.

mod chunked;
mod crowd;
mod delivery;
mod fields;
mod judge;
mod length;
mod methods;
mod persistence;
mod replies;
mod script;
mod seen;
mod slow;
mod talk;
mod target;

use std::net::SocketAddr;
use std::sync::LazyLock;
use std::time::Duration;

pub use judge::{Agreement, Judgement};

use referee::raw;
use script::{Finish, ORDER, Script, order, ping, user};
use seen::Seen;

/// One row of the matrix.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// A stable name in kebab-case, as in `length-negative`.
    pub id: &'static str,
    /// The group it belongs to.
    pub concern: Concern,
    /// What the client does, in one line.
    pub sends: &'static str,
    /// What the standard requires.
    pub rule: Rule,
    /// Whether it stays within the contract's terms, so that a wrong response is a fault and not just a
    /// finding.
    pub in_terms: bool,
    plan: Plan,
    judge: fn(&Seen) -> Judgement,
}

/// A section of a standard, and its requirement in our words.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// The RFC's number and the section, as in `9112 §6.3`.
    pub section: &'static str,
    /// The requirement, in one line.
    pub asks: &'static str,
}

/// The groups of cases, in the order they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Concern {
    /// Requests in pieces, or several at once.
    Delivery,
    /// Who ends a connection, and when.
    Persistence,
    /// Methods, and `Expect`.
    Methods,
    /// The request line.
    Target,
    /// Header fields.
    Fields,
    /// `Content-Length`.
    Length,
    /// `Transfer-Encoding`.
    Chunked,
    /// Clients that stop sending.
    Slow,
    /// How one client affects others.
    Crowd,
}

/// How to run a case.
#[derive(Debug, Clone, Copy)]
enum Plan {
    /// Each script on its own connection, one after the other.
    Talks(fn() -> Vec<Script>),
    /// Thousands of connections at once.
    Crowd,
}

/// Time limits, and when to stop.
pub struct Limits<'a> {
    /// How long to wait for a response.
    pub patience: Duration,
    /// How long to watch a server that holds a connection for a client that stops sending.
    pub let_go: Duration,
    /// Number of idle connections.
    pub idle: usize,
    /// The requested number, if there are not enough file descriptors.
    pub idle_wanted: usize,
    /// Whether to stop.
    pub stop: &'a (dyn Fn() -> bool + Sync),
    /// Called with the number of idle connections while they are open.
    pub crowded: &'a (dyn Fn(usize) + Sync),
}

/// What a server did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// A few words, as in `400, closed`.
    pub cell: String,
    /// Whether that agrees with the standard.
    pub judgement: Judgement,
    /// What was wrong about the response to a request within the contract's terms.
    pub wrong: Option<String>,
}

/// All cases, by concern.
pub fn all() -> &'static [Case] {
    static ALL: LazyLock<Vec<Case>> = LazyLock::new(|| {
        [
            delivery::CASES,
            persistence::CASES,
            methods::CASES,
            target::CASES,
            fields::CASES,
            length::CASES,
            chunked::CASES,
            slow::CASES,
            crowd::CASES,
        ]
        .concat()
    });
    &ALL
}

impl Concern {
    /// A case of this group, with scripts.
    const fn case(
        self,
        id: &'static str,
        sends: &'static str,
        rule: Rule,
        scripts: fn() -> Vec<Script>,
        judge: fn(&Seen) -> Judgement,
    ) -> Case {
        Case {
            id,
            concern: self,
            sends,
            rule,
            in_terms: false,
            plan: Plan::Talks(scripts),
            judge,
        }
    }

    /// One that stays within the contract's terms.
    const fn case_in_terms(
        self,
        id: &'static str,
        sends: &'static str,
        rule: Rule,
        scripts: fn() -> Vec<Script>,
        judge: fn(&Seen) -> Judgement,
    ) -> Case {
        Case {
            in_terms: true,
            ..self.case(id, sends, rule, scripts, judge)
        }
    }

    /// Its heading.
    pub fn title(self) -> &'static str {
        match self {
            Self::Delivery => "Requests in pieces, and several at once",
            Self::Persistence => "Keeping and ending connections",
            Self::Methods => "Methods and Expect",
            Self::Target => "The request line",
            Self::Fields => "Headers",
            Self::Length => "Content-Length",
            Self::Chunked => "Transfer-Encoding",
            Self::Slow => "Clients that do not go on",
            Self::Crowd => "Many clients",
        }
    }
}

/// Reads `SECTION: REQUIREMENT`.
const fn rule(text: &'static str) -> Rule {
    let mut colon = 0;
    while text.as_bytes()[colon] != b':' {
        colon += 1;
    }
    let (section, rest) = text.split_at(colon);
    let (_, asks) = rest.split_at(2);
    Rule { section, asks }
}

impl Case {
    /// Whether it mostly waits, for as long as the server holds a connection.
    pub fn waits(&self) -> bool {
        self.concern == Concern::Slow
    }

    /// Whether it needs most of the available file descriptors.
    pub fn needs_all_descriptors(&self) -> bool {
        matches!(self.plan, Plan::Crowd)
    }

    /// Runs it against a running server.
    pub fn observe(&self, addr: SocketAddr, limits: &Limits<'_>) -> Observed {
        let scripts = match self.plan {
            Plan::Talks(scripts) => scripts(),
            Plan::Crowd => return crowd::crowd(addr, limits),
        };
        let mut all = Vec::new();
        for script in &scripts {
            if (limits.stop)() {
                break;
            }
            all.push(Seen::of(
                script,
                &talk::talk(addr, script, limits),
                limits.patience,
            ));
        }
        Observed {
            cell: seen::cell_of_all(&all),
            judgement: judge::worst(all.iter().map(self.judge).collect()),
            wrong: match self.in_terms {
                true => first_wrong(&all),
                false => None,
            },
        }
    }
}

fn first_wrong(all: &[Seen]) -> Option<String> {
    all.iter().find_map(|seen| {
        let why = seen.wrong()?;
        Some(match seen.label.as_str() {
            "" => why,
            label => format!("{label}: {why}"),
        })
    })
}

/// Checks that a server responds correctly on new connections: to a GET, a user, an order.
///
/// # Errors
/// What was wrong.
pub fn still_right(addr: SocketAddr, patience: Duration) -> Result<(), String> {
    let limits = Limits {
        patience,
        let_go: patience,
        idle: 0,
        idle_wanted: 0,
        stop: &|| false,
        crowded: &|_| {},
    };
    let requests = [
        (raw::get("/ping"), ping()),
        (raw::get("/api/v1/users/33"), user(33)),
        (raw::order(ORDER), order()),
    ];
    for (wire, want) in requests {
        let script = Script::wanting(wire, want).until(Finish::Answered);
        let seen = Seen::of(&script, &talk::talk(addr, &script, &limits), patience);
        seen.wrong().map_or(Ok(()), Err)?;
    }
    Ok(())
}

/// The referee's checks that can be repeated on a process that has already placed orders, but none of the
/// limited item.
pub fn checks_afterwards() -> Vec<String> {
    const OF_A_FRESH_PROCESS: [&str; 6] = [
        "first-byte",
        "last-byte",
        "orders-none-at-start",
        "orders-out-of-stock",
        "orders-limited-concurrent",
        "orders-kept",
    ];
    let ids = referee::ids().filter(|id| !OF_A_FRESH_PROCESS.contains(id));
    ids.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_distinct_and_in_kebab_case() {
        let ids: HashSet<&str> = all().iter().map(|case| case.id).collect();
        assert_eq!(ids.len(), all().len());
        for id in ids {
            let kebab =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            assert!(id.bytes().all(kebab), "{id}");
        }
    }

    #[test]
    fn cases_come_by_concern_and_name_their_source() {
        assert!(all().is_sorted_by_key(|case| case.concern));
        for case in all() {
            let (rfc, section) = case.rule.section.split_once(" §").unwrap();
            assert!(
                ["9110", "9112", "9113", "9293"].contains(&rfc),
                "{}",
                case.id
            );
            assert!(
                section.starts_with(|c: char| c.is_ascii_digit()),
                "{}",
                case.id
            );
        }
    }

    #[test]
    fn what_is_held_against_a_server_has_its_right_answer() {
        for case in all().iter().filter(|case| case.in_terms) {
            let Plan::Talks(scripts) = case.plan else {
                continue;
            };
            for script in scripts() {
                let known = script.asked.iter().all(|asked| asked.want.is_some());
                assert!(known, "{} {}", case.id, script.label);
            }
        }
    }

    #[test]
    fn checks_afterwards_are_checks() {
        let known: Vec<&str> = referee::ids().collect();
        let after = checks_afterwards();
        assert!(after.iter().all(|id| known.contains(&id.as_str())));
        assert_eq!(after.len() + 6, known.len());
    }
}
