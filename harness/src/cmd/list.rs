//! `harness list`: shows servers, workloads, patterns, stages and profiles.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::flags::{Loads, Servers, Status, own_workloads, patterns};
use catalog::{PROFILES, Source};

const EXAMPLES: &str = "\
Examples:
  cargo harness list                           everything
  cargo harness list --manifest path/to/mine/server.toml
  cargo harness list --json | jq -r '.servers[].name'";

/// Flags of `harness list`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    servers: Servers,
    #[command(flatten)]
    loads: Loads,
}

/// Prints servers, workloads, patterns, stages and profiles.
///
/// # Errors
/// If a name is unknown or the workspace can't be read.
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.servers.catalog()?;
    let workloads = match arguments.loads.workload.is_empty() {
        true => own_workloads(&catalog)?,
        false => arguments.loads.workloads(&catalog, &[])?,
    };
    let patterns = patterns(&catalog, &[])?;
    let stages = arguments.loads.stages()?;
    if arguments.json {
        let servers: Vec<_> = servers
            .iter()
            .map(|server| {
                json!({
                    "name": server.name,
                    "display": server.about.display,
                    "class": server.about.class,
                    "lacks": server.about.lacks,
                    "upstream": server.about.upstream,
                    "version": server.version,
                    "kind": match server.source {
                        Source::Package { .. } => "package",
                        Source::Program { .. } => "program",
                        Source::Binary { .. } => "binary",
                    },
                })
            })
            .collect();
        let workloads: Vec<_> = workloads
            .iter()
            .map(|workload| {
                json!({
                    "name": workload.name,
                    "about": workload.about,
                    "optional": workload.optional,
                })
            })
            .collect();
        let patterns: Vec<_> = patterns
            .iter()
            .map(|pattern| json!({"name": pattern.name, "about": pattern.about}))
            .collect();
        let stages: Vec<_> = stages.iter().map(|stage| stage.name()).collect();
        let profiles: Vec<_> = PROFILES
            .iter()
            .map(|profile| json!({"name": profile.name, "about": profile.about}))
            .collect();
        let all = json!({
            "servers": servers, "workloads": workloads, "patterns": patterns, "stages": stages, "profiles": profiles,
        });
        say!("{all:#}");
        return Ok(Status::Fine);
    }
    say!("servers");
    for server in &servers {
        let version = server.version.as_deref().unwrap_or("-");
        let lacks = match &server.about.lacks[..] {
            [] => String::new(),
            lacks => format!(", lacks {}", lacks.join(", ")),
        };
        say!(
            "  {:<16} {:<10} {}{lacks}",
            server.name,
            version,
            server.about.class
        );
    }
    say!("workloads");
    for workload in &workloads {
        let optional = if workload.optional {
            " (only if named)"
        } else {
            ""
        };
        say!("  {:<16} {}{optional}", workload.name, workload.about);
    }
    say!("patterns");
    for pattern in &patterns {
        say!("  {:<16} {}", pattern.name, pattern.about);
    }
    say!("stages");
    for stage in &stages {
        say!("  {:<16} {}", stage.name(), stage.about());
    }
    say!("profiles");
    for profile in &PROFILES {
        say!("  {:<16} {}", profile.name, profile.about);
    }
    Ok(Status::Fine)
}
