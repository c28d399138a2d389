//! The machine, the method in brief, what the words mean, and how to repeat the run.

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

/// The words that are not figures.
const DEFINITIONS: &[(&str, &str)] = &[
    (
        "Trial, round",
        "A trial is one stage of one workload on one freshly started server process. A round holds every \
         trial once, in an order shuffled from the seed.",
    ),
    (
        "Interval (±)",
        "The 95 % interval of the median over rounds, by a bootstrap over fresh processes, never over \
         requests; ± is its wider half in percent of the median.",
    ),
    (
        "Rank, tie",
        "The places a server may hold. Two servers differ only where the 95 % interval of their ratio, \
         taken within rounds, lies outside the noise floor; otherwise they tie. A failed row and the \
         control have no rank.",
    ),
    (
        "Ratio to the best",
        "A figure divided by that of the best server in it, within each round; shown is the median over rounds with \
         its 95 % interval. 1.08× is 8 % more than the best.",
    ),
    (
        "~",
        "A tail that the machine made and not the server: two copies of the control differ in it, and so do this \
         server and the best, too widely to tell which is better.",
    ),
    (
        "Peak",
        "Closed loop: every connection sends its next request as soon as it has its answer. A rate with ≥ is \
         a lower bound: the load generator may have been the limit.",
    ),
    (
        "Paced",
        "Open loop: the same fixed rate for every server. Latency runs from when a request was due to be \
         sent, so a stall counts for all that waited.",
    ),
    (
        "Control",
        "Not a server: the harness's own responder, entered twice. It shows what the load generator \
         reaches, and by its two entries how far apart equals are on this machine (the noise floor).",
    ),
    (
        "Marked, failed",
        "Marked: the figures count, with the reservation given. Failed: they are not for comparing and not \
         shown. Wrong answers, timeouts and resets never count as throughput.",
    ),
    (
        "–",
        "Not measured. A figure that could not be read is never shown as 0.",
    ),
];

/// One line each, for the head of the page.
pub(super) fn facts(record: &Record) -> Vec<String> {
    let (run, machine) = (&record.run, &record.environment);
    let mut facts = vec![format!(
        "{} of fresh processes, {}, profile {}",
        counted(run.rounds, "round"),
        counted(run.connections, "connection"),
        run.profile
    )];
    let began = run.started_at.get(..16).unwrap_or(&run.started_at);
    facts.push(format!("begun {} UTC", began.replace('T', " ")));
    let cpu = match machine.cpu_model.as_str() {
        "" => "CPU not known",
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
            counted(wrong + unmet, "reservation")
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

/// What the words mean, and the heads of the columns.
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

/// The run again: its own command, with the seed and the rates it came to. A `-dirty` revision can't
/// be checked out, so it is only said.
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
        Some(revision) if revision.ends_with("-dirty") => lines.push(format!(
            "# revision {revision}: it had changes that are in no commit"
        )),
        Some(revision) => lines.push(format!("git checkout {revision}")),
        None => {}
    }
    lines.push(format!(
        "cargo run --release --locked -p harness -- {}",
        words.join(" ")
    ));
    lines.join("\n")
}

/// As a shell takes it.
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
