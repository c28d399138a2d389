//! `harness doctor`: checks this machine for anything that would distort a benchmark.

use std::io::IsTerminal as _;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::machine::{CpuPlace, Cpus, WINDOW};
use super::progress::Progress;
use super::results::colour;
use crate::flags::Status;
use machine::{Needs, cpu_list};
use record::{Environment, Finding, Level, UNKNOWN};
use report::{Colour, WIDTH, wrapped};
use runner::rustc_version;
use words::counted;

const EXAMPLES: &str = "\
Examples:
  cargo harness doctor                        check this machine, and show the CPUs a run would use
  cargo harness doctor --connections 1000     are the limits high enough for that many?
  cargo harness doctor --server-cpus 0-3 --driver-cpus 4-7
  cargo harness doctor --json | jq '.findings[] | select(.level != \"ok\")'

It watches the machine for about two seconds. During the second one it keeps the CPUs busy, because \
CPU time that a host takes from a virtual machine is visible only under load. It changes nothing; \
scripts/tune-host makes the safe changes and tells you how to undo them.

Exit status: 0 nothing makes figures wrong; 1 something does (FAIL); 2 a bad flag.";

/// Flags of `harness doctor`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Number of connections that the limits must allow
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=65_000))]
    connections: u32,
    /// Print JSON: the machine and all findings; level is ok, warn, fail or unknown
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    cpus: Cpus,
}

/// Prints the findings.
///
/// # Errors
/// If the CPUs can't be read or a flag is wrong. A finding of level fail gives
/// [`Status::Failed`].
pub fn run(arguments: &Arguments) -> Result<Status> {
    let place = CpuPlace::find(&arguments.cpus)?;
    let environment = look(&place, arguments.connections);
    let fails = |finding: &Finding| finding.level == Level::Fail;
    let status = match environment.findings.iter().any(fails) {
        true => Status::Failed,
        false => Status::Fine,
    };
    if arguments.json {
        say!("{:#}", as_json(&environment));
        return Ok(status);
    }
    for line in machine(&environment) {
        say!("{line}");
    }
    let colour = colour();
    say!("");
    for finding in &environment.findings {
        for line in lines(finding, colour) {
            say!("{line}");
        }
    }
    say!("\n{}", verdict(&environment.findings));
    Ok(status)
}

fn look(place: &CpuPlace, connections: u32) -> Environment {
    let mut progress = Progress::new();
    if std::io::stderr().is_terminal() {
        progress.note(&format!(
            "watching this machine for {:.1} s",
            2.0 * WINDOW.as_secs_f64()
        ));
    }
    let now = place.watch_at_work();
    progress.finish();
    let rustc = rustc_version();
    let compiler = compiler(rustc.as_deref());
    let needs = Needs { connections };
    let mut environment = place.environment_with(&rustc.unwrap_or_default(), needs, &now);
    environment.findings.push(compiler);
    environment
}

fn compiler(rustc: Option<&str>) -> Finding {
    let (level, found, fix) = match rustc {
        Some(version) => (Level::Ok, version, None),
        None => {
            let fix = "install Rust with rustup, or add ~/.cargo/bin to PATH";
            (Level::Fail, "rustc cannot be run", Some(fix.to_owned()))
        }
    };
    Finding {
        id: "compiler".to_owned(),
        level,
        found: found.to_owned(),
        why: "every server is built on this machine with the same compiler".to_owned(),
        fix,
    }
}

/// As it would be recorded, except that findings that could not be read have the level `unknown`.
fn as_json(environment: &Environment) -> serde_json::Value {
    let mut all = json!(environment);
    for (index, finding) in environment.findings.iter().enumerate() {
        if finding.is_unknown() {
            all["findings"][index]["level"] = json!("unknown");
        }
    }
    all
}

fn machine(environment: &Environment) -> [String; 5] {
    let known = |text: &str| match text {
        "" => "unknown".to_owned(),
        text => text.to_owned(),
    };
    let memory = match environment.memory_bytes {
        0 => known(""),
        bytes => format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)),
    };
    [
        format!(
            "CPU      {}: {} on {}",
            environment.cpu_model,
            counted(environment.logical_cpus, "logical CPU"),
            counted(environment.physical_cores, "core")
        ),
        format!("memory   {memory}"),
        format!("kernel   {}", known(&environment.kernel)),
        format!(
            "server   CPU {}",
            cpu_list::format(&environment.server_cpus)
        ),
        format!(
            "driver   CPU {}",
            cpu_list::format(&environment.driver_cpus)
        ),
    ]
}

