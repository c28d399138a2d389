//! Builds each server alone and copies its binary aside.
//!
//! Alone, because cargo unifies the features of all packages built together: a
//! dependency shared by two servers would then be compiled with the features of both,
//! and neither would be the program its author wrote.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::{Artifact, Message, PackageId};
use sha2::{Digest, Sha256};

use crate::catalog::{Catalog, Server, Source};
use crate::record;

/// The one cargo profile all servers are built with.
const CARGO_PROFILE: &str = "release";

/// A server that can be started.
#[derive(Debug, Clone)]
pub struct Built {
    /// What was built.
    pub server: Server,
    /// How it is started.
    pub launch: Launch,
    /// What is recorded of it.
    pub record: record::Build,
}

/// The command that starts a server.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Program and arguments, with `{addr}` and `{workers}` to be filled in.
    pub command: Vec<String>,
    /// The folder it runs in.
    pub folder: PathBuf,
}

/// Builds one server.
///
/// # Errors
/// A [`record::Failure`] of the build step with the end of the compiler's messages.
pub fn build(catalog: &Catalog, server: &Server) -> Result<Built, record::Failure> {
    let begin = Instant::now();
    let built = match &server.source {
        Source::Package { id, bin } => build_package(catalog, server, id, bin),
        Source::Program { folder, run, build } => {
            build_program(catalog, server, folder, run, build.as_deref())
        }
    };
    built
        .map(|mut built| {
            built.record.build_ms = begin.elapsed().as_millis() as u64;
            built
        })
        .map_err(|error| build_failure(&error))
}

/// A build that failed, with what the compiler said kept apart from the cause.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
struct BuildError {
    reason: String,
    output: String,
}

fn build_failure(error: &anyhow::Error) -> record::Failure {
    let output = error
        .downcast_ref::<BuildError>()
        .map(|error| super::tail(&error.output))
        .unwrap_or_default();
    record::Failure {
        step: record::Step::Build,
        reason: format!("{error:#}"),
        log_tail: output,
    }
}

fn build_package(catalog: &Catalog, server: &Server, id: &PackageId, bin: &str) -> Result<Built> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(&catalog.root)
        .args(["build", "--profile", CARGO_PROFILE])
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--package", &id.repr, "--bin", bin])
        .stdin(Stdio::null())
        .output()
        .context("cannot start cargo")?;
    succeeded(&output, "it does not compile")?;
    let artifact = find_binary(&output.stdout, id, bin)?;
    let made = artifact.executable.context("cargo named no executable")?;
    let aside = copy_aside(made.as_std_path(), &catalog.target, &server.name)?;
    let command = vec![
        aside.to_string_lossy().into_owned(),
        "--addr".to_owned(),
        "{addr}".to_owned(),
        "--workers".to_owned(),
        "{workers}".to_owned(),
    ];
    Ok(Built {
        server: server.clone(),
        record: record::Build {
            features: artifact.features,
            rustc: rustc_version(),
            profile: Some(CARGO_PROFILE.to_owned()),
            ..describe(&aside, &catalog.root)?
        },
        launch: Launch {
            command,
            folder: catalog.root.clone(),
        },
    })
}

fn find_binary(messages: &[u8], id: &PackageId, bin: &str) -> Result<Artifact> {
    for message in Message::parse_stream(messages) {
        if let Message::CompilerArtifact(artifact) = message?
            && artifact.package_id == *id
            && artifact.target.name == bin
            && artifact.executable.is_some()
        {
            return Ok(artifact);
        }
    }
    bail!("cargo built no binary called {bin}")
}

fn build_program(
    catalog: &Catalog,
    server: &Server,
    folder: &Path,
    run: &[String],
    build: Option<&[String]>,
) -> Result<Built> {
    if let Some([program, arguments @ ..]) = build {
        let output = Command::new(program)
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot start its build command \"{program}\""))?;
        succeeded(&output, "its build command failed")?;
    }
    // A relative program is one of the manifest's folder, a bare name one of the PATH.
    let program = folder.join(&run[0]);
    let record = if run[0].contains('/') && program.is_file() {
        describe(&program, &catalog.root)?
    } else {
        record::Build::default()
    };
    let mut command = run.to_vec();
    if run[0].contains('/') {
        command[0] = program.to_string_lossy().into_owned();
    }
    Ok(Built {
        server: server.clone(),
        launch: Launch {
            command,
            folder: folder.to_owned(),
        },
        record,
    })
}

fn succeeded(output: &Output, reason: &str) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    Err(anyhow!(BuildError {
        reason: format!("{reason} ({})", output.status),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    }))
}

/// Copies a binary to where no later build changes it.
fn copy_aside(made: &Path, target: &Path, name: &str) -> Result<PathBuf> {
    let folder = target.join("harness").join("bin");
    let aside = folder.join(name);
    let unfinished = folder.join(format!("{name}.{}", std::process::id()));
    fs::create_dir_all(&folder)
        .and_then(|()| fs::copy(made, &unfinished))
        .and_then(|_| fs::rename(&unfinished, &aside))
        .with_context(|| format!("cannot copy the binary to {}", aside.display()))?;
    Ok(aside)
}

/// Size and hash of a binary; its path only where it lies in the workspace, since a
/// record holds none of the machine's own paths.
fn describe(binary: &Path, root: &Path) -> Result<record::Build> {
    let mut bytes = Vec::new();
    fs::File::open(binary)?.read_to_end(&mut bytes)?;
    let hash = Sha256::digest(&bytes);
    Ok(record::Build {
        binary: binary
            .strip_prefix(root)
            .ok()
            .map(|path| path.to_string_lossy().into_owned()),
        size_bytes: Some(bytes.len() as u64),
        stripped_bytes: stripped_size(binary),
        sha256: Some(hash.iter().map(|byte| format!("{byte:02x}")).collect()),
        ..record::Build::default()
    })
}

/// The size without symbols, as binutils' `strip` leaves it; none where that is absent.
fn stripped_size(binary: &Path) -> Option<u64> {
    let stripped = binary.with_extension(format!("stripped.{}", std::process::id()));
    let status = Command::new("strip")
        .arg("-o")
        .args([&stripped, binary])
        .stderr(Stdio::null())
        .status();
    let size = fs::metadata(&stripped).ok().map(|metadata| metadata.len());
    // Nothing depends on it being gone.
    let _ = fs::remove_file(&stripped);
    size.filter(|_| status.is_ok_and(|status| status.success()))
}

/// `rustc --version` of the toolchain that cargo uses here.
pub fn rustc_version() -> Option<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success()).then(|| text.trim().to_owned())
}
