//! Builds each server separately and copies its binary aside.
//!
//! Separately, because cargo unifies the features of all packages built together. A dependency shared by two
//! servers would be compiled with the features of both, and neither would be the program its author wrote.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, anyhow, bail};
use cargo_metadata::{Artifact, Message, PackageId};

use super::build_flags::{BuildFlags, build_flags};
use super::group::Group;
use super::{Interrupt, LOOK_EVERY};
use catalog::{CONTRACT_FLAGS, Catalog, Server, Source, sha256};

/// The placeholder for the number of workers in a server's command.
const WORKERS: &str = "{workers}";
/// The cargo profile of all servers.
const CARGO_PROFILE: &str = "release";

/// A server that can be started.
#[derive(Debug, Clone)]
pub struct Built {
    /// What was built.
    pub server: Server,
    /// How to start it.
    pub launch: Launch,
    /// Its entry in the record.
    pub record: record::Build,
}

/// The command that starts a server.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Program and arguments, with `{addr}` and `{workers}` to be substituted.
    pub command: Vec<String>,
    /// The folder it runs in.
    pub folder: PathBuf,
}

impl Launch {
    /// The command that starts it there.
    pub(super) fn filled(&self, addr: &str, workers: &str) -> Vec<String> {
        let fill = |word: &String| word.replace("{addr}", addr).replace(WORKERS, workers);
        self.command.iter().map(fill).collect()
    }

    /// The same with further arguments.
    #[must_use]
    pub fn with(&self, arguments: &[&str]) -> Self {
        let mut launch = self.clone();
        let arguments = arguments.iter().map(ToString::to_string);
        launch.command.extend(arguments);
        launch
    }

    /// Whether it can be told how many workers to use.
    pub fn takes_workers(&self) -> bool {
        self.command.iter().any(|word| word.contains(WORKERS))
    }
}

/// Builds one server.
///
/// # Errors
/// A [`record::Failure`] of the build step, with the end of the compiler's messages.
pub fn build(
    catalog: &Catalog,
    server: &Server,
    interrupt: &Interrupt,
) -> Result<Built, record::Failure> {
    let begin = Instant::now();
    let log = log_of(catalog, server);
    let built = match &server.source {
        Source::Package {
            id,
            bin,
            manifest,
            target,
            flags,
            arguments,
            ..
        } => {
            let places = [
                ("--manifest-path", manifest.as_path()),
                ("--target-dir", target.as_path()),
            ];
            let mut built =
                build_package(catalog, server, (id, bin, places, flags), &log, interrupt);
            if let Ok((launch, _)) = &mut built {
                launch.command.extend_from_slice(arguments);
            }
            built
        }
        Source::Program {
            folder,
            run,
            build,
            requires,
            install,
            ..
        } => refuse_missing(folder, requires, install.as_deref()).and_then(|()| {
            let command = build.as_deref().unwrap_or_default();
            build_program(catalog, (folder, run, command), &log, interrupt)
        }),
        Source::Binary {
            path,
            arguments,
            folder,
        } => take_binary(catalog, server, path, arguments, folder.as_deref()),
    };
    match built {
        Ok((launch, record)) => Ok(Built {
            server: server.clone(),
            launch,
            record: record::Build {
                build_ms: begin.elapsed().as_millis() as u64,
                ..record
            },
        }),
        Err(error) => Err(record::Failure {
            step: record::Step::Build,
            reason: format!("{error:#}"),
            log_tail: super::tail(&messages(&log)),
        }),
    }
}

fn log_of(catalog: &Catalog, server: &Server) -> PathBuf {
    let folder = catalog.target.join("harness").join("logs");
    folder.join(format!("{}-build.log", server.name))
}

/// The human-readable output of a build, without cargo's JSON messages.
fn messages(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('{')).collect();
    lines.join("\n")
}

