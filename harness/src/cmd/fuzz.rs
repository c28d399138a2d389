//! `harness fuzz`: sends mutated requests to each server, or replays one of them.

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::machine::{CpuPlace, Cpus, log_folder};
use super::progress::{Progress, show_time};
use crate::flags::{Servers, Status, parse_duration};
use catalog::Server;
use robustness::fuzz::{Answer, Shot, shot, shown};
use runner::{BootOptions, Built, FuzzOptions, Interrupt, Referee};

const EXAMPLES: &str = "\
Examples:
  cargo harness fuzz --server NAME                     100,000 requests, about a minute
  cargo harness fuzz --server NAME --seed 7 --requests 1000000 --time-limit 10m
  cargo harness fuzz --server NAME --seed 7 --replay 4711    replay one request
  cargo harness fuzz --seed 7 --replay 4711 --list           show it without sending it

The fuzzer changes valid requests of the contract: methods, targets, versions, headers, framing and JSON, \
then single bytes. Each request has its own connection and depends only on the seed and its number. A \
server passes if its process survives, its memory stays bounded, and it passes all contract checks \
afterwards. Responses are counted by status and not judged.

Exit status: 0 all passed; 1 a server failed, or could not be built or started; 2 a bad flag; 130 \
interrupted.";

/// Maximum bytes shown of a replayed request.
const SHOWN: usize = 4_096;
/// Default time limit for each hundred thousand requests.
const USUAL_LIMIT: Duration = Duration::from_secs(180);
const CONNECTIONS: usize = 16;

/// Flags of `harness fuzz`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Number of requests for each server
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    requests: u64,
    /// Seed for the requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Number of concurrent connections
    #[arg(long, value_name = "N", default_value_t = CONNECTIONS, value_parser = connections)]
    connections: usize,
    /// Maximum time for each server
    #[arg(long, value_name = "TIME", default_value = "3m", value_parser = parse_duration)]
    time_limit: Duration,
    /// Send only the request with this number to a fresh process, and show it
    #[arg(long, value_name = "NUMBER")]
    replay: Option<u64>,
    /// Show what would be done, and send nothing
    #[arg(long)]
    list: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Maximum time until a server's first valid response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    ready_timeout: Duration,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    cpus: Cpus,
}

fn connections(text: &str) -> Result<usize, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (1..=1_000).contains(number));
    number.ok_or_else(|| "expected a number from 1 to 1000".to_owned())
}

/// The options of a fuzz run inside another command.
pub(super) fn options(requests: u64, seed: u64, boot: BootOptions) -> FuzzOptions {
    let hundred_thousands = u32::try_from(requests.div_ceil(100_000)).unwrap_or(u32::MAX);
    FuzzOptions {
        seed,
        requests,
        connections: CONNECTIONS,
        time_limit: USUAL_LIMIT.saturating_mul(hundred_thousands),
        boot,
    }
}

/// Shows how many requests were sent, and roughly how long the rest takes.
pub(super) fn sent_so_far<'a>(
    progress: &'a mut Progress,
    server: &str,
    of: u64,
) -> impl FnMut(u64) + use<'a> {
    let begin = Instant::now();
    let server = server.to_owned();
    move |sent| {
        let left = match sent {
            0 => String::new(),
            _ => {
                let share = of.saturating_sub(sent) as f64 / sent as f64;
                let left = begin.elapsed().mul_f64(share);
                format!(", about {} left", show_time(left))
            }
        };
        progress.part(&format!("{server}: {sent} of {of} mutated requests{left}"));
    }
}

