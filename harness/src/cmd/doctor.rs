//! `harness doctor`: what the machine is, and what spoils a measurement on it.

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::machine::{Cpus, Place};
use crate::cli::{Filters, Status};
use crate::environment::{Needs, cpu_list};
use crate::record::Level;
use crate::run::rustc_version;

/// The verb's flags.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Connections the limits are to suffice for
    #[arg(long, default_value_t = 64)]
    connections: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cpus: Cpus,
    #[command(flatten)]
    filters: Filters,
}

/// Prints what was found.
///
/// # Errors
/// Where the machine can't be read. A finding of level fail gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let place = Place::find(&arguments.cpus)?;
    let rustc = rustc_version();
    let missing = rustc.is_none();
    let needs = Needs {
        connections: arguments.connections,
    };
    let environment = place.environment(&rustc.unwrap_or_default(), needs);
    let worst = environment
        .findings
        .iter()
        .map(|finding| finding.level)
        .max();
    let status = match worst {
        Some(Level::Fail) => Status::Failed,
        _ if missing => Status::Failed,
        _ => Status::Fine,
    };
    if arguments.json {
        println!("{:#}", json!(environment));
        return Ok(status);
    }
    println!(
        "CPU       {} ({} logical, {} cores)",
        environment.cpu_model, environment.logical_cpus, environment.physical_cores
    );
    println!("kernel    {}", environment.kernel);
    println!(
        "server    CPUs {}",
        cpu_list::format(&environment.server_cpus)
    );
    println!(
        "driver    CPUs {}",
        cpu_list::format(&environment.driver_cpus)
    );
    println!();
    for finding in &environment.findings {
        println!(
            "{:<4}  {:<16} {}",
            mark(finding.level),
            finding.id,
            finding.found
        );
        if finding.level > Level::Ok {
            println!("      {:<16} {}", "", finding.why);
            if let Some(fix) = &finding.fix {
                println!("      {:<16} mend: {fix}", "");
            }
        }
    }
    Ok(status)
}

fn mark(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warn => "WARN",
        Level::Fail => "FAIL",
    }
}
