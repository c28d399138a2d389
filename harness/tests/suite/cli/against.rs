//! `--against`: a server of a workspace of its own beside that of an earlier revision.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::cli::support::{Run, SHORT, fixture};
use crate::cli::unfinished::{Harness, copy, trials};

/// The fault of the second revision: `/ping` takes 20 ms longer, far more than noise even on a busy machine.
const SLOWER: &str = "--fault=slow-first-byte";
const SOME: [&str; 8] = [
    "--stage",
    "paced",
    "--rate",
    "50",
    "--duration",
    "200ms",
    "--rounds",
    "5",
];

/// A workspace in a git repository: `alder`, which its second revision makes slower, and `beech`, which is
/// new in it.
struct Repository {
    dir: TempDir,
}

impl Repository {
    fn new() -> Self {
        let repository = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = repository.root();
        let manifest = "[workspace]\nresolver = \"3\"\nmembers = [\"servers/*\"]\n\
            [profile.release]\nopt-level = 1\n";
        fs::write(root.join("Cargo.toml"), manifest).unwrap();
        fs::write(root.join(".gitignore"), "/target\n/run*\n").unwrap();
        fs::create_dir_all(root.join("harness")).unwrap();
        copy(&own.join("workloads"), &root.join("harness/workloads"));
        repository.add("alder");
        repository.git(&["init", "--quiet"]);
        repository.commit("first");
        repository.edit(|text| text.replace(".exec()", &format!(".arg({SLOWER:?}).exec()")));
        repository.add("beech");
        repository.commit("second");
        repository
    }

    fn root(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap()
    }

