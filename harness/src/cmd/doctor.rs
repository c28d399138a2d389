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
    filters: Filters,
    #[command(flatten)]
    cpus: Cpus,
}

/// Prints what was found.
///
/// # Errors
/// Where the machine can't be read. A finding of level fail gives [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let (catalog, _) = arguments.filters.catalog()?;
    arguments.filters.workloads(&catalog, &[])?;
    arguments.filters.stages()?;
    if arguments.filters.list {
        say!("would look at this machine");
        return Ok(Status::Fine);
    }
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
        say!("{:#}", json!(environment));
        return Ok(status);
    }
    say!(
        "CPU       {} ({} logical, {} cores)",
        environment.cpu_model,
        environment.logical_cpus,
        environment.physical_cores
    );
    say!("kernel    {}", environment.kernel);
    say!(
        "server    CPUs {}",
        cpu_list::format(&environment.server_cpus)
    );
    say!(
        "driver    CPUs {}",
        cpu_list::format(&environment.driver_cpus)
    );
    say!("");
    for finding in &environment.findings {
        say!(
            "{:<4}  {:<16} {}",
            mark(finding.level),
            finding.id,
            finding.found
        );
        if finding.level > Level::Ok {
            say!("      {:<16} {}", "", finding.why);
            if let Some(fix) = &finding.fix {
                say!("      {:<16} mend: {fix}", "");
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