/// Runs the command that builds a server. If it fails, the error is the first line that says why.
fn compile(command: &[String], folder: &Path, log: &Path, interrupt: &Interrupt) -> Result<()> {
    run_to_its_end(command, folder, log, interrupt).map_err(|error| {
        match first_error(&messages(log)) {
            Some(line) if !interrupt.is_set() => anyhow!(line),
            _ => error,
        }
    })
}

/// The first error in what a compiler printed, with its place if that is on a line of its own, as rustc has it.
fn first_error(text: &str) -> Option<String> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let find = |is: &dyn Fn(&str) -> bool| lines.iter().position(|line| is(line));
    let at = find(&|line| line.starts_with("error"))
        .or_else(|| find(&|line| line.contains("error")))
        // A Go compiler begins with `# PACKAGE` and doesn't say "error".
        .or_else(|| find(&|line| !line.is_empty() && !line.starts_with('#')))?;
    let place = lines[at + 1..]
        .iter()
        .take(2)
        .find_map(|line| line.strip_prefix("--> "));
    Some(match place.filter(|place| Path::new(place).is_relative()) {
        Some(place) => format!("{} ({place})", lines[at]),
        None => lines[at].to_owned(),
    })
}

/// How to start what was built, and its entry in the record, without how long that took.
type Ready = (Launch, record::Build);

fn build_package(
    catalog: &Catalog,
    server: &Server,
    (id, bin, places, flags): (&PackageId, &str, [(&str, &Path); 2], &[String]),
    log: &Path,
    interrupt: &Interrupt,
) -> Result<Ready> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let words = [
        "build",
        "--locked",
        "--profile",
        CARGO_PROFILE,
        "--package",
        &id.repr,
        "--bin",
        bin,
    ];
    let mut command = vec![cargo];
    command.extend(words.map(str::to_owned));
    command.extend(["--message-format", "json-render-diagnostics"].map(str::to_owned));
    for (flag, path) in places {
        command.extend([flag.to_owned(), path.to_string_lossy().into_owned()]);
    }
    command.extend_from_slice(flags);
    compile(&command, &catalog.root, log, interrupt)?;
    let artifact = find_binary(log, id, bin)?;
    let made = artifact
        .executable
        .context("cargo reported no executable")?;
    let aside = copy_aside(made.as_std_path(), &catalog.target, &server.name)?;
    let mut command = vec![aside.to_string_lossy().into_owned()];
    command.extend(CONTRACT_FLAGS.map(str::to_owned));
    let record = record::Build {
        features: artifact.features,
        rustc: rustc_version(),
        profile: Some(CARGO_PROFILE.to_owned()),
        flags: Some(with_own(build_flags(&catalog.root), flags)),
        ..describe(&aside, catalog)?
    };
    let folder = catalog.root.clone();
    Ok((Launch { command, folder }, record))
}

/// Adds the build's own arguments, as a variant has.
fn with_own(mut settings: BuildFlags, flags: &[String]) -> BuildFlags {
    if !flags.is_empty() {
        settings.insert("cargo build".to_owned(), flags.join(" "));
    }
    settings
}

/// Runs a command, such as a build, in a process group that ends with the harness. Its output goes to `log`.
///
/// # Errors
/// If it can't be started, fails, or the user interrupts it.
pub fn run_to_its_end(
    command: &[String],
    folder: &Path,
    log: &Path,
    interrupt: &Interrupt,
) -> Result<()> {
    if let Some(folder) = log.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    let mut group = Group::start(&[], command, folder, &[], log)?;
    loop {
        match group.wait(LOOK_EVERY) {
            Some((_, true)) => return Ok(()),
            Some((how, false)) => bail!("\"{}\" ended {how}", command[0]),
            None if interrupt.is_set() => bail!("interrupted"),
            None => {}
        }
    }
}

