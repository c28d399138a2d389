//! A target: a service that already runs. It is measured, but never built, started, signalled or stopped.

use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::Interrupt;
use super::accept::{line, wire};
use super::boot::Running;
use catalog::Call;
use loadgen::{Client, Expect, Request, Script};
use machine::probe::Processes;
use record::{Failure, Step};

/// Requests sent to a target before the load, one after another, to find one that it doesn't serve.
const TRIED: usize = 8;

/// What a target is checked for before it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetCheck {
    /// Nothing. Under load, a response is valid if its status is from 200 to 299.
    #[default]
    None,
    /// `GET /ping` responds as the contract says; otherwise like [`Self::None`].
    Ping,
    /// Everything in the contract that doesn't need a fresh process. Under load, every response must be what the
    /// contract requires.
    Contract,
}

/// A service that already runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The name in plan and record.
    pub name: String,
    /// As the user gave it.
    pub url: String,
    /// Where it listens.
    pub addr: SocketAddr,
    /// The `Host` header.
    pub host: String,
    /// The path of its URL, and the query if it has one. A workload's path `/` stands for it; other paths are
    /// appended.
    pub path: String,
    /// The process whose figures are read, with its descendants.
    pub pid: Option<u32>,
    /// What it is checked for.
    pub check: TargetCheck,
}

impl Target {
    /// Connects once.
    ///
    /// # Errors
    /// If nothing can be connected to, with a hint.
    pub fn reach(&self, timeout: Duration) -> Result<()> {
        let hint = |error: &io::Error| match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                "nothing listens there: start the service, or correct the port"
            }
            io::ErrorKind::TimedOut => "is the address right, and does a firewall let it through?",
            _ => "is the address right, and can this machine reach it?",
        };
        match TcpStream::connect_timeout(&self.addr, timeout) {
            Ok(_) => Ok(()),
            Err(error) => bail!("no connection to {}: {error}; {}", self.addr, hint(&error)),
        }
    }

    /// The requests to send, each with its expected response: any success. Sends the first few once.
    ///
    /// # Errors
    /// The first request whose response is no success.
    pub(super) fn script(
        &self,
        calls: &[Call],
        timeout: Duration,
        interrupt: &Interrupt,
    ) -> Result<Script> {
        let calls: Vec<Call> = calls.iter().map(|call| self.call(call)).collect();
        let mut client = Client::new(self.addr, timeout);
        let mut tried: Vec<&Call> = Vec::new();
        for call in &calls {
            if tried.len() == TRIED {
                break;
            }
            if tried.contains(&call) {
                continue;
            }
            if interrupt.is_set() {
                bail!("interrupted");
            }
            let response = client
                .exchange(&wire(call, self.addr))
                .with_context(|| format!("no response to {}", line(call)))?;
            if !(200..300).contains(&response.status) {
                bail!(
                    "{} returned status {}; only 200 to 299 counts: correct the workload, the URL or the service",
                    line(call),
                    response.status
                );
            }
            tried.push(call);
        }
        let request = |call: &Call| Request {
            wire: wire(call, self.addr),
            expect: Expect::Success,
        };
        Ok(Script::new(calls.iter().map(request).collect())?)
    }

    /// A workload's call, sent to this target.
    fn call(&self, call: &Call) -> Call {
        let mut call = call.clone();
        call.target = match call.target.as_str() {
            "/" => self.path.clone(),
            target => format!("{}{target}", self.path.trim_end_matches('/')),
        };
        if !call.has_header("Host") {
            call.headers.push(("Host".to_owned(), self.host.clone()));
        }
        call
    }

    fn processes(&self) -> Processes {
        self.pid.map_or_else(Processes::none, Processes::under)
    }
}

/// What receives the load: a process of the harness, or a target.
#[derive(Debug)]
pub(super) enum Peer {
    /// A server that the harness started, and ends.
    Started(Box<Running>),
    /// A service that is left alone.
    Target(Target),
}

impl Peer {
    pub(super) fn addr(&self) -> SocketAddr {
        match self {
            Self::Started(running) => running.addr,
            Self::Target(target) => target.addr,
        }
    }

    /// The process that the harness started. Only that one may be signalled, and compared with what it was at its
    /// start.
    pub(super) fn started(&self) -> Option<&Running> {
        match self {
            Self::Started(running) => Some(running),
            Self::Target(_) => None,
        }
    }

    pub(super) fn processes(&self) -> Processes {
        match self {
            Self::Started(running) => running.processes(),
            Self::Target(target) => target.processes(),
        }
    }

    /// How it ended, if that is known.
    pub(super) fn ended(&mut self) -> Option<&str> {
        match self {
            Self::Started(running) => running.ended(),
            Self::Target(_) => None,
        }
    }

    /// A failure of it, with the end of its log.
    pub(super) fn failure(&mut self, step: Step, reason: impl Display) -> Failure {
        match self {
            Self::Started(running) => running.failure(step, reason),
            Self::Target(target) => target.failure(step, reason),
        }
    }

    /// Ends a process of the harness.
    ///
    /// # Errors
    /// See [`Running::kill`].
    pub(super) fn kill(self) -> Result<(), Failure> {
        match self {
            Self::Started(running) => running.kill(),
            Self::Target(_) => Ok(()),
        }
    }
}

impl Target {
    /// A failure of it.
    pub(super) fn failure(&self, step: Step, reason: impl Display) -> Failure {
        Failure {
            step,
            reason: format!("{}: {reason:#}", self.url),
            log_tail: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(path: &str) -> Target {
        Target {
            name: "mine".to_owned(),
            url: format!("http://shop.test:81{path}"),
            addr: SocketAddr::from(([127, 0, 0, 1], 81)),
            host: "shop.test:81".to_owned(),
            path: path.to_owned(),
            pid: None,
            check: TargetCheck::None,
        }
    }

    fn call(target: &str, headers: &[(&str, &str)]) -> Call {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Call {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: headers.iter().map(own).collect(),
            body: None,
        }
    }

    #[test]
    fn a_call_goes_to_the_path_and_host_of_the_url() {
        for (path, asked, sent) in [
            ("/", "/", "/"),
            ("/", "/a?b=1", "/a?b=1"),
            ("/v1", "/", "/v1"),
            ("/v1/", "/", "/v1/"),
            ("/v1/", "/a", "/v1/a"),
            ("/v1/x?q=2", "/", "/v1/x?q=2"),
        ] {
            let call = target(path).call(&call(asked, &[]));
            assert_eq!(call.target, sent, "{path} and {asked}");
            let host = ("Host".to_owned(), "shop.test:81".to_owned());
            assert_eq!(call.headers, [host]);
        }
        let own = target("/").call(&call("/", &[("host", "other")]));
        assert_eq!(own.headers, [("host".to_owned(), "other".to_owned())]);
    }

    #[test]
    fn what_is_not_there_is_named_with_what_to_do() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let gone = Target {
            addr: listener.local_addr().unwrap(),
            ..target("/")
        };
        assert!(gone.reach(Duration::from_secs(1)).is_ok());
        drop(listener);
        let error = gone.reach(Duration::from_secs(1)).unwrap_err().to_string();
        assert!(error.contains("start the service"), "{error}");
        assert!(error.contains(&gone.addr.to_string()), "{error}");
    }

    #[test]
    fn a_target_is_never_ended_and_has_no_figures_without_a_process() {
        let peer = Peer::Target(target("/"));
        assert_eq!(peer.processes().sample_light(), Default::default());
        assert!(peer.started().is_none());
        assert!(peer.kill().is_ok());
    }
}
