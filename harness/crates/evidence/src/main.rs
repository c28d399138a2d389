//! Shows how reliable a rank is: whether equal programs tie, which differences are found, what the noise
//! consists of, and how a drift of the machine affects the order.
//!
//! It reads records and starts nothing; `scripts/evidence` makes the runs. All tables are Markdown, and the
//! same records always give the same tables.

mod counts;
mod curve;
mod draw;
mod equal;
mod judged;
mod length;
mod noise;
mod order;
mod pool;
mod rule;
mod slices;
mod table;
mod trial;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::{Args, Parser, Subcommand};
use judge::{CONTROL, Settings, TWIN_SUFFIX};
use record::Record;
use store::Store;

use curve::Curve;
use order::Runs;
use pool::Pool;
use rule::Rule;

/// The seed of all draws.
const SEED: u64 = 1;

/// The differences that a comparison should find: in a few minutes, and at all.
const FOCUS: [&str; 2] = ["plus-03", "plus-10"];

/// Shows how reliable a rank is, from the records of runs.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Does a program that is entered twice tie with itself?
    Aa {
        #[command(flatten)]
        run: LongRun,
        /// Drawn runs for each share
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
        draws: u32,
        /// Drawn runs that are ranked by the judge itself
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
        judged: u32,
    },
    /// How often is a known extra cost found, by rounds and by length of trial?
    Curve {
        #[command(flatten)]
        run: LongRun,
        /// Drawn runs at the length of the profiles; half as many for each point of the grids
        #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
        draws: u32,
        /// Servers for which lengths and rounds are compared [plus-03 and plus-10, if in the record]
        #[arg(long, value_name = "NAMES", value_delimiter = ',')]
        focus: Vec<String>,
    },
    /// What does the noise consist of?
    Noise {
        #[command(flatten)]
        run: LongRun,
    },
    /// Does a growing load change the order of the servers?
    Order {
        /// A run without another load
        #[arg(long, value_name = "RUN")]
        still: PathBuf,
        /// The same run next to a growing load
        #[arg(long, value_name = "RUN")]
        grown: PathBuf,
        /// Runs of one server each, one after the other next to a growing load
        #[arg(long, value_name = "RUNS", value_delimiter = ',')]
        one_by_one: Vec<PathBuf>,
        #[command(flatten)]
        names: Names,
    },
    /// How far do two copies of a program differ, by the length of slices?
    Slices {
        /// Runs of the base and its twin, one for each schedule
        #[arg(required = true)]
        runs: Vec<PathBuf>,
        #[command(flatten)]
        names: Names,
    },
    /// How many instructions make a request a given percentage more expensive?
    Counts {
        #[command(flatten)]
        run: LongRun,
        /// The base with a known number of extra instructions, in the same run
        #[arg(long, value_name = "NAME")]
        probe: String,
        /// That number
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
        instructions: u64,
        /// The percentages to give counts for
        #[arg(
            long,
            value_name = "LIST",
            value_delimiter = ',',
            default_value = "1,2,3,5,10,20,30"
        )]
        percent: Vec<f64>,
    },
}

/// The run to read.
#[derive(Debug, Args)]
struct LongRun {
    /// The folder of a long run, or its run.sqlite
    run: PathBuf,
    #[command(flatten)]
    names: Names,
}

/// The roles of the servers.
#[derive(Debug, Args)]
pub(crate) struct Names {
    /// The server that all others are compared with
    #[arg(long, value_name = "NAME", default_value = "base")]
    base: String,
    /// The other entry of the same program
    #[arg(long, value_name = "NAME", default_value = "base~2")]
    twin: String,
    /// The workload, if the run has several
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
}

impl Names {
    /// The control's two entries, if it ran.
    fn control(&self, pool: &Pool) -> Option<(String, String)> {
        let pair = (CONTROL.to_owned(), format!("{CONTROL}{TWIN_SUFFIX}"));
        (pool.has(&pair.0) && pool.has(&pair.1)).then_some(pair)
    }

    /// All but the control.
    fn measured(&self, pool: &Pool) -> Vec<String> {
        let control = |name: &str| name.strip_suffix(TWIN_SUFFIX).unwrap_or(name) == CONTROL;
        let servers = pool.names.iter().filter(|name| !control(name));
        servers.cloned().collect()
    }

