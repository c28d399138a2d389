//! `harness new`: the servers that it writes build, start and answer `/ping`, and `harness check` says what they lack.
//!
//! They are written into a workspace of their own, which shares the target folder with this one: what they
//! depend on is built once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::cli::support::Bench;

const HARNESS: &str = env!("CARGO_BIN_EXE_harness");
/// A debug build on a busy machine may be slow.
const CHECK: [&str; 3] = ["--json", "--first-byte-limit", "1s"];
/// In the order in which to write them.
const TO_WRITE: [&str; 8] = [
    "GET /api/v1/users/{id}",
    "GET /api/v1/users",
    "POST /api/v1/orders",
    "GET /api/v1/orders/{id}",
    "GET /api/v1/orders",
    "GET /api/v1/download",
    "POST /api/v1/upload",
    "GET /api/v1/wait",
];

/// A workspace with the settings of this one, and no servers yet.
struct Workspace(TempDir);

impl Workspace {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let text = fs::read_to_string(real.join("Cargo.toml")).unwrap();
        let members = |line: &str| line.starts_with("members = ");
        let text: String = text
            .lines()
            .map(|line| {
                if members(line) {
                    "members = [\"servers/*\"]"
                } else {
                    line
                }
            })
            .flat_map(|line| [line, "\n"])
            .collect();
        let text = text
            .replace(r#""harness", "harness/crates/*", "#, "")
            .replace(r#"path = ""#, &format!(r#"path = "{}/"#, real.display()));
        fs::write(dir.path().join("Cargo.toml"), text).unwrap();
        fs::copy(real.join("Cargo.lock"), dir.path().join("Cargo.lock")).unwrap();
        // Cargo refuses `servers/*` if there is nothing.
        let first = dir.path().join("servers/first");
        fs::create_dir_all(first.join("src")).unwrap();
        fs::write(first.join("Cargo.toml"), "[package]\nname = \"first\"\n").unwrap();
        fs::write(first.join("src/lib.rs"), "//! Nothing.\n").unwrap();
        Self(dir)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.0.path());
        command.output().unwrap()
    }

    fn cargo(&self, arguments: &[&str]) {
        let target = Path::new(HARNESS).ancestors().nth(2).unwrap();
        let mut command = Command::new(env!("CARGO"));
        command.args(arguments).current_dir(self.0.path());
        let output = command.env("CARGO_TARGET_DIR", target).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    }

    /// Adds the server `new-TEMPLATE`.
    fn add(&self, template: &str) -> String {
        let name = format!("new-{template}");
        let output = self.run(HARNESS, &["new", &name, "--template", template]);
        let text = said(&output);
        assert!(output.status.success(), "{text}");
        for command in ["check", "bench-quick"] {
            let line = format!("  make {command} SERVER={name}");
            assert!(text.contains(&line), "{text}");
        }
        name
    }

    /// Every file, with its text.
    fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut folders) = (Vec::new(), vec![self.0.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push((path.clone(), fs::read(path).unwrap())),
                }
            }
        }
        files.sort();
        files
    }

    /// Fails unless this is refused with these words and changes nothing.
    #[track_caller]
    fn refuses(&self, status: i32, arguments: &[&str], words: &str) {
        let before = self.files();
        let output = self.run(HARNESS, arguments);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {text}");
        assert!(text.contains(words), "\"{words}\" is not in {text}");
        assert!(self.files() == before, "{arguments:?} left something");
    }
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    String::from_utf8_lossy(out).into_owned() + &String::from_utf8_lossy(err)
}

/// Fails unless the server lacks nothing but the routes to write.
fn assert_begun(output: &Output) {
    assert_eq!(output.status.code(), Some(1), "{}", said(output));
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &rows[0];
    let routes: Vec<&str> = row["missing_routes"]
        .as_array()
        .unwrap_or_else(|| panic!("{}", said(output)))
        .iter()
        .map(|route| route.as_str().unwrap())
        .collect();
    assert_eq!(routes, TO_WRITE, "{row}");
    let checks = row["checks"].as_array().unwrap();
    for check in checks.iter().filter(|check| check["passed"] == false) {
        let why = check["detail"].as_str().unwrap();
        let Some((_, rest)) = why.split_once("got:  501 ") else {
            panic!("{}: {why}", check["id"]);
        };
        let body: Value = serde_json::from_str(rest.lines().next().unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "not_implemented", "{why}");
        let message = body["error"]["message"].as_str().unwrap();
        let route = message.strip_suffix(" is not written yet").unwrap();
        assert!(TO_WRITE.contains(&route), "{route}");
    }
    let ping = checks.iter().find(|check| check["id"] == "ping").unwrap();
    assert_eq!(ping["passed"], true, "{ping}");
}

const OF_RUST: [&str; 3] = ["hyper-service", "tokio", "threads"];

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_package_builds_answers_ping_and_says_what_is_missing() {
    let workspace = Workspace::new();
    let names = OF_RUST.map(|template| workspace.add(template));
    workspace.cargo(&["build", "--locked", "--offline", "--workspace"]);
    let built = Path::new(HARNESS).parent().unwrap();
    for name in names {
        let program = built.join(format!("server-{name}"));
        let run = [
            program.to_str().unwrap(),
            "--addr",
            "{addr}",
            "--workers",
            "{workers}",
        ];
        let bench = Bench::new().with_manifest(&name, &format!("run = {run:?}"));
        assert_begun(&bench.command("check", &CHECK).output().unwrap());
        fs::remove_file(program).unwrap();
    }
}

/// Checks a program of another language, if that is installed.
fn program(template: &str, language: &str, version: &str) {
    if Command::new(language).arg(version).output().is_err() {
        eprintln!("skipped: there is no {language} here");
        return;
    }
    let workspace = Workspace::new();
    let name = workspace.add(template);
    let arguments = [&["check", "--server", name.as_str()][..], &CHECK].concat();
    assert_begun(&workspace.run(HARNESS, &arguments));
}

#[test]
fn a_program_in_go_begins_alike() {
    program("external-go", "go", "version");
}

#[test]
fn a_program_for_node_begins_alike() {
    program("external-node", "node", "--version");
}

#[test]
fn a_program_in_python_begins_alike() {
    program("external-python", "python3", "--version");
}

#[test]
fn what_cannot_be_written_leaves_nothing() {
    let workspace = Workspace::new();
    workspace.refuses(2, &["new", "My_Server"], "try \"my-server\"");
    workspace.refuses(2, &["new", "all"], "reserves that name");
    workspace.refuses(2, &["new", "first"], "servers/first exists already");
    workspace.refuses(2, &["new", "mine", "--template", "hyper"], "hyper-service");
    workspace.add("external-node");
    workspace.refuses(
        2,
        &["new", "new-external-node"],
        "in servers/external/new-external-node",
    );
    // A template's dependency that this workspace lacks.
    let manifest = workspace.0.path().join("Cargo.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(manifest, text.replace("\nhttparse =", "\nother =")).unwrap();
    workspace.refuses(1, &["new", "mine", "--template", "tokio"], "httparse");
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_package_is_formatted_and_clippy_finds_nothing() {
    let workspace = Workspace::new();
    for template in OF_RUST {
        workspace.add(template);
    }
    let output = workspace.run(env!("CARGO"), &["fmt", "--all", "--check"]);
    assert!(output.status.success(), "{}", said(&output));
    let clippy = [
        "clippy",
        "--locked",
        "--offline",
        "--workspace",
        "--all-targets",
    ];
    let clippy = [&clippy[..], &["--", "-D", "warnings"]].concat();
    workspace.cargo(&clippy);
}
