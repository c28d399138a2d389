//! `harness build`: each server alone, its binary copied aside.

use anyhow::{Context, Result};
use clap::Args;
use serde_json::json;

use super::progress::Progress;
use crate::flags::{Servers, Status};
use runner::Interrupt;

const EXAMPLES: &str = "\
Examples:
  harness build                          every server of the workspace
  harness build --server NAME,OTHER
  harness build --server mine --manifest path/to/mine/server.toml
  harness build --json | jq -r '.[].binary'

Each server is built alone: cargo unifies the features of packages that are built together,
which would change the programs.

Exit status: 0 all were built; 1 one was not; 2 a bad flag; 130 interrupted.";

/// The verb's flags.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Print JSON: where each binary lies, its features, size and hash
    #[arg(long)]
    json: bool,
    /// Show what would be built, and do nothing
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    servers: Servers,
}

/// Builds the servers chosen.
///
/// # Errors
/// Where a name is unknown; a server that does not compile gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.servers.catalog()?;
    if arguments.list {
        for server in &servers {
            say!("would build {}", server.name);
        }
        return Ok(Status::Fine);
    }
    let interrupt = Interrupt::on_signals().context("cannot hear of Ctrl-C")?;
    let mut progress = Progress::new();
    let mut status = Status::Fine;
    let mut rows = Vec::new();
    for server in &servers {
        progress.note(&format!("building {}", server.name));
        match runner::build(&catalog, server, &interrupt) {
            Ok(built) => {
                let binary = &built.launch.command[0];
                if !arguments.json {
                    let size = built.record.stripped_bytes.or(built.record.size_bytes);
                    let size = size.map_or("-".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
                    progress.print(&format!("{:<16} {size:>9}  {binary}", server.name))?;
                }
                let mut row = serde_json::to_value(&built.record)?;
                row["server"] = json!(server.name);
                row["version"] = json!(server.version);
                row["binary"] = json!(binary);
                rows.push(row);
            }
            Err(_) if interrupt.is_set() => return Ok(Status::Interrupted),
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
    Ok(status)
}
