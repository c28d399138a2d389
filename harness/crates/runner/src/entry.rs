//! What a round measures: verified servers under their names, and the control.

use std::net::SocketAddr;

use anyhow::Result;

use super::Verified;
use super::accept::accept;
use super::build::Launch;
use super::control::Control;
use super::trial::Settings;
use catalog::Call;
use loadgen::Script;

/// What a round measures under one name. It can only be made from a [`Verified`] server or the control.
#[derive(Debug)]
pub(super) struct Entry<'a> {
    /// The name in plan and record.
    pub(super) name: String,
    /// What to start.
    pub(super) subject: Subject<'a>,
}

/// What to start for an entry.
#[derive(Debug)]
pub(super) enum Subject<'a> {
    Server(Box<Verified>),
    Control(&'a Control),
}

impl Entry<'_> {
    pub(super) fn launch(&self) -> &Launch {
        match &self.subject {
            Subject::Server(verified) => &verified.built().launch,
            Subject::Control(control) => control.launch(),
        }
    }

    /// The requests to send, each with its expected response. A server is sent each of them once first; the
    /// control replays what was accepted from a server.
    pub(super) fn script(
        &self,
        workload: &str,
        addr: SocketAddr,
        calls: &[Call],
        settings: &Settings,
    ) -> Result<Script> {
        match &self.subject {
            Subject::Server(_) => accept(
                addr,
                calls,
                &settings.referee,
                settings.timeout,
                &settings.interrupt,
            ),
            Subject::Control(control) => control.script(workload, addr),
        }
    }

    /// Whether it stores orders. The control doesn't: it always replays the same response.
    pub(super) fn keeps_orders(&self) -> bool {
        matches!(self.subject, Subject::Server(_))
    }
}
