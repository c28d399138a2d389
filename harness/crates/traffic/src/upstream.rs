//! What latency a server adds to that of a dependency to which it sends a request for each of its own.
//!
//! In a trial, the same load generator applies the same rate to the dependency alone and through the server, one right
//! after the other, in an order that alternates by round. So both have the same dependency, the same CPUs and the same
//! moment of the machine, and their difference is what the server adds.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::served::Served;
use super::turns::{
    Contender, Driven, Field, Racer, TrialOptions, Turn, USUAL_START, latency_us, refuse_unpinned,
};
use catalog::{Call, plan};
use loadgen::{
    Client, Config, Control, Expect, GENERATOR_BUSY, Measurement, Request, Script, means,
};
use record::{Failure, RoundUpstream, Step};
use runner::{Interrupt, Referee, boot, wire};
use serde_json::Value;

/// The route of the servers, and what they send to the dependency.
const ROUTE: &str = "/api/v1/upstream";
const TO_DEPENDENCY: &str = "/";

/// What the dependency has counted so far; `most_at_once` since it was last read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Responses.
    pub requests: u64,
    /// Connections on which a request came.
    pub connections: u64,
    /// The most requests at the same time.
    pub most_at_once: u64,
}

/// The dependency of all servers.
pub struct Dependency<'a> {
    /// Where it listens.
    pub addr: SocketAddr,
    /// Reads its counts.
    pub counts: &'a dyn Fn() -> Result<Counts>,
}

/// How a round is measured.
pub struct UpstreamRun<'a> {
    /// How servers are started, and how long a load takes.
    pub trials: &'a TrialOptions,
    /// Requests per second.
    pub per_s: f64,
    /// What they call.
    pub dependency: Dependency<'a>,
}

/// About how long a round takes for one server.
pub fn time_of_upstream(trials: &TrialOptions) -> Duration {
    USUAL_START + trials.time() * 2
}

