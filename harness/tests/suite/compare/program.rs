//! The built program on a real run, on copies of it that were changed, and on bad input.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rusqlite::Connection;
use serde_json::Value;
use store::Store;
use tempfile::TempDir;

/// A real run, of record version 1.
fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/version-1")
}

/// The figures that either verb or a gate reads, besides shares.
const READ: &str = "'requests_per_s', 'cpu_us_per_request', 'latency_p50_us', 'latency_p99_us', \
    'latency_p999_us', 'first_byte_p99_us', 'rss_peak_bytes', 'start_ms', 'latency_mean_us', \
    'connections_established', 'send_lag_p99_us'";

/// A folder with runs under `bench-results/`, in which the program is started.
struct Bench {
    dir: TempDir,
}

impl Bench {
    /// With two workloads of that run as `before`, to be quick.
    fn new() -> Self {
        let bench = Self::whole();
        let gone = "workload IN ('orders', 'users')";
        let sql = format!(
            "DELETE FROM figure WHERE trial_id IN (SELECT trial_id FROM trial WHERE {gone}) \
                 OR (name NOT LIKE '%_ratio' AND name NOT IN ({READ})); \
             DELETE FROM trial WHERE {gone}; \
             DELETE FROM workload WHERE name IN ('orders', 'users');"
        );
        bench.change("before", &sql);
        bench
    }

    /// With a copy of that run as `before`, without what neither verb reads.
    fn whole() -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        let folder = bench.folder("before");
        fs::create_dir_all(&folder).unwrap();
        fs::copy(reference().join("run.sqlite"), folder.join("run.sqlite")).unwrap();
        bench.change(
            "before",
            "DELETE FROM histogram; DELETE FROM interval; VACUUM;",
        );
        bench
    }

    /// Copies `before` to `name` and changes it.
    fn with(self, name: &str, sql: &str) -> Self {
        let folder = self.folder(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(
            self.folder("before").join("run.sqlite"),
            folder.join("run.sqlite"),
        )
        .unwrap();
        self.change(name, sql);
        self
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join("bench-results").join(name)
    }

    fn change(&self, name: &str, sql: &str) {
        let database = Connection::open(self.folder(name).join("run.sqlite")).unwrap();
        database.execute_batch(sql).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_harness"))
            .current_dir(self.dir.path())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    /// Standard output, the status being as expected.
    fn text(&self, arguments: &[&str], status: i32) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            output.status.code(),
            Some(status),
            "{arguments:?}: {text}{error}"
        );
        text
    }

    fn json(&self, arguments: &[&str], status: i32) -> Value {
        let all = [arguments, &["--format", "json"]].concat();
        serde_json::from_str(&self.text(&all, status)).unwrap()
    }

    fn refused(&self, arguments: &[&str], words: &str) {
        let output = self.run(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert!(
            error.contains(words),
            "{arguments:?}: \"{words}\" is not in {error}"
        );
    }
}

/// Multiplies a figure of a server.
fn scaled(server: &str, figure: &str, by: f64) -> String {
    format!(
        "UPDATE figure SET value = value * {by} WHERE name = '{figure}' AND trial_id IN \
         (SELECT trial_id FROM trial WHERE server = '{server}');"
    )
}

#[test]
fn a_run_beside_itself_and_beside_its_copy_has_not_changed() {
    let bench = Bench::new().with("after", "");
    for new in [
        "before",
        "after",
        "bench-results/after",
        "bench-results/after/run.sqlite",
    ] {
        let found = bench.json(&["compare", "before", new, "--fail-on", "regressed"], 0);
        let counts = &found["counts"];
        assert_eq!(
            (&counts["regressed"], &counts["improved"]),
            (&0.into(), &0.into())
        );
        // 5 servers: 2 workloads of 3 and 5 figures, and 2 of the process.
        assert_eq!(counts["indistinguishable"], 5 * (2 * 8 + 2), "{counts}");
        assert_eq!(found["same_run"], new == "before");
        let ratio = |change: &Value| change["ratio"]["median"].as_f64().unwrap();
        assert!(
            found["changes"]
                .as_array()
                .unwrap()
                .iter()
                .all(|c| ratio(c) == 1.0)
        );
    }
}

