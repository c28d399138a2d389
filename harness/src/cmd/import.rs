//! `harness import`: writes a workload from the description, a recording or a log of somebody's own service.

mod har;
mod log;
mod openapi;
mod sample;
pub(super) mod secret;
mod write;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use serde_json::Value;

use super::access_log::Log;
use crate::flags::{Status, Usage};
use catalog::Workload;
use words::counted;

const EXAMPLES: &str = "\
Examples:
  cargo harness import openapi.yaml -o shop.toml       a request for each operation, all with the same weight
  cargo harness import openapi.json | less             look first; what was left out is on stderr
  cargo harness import recording.har -o shop.toml      what a browser or a proxy sent, by frequency
  cargo harness import recording.har --host api.example.com
  cargo harness import access.log -o shop.toml         what an access log has, by frequency
  cargo harness workload from-log access.log -o shop.toml   the same
  cargo harness drive --workload shop.toml --any-body http://127.0.0.1:8080
  cargo harness bench --target http://127.0.0.1:8080 --rate 500 --workload shop.toml

OpenAPI 3 in YAML or JSON: values come from example, examples, default, const, enum, or else from the type and \
its limits. Optional parameters are written only if they have an example or a default. HAR: requests with \
another status than 200 to 299 in the recording are left out, as are those to other hosts.

Access logs: common and combined log format (Apache, nginx), and JSON lines (Caddy, Traefik, nginx and others). \
A log has no bodies, so POST, PUT and PATCH are left out, as are requests with another status than 200 to 299 or 304. \
Comments in the workload give each route's share and how the requests were spread over time. Addresses, users, \
referrers and agents are not read. In paths and queries, secrets (by the name of their parameter), e-mail addresses, \
UUIDs, IP addresses, numbers of 10 digits or more and tokens are replaced, equal ones by the same; names, words and \
shorter numbers are not.

Authorization, cookies, tokens and keys are not written unless --keep-secrets is given. Read the file before you \
use it: its requests may create, change and delete data.";

/// Largest file that is read, bytes.
const LARGEST: u64 = 256 << 20;
/// Largest workload file that can be read again, bytes.
const LARGEST_WORKLOAD: usize = 1 << 20;

/// Flags of `harness import`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// An OpenAPI 3 document (YAML or JSON), a HAR file or an access log; detected from its content
    file: PathBuf,
    /// File to write, whose name is the workload's; must not exist [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Import only requests to this host, from a HAR file [default: the one with the most requests]
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Also write what may be secret: headers such as Authorization and Cookie, and parameters and bodies with
    /// passwords, tokens or keys; replace nothing of an access log
    #[arg(long, alias = "keep-headers")]
    keep_secrets: bool,
}

/// Flags of `harness workload`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WorkloadArguments {
    #[command(subcommand)]
    from: WorkloadVerb,
}

#[derive(Debug, Subcommand)]
enum WorkloadVerb {
    /// Write a workload from an access log, like `harness import`
    FromLog(Arguments),
}

/// Writes a workload from a log.
///
/// # Errors
/// As [`run`].
pub fn run_workload(arguments: &WorkloadArguments) -> Result<Status> {
    let WorkloadVerb::FromLog(arguments) = &arguments.from;
    write(arguments, true)
}

/// What was read, in the terms of a workload.
#[derive(Debug, Default)]
struct Imported {
    /// A description of the whole.
    about: String,
    /// What else there is to say, one comment each.
    notes: Vec<String>,
    requests: Vec<Request>,
    /// What was left out and why, with how often.
    left_out: BTreeMap<String, usize>,
}

/// A request to write.
#[derive(Debug, Clone, Default, PartialEq)]
struct Request {
    /// A line that says what it is; empty if there is nothing to say.
    note: String,
    weight: u32,
    method: String,
    /// Percent-encoded, without a query.
    path: String,
    query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
    body: Option<Body>,
}

#[derive(Debug, Clone, PartialEq)]
enum Body {
    Json(Value),
    Text(String),
}

impl Imported {
    fn leave_out(&mut self, what: impl Into<String>) {
        *self.left_out.entry(what.into()).or_default() += 1;
    }
}

/// Writes the workload.
///
/// # Errors
/// [`Usage`] if the file is none of the known ones, or the output can't be written; another error if there is
/// nothing to import.
pub fn run(arguments: &Arguments) -> Result<Status> {
    write(arguments, false)
}

/// Writes the workload of a file, which is a log if `is_log`.
fn write(arguments: &Arguments, is_log: bool) -> Result<Status> {
    let shown = arguments.file.display();
    if let Some(out) = &arguments.out {
        refuse_name(out)?;
    }
    let imported = match is_log || Log::is_one(&arguments.file) {
        true => import_log(arguments)?,
        false => import(arguments)?,
    };
    tell_left_out(&imported.left_out);
    if imported.requests.is_empty() {
        bail!("{shown}: there is no request to import; the lines above say why");
    }
    let text = write::workload(&imported);
    if text.len() > LARGEST_WORKLOAD {
        bail!(
            "{shown}: its {} make a workload of {} KiB, and at most 1 MiB can be read: record less",
            counted(imported.requests.len(), "request"),
            text.len() >> 10
        );
    }
    // What was written must be readable.
    let name = arguments
        .out
        .as_deref()
        .unwrap_or(Path::new("imported.toml"));
    Workload::parse(name, &text)
        .context("the workload made from it is invalid; this is a fault of the importer")?;
    match &arguments.out {
        None => say!("{}", text.trim_end()),
        Some(path) => {
            let file = std::fs::File::create_new(path);
            let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
            written.map_err(|error| Usage(format!("--out {}: {error}", path.display())))?;
        }
    }
    let requests = counted(imported.requests.len(), "request");
    let to = match &arguments.out {
        None => String::new(),
        Some(path) => format!(" in {}", path.display()),
    };
    eprintln!("{requests}{to}; read what they do before you send them");
    Ok(Status::Fine)
}

