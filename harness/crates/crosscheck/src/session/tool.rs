//! The load generators: which are available, and how each is told to create the same load.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::files::Files;

use loadgen::EngineKind;
use record::{BARE, ToolRecord};

/// Third-party tools.
const OTHERS: [&str; 3] = ["wrk", "oha", "hey"];
/// Request timeout in seconds; the same for all.
const TIMEOUT_S: u64 = 5;

/// Settings of a drive.
#[derive(Debug, Clone)]
pub(super) struct Load {
    /// The server.
    pub(super) addr: SocketAddr,
    /// The path.
    pub(super) path: String,
    /// Connections.
    pub(super) connections: u32,
    /// When to stop.
    pub(super) until: Until,
    /// Requests per second, for tools with a fixed rate; a closed loop if absent.
    pub(super) rate_per_s: Option<f64>,
    /// Whether latency runs from the intended send time, if the tool has the choice.
    pub(super) corrected: bool,
    /// Whether ours spins instead of sleeping.
    pub(super) spin: bool,
    /// Files for the tools.
    pub(super) files: Files,
}

/// When a drive stops.
#[derive(Debug, Clone, Copy)]
pub(super) enum Until {
    /// After this time.
    Time(Duration),
    /// After this many requests.
    Requests(u64),
}

/// How to call a tool and parse its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The harness's own, with this I/O backend.
    Ours(EngineKind),
    /// The minimum.
    Bare,
    /// wrk 4.
    Wrk,
    /// oha, whose flags differ between versions.
    Oha {
        /// Flags that select JSON.
        json: &'static [&'static str],
        /// Whether the number of threads can be set.
        threads: bool,
    },
    /// hey.
    Hey,
}

/// An available load generator.
#[derive(Debug, Clone)]
pub struct Tool {
    /// Its entry in the record.
    pub record: ToolRecord,
    pub(super) kind: Kind,
    program: PathBuf,
}

/// Valid tool names.
pub fn tool_names() -> Vec<&'static str> {
    let ours = EngineKind::ALL.map(EngineKind::name);
    ours.into_iter().chain([BARE]).chain(OTHERS).collect()
}

/// The tools with these names (all if none are named), and those left out, each with the reason.
///
/// # Errors
/// If the harness can't find its own executable.
pub fn find_tools(wanted: &[String]) -> Result<(Vec<Tool>, Vec<ToolRecord>)> {
    let own = std::env::current_exe().context("cannot find the harness's own executable")?;
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    for name in tool_names() {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        let engine = name.parse::<EngineKind>().ok();
        let tool = match (name, engine) {
            (BARE, _) => Ok((own.clone(), Kind::Bare)),
            (_, Some(engine)) => match engine.available() {
                Ok(()) => Ok((own.clone(), Kind::Ours(engine))),
                Err(why) => Err(why.to_string()),
            },
            _ => other(name),
        };
        let record = |version, left_out| ToolRecord {
            name: name.to_owned(),
            // The minimum is a reference, like a third-party tool.
            ours: engine.is_some(),
            version,
            left_out,
        };
        match tool {
            Ok((program, kind)) => found.push(Tool {
                record: record(version(&program, kind), None),
                kind,
                program,
            }),
            Err(why) => left_out.push(record(None, Some(why))),
        }
    }
    Ok((found, left_out))
}

/// A third-party tool's program, and how to call it.
fn other(name: &str) -> Result<(PathBuf, Kind), String> {
    let program = on_path(name).ok_or_else(|| format!("not installed: {}", how_to_get(name)))?;
    let help = said(&program, &["--help"]).unwrap_or_default();
    let kind = match name {
        "wrk" => Kind::Wrk,
        "oha" => Kind::Oha {
            json: match help.contains("--output-format") {
                true => &["--output-format", "json"],
                false => &["-j"],
            },
            threads: help.contains("--worker-threads"),
        },
        _ => Kind::Hey,
    };
    Ok((program, kind))
}

