//! The command line and its commands.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use crosscheck::{bare, known};
use runner::{respond, supervise};

use crate::cmd;
use crate::flags::{Status, Usage};

const EXAMPLES: &str = "\
Examples:
  cargo harness bench                            all servers, all workloads, about 8 minutes
  cargo harness bench --profile quick            a first look in under 3 minutes
  cargo harness bench --server NAME --server OTHER --workload ping --stage peak
  cargo harness new NAME                         begin a server that answers /ping
  cargo harness check --server NAME              does this server follow the contract?
  cargo harness protocol --server NAME           how does it handle unusual, slow and wrong clients?
  cargo harness fuzz --server NAME               does it survive 100,000 mutated requests?
  cargo harness drive http://127.0.0.1:8080/     load any server and print its throughput and latency
  cargo harness bench --target http://127.0.0.1:8080/ --rate 500    measure a service that already runs
  cargo harness import openapi.yaml -o shop.toml send it what its OpenAPI document, or a HAR file, describes
  cargo harness workload from-log access.log     the same from an access log; drive --replay sends it at its times
  cargo harness impair --to 127.0.0.1:8080 --profile mobile   put a slow network between a client and a server
  cargo harness cost --server NAME               what does a request cost in instructions and allocations?
  cargo harness footprint --server NAME          what memory and threads does it use, and how fast does it start?
  cargo harness patterns --pattern burst         does it recover from a burst of load?
  cargo harness soak --server NAME --hours 8     does it leak memory, threads or descriptors?
  cargo harness restart --server NAME            how many requests does a restart under load lose?
  cargo harness capacity --slo 'p99<10ms'        what is the highest rate at which it meets an objective?
  cargo harness ladder --workers 1,2,4           how does it change with connections, workers or the rate?
  cargo harness upstream --server NAME           what latency does it add to that of a dependency?
  cargo harness fairness                         do all servers run under the same conditions?
  cargo harness profile --server NAME            where does its time go, and where does it allocate?
  cargo harness microbench --server NAME         how long do its handlers take without a socket?
  cargo harness crosscheck --server NAME         compare the load generator with wrk, oha and hey
  cargo harness report                           print the newest run's table again
  cargo harness compare BASE NEW                 show what changed between two runs
  cargo harness rank                             rank the newest run's servers across all workloads
  cargo harness doctor                           find what would distort a benchmark on this machine

Exit status: 0 success; 1 a server failed or was refused, doctor found a problem that makes figures \
wrong, or compare found a regression that --fail-on names; 2 a bad flag; 3 drive or soak exceeded a --fail-if \
limit; 130 interrupted.";

/// Builds, checks, drives and compares the web servers of this workspace.
#[derive(Debug, Parser)]
#[command(name = "harness", version, about, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List servers, workloads, patterns, stages and profiles
    List(cmd::list::Arguments),
    /// Build each server separately and copy its binary aside
    Build(cmd::build::Arguments),
    /// Write a new server that builds and answers /ping
    New(cmd::new::Arguments),
    /// Check each server against the contract
    Check(cmd::check::Arguments),
    /// Show how each server handles unusual, slow, wrong and hostile clients
    Protocol(Box<cmd::protocol::Arguments>),
    /// Send mutated requests to each server, or replay one of them
    Fuzz(Box<cmd::fuzz::Arguments>),
    /// Build, check and measure; write a record and print the comparison table
    Bench(Box<cmd::bench::Arguments>),
    /// Load one URL, without servers, rounds or a record
    Drive(Box<cmd::drive::Arguments>),
    /// Put a slow network between a client and a server: delay, jitter, stalls, a limited rate
    Impair(cmd::impair::Arguments),
    /// Write a workload from an OpenAPI document, a HAR file or an access log of your own service
    Import(cmd::import::Arguments),
    /// Write a workload from an access log of your own service
    Workload(cmd::import::WorkloadArguments),
    /// Count what a request costs: instructions, system calls, allocations
    Cost(Box<cmd::cost::Arguments>),
    /// Measure memory, threads, time to start and size of each server
    Footprint(Box<cmd::footprint::Arguments>),
    /// Apply load that changes over time: steps, ramps, bursts; show p99, errors and the time to recover
    Patterns(Box<cmd::patterns::Arguments>),
    /// Load and rest for hours; find what grows: memory, threads, descriptors, latency
    Soak(Box<cmd::soak::Arguments>),
    /// Find the highest rate at which each server meets an objective, and what happens above it
    Capacity(Box<cmd::capacity::Arguments>),
    /// Show how figures change with connections, with worker threads, and with the rate
    Ladder(Box<cmd::ladder::Arguments>),
    /// Restart each server under load; count the requests that are lost, and show for how long
    Restart(Box<cmd::restart::Arguments>),
    /// Have each server call a dependency; show what latency it adds, and whether it keeps its connections
    Upstream(Box<cmd::upstream::Arguments>),
    /// Show whether servers run under the same conditions: threads, allocator, socket options, limits
    Fairness(Box<cmd::fairness::Arguments>),
    /// Record where a server's time goes, and where it allocates: shares, a flame graph, call sites
    Profile(Box<cmd::profile::Arguments>),
    /// Measure parts by themselves: handlers without a socket, routers, middleware, JSON, parsers
    Microbench(Box<cmd::microbench::Arguments>),
    /// Compare the load generator with wrk, oha and hey on the same server
    Crosscheck(Box<cmd::crosscheck::Arguments>),
    /// Print the tables of a stored run; starts nothing
    Report(cmd::report::Arguments),
    /// Show what changed between two stored runs, two servers of a run, or two drives; starts nothing
    Compare(Box<cmd::compare::Arguments>),
    /// Rank servers across the workloads of stored runs; starts nothing
    Rank(Box<cmd::rank::Arguments>),
    /// Check this machine for anything that would distort a benchmark
    Doctor(cmd::doctor::Arguments),
    /// Run a server, and end it when the harness ends
    #[command(hide = true)]
    Supervise(supervise::Arguments),
    /// Answer known requests with stored responses
    #[command(hide = true)]
    Respond(respond::Arguments),
    /// Answer after known delays
    #[command(hide = true)]
    Known(known::Arguments),
    /// Only write requests and read responses
    #[command(hide = true)]
    Bare(bare::Arguments),
}

