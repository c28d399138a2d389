//! `microbench.json`: what parts of the servers and of the harness take by themselves, without a socket.
//!
//! It is a separate file with its own version: one measurement of a revision serves many runs.

use serde::{Deserialize, Serialize};

use super::{Document, Environment, Failure, Head};

/// The file's name.
pub const MICROBENCH_FILE: &str = "microbench.json";

/// Every microbenchmark of the workspace, on one machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Microbenches {
    /// What every such file begins with.
    #[serde(flatten)]
    pub head: Head,
    /// The machine, without findings.
    pub environment: Environment,
    /// The servers of the workspace, those without benchmarks included.
    pub servers: Vec<BenchedServer>,
    /// The benchmarks, in the order they ran.
    pub benches: Vec<Microbench>,
    /// Packages whose benchmarks failed, and why.
    pub failures: Vec<PackageFailure>,
}

/// A server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchedServer {
    /// Its name.
    pub name: String,
    /// The name shown in tables.
    pub display: String,
    /// The version of its framework.
    pub version: Option<String>,
}

/// One benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Microbench {
    /// What a table is about, as in `handlers`.
    pub topic: String,
    /// Its row in that table: a server, a library.
    pub subject: String,
    /// Its column, as in `users/20`.
    pub case: String,
    /// Operations that an iteration consists of.
    pub operations: u64,
    /// Time of an operation, nanoseconds: the mean over all samples.
    pub mean_ns: BenchTime,
    /// The same, the median.
    pub median_ns: BenchTime,
}

/// An estimate and its 95 % interval, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BenchTime {
    /// The estimate.
    pub value: f64,
    /// The interval's lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

/// Why a package has no figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageFailure {
    /// The package.
    pub package: String,
    /// What failed.
    pub failure: Failure,
}

impl Document for Microbenches {
    const WHAT: &'static str = "set of microbenchmarks";
    const KIND: &'static str = "microbench";
    const VERSION: u32 = 1;

    fn head(&self) -> &Head {
        &self.head
    }
}

impl Microbenches {
    /// The topics, in the order they ran.
    pub fn topics(&self) -> Vec<&str> {
        distinct(self.benches.iter().map(|bench| bench.topic.as_str()))
    }

    /// The rows of a topic's table. If a row is a server, all servers have one.
    pub fn subjects(&self, topic: &str) -> Vec<&str> {
        let of_topic = self.benches.iter().filter(|bench| bench.topic == topic);
        let found = distinct(of_topic.map(|bench| bench.subject.as_str()));
        let servers = self.servers.iter().map(|server| server.name.as_str());
        let of_servers = servers.clone().any(|server| found.contains(&server));
        match of_servers {
            true => distinct(found.into_iter().chain(servers)),
            false => found,
        }
    }

    /// The columns of a topic's table.
    pub fn cases(&self, topic: &str) -> Vec<&str> {
        let of_topic = self.benches.iter().filter(|bench| bench.topic == topic);
        distinct(of_topic.map(|bench| bench.case.as_str()))
    }

    /// One benchmark.
    pub fn bench(&self, topic: &str, subject: &str, case: &str) -> Option<&Microbench> {
        self.benches.iter().find(|bench| {
            (
                bench.topic.as_str(),
                bench.subject.as_str(),
                bench.case.as_str(),
            ) == (topic, subject, case)
        })
    }

    /// The name shown for a row.
    pub fn shown<'a>(&'a self, subject: &'a str) -> &'a str {
        let server = self.servers.iter().find(|server| server.name == subject);
        server.map_or(subject, |server| &server.display)
    }
}

impl Microbench {
    /// The wider half of the median's interval, relative to it.
    pub fn spread(&self) -> f64 {
        let BenchTime { value, low, high } = self.median_ns;
        (high - value).max(value - low) / value
    }
}

/// Each text once, in the order of its first appearance.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}