fn find_binary(log: &Path, id: &PackageId, bin: &str) -> Result<Artifact> {
    let text = fs::read_to_string(log).context("cannot read what cargo printed")?;
    for line in text.lines().filter(|line| line.starts_with('{')) {
        if let Ok(Message::CompilerArtifact(artifact)) = serde_json::from_str(line)
            && artifact.package_id == *id
            && artifact.target.name == bin
            && artifact.executable.is_some()
        {
            return Ok(artifact);
        }
    }
    bail!("cargo built no binary called {bin}")
}

/// Fails if a command that the program requires isn't on the PATH, or a path doesn't exist.
fn refuse_missing(folder: &Path, requires: &[String], install: Option<&str>) -> Result<()> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let installed = |what: &String| match what.contains('/') {
        true => folder.join(what).exists(),
        false => std::env::split_paths(&search).any(|folder| folder.join(what).is_file()),
    };
    match (requires.iter().find(|what| !installed(what)), install) {
        (None, _) => Ok(()),
        (Some(what), Some(install)) => bail!("{what} is not installed: {install}"),
        (Some(what), None) => bail!("{what} is not installed"),
    }
}

fn build_program(
    catalog: &Catalog,
    (folder, run, build): (&Path, &[String], &[String]),
    log: &Path,
    interrupt: &Interrupt,
) -> Result<Ready> {
    if !build.is_empty() {
        compile(build, folder, log, interrupt)?;
    }
    // A relative program is in the manifest's folder, a bare name on the PATH. Only the former is the server's
    // own, so only that gets a size and a hash.
    let program = folder.join(&run[0]);
    let own = run[0].contains('/') && program.is_file() && program.starts_with(folder);
    let mut command = run.to_vec();
    if run[0].contains('/') {
        command[0] = program.to_string_lossy().into_owned();
    }
    let record = record::Build {
        flags: by_cargo(build).then(|| build_flags(folder)),
        ..match own {
            true => describe(&program, catalog)?,
            false => record::Build::default(),
        }
    };
    let folder = folder.to_owned();
    Ok((Launch { command, folder }, record))
}

/// Whether cargo runs the build, so that its settings should be read.
fn by_cargo(build: &[String]) -> bool {
    let program = build.first().map(Path::new);
    program.and_then(Path::file_name) == Some("cargo".as_ref())
}

/// A binary built earlier: copied aside, so that nothing changes it during the run.
fn take_binary(
    catalog: &Catalog,
    server: &Server,
    path: &Path,
    arguments: &[String],
    folder: Option<&Path>,
) -> Result<Ready> {
    let aside = copy_aside(path, &catalog.target, &server.name)?;
    let mut command = vec![aside.to_string_lossy().into_owned()];
    command.extend_from_slice(arguments);
    let folder = folder.unwrap_or(&catalog.root).to_owned();
    Ok((Launch { command, folder }, describe(&aside, catalog)?))
}

impl Built {
    /// The same program under another name. Uses a separate copy of its binary if that was copied aside; a
    /// program in another language is started by the same command.
    ///
    /// # Errors
    /// If the binary can't be copied.
    pub fn twin(&self, name: &str) -> Result<Self> {
        let mut twin = self.clone();
        twin.server.name = name.to_owned();
        let program = Path::new(&self.launch.command[0]);
        let aside = matches!(
            self.server.source,
            Source::Package { .. } | Source::Binary { .. }
        );
        if let (true, Some(folder)) = (aside, program.parent()) {
            let copy = copy_into(folder, program, name)?;
            twin.launch.command[0] = copy.to_string_lossy().into_owned();
        }
        Ok(twin)
    }
}

/// Copies a binary to a name that contains its hash, so that no later build changes it.
fn copy_aside(made: &Path, target: &Path, name: &str) -> Result<PathBuf> {
    copy_into(&target.join("harness").join("bin"), made, name)
}

fn copy_into(folder: &Path, made: &Path, name: &str) -> Result<PathBuf> {
    let aside = folder.join(format!("{name}-{}", &sha256(made)?[..12]));
    let unfinished = folder.join(format!("{name}.{}", std::process::id()));
    fs::create_dir_all(folder)
        .and_then(|()| fs::copy(made, &unfinished))
        .and_then(|_| fs::rename(&unfinished, &aside))
        .with_context(|| format!("cannot copy the binary to {}", aside.display()))?;
    Ok(aside)
}

