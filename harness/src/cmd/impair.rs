//! `harness impair`: a proxy that adds what a network does to a connection, or the kernel's netem for a command.

mod conditions;
pub(in crate::cmd) mod netem;
mod proxy;

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde_json::json;

use super::drive::spectrum::time;
use crate::flags::{Status, Usage, parse_duration, read_share};
use conditions::Conditions;
pub(in crate::cmd) use conditions::Profile;
use proxy::{Passed, Proxy, QUEUE};
use runner::Interrupt;
use words::{counted, grouped};

const EXAMPLES: &str = "\
Examples:
  cargo harness impair --listen 127.0.0.1:9000 --to 127.0.0.1:8080 --delay 40ms --jitter 10ms
  cargo harness impair --to 127.0.0.1:8080 --profile mobile      with port 0: the first line says where it listens
  cargo harness impair --to 127.0.0.1:8080 --profile wan --rate 500000 --duration 60s --json
  cargo harness drive --rate 500 http://127.0.0.1:9000/ping      in another terminal
  cargo harness impair --netem --profile wan -- cargo harness capacity --server NAME    the kernel does it, without a proxy

Every direction of every connection gets the delay, so a round trip takes twice as long. Bytes stay in order, \
nothing is lost, and the first bytes of a new connection wait for one more round trip, the handshake. A packet of \
1,448 bytes that --loss-like-stalls picks waits one round trip plus 200 ms longer, as do all packets behind it, as after \
a loss that the sender notices only when its timer expires. --rate is shared by all connections, for each direction. At most 256 KiB wait in a \
direction of a connection, so it passes at most that much per delay, and memory is bounded by half a MiB for each \
connection.

Profiles, each way (flags override their figures):
  lan     0.25 ms ± 0.05 ms, 1 Gbit/s
  wan     20 ms ± 2 ms, 100 Mbit/s, stalls 0.01 %
  mobile  35 ms ± 20 ms, 12 Mbit/s, stalls 0.5 %

It runs until --duration or Ctrl-C, and then prints what went through, and how late bytes were sent: the error \
of the delays. It uses CPU time that the client and the server then lack, so give it a CPU of its own (taskset).

With --netem there is no proxy. COMMAND runs in a network namespace of its own, on whose loopback the kernel's netem delays and \
loses packets. It reaches nothing outside, so it must start the server too: `capacity` and `bench --isolated` do. Build first, as \
nothing can be downloaded there. --loss-like-stalls loses packets, which TCP sends again, and --rate is shared by both directions. It needs root \
or a kernel that lets users create namespaces, and also netem (module sch_netem), and ip and tc (iproute2).

Exit status: 0 success, also after Ctrl-C; 1 it can't listen, or a connection failed; 2 a bad flag. With --netem that of COMMAND; 1 if it \
can't be run.";

/// Flags of `harness impair`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Where to listen; with port 0 the chosen address is the first line of stdout
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The server
    #[arg(long, value_name = "ADDR", required_unless_present = "netem")]
    to: Option<String>,
    /// Run COMMAND in a network namespace whose loopback has the kernel's netem, without a proxy
    #[arg(long, requires = "command", conflicts_with_all = ["listen", "to", "duration", "seed", "json"])]
    netem: bool,
    /// Known conditions; other flags override its figures
    #[arg(long, value_name = "NAME", value_enum)]
    profile: Option<Profile>,
    /// How long bytes take in each direction [default: 0]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    delay: Option<Duration>,
    /// The delay varies uniformly by up to this, longer or shorter; at most --delay [default: 0]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    jitter: Option<Duration>,
    /// Share of packets that stall their connection, as a loss does, as in 0.1% [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = parse_stalls)]
    loss_like_stalls: Option<f64>,
    /// Bytes per second of all connections together, in each direction [default: unlimited]
    #[arg(long, value_name = "BYTES/S", value_parser = clap::value_parser!(u64).range(1..))]
    rate: Option<u64>,
    /// End after this time [default: Ctrl-C]
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// Seed of jitter and stalls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// At the end, print JSON; times are in nanoseconds
    #[arg(long)]
    json: bool,
    /// Show what would be done, and do nothing else
    #[arg(long)]
    list: bool,
    /// With --netem: what to run; it starts the server and the client
    #[arg(last = true, requires = "netem", conflicts_with = "to")]
    command: Vec<OsString>,
}

fn parse_stalls(text: &str) -> Result<f64, String> {
    read_share(text)
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a share from 0 to 100 %, as in 0.1% or 0.001".to_owned())
}

/// Passes bytes on; with `--netem`, becomes the command.
///
/// # Errors
/// [`Usage`] for a wrong flag; another error if it can't listen, or can't run the command.
pub fn run(arguments: &Arguments) -> Result<Status> {
    let conditions = conditions(arguments)?;
    if arguments.netem {
        return netem::run(&conditions, &arguments.command, arguments.list);
    }
    let to = resolve(arguments.to.as_deref().unwrap_or_default())?;
    let what = format!("{} → {to}: {}", arguments.listen, words(&conditions));
    if arguments.list {
        say!("{what}");
        return Ok(Status::Fine);
    }
    // If this fails, a refused connection names the limit.
    let _ = machine::probe::limits::raise_descriptor_limit();
    let interrupt = super::interrupt()?;
    let listener = TcpListener::bind(arguments.listen)
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let addr = listener.local_addr()?;
    if arguments.listen.port() == 0 {
        say!("{addr}");
    }
    let left = arguments.duration.map_or_else(
        || "until Ctrl-C".to_owned(),
        |length| format!("for {length:?}"),
    );
    eprintln!("{addr} → {to}: {}, {left}", words(&conditions));
    let end = arguments.duration.map(|length| Instant::now() + length);
    let proxy = Proxy::new(listener, to, conditions, arguments.seed)?;
    let passed = proxy.run(&interrupt, end)?;
    match arguments.json {
        true => say!("{:#}", json(&conditions, &passed)),
        false => eprintln!("{}", summary(&passed)),
    }
    Ok(match passed.failed {
        0 => Status::Fine,
        _ => Status::Failed,
    })
}