/// Measures a round: a fresh process of each server. Calls `show` with what is measured next. A server's failure ends
/// its round, and the others go on. `None`: interrupted before its turn.
pub fn upstream_round(
    contenders: &[Contender<'_>],
    round: u32,
    run: &UpstreamRun<'_>,
    interrupt: &Interrupt,
    show: &mut dyn FnMut(&str),
) -> Vec<Result<Option<RoundUpstream>, Failure>> {
    let served = &run.trials.served;
    let mut field = Field::new(run.trials, plan::round_seed(served.seed, round), interrupt);
    for contender in contenders {
        show(&format!("starting {}", contender.name));
        let log = format!("{}-round-{round}", contender.name);
        let options = field.options(served.boot.workers, &log);
        let upstream = run.dependency.addr.to_string();
        let launch = contender.launch.with(&["--upstream", &upstream]);
        let started = boot(&launch, &options.boot, &Referee::new(), interrupt);
        let started = started.and_then(|mut running| {
            let (through, direct) = scripts(running.addr, run.dependency.addr, options.timeout)
                .map_err(|error| running.failure(Step::Accept, format!("{error:#}")))?;
            let served = Served::with(running, through, &options, interrupt);
            Ok((served, direct))
        });
        match started {
            Ok((served, direct)) => {
                field.join(
                    contender.name,
                    Ok(served),
                    Caller {
                        direct,
                        found: None,
                    },
                );
            }
            Err(failure) => field.racers.push(Err(failure)),
        }
    }
    field.each(&mut |racer, turn| {
        show(&format!("{} and its dependency", racer.name));
        let found = racer.through_and_direct(round, run, turn, interrupt)?;
        racer.state.found = Some(found);
        Ok(())
    });
    let racers = field.racers.into_iter();
    let ended = racers.map(|racer| racer.and_then(Racer::end));
    ended.map(|state| Ok(state?.found)).collect()
}

/// The requests to the server and to the dependency, of which both must return the same.
fn scripts(
    server: SocketAddr,
    dependency: SocketAddr,
    limit: Duration,
) -> Result<(Script, Script)> {
    let ask = |addr, target: &str| -> Result<_> {
        let call = Call {
            method: "GET".to_owned(),
            target: target.to_owned(),
            headers: Vec::new(),
            body: None,
        };
        let wire = wire(&call, addr);
        let response = Client::new(addr, limit).exchange(&wire);
        let response = response.with_context(|| format!("no response to GET {target}"))?;
        Ok((wire, response))
    };
    let (direct_wire, direct) = ask(dependency, TO_DEPENDENCY).context("the dependency")?;
    ensure!(
        direct.status == 200,
        "the dependency returned {}",
        direct.status
    );
    let json: Value = serde_json::from_slice(&direct.body).context("the dependency's body")?;
    let (through_wire, through) = ask(server, ROUTE)?;
    if through.status != 200 || !means(&through.body, &json) {
        bail!(
            "GET {ROUTE} returned {} {}, expected 200 {json} as from its dependency: does it serve that route? If not, \
             write lacks = [\"upstream\"] into its manifest",
            through.status,
            String::from_utf8_lossy(&through.body),
        );
    }
    let script = |wire, bytes| {
        let expect = Expect::Body { status: 200, bytes };
        Script::new(vec![Request { wire, expect }])
    };
    Ok((
        script(through_wire, through.body)?,
        script(direct_wire, direct.body)?,
    ))
}

/// A server with a dependency.
struct Caller {
    /// The requests to the dependency.
    direct: Script,
    found: Option<RoundUpstream>,
}

impl Racer<Caller> {
    fn through_and_direct(
        &mut self,
        round: u32,
        run: &UpstreamRun<'_>,
        turn: &Turn<'_>,
        interrupt: &Interrupt,
    ) -> Result<RoundUpstream> {
        let config = self.at_rate(run.per_s, turn);
        let direct_config = Config {
            addr: run.dependency.addr.into(),
            ..config.clone()
        };
        let direct_first = round % 2 == 1;
        let mut direct = None;
        if direct_first {
            direct = Some(drive_dependency(
                &direct_config,
                &self.state.direct,
                interrupt,
            )?);
        }
        let before = (run.dependency.counts)()?;
        let through = self.drive(config)?;
        let after = (run.dependency.counts)()?;
        let direct = match direct {
            Some(direct) => direct,
            None => drive_dependency(&direct_config, &self.state.direct, interrupt)?,
        };
        Ok(found(
            (round, direct_first),
            &direct,
            &through,
            (before, after),
        ))
    }
}

/// A load on the dependency alone, of which every response must be right.
fn drive_dependency(
    config: &Config,
    script: &Script,
    interrupt: &Interrupt,
) -> Result<Measurement> {
    let control = Control::new(interrupt.flag());
    let measured = loadgen::drive(config, script, &control).context("the dependency alone")?;
    ensure!(!measured.stopped, "interrupted");
    refuse_unpinned(config, &measured)?;
    match &measured.first_error {
        Some(error) => bail!("the dependency alone: {error}"),
        None => Ok(measured),
    }
}

/// The figures of a trial.
fn found(
    (round, direct_first): (u32, bool),
    direct: &Measurement,
    through: &Driven,
    (before, after): (Counts, Counts),
) -> RoundUpstream {
    let mut figures: BTreeMap<String, f64> = through.figures();
    for (name, quantile) in [("p50", 0.5), ("p99", 0.99)] {
        let own = latency_us(direct, quantile);
        let both = latency_us(&through.measured, quantile);
        let added = both.zip(own).map(|(both, own)| both - own);
        figures.extend(own.map(|us| (format!("direct_{name}_us"), us)));
        figures.extend(added.map(|us| (format!("added_{name}_us"), us)));
    }
    let counted = [
        ("upstream_requests", after.requests - before.requests),
        (
            "upstream_connections",
            after.connections - before.connections,
        ),
        ("upstream_most_at_once", after.most_at_once),
    ];
    figures.extend(counted.map(|(id, count)| (id.to_owned(), count as f64)));
    let bound = |m: &Measurement| m.busy_ratio() > GENERATOR_BUSY;
    RoundUpstream {
        round,
        direct_first,
        figures,
        generator_bound: bound(direct) || bound(&through.measured),
        kept_up: direct.kept_up() && through.measured.kept_up(),
        first_error: through.measured.first_error.clone(),
    }
}