/// Size and hash of a binary. Its path is included only if it is in the workspace, since a record holds no
/// paths of the machine.
fn describe(binary: &Path, catalog: &Catalog) -> Result<record::Build> {
    Ok(record::Build {
        binary: binary
            .strip_prefix(&catalog.root)
            .ok()
            .map(|path| path.to_string_lossy().into_owned()),
        size_bytes: Some(fs::metadata(binary)?.len()),
        stripped_bytes: stripped_size(binary, &catalog.target.join("harness")),
        sha256: Some(sha256(binary)?),
        ..record::Build::default()
    })
}

/// Whether both builds run the same instructions on the same data: their binaries are equal, or differ only in
/// debug information about where they were built.
pub fn same_program(catalog: &Catalog, one: &record::Build, other: &record::Build) -> bool {
    if one.sha256.is_some() && one.sha256 == other.sha256 {
        return true;
    }
    let scratch = catalog.target.join("harness");
    let stripped = |build: &record::Build| {
        let binary = catalog.root.join(build.binary.as_ref()?);
        strip(&binary, &scratch, &["-R", ".note.gnu.build-id"], |path| {
            fs::read(path).ok()
        })
    };
    matches!((stripped(one), stripped(other)), (Some(one), Some(other)) if one == other)
}

/// The size after binutils' `strip`; `None` if that is not installed.
fn stripped_size(binary: &Path, scratch: &Path) -> Option<u64> {
    strip(binary, scratch, &[], |path| {
        Some(fs::metadata(path).ok()?.len())
    })
}

/// Strips a copy of a binary with these extra flags and passes it to `look`.
fn strip<T>(
    binary: &Path,
    scratch: &Path,
    flags: &[&str],
    look: impl Fn(&Path) -> Option<T>,
) -> Option<T> {
    fs::create_dir_all(scratch).ok()?;
    let stripped = scratch.join(format!("stripped.{}", std::process::id()));
    let status = Command::new("strip")
        .args(flags)
        .arg("-o")
        .args([stripped.as_path(), binary])
        .stderr(Stdio::null())
        .status();
    let found = look(&stripped);
    // It doesn't matter if this fails.
    let _ = fs::remove_file(&stripped);
    found.filter(|_| status.is_ok_and(|status| status.success()))
}

/// `rustc --version` of the toolchain that cargo uses here.
pub fn rustc_version() -> Option<String> {
    rustc_says("--version")
}

/// What rustc prints for a flag.
pub(super) fn rustc_says(flag: &str) -> Option<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg(flag).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success()).then(|| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::first_error;

    #[test]
    fn the_first_error_of_a_build_is_found() {
        let rustc = "   Compiling server-alpha v0.1.0\nwarning: unused variable: `error`\n\
             error[E0425]: cannot find value `x` in this scope\n --> servers/alpha/src/main.rs:3:5\n  |\n\
             error: could not compile `server-alpha`";
        let go = "# server\n./main.go:10:2: undefined: x\n./main.go:11:2: undefined: y";
        for (text, found) in [
            (
                rustc,
                "error[E0425]: cannot find value `x` in this scope (servers/alpha/src/main.rs:3:5)",
            ),
            (go, "./main.go:10:2: undefined: x"),
            (
                "cc -c a.c\na.c:1:1: error: expected ;",
                "a.c:1:1: error: expected ;",
            ),
            (
                "error: linker `cc` not found\n |\n",
                "error: linker `cc` not found",
            ),
            ("error: it\n --> /home/me/a.rs:1:1", "error: it"),
        ] {
            assert_eq!(first_error(text).as_deref(), Some(found));
        }
        assert_eq!(first_error("\n"), None);
    }
}