#[test]
fn record_json_is_the_same_run() {
    let bench = Bench::whole();
    let json = bench.dir.path().join("record.json");
    let json = json.to_str().unwrap();
    let before = bench.folder("before");
    let export = [
        "report",
        before.to_str().unwrap(),
        "--format",
        "json",
        "--out",
        json,
    ];
    bench.text(&export, 0);
    let found = bench.json(&["compare", "before", json, "--workload", "ping"], 0);
    assert_eq!(found["counts"]["indistinguishable"], 50);
    assert_eq!(found["base"], found["new"]);
    // A folder may hold it alone.
    let folder = bench.folder("exported");
    fs::create_dir(&folder).unwrap();
    fs::copy(json, folder.join("record.json")).unwrap();
    assert!(
        bench
            .text(&["compare", "before", "exported"], 0)
            .contains("indistinguishable")
    );
}

#[test]
fn a_scaled_copy_regressed_and_fails_where_asked() {
    let change = scaled("axum", "cpu_us_per_request", 1.3);
    let bench = Bench::new().with("after", &change);
    let compare = ["compare", "before", "after"];
    let text = bench.text(&compare, 0);
    assert!(
        text.starts_with("Comparison: 2 regressed, 0 improved, 88 indistinguishable"),
        "{text}"
    );
    assert_eq!(
        text.lines()
            .filter(|line| line.contains("regressed!"))
            .count(),
        2
    );
    assert!(
        !text.contains("| salvo"),
        "what did not change is listed with --all only: {text}"
    );
    assert!(
        bench
            .text(&["compare", "before", "after", "--all"], 0)
            .contains("| salvo")
    );

    let status = |more: &[&str], status| {
        bench.text(&[&compare[..], more].concat(), status);
    };
    status(&["--fail-on", "regressed"], 1);
    status(&["--fail-on", "surely-regressed"], 1);
    status(&["--fail-on", "regressed", "--threshold", "25%"], 1);
    status(&["--fail-on", "regressed", "--threshold", "0.35"], 0);
    status(&["--fail-on", "regressed", "--figure", "requests_per_s"], 0);
    status(&["--fail-on", "regressed", "--server", "hyper"], 0);
    status(&["--fail-on", "regressed", "--stage", "peak"], 0);
    // The other way round it improved.
    bench.text(&["compare", "after", "before", "--fail-on", "regressed"], 0);
}

#[test]
fn servers_of_one_run_and_of_two_are_set_beside_each_other() {
    let bench = Bench::new().with("after", "");
    let found = bench.json(
        &[
            "compare",
            "before:salvo",
            "before:hyper",
            "--workload",
            "mixed",
        ],
        0,
    );
    assert_eq!(
        (&found["same_run"], &found["new"]["server"]),
        (&true.into(), &"hyper".into())
    );
    let changes = found["changes"].as_array().unwrap();
    let cost = changes
        .iter()
        .find(|c| c["figure"] == "cpu_us_per_request")
        .unwrap();
    assert_eq!(
        (&cost["verdict"], &cost["display"]),
        (&"improved".into(), &"salvo → hyper".into())
    );
    let found = bench.json(
        &[
            "compare",
            "before:salvo",
            "after:hyper",
            "--workload",
            "mixed",
        ],
        0,
    );
    assert_eq!(
        (&found["same_run"], &found["counts"]["compared"]),
        (&false.into(), &10.into())
    );
}

#[test]
fn another_machine_is_refused_by_name_unless_told() {
    let change = "UPDATE environment SET kernel = '9.9.9', pinned = 0, fingerprint = 'x'";
    let bench = Bench::new().with("elsewhere", change);
    let compare = ["compare", "before", "elsewhere"];
    for words in [
        "kernel (6.18.44-fc-v657 and 9.9.9)",
        "pinned (true and false)",
        "--across-machines",
    ] {
        bench.refused(&compare, words);
        bench.refused(&["rank", "before", "elsewhere"], words);
    }
    let told = [&compare[..], &["--across-machines", "--all"]].concat();
    let text = bench.text(&told, 0);
    let rows = text.lines().filter(|line| line.starts_with("| salvo"));
    assert!(
        rows.clone().count() == 18 && rows.clone().all(|row| row.contains("| another |")),
        "{text}"
    );
    let found = bench.json(&told, 0);
    assert_eq!(found["another_machine"][0]["member"], "kernel");
    let text = bench.text(&["rank", "before", "elsewhere", "--across-machines"], 0);
    assert!(
        text.contains("different machine: kernel is 6.18.44-fc-v657"),
        "{text}"
    );
}