/// A proxy in front of a server, on a thread of this process. It ends when this is dropped.
pub(in crate::cmd) struct Impaired {
    /// Where it listens.
    pub(in crate::cmd) addr: SocketAddr,
    profile: Profile,
    end: Interrupt,
    thread: Option<JoinHandle<std::io::Result<Passed>>>,
}

impl Impaired {
    /// Puts a proxy in front of `to`.
    ///
    /// # Errors
    /// If it can't listen.
    pub(in crate::cmd) fn start(profile: Profile, to: SocketAddr, seed: u64) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .context("--impair: cannot listen on a free port")?;
        let addr = listener.local_addr()?;
        let proxy = Proxy::new(listener, to, profile.conditions(), seed)?;
        let end = Interrupt::default();
        let ends = end.clone();
        let thread = thread::spawn(move || proxy.run(&ends, None));
        Ok(Self {
            addr,
            profile,
            end,
            thread: Some(thread),
        })
    }

    /// Ends it; returns what went through, in words and as JSON.
    ///
    /// # Errors
    /// If it failed.
    pub(in crate::cmd) fn finish(mut self) -> Result<(String, serde_json::Value)> {
        let passed = self.stop().context("--impair: the proxy had ended")??;
        let conditions = self.profile.conditions();
        let text = format!("{}; {}", words(&conditions), summary(&passed));
        Ok((text, json(&conditions, &passed)))
    }

    fn stop(&mut self) -> Option<Result<Passed>> {
        self.end.flag().store(true, Ordering::Relaxed);
        let ended = self.thread.take()?.join();
        Some(match ended {
            Ok(passed) => passed.map_err(Into::into),
            Err(_) => Err(anyhow!("--impair: the proxy panicked")),
        })
    }
}

impl Drop for Impaired {
    fn drop(&mut self) {
        // After an error of the drive, which is the one to tell.
        let _ = self.stop();
    }
}

/// The conditions of the profile, where no flag says otherwise.
fn conditions(arguments: &Arguments) -> Result<Conditions> {
    let none = Conditions {
        delay: Duration::ZERO,
        jitter: Duration::ZERO,
        stalls: 0.0,
        rate: None,
    };
    let base = arguments.profile.map_or(none, Profile::conditions);
    let conditions = Conditions {
        delay: arguments.delay.unwrap_or(base.delay),
        jitter: arguments.jitter.unwrap_or(base.jitter),
        stalls: arguments.loss_like_stalls.unwrap_or(base.stalls),
        rate: arguments.rate.map(|rate| rate as f64).or(base.rate),
    };
    if conditions.jitter > conditions.delay {
        refuse!(
            "--jitter: {:?} is more than the delay of {:?}, and nothing arrives before it is sent",
            conditions.jitter,
            conditions.delay
        );
    }
    Ok(conditions)
}

fn resolve(to: &str) -> Result<SocketAddr> {
    let mut addrs = to
        .to_socket_addrs()
        .map_err(|error| Usage(format!("--to {to}: {error}; expected HOST:PORT")))?;
    let none = || Usage(format!("--to {to}: it has no address"));
    Ok(addrs.next().ok_or_else(none)?)
}

fn words(conditions: &Conditions) -> String {
    let rate = conditions.rate.map_or_else(
        || "no limit on the rate".to_owned(),
        |rate| format!("{} bytes/s", grouped(rate as u64)),
    );
    format!(
        "{:?} ± {:?} each way, {rate}, {} % of packets stall",
        conditions.delay,
        conditions.jitter,
        100.0 * conditions.stalls
    )
}

fn summary(passed: &Passed) -> String {
    let at = |quantile| time(passed.late.value_at_quantile(quantile));
    let late = match passed.late.is_empty() {
        true => String::new(),
        false => format!(
            "; sent late by p50 {}, p99 {}, max {}",
            at(0.5),
            at(0.99),
            at(1.0)
        ),
    };
    let [there, back] = passed.bytes.map(grouped);
    format!(
        "{} ({} failed), {there} bytes to the server, {back} back, {}{late}",
        counted(passed.connections, "connection"),
        passed.failed,
        counted(passed.stalls, "stall")
    )
}

fn json(conditions: &Conditions, passed: &Passed) -> serde_json::Value {
    let at = |quantile| (!passed.late.is_empty()).then(|| passed.late.value_at_quantile(quantile));
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    json!({
        "delay_ns": nanos(conditions.delay),
        "jitter_ns": nanos(conditions.jitter),
        "stalls_ratio": conditions.stalls,
        "rate_bytes_per_s": conditions.rate,
        "queue_bytes": QUEUE,
        "connections": passed.connections,
        "failed": passed.failed,
        "bytes_to_server": passed.bytes[0],
        "bytes_to_client": passed.bytes[1],
        "stalls": passed.stalls,
        "late_ns": {"p50": at(0.5), "p99": at(0.99), "max": at(1.0)},
    })
}