/// Builds and starts the selected servers, and sends the requests.
///
/// # Errors
/// If a name is unknown. A server that fails gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let replayed = arguments.replay.map(|index| shot(arguments.seed, index));
    if arguments.list {
        return list(arguments, replayed.as_ref());
    }
    let (catalog, servers) = arguments.servers.with_all_routes()?;
    let place = CpuPlace::find(&arguments.cpus)?;
    let interrupt = crate::cmd::interrupt()?;
    let logs = log_folder(&catalog.target)?;
    if let Some(one) = replayed.as_ref().filter(|_| !arguments.json) {
        say!("{}", shown(&one.bytes, SHOWN));
    }
    let mut progress = Progress::new();
    let mut status = Status::Fine;
    let mut rows = Vec::new();
    for server in &servers {
        progress.note(&format!("building {}", server.name));
        let log = logs.join(format!("{}-fuzz.log", server.name));
        let boot = place.boot(log, None, arguments.ready_timeout);
        let mut job = FuzzJob {
            arguments,
            server,
            boot,
            interrupt: &interrupt,
            progress: &mut progress,
        };
        let built = runner::build(&catalog, server, &interrupt);
        let done = built.and_then(|built| match &replayed {
            Some(one) => job.replay(&built, one),
            None => job.fuzz(&built),
        });
        if let Some(done) = done.as_ref().ok().filter(|_| !arguments.json) {
            progress.print(done.text.trim_end())?;
        }
        if interrupt.is_set() {
            break;
        }
        match done {
            Ok(done) => {
                rows.push(done.row);
                status = if done.well { status } else { Status::Failed };
            }
            Err(failure) => {
                status = Status::Failed;
                progress.fail(&server.name, &failure);
                rows.push(json!({"server": server.name, "failure": failure}));
            }
        }
    }
    progress.finish();
    if arguments.json {
        say!("{:#}", json!(rows));
    }
    Ok(match interrupt.is_set() {
        true => Status::Interrupted,
        false => status,
    })
}

fn list(arguments: &Arguments, replayed: Option<&Shot>) -> Result<Status> {
    if let Some(one) = replayed {
        say!("{}", shown(&one.bytes, SHOWN));
        return Ok(Status::Fine);
    }
    let (_, servers) = arguments.servers.catalog()?;
    for server in &servers {
        say!(
            "would send {} mutated requests to {}, for at most {}",
            arguments.requests,
            server.name,
            show_time(arguments.time_limit)
        );
    }
    Ok(Status::Fine)
}

/// Fuzzes one server.
struct FuzzJob<'a> {
    arguments: &'a Arguments,
    server: &'a Server,
    boot: BootOptions,
    interrupt: &'a Interrupt,
    progress: &'a mut Progress,
}

/// What came of it: as text, as a row of the JSON, and whether the server passed.
struct Fuzzed {
    text: String,
    row: serde_json::Value,
    well: bool,
}

impl FuzzJob<'_> {
    fn fuzz(&mut self, built: &Built) -> Result<Fuzzed, record::Failure> {
        let name = &self.server.name;
        let options = FuzzOptions {
            seed: self.arguments.seed,
            requests: self.arguments.requests,
            connections: self.arguments.connections,
            time_limit: self.arguments.time_limit,
            boot: self.boot.clone(),
        };
        let mut show = sent_so_far(self.progress, name, options.requests);
        let fuzz = runner::fuzz(built, &options, &Referee::new(), self.interrupt, &mut show)?;
        Ok(Fuzzed {
            text: report::fuzz_lines(name, &fuzz),
            row: json!({"server": name, "fuzz": fuzz}),
            well: !fuzz.is_fault(),
        })
    }

    fn replay(&mut self, built: &Built, one: &Shot) -> Result<Fuzzed, record::Failure> {
        let name = &self.server.name;
        let replayed = runner::replay(built, one, &self.boot, &Referee::new(), self.interrupt)?;
        let answer = in_words(&replayed.answer);
        let harm = replayed.harm.as_deref();
        let told = harm.unwrap_or("the server is alive and responds correctly");
        let mut text = format!("{name}: {answer}; {told}");
        for line in replayed.log_tail.lines() {
            text += &format!("\n  | {line}");
        }
        let row = json!({
            "server": name,
            "request": shown(&one.bytes, SHOWN),
            "answer": answer,
            "harm": harm,
        });
        let well = harm.is_none();
        Ok(Fuzzed { text, row, well })
    }
}

fn in_words(answer: &Answer) -> String {
    match answer {
        Answer::Status(status) => format!("status {status}"),
        Answer::Garbled => "the response was not HTTP".to_owned(),
        Answer::Ended => "the connection was closed without a response".to_owned(),
        Answer::Silent => "no response yet".to_owned(),
        Answer::NotConnected(why) => format!("no connection: {why}"),
    }
}
