//! Servers, found through `cargo metadata` or read from a `server.toml`.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, Package, PackageId};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::names;
use crate::workload::Workload;

/// A server that can be built and run.
#[derive(Debug, Clone)]
pub struct Server {
    /// Its folder's name, used in flags, records and tables.
    pub name: String,
    /// How it describes itself.
    pub about: About,
    /// The version of [`About::upstream`], or the one a `server.toml` states.
    pub version: Option<String>,
    /// How it is built and run.
    pub source: Source,
    /// Whether it takes part only if it is named, or with `all`: it is in `servers/more` or `servers/external`.
    pub optional: bool,
    /// The only workloads it takes part in; empty for a server of the whole contract. See [`PARTIAL`].
    pub workloads: Vec<String>,
}

/// The class of a server that takes part in some workloads only, whatever its `server.toml` says. The word is
/// added to its display name too.
pub const PARTIAL: &str = "partial";

/// Whether no server can have this name.
pub fn is_reserved(name: &str) -> bool {
    ["control", ALL].contains(&name)
}

/// What the paths of the contract's routes begin with, apart from `/ping`.
const ROUTES: &str = "/api/v1/";

/// Selects optional servers too.
const ALL: &str = "all";

/// The folder of optional packages.
const MORE: &str = "servers/more";

/// The folder of programs in other languages, each in a folder with a `server.toml`; all are optional.
pub const EXTERNAL: &str = "servers/external";

/// The members of `[package.metadata.server]`, and of `[server]` in a `server.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// The name shown in tables.
    pub display: String,
    /// As in `framework`, `library`, `coroutine`.
    pub class: String,
    /// The crate whose version is shown.
    pub upstream: Option<String>,
    /// What parses the head of its requests, if no known crate does.
    pub parser: Option<String>,
    /// The routes of the contract that it doesn't have. A workload that sends requests to one of them leaves it out.
    #[serde(default)]
    pub lacks: Vec<String>,
}

/// How a server is built and run.
#[derive(Debug, Clone)]
pub enum Source {
    /// A member of this workspace.
    Package {
        /// Cargo's package id, which is unambiguous.
        id: PackageId,
        /// Its one binary.
        bin: String,
        /// Its `Cargo.toml`.
        manifest: PathBuf,
        /// Its `main.rs`, which may be that of another package.
        main: PathBuf,
        /// Cargo's target folder for it.
        target: PathBuf,
        /// More arguments of `cargo build`; see [`Server::variant`].
        flags: Vec<String>,
        /// More arguments of the program, likewise.
        arguments: Vec<String>,
    },
    /// A program in any language.
    Program {
        /// The manifest's folder; both commands run in it.
        folder: PathBuf,
        /// The command that serves; `{addr}` and `{workers}` are placeholders.
        run: Vec<String>,
        /// The command that builds it.
        build: Option<Vec<String>>,
        /// The command that serves with a counting allocator; see [`Server::counting_allocations`].
        run_counting: Option<Vec<String>>,
        /// Commands on the PATH, or paths, that it needs to be built and run.
        requires: Vec<String>,
        /// How to install those.
        install: Option<String>,
        /// The command whose first line of output is its version.
        version: Option<Vec<String>>,
    },
    /// An existing binary, entered as another build of a server.
    Binary {
        /// Its path.
        path: PathBuf,
        /// Its arguments; `{addr}` and `{workers}` are placeholders.
        arguments: Vec<String>,
        /// The folder it runs in; `None` means the workspace.
        folder: Option<PathBuf>,
    },
}

/// The file that describes a program in any language.
const MANIFEST: &str = "server.toml";

/// The arguments every server of the workspace takes.
pub const CONTRACT_FLAGS: [&str; 4] = ["--addr", "{addr}", "--workers", "{workers}"];

