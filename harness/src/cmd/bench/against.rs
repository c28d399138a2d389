//! `--against`: measures the servers of another git revision next to the current ones, and shows what
//! changed between two builds of a server in one run.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use rustix::fs::{FlockOperation, flock};

use crate::cmd::compare::Judging;
use crate::cmd::git::git;
use crate::cmd::progress::Progress;
use crate::cmd::results::{Folder, colour};
use crate::cmd::write_file;
use crate::flags::{Status, Usage};
use catalog::{Catalog, Server, Source, from_manifest, has_other_arguments, is_variant};
use judge::{Choice, Note, Operand};
use record::{EntryKind, Record};
use report::{Meeting, say};
use runner::{Interrupt, same_program};

/// Digits of a revision in an entry's name; git adds some if these are ambiguous.
const DIGITS: &str = "--short=7";

/// A revision whose servers are measured next to the current ones.
#[derive(Debug)]
pub(in crate::cmd) struct Base {
    /// The top folder of the repository.
    top: PathBuf,
    /// The workspace within it.
    workspace: PathBuf,
    /// The full hash.
    commit: String,
    /// The start of the hash, which names its entries.
    mark: String,
    entries: Vec<BaseEntry>,
}

#[derive(Debug)]
struct BaseEntry {
    /// The current server under the base's name. The revision's own server is known only after the
    /// checkout.
    server: Server,
    /// Its manifest's path within the repository.
    manifest: PathBuf,
}

impl Base {
    /// Finds the revision and which of the `current` servers it has. Checks nothing out yet.
    ///
    /// # Errors
    /// [`Usage`] if there is no repository, no such revision, or none of the servers in it.
    pub(in crate::cmd) fn find(
        catalog: &Catalog,
        revision: &str,
        current: &[Server],
    ) -> Result<Self> {
        let (top, workspace) = place(&catalog.root).map_err(|error| {
            Usage(format!(
                "--against {revision}: git finds no repository here: {error:#}; to compare with a \
                 build you already have, use --binary NAME=PATH"
            ))
        })?;
        let commit = commit(&top, revision).ok_or_else(|| unknown_revision(&top, revision))?;
        let mark = git(&top, &["rev-parse", DIGITS, &commit])?;
        let mut entries = Vec::new();
        let mut absent = Vec::new();
        for server in current {
            let manifest = within(&top, server).filter(|manifest| {
                let file = format!("{commit}:{}", manifest.display());
                git(&top, &["cat-file", "-e", &file]).is_ok()
            });
            match manifest {
                Some(manifest) => entries.push(BaseEntry {
                    server: server.clone().marked(&mark),
                    manifest,
                }),
                None => absent.push(server.name.as_str()),
            }
        }
        if entries.is_empty() {
            refuse!(
                "--against {revision}: revision {mark} does not have {}, so there is nothing to \
                 compare with: choose another server or a newer revision",
                absent.join(", ")
            );
        }
        let changes = git(&top, &["--no-optional-locks", "status", "--porcelain"])?;
        let with_changes = match changes.is_empty() {
            true => "",
            false => ", with the uncommitted changes in the work tree",
        };
        let names: Vec<&str> = entries.iter().map(|e| e.server.name.as_str()).collect();
        eprintln!(
            "base: {} of revision {revision}; new: the current build{with_changes}",
            names.join(", ")
        );
        for name in absent {
            eprintln!("{name}: not in revision {mark}; measured without a base");
        }
        Ok(Self {
            top,
            workspace,
            commit,
            mark,
            entries,
        })
    }

    /// The entries to add for it.
    pub(in crate::cmd) fn servers(&self) -> impl Iterator<Item = Server> {
        self.entries.iter().map(|entry| entry.server.clone())
    }

    /// Checks the revision out into its own worktree, replaces what [`Self::servers`] returned with the
    /// revision's servers, and builds them once.
    fn check_out(
        &self,
        catalog: &Catalog,
        servers: &mut Vec<Server>,
        interrupt: &Interrupt,
    ) -> Result<Tree> {
        let folder = catalog.target.join("harness").join("against");
        let tree = Tree::make(&folder, &self.top, &self.commit)?;
        let found = self
            .read(catalog, &tree.path, &folder.join("target"))
            .with_context(|| format!("cannot read the servers of revision {}", self.mark))?;
        let names: Vec<String> = self.servers().map(|server| server.name).collect();
        for name in &names {
            if !found.iter().any(|server| server.name == *name) {
                eprintln!("{name}: not a server in that revision; measured without a base");
            }
        }
        servers.retain(|server| !names.contains(&server.name));
        servers.extend(found);
        self.build(catalog, servers, interrupt)?;
        Ok(tree)
    }

