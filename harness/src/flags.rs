//! Flags that several commands share, and the exit status.

use std::path::{Path, PathBuf};

use catalog::{Catalog, Pattern, Server, Stage, Workload, names};
use clap::{Args, ValueEnum};
use loadgen::{EngineKind, MAX_RATE};

/// The exit status of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Success.
    Fine = 0,
    /// A server failed or was refused.
    Failed = 1,
    /// A flag was wrong.
    Usage = 2,
    /// A `drive --fail-if` limit was exceeded.
    OverLimit = 3,
    /// The user interrupted it.
    Interrupted = 130,
}

/// A wrong flag or value, which the user can fix.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Selects servers, for commands that start some.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct Servers {
    /// Only this server; repeatable, or separated by commas; `all` includes servers/more and servers/external
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub server: Vec<String>,
    /// server.toml of a program in any language; repeatable
    #[arg(long, value_name = "FILE")]
    pub manifest: Vec<PathBuf>,
}

/// Selects the load, for commands that create or show it.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct Loads {
    /// Only this workload, or that of a file, as in shop.toml; repeatable, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub workload: Vec<String>,
    /// Only this stage (peak, paced); repeatable, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub stage: Vec<String>,
}

/// Selects workloads, for commands without stages.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct OnlyWorkloads {
    /// Only this workload, or that of a file, as in shop.toml; repeatable, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub workload: Vec<String>,
}

/// How tables are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TableFormat {
    /// For a terminal
    #[default]
    Text,
    /// In Markdown
    Markdown,
}

/// How a document is printed.
#[derive(Debug, Clone, Default, Args)]
pub struct Printed {
    /// Print JSON
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Output format
    #[arg(long, value_name = "NAME", value_enum, default_value_t)]
    pub format: TableFormat,
}

/// Selects what is shown of stored runs.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct Shown {
    /// Only this server; repeatable, or separated by commas
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub server: Vec<String>,
    /// Which load.
    #[command(flatten)]
    pub loads: Loads,
}

/// Selects servers and load.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct Filters {
    /// Which servers.
    #[command(flatten)]
    pub servers: Servers,
    /// Which load.
    #[command(flatten)]
    pub loads: Loads,
    /// Show what would be done, and do nothing else
    #[arg(long)]
    pub list: bool,
}

impl Servers {
    /// Takes the manifests of `given` instead, if there are any: they may have moved.
    pub fn replace_manifests(&mut self, given: &Self) {
        if !given.manifest.is_empty() {
            self.manifest.clone_from(&given.manifest);
        }
    }

    /// The workspace and the selected servers.
    ///
    /// # Errors
    /// [`Usage`] for an unknown name or a wrong manifest.
    pub fn catalog(&self) -> anyhow::Result<(Catalog, Vec<Server>)> {
        let catalog = Catalog::load(&self.manifest).map_err(|error| Usage(format!("{error:#}")))?;
        let servers = catalog.select(&self.server).map_err(Usage)?;
        if servers.is_empty() {
            return Err(
                Usage("there are no servers: see CONTRIBUTING.md to add one".to_owned()).into(),
            );
        }
        refuse_unknown_workloads(&catalog, &servers)?;
        refuse_unknown_lacks(&servers)?;
        Ok((catalog, servers))
    }

    /// Like [`catalog`](Self::catalog), for commands that need every route: leaves out partial servers.
    ///
    /// # Errors
    /// Also [`Usage`] if a partial server is named, or if there are no others.
    pub fn with_all_routes(&self) -> anyhow::Result<(Catalog, Vec<Server>)> {
        let (catalog, servers) = self.catalog()?;
        let (partial, whole): (Vec<_>, Vec<_>) = servers.into_iter().partition(Server::is_partial);
        let refused = |server: &&Server| whole.is_empty() || self.server.contains(&server.name);
        if let Some(Server { name, .. }) = partial.iter().find(refused) {
            return Err(Usage(format!(
                "{name} serves only some workloads, and this command needs every route: leave it out"
            ))
            .into());
        }
        Ok((catalog, whole))
    }
}