fn import(arguments: &Arguments) -> Result<Imported> {
    let document = read(&arguments.file)?;
    Ok(match kind(&document) {
        DocumentKind::OpenApi => {
            if let Some(host) = &arguments.host {
                refuse!("--host {host}: only a HAR file has several hosts");
            }
            openapi::import(&document, arguments.keep_secrets)
        }
        DocumentKind::Har => {
            har::import(&document, arguments.host.as_deref(), arguments.keep_secrets)?
        }
        DocumentKind::Other(why) => refuse!("{}: {why}", arguments.file.display()),
    })
}

fn import_log(arguments: &Arguments) -> Result<Imported> {
    if let Some(host) = &arguments.host {
        refuse!("--host {host}: only a HAR file has several hosts");
    }
    log::import(&arguments.file, arguments.keep_secrets)
}

/// Prints what was left out.
pub(super) fn tell_left_out(left_out: &BTreeMap<String, usize>) {
    for (what, times) in left_out {
        let times = match times {
            1 => String::new(),
            times => format!(" ({times} times)"),
        };
        eprintln!("left out: {what}{times}");
    }
}

/// Refuses an output file that could not be used as a workload.
fn refuse_name(path: &Path) -> Result<()> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let stem = path
        .file_name()
        .and_then(|name| name.to_str()?.strip_suffix(".toml"));
    match stem {
        Some(stem) if !stem.is_empty() && stem.chars().all(allowed) => Ok(()),
        _ => refuse!(
            "--out {}: a workload's file is named in lowercase letters, digits and hyphens, and ends in .toml",
            path.display()
        ),
    }
}

fn read(path: &Path) -> Result<Value> {
    let usage = |why: String| Usage(format!("{}: {why}", path.display()));
    let size = std::fs::metadata(path)
        .map_err(|error| usage(error.to_string()))?
        .len();
    if size > LARGEST {
        return Err(usage(format!(
            "it has {} MiB, and at most {} can be read",
            size >> 20,
            LARGEST >> 20
        ))
        .into());
    }
    let bytes = std::fs::read(path).map_err(|error| usage(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| usage("it is not text in UTF-8".to_owned()))?;
    // Some recorders begin with a byte order mark.
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let parsed = match text.starts_with('{') {
        true => serde_json::from_str(text).map_err(|error| error.to_string()),
        false => serde_saphyr::from_str(text).map_err(|error| error.to_string()),
    };
    Ok(parsed.map_err(|why| usage(format!("it is neither JSON nor YAML: {why}")))?)
}

enum DocumentKind {
    OpenApi,
    Har,
    /// Why it can't be read.
    Other(String),
}

fn kind(document: &Value) -> DocumentKind {
    let text = |member: &str| document[member].as_str();
    if document["log"]["entries"].is_array() {
        return DocumentKind::Har;
    }
    match (text("openapi"), text("swagger")) {
        (Some(version), _) if version.starts_with("3.") => DocumentKind::OpenApi,
        (Some(version), _) => {
            DocumentKind::Other(format!("OpenAPI {version} is not supported, only 3.x"))
        }
        (None, Some(version)) => DocumentKind::Other(format!(
            "Swagger {version} is not supported: convert it to OpenAPI 3 first"
        )),
        (None, None) => DocumentKind::Other(
            "neither an OpenAPI document nor a HAR file nor an access log: it has no `openapi`, no \
             `log.entries`, and no line of a log"
                .to_owned(),
        ),
    }
}

/// A path that a workload can have: everything but its characters is percent-encoded.
fn encoded(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'?' | b'#' => out.push_str(&format!("%{byte:02X}")),
            _ if byte.is_ascii_graphic() => out.push(char::from(byte)),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_document_is_shows_in_its_content() {
        let kind_of = |text: &str| match kind(&serde_json::from_str(text).unwrap()) {
            DocumentKind::OpenApi => "openapi".to_owned(),
            DocumentKind::Har => "har".to_owned(),
            DocumentKind::Other(why) => why,
        };
        assert_eq!(kind_of(r#"{"openapi":"3.0.3"}"#), "openapi");
        assert_eq!(kind_of(r#"{"log":{"entries":[]}}"#), "har");
        assert!(kind_of(r#"{"swagger":"2.0"}"#).contains("convert"));
        assert!(kind_of(r#"{"openapi":"4.0"}"#).contains("only 3.x"));
        assert!(kind_of(r#"[1]"#).contains("neither"));
    }

    #[test]
    fn a_file_name_is_a_workload_name() {
        assert!(refuse_name(Path::new("a/shop-2.toml")).is_ok());
        for wrong in ["Shop.toml", "shop", ".toml", "my shop.toml"] {
            assert!(refuse_name(Path::new(wrong)).is_err(), "{wrong}");
        }
    }
}