impl Server {
    /// Another build of this server: the binary at `path`, started with the same arguments.
    /// Its name is this server's, `@`, and the first seven digits of the binary's SHA-256.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn other_build(&self, path: &Path) -> Result<Self> {
        let path = std::path::absolute(path)?;
        let mark = sha256(&path)?[..7].to_owned();
        let (arguments, folder) = match &self.source {
            Source::Package { .. } => (CONTRACT_FLAGS.map(str::to_owned).to_vec(), None),
            Source::Program { folder, run, .. } => (run[1..].to_vec(), Some(folder.clone())),
            Source::Binary {
                arguments, folder, ..
            } => (arguments.clone(), folder.clone()),
        };
        Ok(Self {
            // The version of its source is unknown.
            version: None,
            source: Source::Binary {
                path,
                arguments,
                folder,
            },
            ..self.clone().marked(&mark)
        })
    }

    /// The server under the name of another build: its own name, `@` and `mark`.
    pub fn marked(mut self, mark: &str) -> Self {
        for name in [&mut self.name, &mut self.about.display] {
            *name = format!("{name}@{mark}");
        }
        self
    }

    /// The file that describes it: `Cargo.toml` for a package, `server.toml` for a program.
    pub fn manifest(&self) -> Option<PathBuf> {
        match &self.source {
            Source::Package { manifest, .. } => Some(manifest.clone()),
            Source::Program { folder, .. } => Some(folder.join(MANIFEST)),
            Source::Binary { .. } => None,
        }
    }

    /// Whether it takes part in some workloads only.
    pub fn is_partial(&self) -> bool {
        !self.workloads.is_empty()
    }

    /// Whether it takes part in a workload: it has its routes and, if it is partial, names it.
    pub fn takes_part(&self, workload: &Workload) -> bool {
        let named = self.workloads.contains(&workload.name);
        (!self.is_partial() || named) && workload.paths().all(|path| self.has_route(path))
    }

    /// Whether its manifest doesn't say that it lacks the route of this path.
    pub fn has_route(&self, path: &str) -> bool {
        let name = path.strip_prefix(ROUTES).unwrap_or(path);
        !self.about.lacks.iter().any(|lacks| lacks == name)
    }

    /// With the version that its command prints; without an answer it stays unknown.
    pub fn versioned(mut self) -> Self {
        self.version = self.version.take().or_else(|| self.ask_version());
        self
    }

    fn ask_version(&self) -> Option<String> {
        let Source::Program {
            folder,
            version: Some(command),
            ..
        } = &self.source
        else {
            return None;
        };
        let output = Command::new(&command[0])
            .args(&command[1..])
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .ok()
            .filter(|output| output.status.success())?;
        let text = String::from_utf8_lossy(&output.stdout);
        let first = text.lines().next().map(str::trim).unwrap_or_default();
        (!first.is_empty()).then(|| first.to_owned())
    }
}

/// SHA-256 of a file, in hexadecimal.
///
/// # Errors
/// If it can't be read.
pub fn sha256(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(hex(&Sha256::digest(&bytes)))
}

/// Bytes in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The workspace and all known servers.
#[derive(Debug)]
pub struct Catalog {
    /// The workspace's folder.
    pub root: PathBuf,
    /// Cargo's target folder.
    pub target: PathBuf,
    /// Servers of the workspace in name order, then external ones, then those of manifests.
    pub servers: Vec<Server>,
}

impl Catalog {
    /// Reads the workspace around the current folder, and the given manifests.
    ///
    /// # Errors
    /// If cargo can't read the workspace, a manifest is invalid, or two servers share a name.
    pub fn load(manifests: &[PathBuf]) -> Result<Self> {
        let metadata = MetadataCommand::new()
            .no_deps()
            .exec()
            .context("cannot read the workspace: run this inside it, with cargo in PATH")?;
        let mut servers = in_workspace(&metadata)?;
        servers.extend(external(metadata.workspace_root.as_std_path())?);
        for path in manifests {
            servers.push(from_manifest(path)?);
        }
        refuse_unusable_names(&servers)?;
        Ok(Self {
            root: metadata.workspace_root.clone().into(),
            target: metadata.target_directory.clone().into(),
            servers,
        })
    }

    /// The servers of another checkout of this workspace. They are built like this one's, with the same toolchain
    /// and cargo settings, but into `target`.
    ///
    /// # Errors
    /// If cargo can't read that workspace, or its `Cargo.lock` is out of date.
    pub fn of_checkout(&self, root: &Path, target: &Path) -> Result<Vec<Server>> {
        let metadata = MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .current_dir(&self.root)
            .no_deps()
            .exec()?;
        let mut servers = in_workspace(&metadata)?;
        for server in &mut servers {
            if let Source::Package { target: own, .. } = &mut server.source {
                target.clone_into(own);
            }
        }
        servers.extend(external(root)?);
        Ok(servers)
    }

    /// The servers of these names, with their versions. None means all but the optional ones; `all` means all.
    ///
    /// # Errors
    /// A message for the user if a name is unknown.
    pub fn select(&self, wanted: &[String]) -> Result<Vec<Server>, String> {
        let all = wanted.iter().any(|name| name == ALL);
        let wanted = if all { &[] } else { wanted };
        let mut selected = names::select("server", self.servers.clone(), |s| &s.name, wanted)?;
        if wanted.is_empty() && !all {
            selected.retain(|server| !server.optional);
        }
        Ok(selected.into_iter().map(Server::versioned).collect())
    }
}