    /// The servers of the revision, under the names of their entries.
    fn read(&self, catalog: &Catalog, tree: &Path, target: &Path) -> Result<Vec<Server>> {
        let mut all = Vec::new();
        let is_package = |entry: &BaseEntry| matches!(entry.server.source, Source::Package { .. });
        if self.entries.iter().any(is_package) {
            let packages = catalog.of_checkout(&tree.join(&self.workspace), target)?;
            let manifests = self.entries.iter().map(|entry| tree.join(&entry.manifest));
            let manifests: Vec<_> = manifests.map(Some).collect();
            let wanted = |server: &Server| manifests.contains(&server.manifest());
            all.extend(packages.into_iter().filter(wanted));
        }
        for entry in self.entries.iter().filter(|entry| !is_package(entry)) {
            all.push(from_manifest(&tree.join(&entry.manifest))?);
        }
        Ok(all.into_iter().map(|s| s.marked(&self.mark)).collect())
    }

    /// Builds each server and its base. The run builds them again, which then takes no time.
    fn build(&self, catalog: &Catalog, servers: &[Server], interrupt: &Interrupt) -> Result<()> {
        let mut progress = Progress::new();
        let mut failures = Vec::new();
        let mut pairs = pairs(servers.iter().map(|server| server.name.as_str()));
        pairs.retain(|(base, _)| base.ends_with(&self.mark));
        for (base, new) in &pairs {
            let mut build = |name: &str| {
                progress.note(&format!("building {name}"));
                let server = servers.iter().find(|server| server.name == name);
                let server = server.context("it is not an entry")?;
                anyhow::Ok(runner::build(catalog, server, interrupt))
            };
            let built = (build(base)?, build(new)?);
            if interrupt.is_set() {
                break;
            }
            match built {
                (Ok(one), Ok(other)) if same_program(catalog, &one.record, &other.record) => {
                    progress.tell(&say::note(&same_note(base, new)));
                }
                (Err(failure), _) => failures.push((base, failure)),
                _ => {}
            }
        }
        let none = !failures.is_empty() && failures.len() == pairs.len();
        for (base, failure) in failures.iter().filter(|_| none) {
            progress.fail(base, failure);
        }
        progress.finish();
        if none {
            bail!(
                "no server of revision {} could be built, so there is nothing to compare \
                 with: choose another revision",
                self.mark
            );
        }
        Ok(())
    }
}

/// Checks out and builds the base, if there is one. If it doesn't build, the run ends before it begins.
///
/// # Errors
/// If it can't be checked out or read, or none of its servers builds. An interrupt is not an error.
pub(in crate::cmd) fn check_out(
    base: Option<&Base>,
    catalog: &Catalog,
    servers: &mut Vec<Server>,
    interrupt: &Interrupt,
) -> Result<Option<Tree>> {
    let tree = base.map(|base| base.check_out(catalog, servers, interrupt));
    match tree.transpose() {
        Err(_) if interrupt.is_set() => Ok(None),
        tree => tree,
    }
}

/// A checked-out revision; dropping this removes its folder.
#[derive(Debug)]
pub(in crate::cmd) struct Tree {
    top: PathBuf,
    path: PathBuf,
    /// Held as long as the folder is in use.
    _lock: File,
}

impl Tree {
    /// Always uses the same folder, so that cargo finds its earlier builds.
    fn make(folder: &Path, top: &Path, commit: &str) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the folder {}", folder.display()))?;
        let lock = File::open(folder)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
            Usage("another `harness bench --against` is running in this workspace: wait for it to end".to_owned())
        })?;
        let tree = Self {
            top: top.to_owned(),
            path: fs::canonicalize(folder)?.join("tree"),
            _lock: lock,
        };
        // A killed harness may have left one behind.
        tree.remove()?;
        let path = tree.path.to_string_lossy();
        let add = ["worktree", "add", "--quiet", "--detach", &path, commit];
        // The user's hooks are meant for the user's own checkouts.
        git(
            top,
            &[&["-c", "core.hooksPath=/dev/null"], &add[..]].concat(),
        )
        .with_context(|| format!("git can't check out {commit}"))?;
        Ok(tree)
    }

    fn remove(&self) -> Result<()> {
        let path = self.path.to_string_lossy();
        // Twice, because git locks a worktree until it is complete.
        let forget = ["worktree", "remove", "--force", "--force", &path];
        let known = git(&self.top, &forget);
        if self.path.exists() {
            // git doesn't know the folder as a worktree.
            fs::remove_dir_all(&self.path)
                .with_context(|| format!("cannot remove {}", self.path.display()))?;
            if known.is_err() {
                let _ = git(&self.top, &forget);
            }
        }
        Ok(())
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("{error:#}; the next run with --against will try again");
        }
    }
}

