//! The machine, the method in brief, the definitions, and how to repeat the run.

use serde::Serialize;

use crate::page;
use record::figure;
use record::{Finding, Level, Record, Run};
use words::counted;

/// The last sections of the page.
#[derive(Debug, Serialize)]
pub(super) struct About {
    machine: Vec<String>,
    unseen: Option<String>,
    unmet: Vec<Unmet>,
    met: Vec<Met>,
    definitions: Vec<(&'static str, String)>,
    command: String,
    fingerprint: String,
    run: String,
}

/// A finding that is not ok.
#[derive(Debug, Serialize)]
struct Unmet {
    when: &'static str,
    what: String,
    found: String,
    why: String,
    fix: String,
}

#[derive(Debug, Serialize)]
struct Met {
    what: String,
    found: String,
}

/// Terms that are not figures.
const DEFINITIONS: &[(&str, &str)] = &[
    (
        "Trial, round",
        "A trial is one stage of one workload for one server. A round has a fresh process of every \
         server, and runs every trial once, in an order derived from the seed.",
    ),
    (
        "Interval (±)",
        "The 95 % confidence interval of the median over rounds, from a bootstrap over fresh \
         processes, not over requests; ± is its wider half in percent of the median.",
    ),
    (
        "Rank, tie",
        "The ranks a server may have. Two servers differ only if the 95 % interval of their ratio, \
         taken within rounds, lies outside the noise floor; otherwise they tie. Failed rows and \
         the control have no rank.",
    ),
    (
        "Ratio to the best",
        "A figure divided by that of the best server within each round: the median over rounds \
         with its 95 % interval. 1.08× is 8 % more than the best.",
    ),
    (
        "~",
        "A tail latency caused by the machine, not by the server: the ratio of the control's two \
         copies varies too much, and so does the ratio of this server to the best.",
    ),
    (
        "Peak",
        "Closed loop: every connection sends its next request as soon as it has the last response. \
         A rate with ≥ is a lower bound: the load generator may have been the limit.",
    ),
    (
        "Paced",
        "Open loop: the same fixed rate for every server. Latency counts from when a request was \
         due, so a stall counts for all requests that waited.",
    ),
    (
        "Control",
        "Not a server: the harness's own responder, entered twice. It shows what the load \
         generator can reach, and its two entries show how far identical programs differ on this \
         machine (the noise floor).",
    ),
    (
        "Marked, failed",
        "Marked: the figures count, but see the note. Failed: the figures don't count and aren't \
         shown. Wrong responses, timeouts and resets never count as throughput.",
    ),
    (
        "–",
        "Not measured. A figure that could not be read is never shown as 0.",
    ),
];

/// Facts for the header of the page.
pub(super) fn facts(record: &Record) -> Vec<String> {
    let (run, machine) = (&record.run, &record.environment);
    let mut facts = vec![format!(
        "{} of fresh processes, {}, profile {}",
        counted(run.rounds, "round"),
        counted(run.connections, "connection"),
        run.profile
    )];
    let began = run.started_at.get(..16).unwrap_or(&run.started_at);
    facts.push(format!("started {} UTC", began.replace('T', " ")));
    let cpu = match machine.cpu_model.as_str() {
        "" => "unknown CPU",
        model => model,
    };
    let kind = machine
        .virtualisation
        .as_ref()
        .map_or_else(String::new, |v| format!(", {v}"));
    facts.push(format!(
        "{cpu}, {}{kind}",
        counted(machine.logical_cpus, "logical CPU")
    ));
    let told = |level| {
        machine
            .findings
            .iter()
            .filter(move |f| f.level == level)
            .count()
    };
    let (wrong, unmet) = (told(Level::Fail), told(Level::Warn));
    if wrong + unmet > 0 {
        facts.push(format!(
            "{} about this machine",
            counted(wrong + unmet, "warning")
        ));
    }
    facts
}

/// All of it.
pub(super) fn about(record: &Record) -> About {
    let findings = &record.environment.findings;
    let mut worst: Vec<&Finding> = findings.iter().filter(|f| f.level != Level::Ok).collect();
    worst.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let met = findings
        .iter()
        .filter(|f| f.level == Level::Ok && !f.is_unknown());
    About {
        machine: page::about(record),
        unseen: page::unseen(findings),
        unmet: worst
            .into_iter()
            .map(|finding| Unmet {
                when: page::unmet(finding),
                what: finding.subject().to_owned(),
                found: finding.found.clone(),
                why: finding.why.clone(),
                fix: finding.fix.clone().unwrap_or_default(),
            })
            .collect(),
        met: met
            .map(|finding| Met {
                what: finding.id.clone(),
                found: finding.found.clone(),
            })
            .collect(),
        definitions: definitions(),
        command: command(&record.run),
        fingerprint: record.environment.fingerprint.chars().take(16).collect(),
        run: record.run.id.clone(),
    }
}

/// Definitions of terms and column headings.
fn definitions() -> Vec<(&'static str, String)> {
    let words = DEFINITIONS
        .iter()
        .map(|(word, text)| (*word, (*text).to_owned()));
    let sentence = |text: &str| {
        let mut rest = text.chars();
        let first = rest.next().into_iter().flat_map(char::to_uppercase);
        first.collect::<String>() + rest.as_str() + "."
    };
    let figures = figure::of_table().map(|f| (f.head, sentence(f.definition)));
    words.chain(figures).collect()
}

/// The command that repeats the run, with its seed and rates. A `-dirty` revision can't be checked out, so it
/// is only a comment.
fn command(run: &Run) -> String {
    let mut words: Vec<String> = run.command.iter().map(|word| quoted(word)).collect();
    let has = |flag: &str| {
        run.command
            .iter()
            .any(|word| word.split('=').next() == Some(flag))
    };
    if !has("--seed") {
        words.push(format!("--seed {}", run.seed));
    }
    if !has("--rate") {
        let rates = run.rates_per_s.iter();
        words.extend(rates.map(|(workload, rate)| format!("--rate {workload}={rate}")));
    }
    let mut lines = Vec::new();
    match run.revision.as_deref() {
        Some(revision) if revision.ends_with("-dirty") => {
            lines.push(format!("# revision {revision} had uncommitted changes"))
        }
        Some(revision) => lines.push(format!("git checkout {revision}")),
        None => {}
    }
    lines.push(format!(
        "cargo run --release --locked -p harness -- {}",
        words.join(" ")
    ));
    lines.join("\n")
}

/// Quoted for a shell.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_to_repeat_a_run_has_its_seed_and_rates_once() {
        let mut run = Run {
            command: vec!["bench".into(), "--server".into(), "my server".into()],
            seed: 7,
            revision: Some("abc".into()),
            rates_per_s: [("ping".to_owned(), 95_000.0)].into(),
            ..Run::default()
        };
        assert_eq!(
            command(&run),
            "git checkout abc\ncargo run --release --locked -p harness -- bench --server 'my server' \
             --seed 7 --rate ping=95000"
        );
        run.command = vec![
            "bench".into(),
            "--seed=3".into(),
            "--rate".into(),
            "5".into(),
        ];
        run.revision = None;
        assert_eq!(
            command(&run),
            "cargo run --release --locked -p harness -- bench --seed=3 --rate 5"
        );
    }
}