    /// The servers other than the control, the base and its twin.
    fn dearer(&self, pool: &Pool) -> Vec<String> {
        let mut servers = self.measured(pool);
        servers.retain(|name| *name != self.base && *name != self.twin);
        servers
    }
}

fn main() -> Result<()> {
    print!("{}", report(Cli::parse().verb)?);
    Ok(())
}

fn report(verb: Verb) -> Result<String> {
    let least = Settings::default().minimum_delta;
    let rule = Rule::new(SEED, least);
    Ok(match verb {
        Verb::Aa { run, draws, judged } => {
            let (record, pool, names) = run.load()?;
            let tables = equal::report(&pool, &names, draws as usize, &rule)?;
            let judged = judged::report(&record, &names, judged as usize)?;
            format!("{}\n{tables}\n{judged}", about(&record))
        }
        Verb::Curve { run, draws, focus } => {
            let (record, pool, names) = run.load()?;
            for name in focus.iter().chain([&names.base]) {
                pool.need(name)?;
            }
            let usual = FOCUS.map(str::to_owned).into_iter();
            let curve = Curve {
                dearer: names.dearer(&pool),
                pool: &pool,
                names: &names,
                focus: match focus.is_empty() {
                    true => usual.filter(|name| pool.has(name)).collect(),
                    false => focus,
                },
                count: draws as usize,
                rule,
                standard: length::profiles()?[1],
            };
            format!("{}\n{}", about(&record), curve.report()?)
        }
        Verb::Noise { run } => {
            let (record, pool, names) = run.load()?;
            format!("{}\n{}", about(&record), noise::report(&pool, &names))
        }
        Verb::Order {
            still,
            grown,
            one_by_one,
            names,
        } => {
            let (record, still, names) = LongRun { run: still, names }.load()?;
            let workload = names.workload.as_deref();
            let pool = |run: &PathBuf| Pool::new(&read(run)?, workload);
            let runs = Runs {
                still,
                grown: pool(&grown)?,
                one_by_one: one_by_one.iter().map(pool).collect::<Result<_>>()?,
            };
            format!(
                "{}\n{}",
                about(&record),
                order::report(&runs, &names, least)?
            )
        }
        Verb::Slices { runs, names } => {
            let runs = runs
                .iter()
                .map(|run| read(run))
                .collect::<Result<Vec<_>>>()?;
            slices::report(&runs, &names)?
        }
        Verb::Counts {
            run,
            probe,
            instructions,
            percent,
        } => {
            let (_, pool, names) = run.load()?;
            counts::report(&pool, &names, (&probe, instructions), &percent)?
        }
    })
}

impl LongRun {
    fn load(self) -> Result<(Record, Pool, Names)> {
        let record = read(&self.run)?;
        let pool = Pool::new(&record, self.names.workload.as_deref())
            .with_context(|| format!("in {}", self.run.display()))?;
        Ok((record, pool, self.names))
    }
}

fn read(run: &Path) -> Result<Record> {
    let file = if run.is_dir() {
        run.join("run.sqlite")
    } else {
        run.to_owned()
    };
    Ok(Store::read(&file)?)
}

/// What was run, where and when.
fn about(record: &Record) -> String {
    let (run, machine) = (&record.run, &record.environment);
    format!(
        "Run {}: profile {}, {} rounds, {} ms peak and {} ms paced after {} ms of warm-up, {} \
         connections, paced at {}; {}, {} CPUs{}, Linux {}, {}; harness revision {}.\n",
        run.id,
        run.profile,
        run.rounds,
        run.peak_ms,
        run.paced_ms,
        run.warmup_ms,
        run.connections,
        rates(record),
        machine.cpu_model,
        machine.logical_cpus,
        machine
            .virtualisation
            .as_ref()
            .map_or(String::new(), |kind| format!(" ({kind})")),
        machine.kernel,
        machine.rustc,
        run.revision.as_deref().unwrap_or("unknown"),
    )
}

fn rates(record: &Record) -> String {
    let rates = &record.run.rates_per_s;
    let told: Vec<String> = rates
        .iter()
        .map(|(workload, rate)| format!("{rate}/s ({workload})"))
        .collect();
    told.join(", ")
}