    /// Adds a correct server: a program that becomes the fixture, so that it builds in no time.
    fn add(&self, name: &str) {
        let folder = self.root().join("servers").join(name);
        fs::create_dir_all(folder.join("src")).unwrap();
        let program = format!(
            "use std::{{env, os::unix::process::CommandExt, process::Command}};\n\
             fn main() {{\n    let error = Command::new({:?}).args(env::args_os().skip(1)).exec();\n    \
             panic!(\"{{error}}\");\n}}\n",
            fixture()
        );
        fs::write(folder.join("src/main.rs"), program).unwrap();
        let manifest = format!(
            "[package]\nname = \"server-{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
             [package.metadata.server]\ndisplay = \"{name}\"\nclass = \"library\"\n"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        let mut lock = Command::new(env!("CARGO"));
        lock.args(["generate-lockfile", "--offline", "--quiet"]);
        assert!(lock.current_dir(self.root()).status().unwrap().success());
    }

    /// Changes what alder does with a request.
    fn edit(&self, change: impl Fn(String) -> String) {
        let file = self.root().join("servers/alder/src/main.rs");
        let before = fs::read_to_string(&file).unwrap();
        let after = change(before.clone());
        assert_ne!(before, after, "nothing was changed");
        fs::write(file, after).unwrap();
    }

    fn git(&self, words: &[&str]) -> String {
        let mut git = Command::new("git");
        git.current_dir(self.root());
        git.args(["-c", "user.name=A", "-c", "user.email=a@example.org"]);
        let output = git.args(words).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {words:?}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--no-gpg-sign", "-m", message]);
    }

    /// The base's name in a run against a revision.
    fn base(&self, revision: &str) -> String {
        let short = self.git(&["rev-parse", "--short=7", revision]);
        format!("alder@{short}")
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
        command.current_dir(self.root()).args(words);
        // Each test has a target folder of its own.
        command.env_remove("CARGO_TARGET_DIR");
        command.stdin(Stdio::null());
        command
    }

    /// A short run of these servers against a revision, into the folder `run`.
    fn bench(&self, server: &str, against: &str, more: &[&str]) -> Command {
        let mut command = self.command(&["bench", "--server", server, "--against", against]);
        command
            .args(SHORT)
            .args(["--first-byte-limit", "1s", "--out", "run"]);
        command.args(more);
        command
    }

    fn run(&self, mut command: Command) -> Run {
        Run::of(command.output().unwrap(), &self.out())
    }

    fn out(&self) -> PathBuf {
        self.root().join("run")
    }

    fn tree(&self) -> PathBuf {
        self.root().join("target/harness/against/tree")
    }

    /// Fails unless the worktree is gone and the checkout as it was.
    fn assert_clean(&self) {
        assert!(!self.tree().exists());
        let worktrees = self.git(&["worktree", "list", "--porcelain"]);
        assert_eq!(worktrees.matches("worktree ").count(), 1, "{worktrees}");
        assert_eq!(self.git(&["status", "--porcelain"]), "");
    }

    fn assert_refused(&self, command: Command, words: &[&str]) {
        let run = self.run(command);
        assert_eq!(run.status, Some(2), "{words:?}: {}", run.stderr);
        for word in words {
            assert!(run.stderr.contains(word), "no {word:?} in: {}", run.stderr);
        }
        assert!(!self.out().exists(), "{words:?}: a folder was made");
    }
}

fn verdicts(folder: &Path) -> Value {
    let text = fs::read_to_string(folder.join("against.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn a_slower_server_is_found_and_fails_only_where_asked() {
    let repository = Repository::new();
    let base = repository.base("HEAD~1");
    let mut failing = vec!["--fail-on", "regressed", "--figure", "latency_p50_us"];
    failing.extend(SOME);
    // beech has no base and is measured all the same.
    let run = repository.run(repository.bench("alder,beech", "HEAD~1", &failing));
    assert_eq!(run.status, Some(1), "{}\n{}", run.stdout, run.stderr);
    let alone = format!("beech: not in revision {}", &base["alder@".len()..]);
    assert!(run.stderr.contains(&alone), "{}", run.stderr);
    assert_eq!(run.rows("beech").len(), 1);
    assert_eq!(run.rows(&base).len(), 1);
    repository.assert_clean();

    let found = verdicts(&repository.out());
    assert_eq!(found["base"]["server"], base);
    assert_eq!(found["new"]["server"], "alder");
    let [change] = &found["changes"].as_array().unwrap()[..] else {
        panic!("one figure was asked for: {found}");
    };
    assert_eq!(change["verdict"], "regressed", "{change}");
    assert_eq!(change["figure"], "latency_p50_us");
    assert!(
        change["ratio"]["median"].as_f64().unwrap() > 1.0,
        "{change}"
    );
    let shown = format!("{base} → alder");
    let markdown = fs::read_to_string(repository.out().join("against.md")).unwrap();
    for text in [&markdown, &run.stdout] {
        assert!(text.contains("1 regressed"), "{text}");
        assert!(text.contains(&shown), "{text}");
    }
    // The build is of the same kind.
    let servers = run.record["servers"].as_array().unwrap();
    let built = |name: &str| servers.iter().find(|s| s["name"] == name).unwrap()["build"].clone();
    assert_ne!(built(&base)["sha256"], built("alder")["sha256"]);
    for member in ["profile", "rustc", "features"] {
        assert_eq!(built(&base)[member], built("alder")[member], "{member}");
    }

    // The same without being asked to fail, and the other way round.
    fs::rename(repository.out(), repository.root().join("run-1")).unwrap();
    repository.git(&["checkout", "--quiet", "--detach", "HEAD~1"]);
    let run = repository.run(repository.bench("alder", "HEAD@{1}", &SOME));
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    let changes = verdicts(&repository.out())["changes"].clone();
    let p50 = |change: &&Value| change["figure"] == "latency_p50_us";
    let p50 = changes.as_array().unwrap().iter().find(p50).unwrap();
    assert_eq!(p50["verdict"], "improved", "{changes}");
    repository.assert_clean();
}

#[test]
fn the_same_program_is_called_so() {
    let repository = Repository::new();
    let base = repository.base("HEAD");
    let run = repository.run(repository.bench("alder", "HEAD", &["--stage", "peak"]));
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    let same = format!("{base} and alder are the same program");
    for text in [&run.stderr, &run.stdout] {
        assert!(text.contains(&same), "{text}");
    }
    assert!(!run.stderr.contains("uncommitted"), "{}", run.stderr);
    repository.assert_clean();
}

#[test]
fn what_cannot_be_compared_is_refused_with_its_cause() {
    let repository = Repository::new();
    let bench = |server, against, more: &[&str]| repository.bench(server, against, more);
    let unknown = ["no such revision", "git fetch origin mian"];
    repository.assert_refused(bench("alder", "mian", &[]), &unknown);
    let new = ["does not have beech", "another server or a newer revision"];
    repository.assert_refused(bench("beech", "HEAD~1", &[]), &new);
    let figure = ["--figure", "latency_p5_us"];
    let near = ["did you mean \"latency_p50_us\""];
    repository.assert_refused(bench("alder", "HEAD~1", &figure), &near);
    let mut vain = repository.command(&["bench", "--server", "alder", "--fail-on", "regressed"]);
    vain.args(["--out", "run"]);
    repository.assert_refused(vain, &["add --against REV"]);

    // The uncommitted change is said; nothing is built or checked out.
    repository.edit(|text| format!("{text}\n// A change.\n"));
    let run = repository.run(bench("alder,beech", "HEAD~1", &["--list"]));
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(run.stdout.contains(&repository.base("HEAD~1")));
    assert!(run.stderr.contains("uncommitted changes"), "{}", run.stderr);
    assert!(!repository.root().join("target/harness").exists());

    fs::remove_dir_all(repository.root().join(".git")).unwrap();
    let none = ["git finds no repository", "--binary NAME=PATH"];
    repository.assert_refused(bench("alder", "HEAD~1", &[]), &none);
}

#[test]
fn a_base_that_does_not_build_ends_the_run_before_it_begins() {
    let repository = Repository::new();
    repository.edit(|text| format!("{text}\ncompile_error!(\"not today\");\n"));
    repository.commit("broken");
    repository.git(&["revert", "--no-edit", "HEAD"]);
    let run = repository.run(repository.bench("alder", "HEAD~1", &[]));
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    for words in ["not today", "could be built", &repository.base("HEAD~1")] {
        assert!(run.stderr.contains(words), "{words}: {}", run.stderr);
    }
    assert!(!repository.out().exists());
    repository.assert_clean();
}

#[test]
#[ignore = "slow: `make test-slow` runs it"]
fn ctrl_c_removes_the_worktree_and_the_run_can_be_taken_up() {
    let repository = Repository::new();
    let (base, out) = (repository.base("HEAD~1"), repository.out());
    // As a killed harness leaves it.
    let tree = repository.tree();
    repository.git(&["worktree", "add", "-q", tree.to_str().unwrap(), "HEAD"]);

    let mut harness = Harness::start(repository.bench("alder", "HEAD~1", &[]));
    harness.wait_for_line(&format!("building {base}"));
    assert!(tree.is_dir());
    harness.send(Signal::INT);
    assert_eq!(harness.end(&out).status, Some(130));
    assert!(!out.exists());
    repository.assert_clean();

    let long = ["--stage", "peak", "--rounds", "4"];
    let mut harness = Harness::start(repository.bench("alder", "HEAD~1", &long));
    harness.wait_until(|| trials(&out) >= 1);
    harness.send(Signal::INT);
    let run = harness.end(&out);
    assert_eq!(run.status, Some(130), "{}", run.stderr);
    repository.assert_clean();

    let run = repository.run(repository.command(&["bench", "--resume", "run"]));
    assert_eq!(run.status, Some(0), "{}\n{}", run.stdout, run.stderr);
    let record = crate::cli::unfinished::record(&out);
    crate::cli::unfinished::assert_whole(&record, 4);
    assert_eq!(record.run.entries, ["alder", &base]);
    assert_eq!(verdicts(&out)["base"]["server"], base);
    repository.assert_clean();
}