#[test]
fn runs_over_different_engines_are_kept_apart() {
    let bench = Bench::new().with("ring", "");
    // Brings the copy up to date.
    drop(Store::open(&bench.folder("ring").join("run.sqlite")).unwrap());
    bench.change("ring", "UPDATE run SET engine = 'io_uring'");
    bench.refused(&["rank", "before", "ring"], "io_uring in ring");
    let found = bench.json(&["compare", "before", "ring", "--all"], 0);
    assert_eq!(
        (&found["base"]["engine"], &found["new"]["engine"]),
        (&"epoll".into(), &"io_uring".into())
    );
    let changes = found["changes"].as_array().unwrap();
    assert!(changes.iter().all(|change| change["stage"].is_null()));
    let why = "different I/O backends: epoll in base and io_uring in new";
    let causes = found["not_compared"].as_array().unwrap();
    let told = |one: &Value| one["cause"].as_str().unwrap().starts_with(why);
    assert!(causes.iter().any(told), "{causes:?}");
    let text = bench.text(&["rank", "ring"], 0);
    assert!(text.contains(", over io_uring."), "{text}");
}

#[test]
fn a_server_that_fails_in_the_new_run_regressed() {
    let change = "UPDATE server SET failure_step = 'boot', failure_reason = 'exited at once', \
                  failure_log_tail = '' WHERE name = 'salvo'; \
                  DELETE FROM figure WHERE trial_id IN (SELECT trial_id FROM trial WHERE server = 'salvo'); \
                  DELETE FROM trial WHERE server = 'salvo';";
    let bench = Bench::new().with("after", change);
    let fail = [
        "compare",
        "before",
        "after",
        "--fail-on",
        "surely-regressed",
        "--threshold",
        "50%",
    ];
    let text = bench.text(&fail, 1);
    assert!(
        text.contains("failed in new: boot failed: exited at once"),
        "{text}"
    );
    let text = bench.text(&["rank", "after"], 0);
    assert!(
        text.contains("not ranked: salvo: in") && text.contains("exited at once"),
        "{text}"
    );
}

#[test]
fn what_can_tell_nothing_does_not_pass() {
    let bench = Bench::new().with("after", "UPDATE workload SET rate_per_s = rate_per_s + 1");
    let cost = [
        "compare",
        "before",
        "after",
        "--figure",
        "cpu_us_per_request",
    ];
    let text = bench.text(&cost, 0);
    assert!(
        text.contains("No figure could be compared") && text.contains("--rate"),
        "{text}"
    );
    bench.refused(
        &[&cost[..], &["--fail-on", "regressed"]].concat(),
        "nothing could be compared",
    );
}

#[test]
fn an_out_file_is_written_and_never_over_a_record() {
    let bench = Bench::new().with("after", "");
    let compare = [
        "compare", "before", "after", "--format", "markdown", "--out",
    ];
    let text = bench.text(&[&compare[..], &["comment.md"]].concat(), 0);
    assert_eq!(
        text.trim_end(),
        "comment.md: 0 regressed, 0 improved, 90 indistinguishable, 0 not compared"
    );
    let written = fs::read_to_string(bench.dir.path().join("comment.md")).unwrap();
    assert!(written.starts_with("### Comparison: 0 regressed") && written.contains("<details>"));
    let record = "bench-results/after/run.sqlite";
    let before = fs::read(bench.dir.path().join(record)).unwrap();
    bench.refused(
        &[&compare[..], &[record]].concat(),
        "is the record of after",
    );
    bench.refused(
        &[&compare[..], &["no/such/folder/file"]].concat(),
        "cannot write",
    );
    assert_eq!(fs::read(bench.dir.path().join(record)).unwrap(), before);
}

#[test]
fn bad_input_is_refused_with_what_is_wrong() {
    let bench = Bench::new().with("after", "");
    fs::write(bench.dir.path().join("text"), "no record").unwrap();
    let compare = |more: &[&'static str], words| {
        bench.refused(&[&["compare"], more].concat(), words);
    };
    compare(&["before", "nowhere"], "no run at nowhere");
    compare(&["before", "nowhere:axum"], "no run at nowhere");
    compare(&["before", "text"], "not the record of a run");
    compare(&["before", "after:axun"], "no server");
    compare(&["before:axum", "after:axun"], "did you mean \"axum\"");
    compare(&["before:axum", "after"], "axum is named on one side only");
    compare(
        &["before:axum", "after:axum", "--server", "axum"],
        "--server selects servers of whole runs",
    );
    compare(
        &["before", "after", "--server", "axun"],
        "did you mean \"axum\"",
    );
    compare(
        &["before", "after", "--workload", "pin"],
        "did you mean \"ping\"",
    );
    compare(
        &["before", "after", "--stage", "peek"],
        "did you mean \"peak\"",
    );
    compare(
        &["before", "after", "--figure", "request_per_s"],
        "did you mean \"requests_per_s\"",
    );
    compare(&["before", "after", "--format", "html"], "--format");
    compare(&["before", "after", "--fail-on", "improved"], "--fail-on");
    compare(&["before", "after", "--threshold", "5%"], "--fail-on");
    for share in ["5", "-1%", "100%", "nan", "some"] {
        let threshold = format!("--threshold={share}");
        let all = [
            "compare",
            "before",
            "after",
            "--fail-on",
            "regressed",
            &threshold,
        ];
        bench.refused(&all, "5% or 0.05");
    }
    bench.refused(&["rank", "before", "nowhere"], "no run at nowhere");
    bench.refused(&["rank", "before", "bench-results/before"], "the same run");
    bench.refused(&["rank", "before:axum"], "use --server axum");
    bench.refused(&["rank", "before", "--by", "start_ms"], "--by");
    bench.refused(
        &["rank", "before", "--server", "axun"],
        "did you mean \"axum\"",
    );
    bench.refused(&["rank"], "no run at latest");
}