/// A `Cargo.lock`. Reading it takes a tenth of the time of `cargo metadata` with dependencies.
#[derive(Default, Deserialize)]
struct Lock {
    package: Vec<Locked>,
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    version: String,
    /// Each as `NAME`, or as `NAME VERSION` or `NAME VERSION (SOURCE)` if the lock file has several of that name.
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Lock {
    fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            // A workspace that was never built has none, and needs none unless a server names its upstream.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            read => read.with_context(|| format!("cannot read {}", path.display()))?,
        };
        toml::from_str(&text).with_context(|| format!("in {}", path.display()))
    }

    /// The version of a dependency of a package of the workspace.
    fn version(&self, package: &str, dependency: &str) -> Option<&str> {
        let named = |name: &str| self.package.iter().find(|p| p.name == name);
        named(package)?.dependencies.iter().find_map(|text| {
            let mut words = text.split(' ');
            (words.next() == Some(dependency)).then_some(())?;
            words.next().or_else(|| Some(&named(dependency)?.version))
        })
    }
}

fn in_workspace(metadata: &Metadata) -> Result<Vec<Server>> {
    let lock = Lock::read(metadata.workspace_root.join("Cargo.lock").as_std_path())?;
    let mut servers = Vec::new();
    for package in metadata.workspace_packages() {
        if let Some(about) = package.metadata.get("server") {
            let server = from_package(metadata, &lock, package, about)
                .with_context(|| format!("in {}", package.manifest_path))?;
            servers.push(server);
        }
    }
    servers.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(servers)
}

fn from_package(
    metadata: &Metadata,
    lock: &Lock,
    package: &Package,
    about: &serde_json::Value,
) -> Result<Server> {
    let about = About::deserialize(about).context("invalid [package.metadata.server]")?;
    let mut binaries = package.targets.iter().filter(|target| target.is_bin());
    let (Some(bin), None) = (binaries.next(), binaries.next()) else {
        bail!("a server must have exactly one binary");
    };
    let folder = package.manifest_path.parent().and_then(|f| f.file_name());
    Ok(Server {
        name: folder.context("the package has no folder")?.to_owned(),
        version: upstream_version(lock, package, &about)?,
        source: Source::Package {
            id: package.id.clone(),
            bin: bin.name.clone(),
            manifest: package.manifest_path.clone().into(),
            main: bin.src_path.clone().into(),
            target: metadata.target_directory.clone().into(),
            flags: Vec::new(),
            arguments: Vec::new(),
        },
        optional: package
            .manifest_path
            .starts_with(metadata.workspace_root.join(MORE)),
        workloads: Vec::new(),
        about,
    })
}

/// The programs in [`EXTERNAL`], in name order.
fn external(root: &Path) -> Result<Vec<Server>> {
    let Ok(folders) = root.join(EXTERNAL).read_dir() else {
        return Ok(Vec::new());
    };
    let mut manifests: Vec<PathBuf> = folders
        .map(|folder| Ok(folder?.path().join(MANIFEST)))
        .collect::<std::io::Result<_>>()?;
    manifests.retain(|path| path.exists());
    manifests.sort();
    let optional = |path: &PathBuf| {
        Ok(Server {
            optional: true,
            ..from_manifest(path)?
        })
    };
    manifests.iter().map(optional).collect()
}

/// The resolved version of the crate that the server names as its upstream.
fn upstream_version(lock: &Lock, package: &Package, about: &About) -> Result<Option<String>> {
    let Some(upstream) = &about.upstream else {
        return Ok(None);
    };
    match lock.version(&package.name, upstream) {
        Some(version) => Ok(Some(version.to_owned())),
        None => bail!("upstream = \"{upstream}\" is not among its dependencies in Cargo.lock"),
    }
}

/// A `server.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    server: ManifestServer,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestServer {
    display: String,
    class: String,
    upstream: Option<String>,
    parser: Option<String>,
    version: Option<String>,
    version_command: Option<Vec<String>>,
    #[serde(default)]
    requires: Vec<String>,
    install: Option<String>,
    run: Vec<String>,
    build: Option<Vec<String>>,
    run_counting: Option<Vec<String>>,
    workloads: Option<Vec<String>>,
    #[serde(default)]
    lacks: Vec<String>,
}