fn version(program: &Path, kind: Kind) -> Option<String> {
    let text = match kind {
        Kind::Ours(_) | Kind::Bare => {
            return Some(format!("harness {}", env!("CARGO_PKG_VERSION")));
        }
        // It prints the version above its usage, and exits with 1.
        Kind::Wrk => said(program, &["-v"])?,
        // It has no flag for it.
        Kind::Hey => return None,
        Kind::Oha { .. } => said(program, &["--version"])?,
    };
    Some(text.lines().next()?.trim().to_owned())
}

fn how_to_get(name: &str) -> &'static str {
    match name {
        "wrk" => "apt-get install wrk",
        "oha" => "cargo install oha --locked",
        _ => "apt-get install hey",
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let mut candidates = std::env::split_paths(&path).map(|folder| folder.join(name));
    candidates.find(|candidate| candidate.is_file())
}

/// Whether a program with this name is on the path.
pub(super) fn is_installed(name: &str) -> bool {
    on_path(name).is_some()
}

/// A program's output, from either stream.
fn said(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text += &String::from_utf8_lossy(&output.stderr);
    Some(text)
}

impl Tool {
    /// Whether it can send at a fixed rate, rather than with a pause between requests.
    pub(super) fn can_be_paced(&self) -> bool {
        !matches!(self.kind, Kind::Wrk | Kind::Bare)
    }

    /// The command that creates this load on one thread.
    pub(super) fn command(&self, load: &Load) -> Vec<String> {
        let mut words = Words(vec![self.program.to_string_lossy().into_owned()]);
        match self.kind {
            Kind::Ours(engine) => ours(&mut words, load, engine),
            Kind::Bare => bare_words(&mut words, load),
            Kind::Wrk => wrk(&mut words, load),
            Kind::Oha { json, threads } => oha(&mut words, load, (json, threads)),
            Kind::Hey => hey(&mut words, load),
        }
        words.0
    }
}

/// Command line.
struct Words(Vec<String>);

impl Words {
    fn add(&mut self, more: &[&str]) {
        self.0.extend(more.iter().map(|word| (*word).to_owned()));
    }

    /// When to stop, in the flags of oha and hey.
    fn add_until(&mut self, until: Until) {
        match until {
            Until::Time(time) => self.add(&["-z", &format!("{}ms", time.as_millis())]),
            Until::Requests(n) => self.add(&["-n", &n.to_string()]),
        }
    }
}

impl Load {
    fn url(&self) -> String {
        format!("http://{}{}", self.addr, self.path)
    }
}

fn ours(words: &mut Words, load: &Load, engine: EngineKind) {
    words.add(&["drive", "--json", "-t", "1"]);
    words.add(&["-c", &load.connections.to_string()]);
    words.add(&["--timeout", &format!("{TIMEOUT_S}s")]);
    match load.until {
        Until::Time(time) => words.add(&["-d", &format!("{}ms", time.as_millis())]),
        Until::Requests(n) => words.add(&["-n", &n.to_string()]),
    }
    if let Some(rate) = load.rate_per_s {
        words.add(&["--rate", &rate.to_string()]);
    }
    if load.spin {
        words.add(&["--spin"]);
    }
    words.add(&["--engine", engine.name()]);
    let base = format!("http://{}", load.addr);
    words.add(&["--workload", load.files.workload(), &base]);
}

fn bare_words(words: &mut Words, load: &Load) {
    words.add(&["bare", "--addr", &load.addr.to_string()]);
    words.add(&["--path", &load.path]);
    words.add(&["--connections", &load.connections.to_string()]);
    match load.until {
        Until::Time(time) => words.add(&["--duration-ms", &time.as_millis().to_string()]),
        Until::Requests(n) => words.add(&["--duration-ms", "20000", "--requests", &n.to_string()]),
    }
}

