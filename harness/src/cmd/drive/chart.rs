//! `drive --chart`: percentiles of latency as a picture.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::spectrum::SHOWN;
use crate::flags::Usage;
use report::{LatencyLine, latency_chart};

/// Characters for which a label of the chart has room.
const LABEL: usize = 14;

/// The chart to write, and the earlier drives that it also shows.
pub(super) struct LatencyFile<'a> {
    file: File,
    path: &'a Path,
    earlier: Vec<(String, Value)>,
}

impl<'a> LatencyFile<'a> {
    /// Reads the earlier drives and creates the file.
    ///
    /// # Errors
    /// [`Usage`] if one of them is no drive, or the file can't be created.
    pub(super) fn create(path: &'a Path, earlier: &[PathBuf]) -> Result<Self> {
        let earlier = earlier.iter().map(|path| read(path));
        Ok(Self {
            earlier: earlier.collect::<Result<_>>()?,
            file: super::create("--chart", path)?,
            path,
        })
    }

    /// Draws this drive, from its JSON.
    ///
    /// # Errors
    /// If it can't be written.
    pub(super) fn write(mut self, of: &str, drive: &Value) -> Result<()> {
        let lines = match self.earlier.is_empty() {
            true => parts(drive),
            false => self.beside(drive),
        };
        let what = match drive["loop"].as_str() {
            Some("open") => "From when a request was due to the end of its response",
            _ => "From the sending of a request to the end of its response",
        };
        let svg = latency_chart(of, what, &lines);
        let written = self.file.write_all(svg.as_bytes());
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// A line for each drive.
    fn beside(&self, drive: &Value) -> Vec<LatencyLine> {
        let name = self.path.file_stem().unwrap_or_default();
        let all = self.earlier.iter().map(|(name, json)| (name.clone(), json));
        all.chain([(name.to_string_lossy().into_owned(), drive)])
            .map(|(name, json)| line(name, whole(json)))
            .collect()
    }
}

/// An earlier drive, and the name of its file.
fn read(path: &Path) -> Result<(String, Value)> {
    let wrong = |why: String| Usage(format!("--chart-with {}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let json: Value = serde_json::from_str(&text)
        .ok()
        .filter(|json: &Value| json["latency_ns"].is_object())
        .ok_or_else(|| wrong("not the output of `harness drive --json`".to_owned()))?;
    let name = path.file_stem().unwrap_or_default();
    Ok((name.to_string_lossy().into_owned(), json))
}

/// The chains of a session if there are any, else the requests.
fn whole(drive: &Value) -> (&Value, &Value) {
    match &drive["session"] {
        Value::Null => (&drive["latency_ns"], &drive["requests"]),
        session => (&session["time_ns"], &session["complete"]),
    }
}

/// A line for each class, and one for the chains; a single one for all requests if they have no classes.
fn parts(drive: &Value) -> Vec<LatencyLine> {
    let classes = drive["classes"].as_array().map_or(&[][..], Vec::as_slice);
    let session = !drive["session"].is_null();
    if classes.len() < 2 && !session {
        return vec![line("all requests".to_owned(), whole(drive))];
    }
    let class = |class: &Value| {
        let name = end_of(class["name"].as_str().unwrap_or_default());
        line(name, (&class["latency_ns"], &class["requests"]))
    };
    let chain = session.then(|| line("whole chain".to_owned(), whole(drive)));
    classes.iter().map(class).chain(chain).collect()
}

/// Routes often begin alike, so the end of a long name is kept.
fn end_of(name: &str) -> String {
    let long = name.chars().count();
    if long <= LABEL {
        return name.to_owned();
    }
    let end = name.chars().skip(long + 1 - LABEL);
    std::iter::once('…').chain(end).collect()
}

fn line(name: String, (latency_ns, count): (&Value, &Value)) -> LatencyLine {
    let point = |(name, quantile): (&str, f64)| {
        let ns = latency_ns[name.replace('.', "")].as_f64()?;
        Some((quantile, ns / 1e3))
    };
    LatencyLine {
        name,
        points: SHOWN.into_iter().filter_map(point).collect(),
        count: count.as_u64().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(end_of("GET /ping"), "GET /ping");
        assert_eq!(end_of("GET /api/v1/users"), "…/api/v1/users");
        assert_eq!(end_of("GET /api/v1/users/{}"), "…i/v1/users/{}");
    }
}