/// Refuses a partial server whose manifest names a workload that doesn't exist.
fn refuse_unknown_workloads(catalog: &Catalog, servers: &[Server]) -> anyhow::Result<()> {
    for server in servers.iter().filter(|server| server.is_partial()) {
        let all = own_workloads(catalog)?;
        names::select(
            "workload",
            all,
            |workload| &workload.name,
            &server.workloads,
        )
        .map_err(|error| {
            Usage(format!(
                "{}: `workloads` in its server.toml: {error}",
                server.name
            ))
        })?;
    }
    Ok(())
}

/// Refuses a server whose manifest says that it lacks a route that every server must have, or that doesn't exist.
fn refuse_unknown_lacks(servers: &[Server]) -> anyhow::Result<()> {
    let known = referee::CAN_LACK;
    for server in servers {
        let mut lacks = server.about.lacks.iter();
        if let Some(unknown) = lacks.find(|lacks| !known.contains(&lacks.as_str())) {
            let error = names::unknown("route", unknown, &known);
            let name = &server.name;
            return Err(Usage(format!("{name}: `lacks` in its manifest: {error}")).into());
        }
    }
    Ok(())
}

/// The workloads that come with the harness.
///
/// # Errors
/// [`Usage`] for an invalid workload file.
pub fn own_workloads(catalog: &Catalog) -> Result<Vec<Workload>, Usage> {
    let folder = catalog.root.join("harness").join("workloads");
    Workload::load_dir(&folder).map_err(|error| Usage(error.to_string()))
}

/// The workloads of these names; all but the optional ones if there are none. What ends in `.toml` is the path of a workload file.
///
/// # Errors
/// [`Usage`] for an unknown name or an invalid workload file, or if two have the same name.
pub fn workloads(catalog: &Catalog, wanted: &[String]) -> anyhow::Result<Vec<Workload>> {
    let (files, names): (Vec<&String>, Vec<&String>) =
        wanted.iter().partition(|word| word.ends_with(".toml"));
    let names: Vec<String> = names.into_iter().cloned().collect();
    let mut selected = Vec::new();
    if files.is_empty() || !names.is_empty() {
        let all = own_workloads(catalog)?;
        selected =
            names::select("workload", all, |workload| &workload.name, &names).map_err(Usage)?;
        if names.is_empty() {
            selected.retain(|workload| !workload.optional);
        }
    }
    for file in files {
        let own = Workload::load(Path::new(file)).map_err(|error| Usage(error.to_string()))?;
        if selected.iter().any(|other| other.name == own.name) {
            let name = &own.name;
            return Err(Usage(format!(
                "--workload {file}: there is another workload {name}: rename the file"
            ))
            .into());
        }
        selected.push(own);
    }
    // The order of trials is drawn from this one, and a resumed run has the names alone.
    selected.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(selected)
}

/// The patterns of these names; all if there are none. What ends in `.toml` is the path of a file.
///
/// # Errors
/// [`Usage`] for an unknown name or an invalid file, or if two have the same name.
pub fn patterns(catalog: &Catalog, wanted: &[String]) -> anyhow::Result<Vec<Pattern>> {
    let (files, named): (Vec<&String>, Vec<&String>) =
        wanted.iter().partition(|word| word.ends_with(".toml"));
    let named: Vec<String> = named.into_iter().cloned().collect();
    let mut selected = Vec::new();
    if files.is_empty() || !named.is_empty() {
        let folder = catalog.root.join("harness").join("patterns");
        let all = Pattern::load_dir(&folder).map_err(|error| Usage(error.to_string()))?;
        selected = names::select("pattern", all, |pattern| &pattern.name, &named).map_err(Usage)?;
    }
    for file in files {
        let own = Pattern::load(Path::new(file)).map_err(|error| Usage(error.to_string()))?;
        if selected.iter().any(|other| other.name == own.name) {
            let name = &own.name;
            return Err(Usage(format!(
                "--pattern {file}: there is another pattern {name}: rename the file"
            ))
            .into());
        }
        selected.push(own);
    }
    Ok(selected)
}