/// The repository around a folder, and the folder within it.
fn place(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let said = git(folder, &["rev-parse", "--show-toplevel", "--show-prefix"])?;
    let mut lines = said.lines();
    let top = lines
        .next()
        .ok_or_else(|| anyhow!("git printed no folder"))?;
    Ok((top.into(), lines.next().unwrap_or_default().into()))
}

/// The manifest's path within the repository; `None` if it is outside.
fn within(top: &Path, server: &Server) -> Option<PathBuf> {
    let manifest = server.manifest()?;
    let (of, folder) = place(manifest.parent()?).ok()?;
    (of == top).then(|| folder.join(manifest.file_name().unwrap_or_default()))
}

fn commit(top: &Path, revision: &str) -> Option<String> {
    let commit = format!("{revision}^{{commit}}");
    git(top, &["rev-parse", "--verify", "--quiet", &commit]).ok()
}

fn unknown_revision(top: &Path, revision: &str) -> Usage {
    let remote = format!("origin/{revision}");
    let hint = match commit(top, &remote) {
        Some(_) => format!("did you mean {remote}?"),
        None => format!("run `git fetch origin {revision}` first, or see `git branch --all`"),
    };
    Usage(format!(
        "--against {revision}: git finds no such revision; {hint}"
    ))
}

/// Whether the mark in an entry's name may be a revision of this repository.
pub(super) fn is_revision(catalog: &Catalog, mark: &str) -> bool {
    commit(&catalog.root, mark).is_some()
}

/// Pairs each other build with the server it is a build of, as (base, new): a variant is the new one, a revision or
/// a binary the base.
fn pairs<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<(String, String)> {
    let pair = |name: &'a str| match EntryKind::of(name) {
        EntryKind::Build(server) if is_variant(name) => Some((server.to_owned(), name.to_owned())),
        EntryKind::Build(server) => Some((name.to_owned(), server.to_owned())),
        _ => None,
    };
    let there = |wanted: &String| names.clone().any(|name| name == wanted);
    let both = |pair: &(String, String)| there(&pair.0) && there(&pair.1);
    names.clone().filter_map(pair).filter(both).collect()
}

fn same_note(base: &str, new: &str) -> Note {
    Note::SameProgram {
        base: base.to_owned(),
        new: new.to_owned(),
    }
}

/// Refuses flags that judge builds if the run has only one build of each server.
///
/// # Errors
/// [`Usage`] with the flags that are missing or wrong.
pub(super) fn refuse_vain(judging: &Judging, servers: &[Server]) -> Result<()> {
    judging.refuse_unknown_figures()?;
    let names = servers.iter().map(|server| server.name.as_str());
    if judging.is_given() && pairs(names).is_empty() {
        refuse!(
            "--fail-on and --figure compare two builds of a server: add --against REV or --binary \
             NAME=PATH"
        );
    }
    Ok(())
}

/// Prints what changed from each other build to the current one, and writes it to the run's folder. Does
/// nothing if the run has no other build.
///
/// # Errors
/// If a file can't be written, or `judging` should fail on something and nothing could be compared.
pub(super) fn judge(
    catalog: &Catalog,
    record: &Record,
    folder: &Folder,
    judging: &Judging,
) -> Result<Status> {
    let pairs = pairs(record.servers.iter().map(|server| server.name.as_str()));
    if pairs.is_empty() {
        return Ok(Status::Fine);
    }
    let side = Operand {
        record,
        server: None,
    };
    let choice = Choice {
        pairs: pairs.clone(),
        figures: judging.figure.clone(),
        stages: record.run.stages.clone(),
        same_run: true,
        ..Choice::default()
    };
    let mut comparison = judge::compare(&side, &side, &choice);
    let build = |name: &str| {
        let server = record.servers.iter().find(|server| server.name == name);
        server.and_then(|server| server.build.as_ref())
    };
    for (base, new) in &pairs {
        if let (Some(one), Some(other)) = (build(base), build(new))
            && same_program(catalog, one, other)
            && !has_other_arguments(new)
        {
            comparison.notes.push(same_note(base, new));
        }
    }
    let (bases, news): (Vec<String>, Vec<String>) = pairs.into_iter().unzip();
    let (bases, news) = (bases.join(", "), news.join(", "));
    let meeting = Meeting {
        base: (record, Some(&bases)),
        new: (record, Some(&news)),
        same_run: true,
        another_machine: &[],
        comparison: &comparison,
    };
    for (file, text) in [
        ("against.md", meeting.markdown()),
        ("against.json", meeting.json()),
    ] {
        write_file(&folder.path.join(file), &text)?;
    }
    say!("{}", meeting.terminal(true, colour()).trim_end());
    judging.status(&comparison)
}
