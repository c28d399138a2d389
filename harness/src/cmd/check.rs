//! `harness check`: checks each server against the contract.

mod table;

use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::machine::{CpuPlace, Cpus, log_folder};
use super::operand::refuse_unknown;
use super::progress::Progress;
use crate::flags::{Servers, Status, parse_duration};
use runner::CheckLimits;
use table::CheckRow;

const EXAMPLES: &str = "\
Examples:
  cargo harness check                          every server of the workspace
  cargo harness check --server NAME
  cargo harness check --list                   list all checks
  cargo harness check --server NAME --only users-pages --only stop-exits
  cargo harness check --json                   details of every failed check
  cargo harness check --server mine --manifest path/to/mine/server.toml

Each server is built, started, tested against everything the contract defines, and stopped under load. \
Only a server that passes all checks can be measured. The table counts checks by topic. A failed check \
has its own line, and below the table the request sent, the response received and the response \
expected.

Exit status: 0 all passed; 1 a server failed a check, or could not be built or started; 2 a \
bad flag; 130 interrupted.";

/// Flags of `harness check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Run only this check; repeatable
    #[arg(long, value_name = "ID")]
    only: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Maximum time to first byte of an idle server, as the median of 100 warm requests
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = parse_duration)]
    first_byte_limit: Duration,
    /// Maximum time until a server's first valid response
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    ready_timeout: Duration,
    /// Seed for the inputs
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Fixed port [default: a free one]
    #[arg(long)]
    port: Option<u16>,
    /// Show which servers would be checked and which checks would run, and do nothing else
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    cpus: Cpus,
}

/// Builds, starts and checks the selected servers.
///
/// # Errors
/// If a name is unknown. A server that fails a check gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.servers.catalog()?;
    refuse_unknown_checks(&arguments.only)?;
    if arguments.list {
        for server in &servers {
            say!("would check {}", server.name);
        }
        for check in referee::all() {
            say!("  {:<10} {:<26} {}", check.group, check.id, check.about);
        }
        return Ok(Status::Fine);
    }
    let place = CpuPlace::find(&arguments.cpus)?;
    let interrupt = crate::cmd::interrupt()?;
    let logs = log_folder(&catalog.target)?;
    let mut progress = Progress::new();
    let mut rows = Vec::new();
    for server in &servers {
        progress.note(&format!("building {}", server.name));
        let built = match runner::build(&catalog, server, &interrupt) {
            Ok(built) => built,
            Err(_) if interrupt.is_set() => break,
            Err(failure) => {
                progress.fail(&server.name, &failure);
                rows.push(CheckRow::not_built(&server.name, failure));
                continue;
            }
        };
        progress.note(&format!("checking {}", server.name));
        let log = logs.join(format!("{}-check.log", server.name));
        let boot = place.boot(log, arguments.port, arguments.ready_timeout);
        let limits = CheckLimits {
            only: arguments.only.clone(),
            first_byte: arguments.first_byte_limit,
            seed: arguments.seed,
        };
        let begin = Instant::now();
        let checked = runner::check(built, &boot, &limits, &runner::Referee::new(), &interrupt);
        if interrupt.is_set() {
            break;
        }
        let row = CheckRow::new(server, checked, begin.elapsed());
        if let Some(failure) = row.unchecked() {
            progress.fail(&server.name, failure);
        }
        rows.push(row);
    }
    progress.finish();
    match arguments.json {
        true => say!(
            "{:#}",
            json!(rows.iter().map(CheckRow::json).collect::<Vec<_>>())
        ),
        false => table::lines(&rows)
            .iter()
            .try_for_each(|line| super::write_line(format_args!("{line}")))?,
    }
    Ok(match rows.iter().all(CheckRow::passed) {
        _ if interrupt.is_set() => Status::Interrupted,
        true => Status::Fine,
        false => Status::Failed,
    })
}

pub(super) fn refuse_unknown_checks(only: &[String]) -> Result<()> {
    refuse_unknown("check", only, referee::ids())
}