#[test]
fn the_committed_run_is_ranked() {
    let bench = Bench::whole().with("slower", &scaled("hyper", "requests_per_s", 0.2));
    let found = bench.json(&["rank", "before"], 0);
    assert_eq!(
        (&found["ranked_by"], &found["withheld"]),
        (&"requests_per_s".into(), &Value::Null)
    );
    let servers: Vec<&str> = found["places"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| place["server"].as_str().unwrap())
        .collect();
    assert_eq!(servers.len(), 5);
    assert_eq!(servers[3..], ["axum", "salvo"]);
    for place in found["places"].as_array().unwrap() {
        let workloads = place["workloads"].as_array().unwrap();
        assert_eq!(workloads.len(), 4);
        // The mean over rounds is near that of the workloads' medians.
        let medians = workloads
            .iter()
            .map(|w| w["distance"]["median"].as_f64().unwrap().ln());
        let mean = (medians.sum::<f64>() / 4.0).exp();
        let distance = &place["distance"];
        assert!(
            (distance["median"].as_f64().unwrap() / mean - 1.0).abs() < 0.1,
            "{place}"
        );
        assert!(distance["low"].as_f64().unwrap() <= distance["high"].as_f64().unwrap());
    }
    let found = bench.json(&["rank", "slower", "--by", "requests_per_s"], 0);
    assert_eq!(found["places"][4]["server"], "hyper");
    let found = bench.json(
        &["rank", "before", "slower", "--by", "cpu_us_per_request"],
        0,
    );
    assert_eq!(found["places"][0]["rounds"], 20);
    let out = bench.text(
        &[
            "rank",
            "before",
            "--format",
            "markdown",
            "--out",
            "standing.md",
        ],
        0,
    );
    assert_eq!(out.trim_end(), "standing.md: 5 servers ranked");
    let written = fs::read_to_string(bench.dir.path().join("standing.md")).unwrap();
    assert!(
        written.starts_with("### Standing across mixed, orders, ping, users"),
        "{written}"
    );
}

/// Runs it as a user who may write none of its files.
fn unprivileged(bench: &Bench, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harness"));
    command
        .current_dir(bench.dir.path())
        .args(arguments)
        .stdin(Stdio::null());
    if rustix::process::geteuid().is_root() {
        // The permissions of files do not hold for root.
        command.uid(65534).gid(65534);
    }
    command.output().unwrap()
}

fn allow(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_old_record_that_cannot_be_written_is_read_and_left_alone() {
    let bench = Bench::new();
    let folder = bench.folder("before");
    let file = folder.join("run.sqlite");
    assert_eq!(Store::version(&file).unwrap(), 1);
    let before = fs::read(&file).unwrap();
    allow(bench.dir.path(), 0o755);
    for (folder_mode, file_mode) in [(0o555, 0o444), (0o555, 0o666), (0o755, 0o444)] {
        allow(&file, file_mode);
        allow(&folder, folder_mode);
        for arguments in [
            &["report", "bench-results/before", "--format", "csv"][..],
            &["compare", "bench-results/before", "bench-results/before"],
        ] {
            let output = unprivileged(&bench, arguments);
            let error = String::from_utf8_lossy(&output.stderr);
            assert_eq!(
                output.status.code(),
                Some(0),
                "{arguments:?} {file_mode:o}: {error}"
            );
            assert!(!output.stdout.is_empty());
        }
        assert_eq!(
            fs::read(&file).unwrap(),
            before,
            "{folder_mode:o} {file_mode:o}"
        );
        allow(&folder, 0o755);
    }
}
