//! Runs the real `harness` over the fixture server, right or with a fault.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// What a server that turns bad leaves in its folder once it was started.
pub(crate) const CHECKED: &str = "checked";

/// A folder with manifests of fixture servers, and the run's own folder in it.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    servers: Vec<String>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            servers: Vec::new(),
        }
    }

    /// Adds a fixture called `name` with these further arguments.
    pub(crate) fn with(self, name: &str, arguments: &[&str]) -> Self {
        let mut run = vec![
            fixture().to_string_lossy().into_owned(),
            "--addr".to_owned(),
            "{addr}".to_owned(),
            "--workers".to_owned(),
            "{workers}".to_owned(),
        ];
        run.extend(arguments.iter().map(ToString::to_string));
        self.with_manifest(name, &format!("run = {run:?}"))
    }

    /// Adds a server whose manifest has these further lines.
    pub(crate) fn with_manifest(mut self, name: &str, lines: &str) -> Self {
        let folder = self.dir.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let text = format!("[server]\ndisplay = \"{name}\"\nclass = \"fixture\"\n{lines}\n");
        std::fs::write(folder.join("server.toml"), text).unwrap();
        self.servers.push(name.to_owned());
        self
    }

    /// Adds a fixture that is right while it is checked, and has these arguments in its later
    /// processes.
    pub(crate) fn turning(self, name: &str, arguments: &str) -> Self {
        // The first process is the one that is checked.
        let script = format!(
            "if [ -e {CHECKED} ]; then later='{arguments}'; fi; : > {CHECKED}; \
             exec '{}' --addr {{addr}} --workers {{workers}} $later",
            fixture().display()
        );
        self.with_manifest(name, &format!("run = {:?}", ["sh", "-c", &script]))
    }

    pub(crate) fn out(&self) -> PathBuf {
        self.dir.path().join("run")
    }

    /// `harness VERB` over these servers alone.
    pub(crate) fn command(&self, verb: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.arg(verb);
        for name in &self.servers {
            let manifest = self.dir.path().join(name).join("server.toml");
            command
                .arg("--manifest")
                .arg(manifest)
                .args(["--server", name]);
        }
        command.args(arguments).stdin(Stdio::null());
        command
    }

    /// A short `harness bench` of the `ping` workload, without the control.
    pub(crate) fn bench(&self, arguments: &[&str]) -> Run {
        self.short(&SHORT, arguments)
    }

    /// The same after all checks.
    pub(crate) fn bench_checked(&self, arguments: &[&str]) -> Run {
        self.short(&SHORT[..SHORT.len() - 2], arguments)
    }

    /// The same with the control.
    pub(crate) fn bench_with_control(&self, arguments: &[&str]) -> Run {
        self.short(&SHORT[1..], arguments)
    }

    fn short(&self, short: &[&str], arguments: &[&str]) -> Run {
        let mut command = self.command("bench", short);
        command.arg("--out").arg(self.out()).args(arguments);
        Run::of(command.output().unwrap(), &self.out())
    }
}

/// Flags of a run that is over in a moment. Only the tests of the control need it.
/// Of the checks it makes only those that these tests are about: all of them take ten seconds.
pub(crate) const SHORT: [&str; 15] = [
    "--no-control",
    "--profile",
    "smoke",
    "--workload",
    "ping",
    "--rounds",
    "1",
    "--duration",
    "100ms",
    "--warmup",
    "20ms",
    "--connections",
    "8",
    "--only-check",
    "ping,first-byte,stop-interrupt",
];

/// What a run left behind.
pub(crate) struct Run {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) record: Value,
}

impl Run {
    pub(crate) fn of(output: Output, folder: &Path) -> Self {
        let record = std::fs::read_to_string(folder.join("record.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or(Value::Null);
        let trials = record["trials"].as_array().into_iter().flatten();
        for id in trials.flat_map(|trial| trial["figures"].as_object().unwrap().keys()) {
            assert!(record::figure::find(id).is_some(), "{id} is not defined");
        }
        Self {
            status: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            record,
        }
    }

    /// Every verdict and the reasons of the rows of one server.
    pub(crate) fn rows(&self, server: &str) -> Vec<(String, String)> {
        self.record["summary"]
            .as_array()
            .unwrap_or_else(|| panic!("no summary\n{}\n{}", self.stdout, self.stderr))
            .iter()
            .filter(|row| row["server"] == server)
            .map(|row| {
                let verdict = row["verdict"].as_str().unwrap().to_owned();
                (verdict, row["reasons"].to_string())
            })
            .collect()
    }

    /// Fails unless every row of the server failed for a reason with these words in it.
    pub(crate) fn assert_failed(&self, server: &str, words: &str) {
        assert_eq!(self.status, Some(1), "{}\n{}", self.stdout, self.stderr);
        let rows = self.rows(server);
        assert!(!rows.is_empty(), "{server} has no row: {}", self.record);
        for (verdict, reasons) in rows {
            assert_eq!(verdict, "failed", "{reasons}");
            assert!(reasons.contains(words), "\"{words}\" is not in {reasons}");
        }
        assert!(
            self.stdout.contains(words),
            "\"{words}\" is not in the table:\n{}",
            self.stdout
        );
    }
}

/// The fixture, built by cargo along with the tests.
pub(crate) fn fixture() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_harness"));
    let path = program.parent().unwrap().join("examples").join("fixture");
    assert!(
        path.is_file(),
        "no {}: run `cargo build --package harness --examples`",
        path.display()
    );
    path
}

/// Processes whose command line mentions `text`.
pub(crate) fn processes_with(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(pid) = name.parse() else { continue };
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(text) {
            found.push(pid);
        }
    }
    found
}