impl Loads {
    /// The selected workloads. If none is named these are `default`, or all but the optional ones if that is empty.
    ///
    /// # Errors
    /// See [`workloads`].
    pub fn workloads(&self, catalog: &Catalog, default: &[&str]) -> anyhow::Result<Vec<Workload>> {
        match self.workload.is_empty() {
            true => {
                let default: Vec<String> = default.iter().map(ToString::to_string).collect();
                workloads(catalog, &default)
            }
            false => workloads(catalog, &self.workload),
        }
    }

    /// The selected stages; all if none is named.
    ///
    /// # Errors
    /// [`Usage`] for an unknown name.
    pub fn stages(&self) -> anyhow::Result<Vec<Stage>> {
        if self.stage.iter().any(|name| name == "capacity") {
            return Err(Usage(
                "capacity is not a stage of a run, because every server gets its own rates: use `harness capacity`"
                    .to_owned(),
            )
            .into());
        }
        let all = Stage::ALL.to_vec();
        Ok(names::select("stage", all, |stage| stage.name(), &self.stage).map_err(Usage)?)
    }
}

/// Parses a time such as `5ms`, `1.5s` or `2m`; for clap.
///
/// # Errors
/// A message for the user.
pub fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let hint = "expected a time with its unit, as in 5ms, 1.5s or 2m";
    let signed: jiff::SignedDuration = text.parse().map_err(|_| hint.to_owned())?;
    let time = std::time::Duration::try_from(signed).map_err(|_| hint.to_owned())?;
    if time.is_zero() {
        return Err("expected a time above zero".to_owned());
    }
    Ok(time)
}

/// Parses a percentage such as `2%` or `0.02`; for clap.
///
/// # Errors
/// A message for the user.
pub fn parse_share(text: &str) -> Result<f64, String> {
    read_share(text)
        .filter(|share| *share > 0.0 && *share < 1.0)
        .ok_or_else(|| "expected a percentage above 0 and below 100 %, as in 2% or 0.02".to_owned())
}

/// A percentage or a fraction.
pub(crate) fn read_share(text: &str) -> Option<f64> {
    let (number, unit) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    Some(number.trim().parse::<f64>().ok()? / unit)
}

/// Parses requests per second; for clap.
///
/// # Errors
/// A message for the user.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| *rate > 0.0 && *rate <= MAX_RATE)
        .ok_or_else(|| "expected requests per second, above 0 and at most 10000000".to_owned())
}

/// Parses the name of an I/O backend; for clap.
pub fn engine_parser() -> impl clap::builder::TypedValueParser<Value = EngineKind> {
    use clap::builder::{PossibleValuesParser, TypedValueParser as _};
    PossibleValuesParser::new(EngineKind::ALL.map(EngineKind::name))
        .try_map(|name| name.parse::<EngineKind>())
}

/// Refuses an I/O backend that this system doesn't support, before anything starts.
///
/// # Errors
/// [`Usage`] with the cause.
pub fn refuse_engine(engine: EngineKind) -> anyhow::Result<()> {
    Ok(engine
        .available()
        .map_err(|error| Usage(format!("--engine: {error}")))?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn shares_are_read_with_and_without_their_sign() {
        assert_eq!(parse_share("2%"), Ok(0.02));
        assert_eq!(parse_share("0.5 %"), Ok(0.005));
        assert_eq!(parse_share("0.02"), Ok(0.02));
        for wrong in ["", "%", "0", "0%", "-1%", "100%", "2", "nan", "x"] {
            assert!(parse_share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_read_with_their_unit() {
        assert_eq!(parse_duration("5ms"), Ok(Duration::from_millis(5)));
        assert_eq!(parse_duration("1.5s"), Ok(Duration::from_millis(1_500)));
        for wrong in ["5", "", "ms", "-5ms", "0s", "soon"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
