//! What came of a run: its record, what the gates say of it, and what a reader sees.

use std::fs;
use std::path::Path;

use catalog::Stage;
use judge::{Reason, gates};
use record::{Record, Row, Server, Summary, Trial};
use report::{Colour, FORMATS, summarise, terminal};
use store::read_json;

use crate::disturb;
use crate::support::{Bench, CHECKED, Run};

/// Short trials of one round, without the control; the limits on time are wide, for a test may share its machine.
const SHORT: [&str; 17] = [
    "--no-control",
    "--profile",
    "smoke",
    "--rounds",
    "1",
    "--duration",
    "300ms",
    "--warmup",
    "20ms",
    "--connections",
    "8",
    "--timeout",
    "30s",
    "--ready-timeout",
    "60s",
    "--only-check",
    "ping,first-byte",
];

/// A run of fixtures that has ended.
pub(crate) struct Outcome {
    pub(crate) run: Run,
    pub(crate) record: Record,
}

impl Outcome {
    /// Measures these servers, alone on the machine as far as these tests go.
    pub(crate) fn of(bench: &Bench, flags: &[&str]) -> Self {
        let _alone = disturb::alone();
        Self::beside(bench, flags)
    }

    /// The same with the control.
    pub(crate) fn with_control(bench: &Bench, flags: &[&str]) -> Self {
        let _alone = disturb::alone();
        Self::sound(bench, &SHORT[1..], flags)
    }

    /// The same for one who has made sure of that. All servers of these tests are right while
    /// they are checked, so where one is refused, its machine did not let it answer in time;
    /// that is tried again.
    pub(crate) fn beside(bench: &Bench, flags: &[&str]) -> Self {
        Self::sound(bench, &SHORT, flags)
    }

    fn sound(bench: &Bench, short: &[&str], flags: &[&str]) -> Self {
        let mut outcome = Self::once(bench, short, flags);
        for _ in 0..2 {
            let refused = |server: &Server| server.failure.is_some();
            if !outcome.record.servers.iter().any(refused) {
                break;
            }
            start_afresh(bench);
            outcome = Self::once(bench, short, flags);
        }
        outcome
    }

    fn once(bench: &Bench, short: &[&str], flags: &[&str]) -> Self {
        let mut command = bench.command("bench", short);
        if !flags.contains(&"--workload") {
            command.args(["--workload", "ping"]);
        }
        command.arg("--out").arg(bench.out()).args(flags);
        let run = Run::of(command.output().unwrap(), &bench.out());
        assert!(
            bench.out().join("record.json").is_file(),
            "{}\n{}",
            run.stdout,
            run.stderr
        );
        let record = read(&bench.out());
        Self { run, record }
    }

    pub(crate) fn trials(&self, stage: Stage) -> impl Iterator<Item = &Trial> {
        let of_stage = move |trial: &&Trial| trial.stage == stage;
        self.record.trials.iter().filter(of_stage)
    }

    /// What the gates find on all trials.
    pub(crate) fn on_trials(&self) -> Vec<Reason> {
        let trials = self.record.trials.iter();
        let found = trials.flat_map(|trial| gates::on_trial(&self.record.run, trial));
        found.collect()
    }
}

/// Fails where these servers are blamed in each of three runs on a quiet machine; ends with a
/// word where it is not quiet.
pub(crate) fn assert_passes_when_quiet(
    bench: &Bench,
    flags: &[&str],
    sound: impl Fn(&Outcome) -> bool,
) {
    let _alone = disturb::alone();
    let mut last = String::new();
    for _ in 0..3 {
        if !disturb::quiet() {
            return;
        }
        let outcome = Outcome::beside(bench, flags);
        start_afresh(bench);
        if sound(&outcome) {
            return;
        }
        last = outcome.run.stdout;
    }
    panic!("blamed on a quiet machine:\n{last}");
}

/// Forgets a run, and which of its servers have been checked.
fn start_afresh(bench: &Bench) {
    let _ = fs::remove_dir_all(bench.out());
    for folder in fs::read_dir(bench.dir.path()).unwrap().flatten() {
        let _ = fs::remove_file(folder.path().join(CHECKED));
    }
}

fn read(folder: &Path) -> Record {
    read_json(&folder.join("record.json")).unwrap().0
}

/// The row of a server.
pub(crate) fn row<'a>(summary: &'a Summary, server: &str, stage: Stage) -> &'a Row {
    let wanted = |row: &&Row| row.server == server && row.stage == stage;
    summary.rows.iter().find(wanted).unwrap()
}

/// Fails unless terminal and Markdown show these words, wherever their lines break.
pub(crate) fn assert_shown(record: &Record, words: &str) {
    let summary = summarise(record);
    let markdown = FORMATS.iter().find(|f| f.name == "markdown").unwrap();
    for text in [
        terminal(record, &summary, Colour::Never),
        (markdown.render)(record, &summary),
    ] {
        let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(one_line.contains(words), "\"{words}\" is not in\n{text}");
    }
}
