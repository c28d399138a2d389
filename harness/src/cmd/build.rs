//! `harness build`: builds each server alone and copies its binary aside.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::progress::Progress;
use crate::flags::{Servers, Status};

const EXAMPLES: &str = "\
Examples:
  cargo harness build                          every server of the workspace
  cargo harness build --server NAME,OTHER
  cargo harness build --server mine --manifest path/to/mine/server.toml
  cargo harness build --json | jq -r '.[].binary'

Each server is built separately: cargo unifies the features of packages that it builds together, and \
that would change the programs.

Exit status: 0 all built; 1 a build failed; 2 a bad flag; 130 interrupted.";

/// Flags of `harness build`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Print JSON: each binary's path, features, size and hash
    #[arg(long)]
    json: bool,
    /// Show what would be built, and do nothing else
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    servers: Servers,
}

/// Builds the servers chosen.
///
/// # Errors
/// If a name is unknown. A server that doesn't compile gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.servers.catalog()?;
    if arguments.list {
        for server in &servers {
            say!("would build {}", server.name);
        }
        return Ok(Status::Fine);
    }
    let interrupt = crate::cmd::interrupt()?;
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