/// Reads one `server.toml`.
pub fn from_manifest(path: &Path) -> Result<Server> {
    let read = || -> Result<Server> {
        if path.is_dir() {
            bail!(
                "it is a folder: name the server.toml in it, as in --manifest {}",
                path.join(MANIFEST).display()
            );
        }
        let text = std::fs::read_to_string(path)?;
        let manifest: Manifest = toml::from_str(&text)?;
        let path = path.canonicalize()?;
        let folder = path.parent().context("the manifest has no parent folder")?;
        let name = folder
            .file_name()
            .context("the manifest's folder has no name")?;
        let server = manifest.server;
        let serves = |run: &[String]| run.iter().any(|word| word.contains("{addr}"));
        if !serves(&server.run) {
            bail!("`run` needs an argument with {{addr}} in it");
        }
        if server.run_counting.as_ref().is_some_and(|run| !serves(run)) {
            bail!("`run_counting` needs an argument with {{addr}} in it");
        }
        if server.build.as_ref().is_some_and(Vec::is_empty) {
            bail!("`build` is empty: leave it out if there is nothing to build");
        }
        if server.version_command.as_ref().is_some_and(Vec::is_empty) {
            bail!("`version_command` is empty: leave it out, or write `version`");
        }
        if server.version.is_some() && server.version_command.is_some() {
            bail!("`version` and `version_command` say the same: leave one out");
        }
        if server.workloads.as_ref().is_some_and(Vec::is_empty) {
            bail!("`workloads` is empty: leave it out for a server of the whole contract");
        }
        let mut about = About {
            display: server.display,
            class: server.class,
            upstream: server.upstream,
            parser: server.parser,
            lacks: server.lacks,
        };
        if server.workloads.is_some() {
            about.display.push_str(&format!(" ({PARTIAL})"));
            about.class = PARTIAL.to_owned();
        }
        Ok(Server {
            name: name.to_string_lossy().into_owned(),
            version: server.version,
            about,
            source: Source::Program {
                folder: folder.to_owned(),
                run: server.run,
                build: server.build,
                run_counting: server.run_counting,
                requires: server.requires,
                install: server.install,
                version: server.version_command,
            },
            optional: false,
            workloads: server.workloads.unwrap_or_default(),
        })
    };
    read().with_context(|| format!("cannot read the manifest {}", path.display()))
}

