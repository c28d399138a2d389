//! The machine, the method in brief, the definitions, and how to repeat the run.

use minijinja::{Value, context};

use crate::page;
use record::figure;
use record::{Finding, Level, Record, Run};
use words::counted;

use super::list;

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
    let unmet = machine.findings.iter().filter(|f| f.level != Level::Ok);
    match unmet.count() {
        0 => {}
        unmet => facts.push(format!("{} about this machine", counted(unmet, "warning"))),
    }
    facts
}

/// The last sections of the page.
pub(super) fn about(record: &Record) -> Value {
    let findings = &record.environment.findings;
    let mut worst: Vec<&Finding> = findings.iter().filter(|f| f.level != Level::Ok).collect();
    worst.sort_by_key(|finding| std::cmp::Reverse(finding.level));
    let unmet = |finding: &Finding| {
        context! {
            when => page::unmet(finding),
            what => finding.subject(),
            found => &finding.found,
            why => &finding.why,
            fix => &finding.fix,
        }
    };
    let met = findings
        .iter()
        .filter(|f| f.level == Level::Ok && !f.is_unknown())
        .map(|finding| context! { what => &finding.id, found => &finding.found });
    let fingerprint: String = record.environment.fingerprint.chars().take(16).collect();
    context! {
        machine => list(page::about(record)),
        unseen => page::unseen(findings),
        unmet => list(worst.into_iter().map(unmet)),
        met => list(met),
        definitions => list(definitions()),
        command => command(&record.run),
        fingerprint,
        run => &record.run.id,
    }
}

/// What the column headings mean.
fn definitions() -> impl Iterator<Item = Value> {
    let sentence = |text: &str| {
        let mut rest = text.chars();
        let first = rest.next().into_iter().flat_map(char::to_uppercase);
        first.collect::<String>() + rest.as_str() + "."
    };
    figure::of_table().map(move |figure| {
        context! { term => figure.head, text => sentence(figure.definition) }
    })
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