/// What was found, why it matters, and how to fix it. The fix is never wrapped, so that it can be copied.
fn lines(finding: &Finding, colour: Colour) -> Vec<String> {
    const INDENT: usize = 24;
    let paragraph = |text: &str| wrapped(text, WIDTH - INDENT, 0);
    let below = " ".repeat(INDENT);
    let mut lines = Vec::new();
    // The level column already says "unknown".
    let found = finding
        .found
        .strip_prefix(UNKNOWN)
        .unwrap_or(&finding.found);
    for (index, text) in paragraph(found).into_iter().enumerate() {
        let head = match index {
            0 => format!("{:<8} {:<14} ", mark(finding), finding.id),
            _ => below.clone(),
        };
        lines.push(match finding.level {
            Level::Ok => head + &text,
            Level::Warn | Level::Fail => colour.bold(&(head + &text)),
        });
    }
    for text in paragraph(&finding.why) {
        lines.push(colour.dim(&format!("{below}{text}")));
    }
    lines.extend(finding.fix.iter().map(|fix| format!("{below}fix: {fix}")));
    lines
}

fn mark(finding: &Finding) -> &'static str {
    match finding.level {
        Level::Ok if finding.is_unknown() => "unknown",
        Level::Ok => "ok",
        Level::Warn => "WARN",
        Level::Fail => "FAIL",
    }
}

/// As in `1 FAIL, 2 WARN (pressure; governor, load); 3 unknown: can't be read here`.
fn verdict(findings: &[Finding]) -> String {
    let of = |what: &str| -> Vec<&str> {
        let alike = findings.iter().filter(|finding| mark(finding) == what);
        alike.map(|finding| finding.id.as_str()).collect()
    };
    let told: Vec<String> = [
        ("FAIL", "figures would be wrong or missing"),
        (
            "WARN",
            "figures get noisier, or requests cost more CPU time",
        ),
        ("unknown", "can't be read here"),
    ]
    .iter()
    .filter(|(what, _)| !of(what).is_empty())
    .map(|(what, means)| {
        let ids = of(what);
        format!("{} {what} ({means}): {}", ids.len(), ids.join(", "))
    })
    .collect();
    match told.is_empty() {
        true => "Nothing on this machine distorts a benchmark.".to_owned(),
        false => told.join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(id: &str, level: Level, found: &str, fix: Option<&str>) -> Finding {
        Finding {
            id: id.to_owned(),
            level,
            found: found.to_owned(),
            why: "a reason of its own".to_owned(),
            fix: fix.map(str::to_owned),
        }
    }

    #[test]
    fn what_was_not_read_is_never_ok() {
        let unseen = finding("governor", Level::Ok, "unknown: cannot read /sys/x", None);
        assert!(lines(&unseen, Colour::Never)[0].starts_with("unknown  governor"));
        let environment = Environment {
            findings: vec![finding("smt", Level::Ok, "one CPU per core", None), unseen],
            ..Environment::default()
        };
        let json = as_json(&environment);
        assert_eq!(json["findings"][0]["level"], "ok");
        assert_eq!(json["findings"][1]["level"], "unknown");
        let verdict = verdict(&environment.findings);
        assert_eq!(verdict, "1 unknown (can't be read here): governor");
    }

    #[test]
    fn each_says_why_and_how_to_mend_it() {
        let fix =
            "sudo a command that is longer than a line of this report is wide, and stays whole";
        let found = finding("load", Level::Warn, &"long ".repeat(40), Some(fix));
        let text = lines(&found, Colour::Never);
        assert!(text[0].starts_with("WARN     load           long"));
        assert!(text.len() >= 4, "{text:?}");
        assert!(
            text.iter()
                .any(|line| line.ends_with("a reason of its own"))
        );
        assert!(text.last().unwrap().ends_with(&format!("fix: {fix}")));
    }

    #[test]
    fn the_end_sums_up() {
        let all = [
            finding("load", Level::Warn, "", None),
            finding("quota", Level::Fail, "", None),
            finding("swap", Level::Warn, "", None),
        ];
        let text = verdict(&all);
        assert!(text.starts_with("1 FAIL"), "{text}");
        assert!(
            text.contains("2 WARN") && text.ends_with("load, swap"),
            "{text}"
        );
        assert_eq!(
            verdict(&[]),
            "Nothing on this machine distorts a benchmark."
        );
    }
}