fn refuse_unusable_names(servers: &[Server]) -> Result<()> {
    for (index, server) in servers.iter().enumerate() {
        if is_reserved(&server.name) || server.name.contains(['~', '@', ':']) {
            bail!(
                "a server can't be named \"{}\": the harness reserves that name",
                server.name
            );
        }
        if servers[..index]
            .iter()
            .any(|other| other.name == server.name)
        {
            bail!(
                "two servers are named \"{}\": a server is named after its folder, so rename one",
                server.name
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Result<Server> {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("mine");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("server.toml"), text).unwrap();
        from_manifest(&folder.join("server.toml"))
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        let text = r#"
            [[package]]
            name = "own"
            version = "0.1.0"
            dependencies = ["one", "two 2.1.0", "three 3.0.0 (registry+index)"]
            [[package]]
            name = "one"
            version = "1.2.3"
            [[package]]
            name = "two"
            version = "1.0.0"
        "#;
        let lock: Lock = toml::from_str(text).unwrap();
        let versions = ["one", "two", "three", "four"].map(|name| lock.version("own", name));
        assert_eq!(
            versions,
            [Some("1.2.3"), Some("2.1.0"), Some("3.0.0"), None]
        );
        assert_eq!(lock.version("other", "one"), None);
    }

    #[test]
    fn a_manifest_is_named_by_its_folder() {
        let server = manifest(
            "[server]\ndisplay = \"Mine\"\nclass = \"c\"\nrun = [\"./m\", \"--addr\", \"{addr}\"]",
        )
        .unwrap();
        assert_eq!(server.name, "mine");
        assert_eq!(server.about.display, "Mine");
    }

    #[test]
    fn a_folder_is_no_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let error = format!("{:#}", from_manifest(dir.path()).unwrap_err());
        let path = dir.path().join("server.toml");
        assert!(
            error.contains(&format!("--manifest {}", path.display())),
            "{error}"
        );
    }

    #[test]
    fn a_manifest_must_say_where_to_listen() {
        let error =
            manifest("[server]\ndisplay = \"M\"\nclass = \"c\"\nrun = [\"./m\"]").unwrap_err();
        assert!(format!("{error:#}").contains("{addr}"), "{error:#}");
    }

    #[test]
    fn an_unknown_member_is_refused() {
        let error = manifest(
            "[server]\ndisplay = \"M\"\nclass = \"c\"\nrun = [\"./m\", \"{addr}\"]\nport = 1",
        )
        .unwrap_err();
        assert!(format!("{error:#}").contains("port"), "{error:#}");
    }

    fn workload(name: &str, path: &str) -> Workload {
        let text = format!("about = \"w\"\n[[request]]\npath = \"{path}\"");
        Workload::parse(Path::new(&format!("{name}.toml")), &text).unwrap()
    }

    #[test]
    fn a_server_of_some_workloads_is_partial() {
        let text = "[server]\ndisplay = \"M\"\nclass = \"c\"\nrun = [\"./m\", \"{addr}\"]";
        let whole = manifest(text).unwrap();
        let (w, x) = (workload("w", "/ping"), workload("x", "/ping"));
        assert!(!whole.is_partial() && whole.takes_part(&w));
        let partial = manifest(&format!("{text}\nworkloads = [\"w\"]")).unwrap();
        assert!(partial.is_partial() && partial.takes_part(&w) && !partial.takes_part(&x));
        assert_eq!(partial.about.display, "M (partial)");
        assert_eq!(partial.about.class, PARTIAL);
        assert!(manifest(&format!("{text}\nworkloads = []")).is_err());
    }

    #[test]
    fn a_server_takes_no_part_in_a_workload_with_a_route_that_it_lacks() {
        let text = "[server]\ndisplay = \"M\"\nclass = \"c\"\nrun = [\"./m\", \"{addr}\"]";
        let server = manifest(&format!("{text}\nlacks = [\"wait\"]")).unwrap();
        let takes_part = |path| server.takes_part(&workload("w", path));
        assert!(!server.is_partial() && takes_part("/api/v1/download") && takes_part("/wait"));
        assert!(!takes_part("/api/v1/wait"));
        assert_eq!(server.about.display, "M");
    }

    #[test]
    fn a_version_can_be_asked_for() {
        let version = |lines: &str| {
            let text = "[server]\ndisplay = \"M\"\nclass = \"c\"\nrun = [\"{addr}\"]";
            let mut server = manifest(&format!("{text}\n{lines}")).unwrap();
            // The folder is gone by now.
            if let Source::Program { folder, .. } = &mut server.source {
                *folder = std::env::temp_dir();
            }
            let catalog = Catalog {
                root: PathBuf::new(),
                target: PathBuf::new(),
                servers: vec![server],
            };
            catalog.select(&[]).unwrap()[0].version.clone()
        };
        assert_eq!(version("version = \"1\"").as_deref(), Some("1"));
        let command = |script: &str| format!("version_command = [\"sh\", \"-c\", \"{script}\"]");
        let two_lines = command("echo '1.8.1, Go 1.19 '; echo more");
        assert_eq!(version(&two_lines).as_deref(), Some("1.8.1, Go 1.19"));
        for none in [
            command("echo 1; exit 3"),
            command("true"),
            "version_command = [\"/no/such/program\"]".to_owned(),
        ] {
            assert_eq!(version(&none), None, "{none}");
        }
    }

    #[test]
    fn optional_servers_must_be_asked_for() {
        let server = |name: &str, optional| Server {
            optional,
            name: name.to_owned(),
            ..manifest("[server]\ndisplay = \"M\"\nclass = \"c\"\nrun = [\"{addr}\"]").unwrap()
        };
        let catalog = Catalog {
            root: PathBuf::new(),
            target: PathBuf::new(),
            servers: vec![server("alder", false), server("birch", true)],
        };
        let selected = |wanted: &[&str]| -> Vec<String> {
            let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
            let servers = catalog.select(&wanted).unwrap();
            servers.into_iter().map(|server| server.name).collect()
        };
        assert_eq!(selected(&[]), ["alder"]);
        assert_eq!(selected(&["birch"]), ["birch"]);
        assert_eq!(selected(&["all"]), ["alder", "birch"]);
        assert!(catalog.select(&["cedar".to_owned()]).is_err());
    }

    #[test]
    fn the_workspace_has_servers_with_versions() {
        let catalog = Catalog::load(&[]).unwrap();
        assert!(catalog.servers.len() >= 4);
        for server in &catalog.servers {
            // A program's may be known only where its toolchain is installed.
            let package = matches!(server.source, Source::Package { .. });
            let known = server.version.is_some() || !package;
            assert!(known, "{} has no version", server.name);
        }
    }
}
