//! What a round measures: verified servers under their names, and the control.

use std::net::SocketAddr;

use anyhow::Result;

use super::Verified;
use super::accept::accept;
use super::boot::{BootOptions, boot};
use super::control::Control;
use super::target::{Peer, Target, TargetCheck};
use super::trial::Settings;
use catalog::Call;
use loadgen::Script;
use record::{Failure, Step};

/// What a round measures under one name. It can only be made from a [`Verified`] server, the control, or a target
/// that the user named.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The name in plan and record.
    pub(super) name: String,
    /// What to start.
    pub(super) subject: Subject<'a>,
}

/// What to start for an entry, or to connect to.
#[derive(Debug)]
pub(super) enum Subject<'a> {
    Server(Box<Verified>),
    Control(&'a Control),
    Target(&'a Target),
}

impl Entry<'_> {
    /// Starts it, unless it already runs.
    ///
    /// # Errors
    /// If it does not start, or can't be connected to.
    pub(super) fn boot(&self, options: &BootOptions, settings: &Settings) -> Result<Peer, Failure> {
        let launch = match &self.subject {
            Subject::Server(verified) => &verified.built().launch,
            Subject::Control(control) => control.launch(),
            Subject::Target(target) => {
                let reached = target.reach(settings.timeout);
                reached.map_err(|error| target.failure(Step::Accept, error))?;
                return Ok(Peer::Target((*target).clone()));
            }
        };
        let running = boot(launch, options, &settings.referee, &settings.interrupt)?;
        Ok(Peer::Started(Box::new(running)))
    }

    /// The requests to send, each with its expected response. A server is sent each of them once first, a target
    /// that is not checked against the contract only a few; the control replays what was accepted from a server.
    pub(super) fn script(
        &self,
        workload: &str,
        addr: SocketAddr,
        calls: &[Call],
        settings: &Settings,
    ) -> Result<Script> {
        match &self.subject {
            Subject::Control(control) => control.script(workload, addr),
            Subject::Target(target) if target.check != TargetCheck::Contract => {
                target.script(calls, settings.timeout, &settings.interrupt)
            }
            Subject::Server(_) | Subject::Target(_) => accept(
                addr,
                calls,
                &settings.referee,
                settings.timeout,
                &settings.interrupt,
            ),
        }
    }

    /// Whether it stores orders as the contract says. The control always replays the same response.
    pub(super) fn keeps_orders(&self) -> bool {
        match &self.subject {
            Subject::Server(_) => true,
            Subject::Control(_) => false,
            Subject::Target(target) => target.check == TargetCheck::Contract,
        }
    }
}