fn wrk(words: &mut Words, load: &Load) {
    words.add(&["-t", "1", "-c", &load.connections.to_string()]);
    words.add(&["--timeout", &format!("{TIMEOUT_S}s")]);
    // It takes only whole seconds, and can stop only by time.
    let seconds = match load.until {
        Until::Time(time) => time.as_secs().max(1),
        Until::Requests(_) => 1,
    };
    words.add(&["-d", &format!("{seconds}s")]);
    words.add(&["-s", load.files.wrk_script()]);
    words.add(&[&load.url()]);
}

fn oha(words: &mut Words, load: &Load, (json, threads): (&[&str], bool)) {
    words.add(&["--no-tui", "-c", &load.connections.to_string()]);
    words.add(&["-t", &format!("{TIMEOUT_S}s")]);
    words.add(json);
    if threads {
        words.add(&["--worker-threads", "1"]);
    }
    words.add_until(load.until);
    if let Some(rate) = load.rate_per_s {
        words.add(&["-q", &rate.to_string()]);
        if load.corrected {
            words.add(&["--latency-correction"]);
        }
    }
    words.add(&[&load.url()]);
}

fn hey(words: &mut Words, load: &Load) {
    words.add(&["-cpus", "1", "-c", &load.connections.to_string()]);
    words.add(&["-t", &TIMEOUT_S.to_string()]);
    words.add_until(load.until);
    if let Some(rate) = load.rate_per_s {
        // Its rate is per connection.
        let each = rate / f64::from(load.connections);
        words.add(&["-q", &each.to_string()]);
    }
    words.add(&[&load.url()]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(kind: Kind) -> Tool {
        Tool {
            record: ToolRecord {
                name: "it".to_owned(),
                ours: matches!(kind, Kind::Ours(_)),
                version: None,
                left_out: None,
            },
            kind,
            program: "it".into(),
        }
    }

    fn words(kind: Kind, rate_per_s: Option<f64>) -> String {
        let load = Load {
            addr: "127.0.0.1:80".parse().unwrap(),
            path: "/a/b".to_owned(),
            connections: 16,
            until: Until::Time(Duration::from_secs(2)),
            rate_per_s,
            corrected: true,
            spin: false,
            files: Files::named("W", "S"),
        };
        tool(kind).command(&load).join(" ")
    }

    #[test]
    fn all_are_asked_for_the_same() {
        let oha = Kind::Oha {
            json: &["-j"],
            threads: true,
        };
        for (kind, rate, command) in [
            (
                Kind::Ours(EngineKind::Epoll),
                None,
                "it drive --json -t 1 -c 16 --timeout 5s -d 2000ms --engine epoll \
                 --workload W http://127.0.0.1:80",
            ),
            (
                Kind::Ours(EngineKind::IoUring),
                Some(1000.0),
                "it drive --json -t 1 -c 16 --timeout 5s -d 2000ms --rate 1000 --engine io_uring \
                 --workload W http://127.0.0.1:80",
            ),
            (
                Kind::Bare,
                None,
                "it bare --addr 127.0.0.1:80 --path /a/b --connections 16 --duration-ms 2000",
            ),
            (
                Kind::Wrk,
                None,
                "it -t 1 -c 16 --timeout 5s -d 2s -s S http://127.0.0.1:80/a/b",
            ),
            (
                oha,
                Some(1000.0),
                "it --no-tui -c 16 -t 5s -j --worker-threads 1 -z 2000ms -q 1000 \
                 --latency-correction http://127.0.0.1:80/a/b",
            ),
            (
                Kind::Hey,
                Some(1000.0),
                "it -cpus 1 -c 16 -t 5 -z 2000ms -q 62.5 http://127.0.0.1:80/a/b",
            ),
        ] {
            assert_eq!(words(kind, rate), command);
        }
    }

    #[test]
    fn what_is_not_here_is_left_out_with_a_word() {
        let error = other("no-such-load-generator").unwrap_err();
        assert!(error.contains("not installed"), "{error}");
    }
}
