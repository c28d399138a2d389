//! `harness bench --metrics`: what it tells while a run is under way, to anyone and to Prometheus.

use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use reqwest::Url;
use reqwest::blocking::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::cli::support::Bench;

/// The longest that anything here may take; it takes a few seconds.
const LIMIT: Duration = Duration::from_secs(90);
const DASHBOARD: &str = include_str!("../../../../scripts/grafana-dashboard.json");

/// A process of ours, which does not outlive the test.
struct Ours(Child);

impl Ours {
    /// Asks it to end, and waits.
    fn end(mut self, signal: Signal) -> Option<i32> {
        let pid = Pid::from_child(&self.0);
        kill_process(pid, signal).unwrap();
        self.0.wait().unwrap().code()
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A long run with the metrics on, and where they are.
fn begin(bench: &Bench) -> (Ours, Url) {
    let arguments = [
        "--profile=smoke",
        "--workload=ping",
        "--no-control",
        "--rounds=100",
        "--duration=300ms",
        "--warmup=20ms",
        "--connections=8",
        "--metrics=127.0.0.1:0",
        "--out",
    ];
    let mut command = bench.command("bench", &arguments);
    command
        .arg(bench.out())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let child = Ours(child);
    let url = lines
        .by_ref()
        .map(Result::unwrap)
        .find_map(|line| {
            line.strip_prefix("metrics: ")
                .map(|url| url.parse().unwrap())
        })
        .expect("it says where its metrics are");
    // Read on, so that it never waits for a reader.
    thread::spawn(move || lines.for_each(drop));
    (child, url)
}

/// Asks until there is an answer, within [`LIMIT`].
fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begin.elapsed() < LIMIT, "{what}: not within {LIMIT:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn total(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn a_run_tells_how_far_it_is_and_stops_telling_when_it_ends() {
    let bench = Bench::new().with("right", &[]);
    let (harness, url) = begin(&bench);
    let ask = || {
        let response = reqwest::blocking::get(url.clone()).unwrap();
        let kind = response.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            kind.starts_with("application/openmetrics-text; version=1.0.0"),
            "{kind}"
        );
        response.text().unwrap()
    };
    let cell = "{server=\"right\",workload=\"ping\",stage=\"peak\"}";
    let requests = format!("harness_load_requests_total{cell}");
    let figure = format!("harness_trial_requests_per_second{cell}");
    let first = until("a load under way", || {
        total(&ask(), &requests).filter(|n| *n > 0.0)
    });
    let text = until("a trial's figures", || {
        Some(ask()).filter(|text| text.contains(&figure))
    });
    assert!(total(&text, &requests).unwrap() >= first, "{text}");
    assert!(
        total(&text, "harness_trials_finished_total").unwrap() >= 1.0,
        "{text}"
    );
    assert_eq!(total(&text, "harness_trials_planned"), Some(200.0));
    assert_eq!(total(&text, "harness_phase{phase=\"measure\"}"), Some(1.0));
    assert!(text.ends_with("# EOF\n"), "{text}");

    assert_eq!(harness.end(Signal::TERM), Some(130));
    let address = url.socket_addrs(|| None).unwrap()[0];
    assert!(
        TcpStream::connect(address).is_err(),
        "something still listens at {address}"
    );
}

#[test]
fn an_address_in_use_is_refused_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let bench = Bench::new().with("right", &[]);
    for (address, words) in [
        (address.as_str(), "already in use"),
        ("0.0.0.0:9464", "only a loopback address"),
    ] {
        let run = bench.bench(&["--metrics", address]);
        assert_eq!(run.status, Some(2), "{}", run.stderr);
        let text = &run.stderr;
        assert!(text.contains(address) && text.contains(words), "{text}");
        assert!(!bench.out().exists());
    }
}

/// A real Prometheus reads it, and answers every query of the dashboard.
#[test]
fn prometheus_reads_it_and_answers_the_dashboard() {
    if Command::new("prometheus")
        .arg("--version")
        .output()
        .is_err()
    {
        eprintln!(
            "skipped: there is no prometheus on this machine (Debian: apt-get install prometheus)"
        );
        return;
    }
    let bench = Bench::new().with("right", &[]);
    let (harness, url) = begin(&bench);
    let (prometheus, api) = prometheus(&bench.dir.path().join("prometheus"), &url);
    let client = Client::new();
    let ask = |path: &str, parameters: &[(&str, &str)]| -> Option<Value> {
        let url = Url::parse_with_params(&format!("{api}{path}"), parameters).unwrap();
        client.get(url).send().ok()?.json().ok()
    };
    // It is strict with OpenMetrics: one line it can't read, and the target is down.
    until("a scrape that went well", || {
        let targets = ask("targets", &[])?;
        let target = targets.pointer("/data/activeTargets/0")?.clone();
        let health = target["health"].as_str()?.to_owned();
        assert!(matches!(health.as_str(), "up" | "unknown"), "{target:#}");
        (health == "up").then_some(())
    });
    let mut expressions = Vec::new();
    expressions_of(&serde_json::from_str(DASHBOARD).unwrap(), &mut expressions);
    assert!(expressions.len() > 10, "{expressions:?}");
    for expression in expressions {
        until(&expression, || {
            let answer = ask("query", &[("query", &expression)])?;
            assert_eq!(answer["status"], "success", "{expression}: {answer:#}");
            let found = answer.pointer("/data/result")?.as_array()?;
            (!found.is_empty()).then_some(())
        });
    }
    assert_eq!(harness.end(Signal::TERM), Some(130));
    assert_eq!(prometheus.end(Signal::TERM), Some(0));
}

/// Starts one that looks every second, which leaves a busy machine time to answer, and gives where its API is.
fn prometheus(folder: &Path, target: &Url) -> (Ours, String) {
    std::fs::create_dir(folder).unwrap();
    let config = folder.join("prometheus.yml");
    let address = target.socket_addrs(|| None).unwrap()[0];
    let text = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\n\
         scrape_configs: [{{ job_name: harness, static_configs: [{{ targets: ['{address}'] }}] }}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            folder.join("data").display()
        ))
        .arg(format!("--web.listen-address={free}"))
        .arg("--log.level=error")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (Ours(child), format!("http://{free}/api/v1/"))
}

/// The queries of the panels, with what Grafana would put in.
fn expressions_of(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| expressions_of(item, found)),
        Value::Object(members) => {
            if let Some(expression) = members.get("expr").and_then(Value::as_str) {
                let put_in = ["$server", "$workload", "$stage"]
                    .iter()
                    .fold(expression.to_owned(), |text, name| text.replace(name, ".*"));
                found.push(put_in.replace("$__rate_interval", "5s"));
            }
            members
                .values()
                .for_each(|member| expressions_of(member, found));
        }
        _ => {}
    }
}
