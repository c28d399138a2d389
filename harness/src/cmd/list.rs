//! `harness list`: what there is to choose from.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use crate::catalog::{PROFILES, Source};
use crate::cli::{Filters, Status};

/// The verb's flags.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(flatten)]
    filters: Filters,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints servers, workloads, stages and profiles.
///
/// # Errors
/// Where a name is unknown or the workspace can't be read.
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, servers) = arguments.filters.catalog()?;
    let workloads = arguments.filters.workloads(&catalog, &[])?;
    let stages = arguments.filters.stages()?;
    if arguments.json {
        let servers: Vec<_> = servers
            .iter()
            .map(|server| {
                json!({
                    "name": server.name,
                    "display": server.about.display,
                    "class": server.about.class,
                    "upstream": server.about.upstream,
                    "version": server.version,
                    "kind": match server.source {
                        Source::Package { .. } => "package",
                        Source::Program { .. } => "program",
                    },
                })
            })
            .collect();
        let workloads: Vec<_> = workloads
            .iter()
            .map(|workload| json!({"name": workload.name, "about": workload.about}))
            .collect();
        let stages: Vec<_> = stages.iter().map(|stage| stage.name()).collect();
        let profiles: Vec<_> = PROFILES
            .iter()
            .map(|profile| json!({"name": profile.name, "about": profile.about}))
            .collect();
        let all = json!({
            "servers": servers, "workloads": workloads, "stages": stages, "profiles": profiles,
        });
        println!("{all:#}");
        return Ok(Status::Fine);
    }
    println!("servers");
    for server in &servers {
        let version = server.version.as_deref().unwrap_or("-");
        println!(
            "  {:<16} {:<10} {}",
            server.name, version, server.about.class
        );
    }
    println!("workloads");
    for workload in &workloads {
        println!("  {:<16} {}", workload.name, workload.about);
    }
    println!("stages");
    for stage in &stages {
        println!("  {:<16} {}", stage.name(), stage.about());
    }
    println!("profiles");
    for profile in &PROFILES {
        println!("  {:<16} {}", profile.name, profile.about);
    }
    Ok(Status::Fine)
}