/// Runs the command line.
pub fn main() -> ExitCode {
    let result = match Cli::parse().verb {
        Verb::List(arguments) => cmd::list::run(&arguments),
        Verb::Build(arguments) => cmd::build::run(&arguments),
        Verb::New(arguments) => cmd::new::run(&arguments),
        Verb::Check(arguments) => cmd::check::run(&arguments),
        Verb::Protocol(arguments) => cmd::protocol::run(&arguments),
        Verb::Fuzz(arguments) => cmd::fuzz::run(&arguments),
        Verb::Bench(arguments) => cmd::bench::run(&arguments),
        Verb::Drive(arguments) => cmd::drive::run(&arguments),
        Verb::Impair(arguments) => cmd::impair::run(&arguments),
        Verb::Import(arguments) => cmd::import::run(&arguments),
        Verb::Workload(arguments) => cmd::import::run_workload(&arguments),
        Verb::Cost(arguments) => cmd::cost::run(&arguments),
        Verb::Footprint(arguments) => cmd::footprint::run(&arguments),
        Verb::Patterns(arguments) => cmd::patterns::run(&arguments),
        Verb::Soak(arguments) => cmd::soak::run(&arguments),
        Verb::Capacity(arguments) => cmd::capacity::run(&arguments),
        Verb::Ladder(arguments) => cmd::ladder::run(&arguments),
        Verb::Restart(arguments) => cmd::restart::run(&arguments),
        Verb::Upstream(arguments) => cmd::upstream::run(&arguments),
        Verb::Fairness(arguments) => cmd::fairness::run(&arguments),
        Verb::Profile(arguments) => cmd::profile::run(&arguments),
        Verb::Microbench(arguments) => cmd::microbench::run(&arguments),
        Verb::Crosscheck(arguments) => cmd::crosscheck::run(&arguments),
        Verb::Report(arguments) => cmd::report::run(&arguments),
        Verb::Compare(arguments) => cmd::compare::run(&arguments),
        Verb::Rank(arguments) => cmd::rank::run(&arguments),
        Verb::Doctor(arguments) => cmd::doctor::run(&arguments),
        Verb::Supervise(arguments) => return supervise::supervise(&arguments),
        Verb::Respond(arguments) => respond::respond(&arguments).map(|never| match never {}),
        Verb::Known(arguments) => known::serve(&arguments).map(|never| match never {}),
        Verb::Bare(arguments) => bare::drive(&arguments).map(|said| {
            println!("{said}");
            Status::Fine
        }),
    };
    match result {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            eprintln!("error: {error:#}");
            let status = error
                .downcast_ref::<Usage>()
                .map_or(Status::Failed, |_| Status::Usage);
            ExitCode::from(status as u8)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
