//! Runs git in a folder.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Variables that would point git to another repository; a git hook that started the harness sets them.
const GIT_VARIABLES: [&str; 4] = ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"];

/// Runs git in a folder and returns its output.
pub(super) fn git(folder: &Path, words: &[&str]) -> Result<String> {
    run("git", folder, words)
}

fn run(program: &str, folder: &Path, words: &[&str]) -> Result<String> {
    let mut command = Command::new(program);
    for variable in GIT_VARIABLES {
        command.env_remove(variable);
    }
    let output = command
        .arg("-C")
        .arg(folder)
        .args(words)
        // Ctrl-C is handled by the harness, which removes what git has created.
        .process_group(0)
        .output()
        .context("cannot run git")?;
    if !output.status.success() {
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8(output.stdout)?.trim_end().to_owned())
}

/// The revision of the workspace at `root`, with `-dirty` appended if it has changes. `None` if `root` is not
/// the top of a work tree: a repository around an unpacked archive does not contain its source.
pub(super) fn revision(root: &Path) -> Option<String> {
    match revision_by("git", root) {
        Ok(revision) => revision,
        Err(error) => {
            // Without `.git` there is no revision, and that's fine.
            if root.join(".git").exists() {
                let text = format!("{error:#}");
                let first = text.lines().next().unwrap_or_default();
                eprintln!("the git revision is not recorded: {first}");
            }
            None
        }
    }
}

fn revision_by(program: &str, root: &Path) -> Result<Option<String>> {
    let git = |words: &[&str]| run(program, root, words);
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if fs::canonicalize(top)? != fs::canonicalize(root)? {
        return Ok(None);
    }
    let revision = git(&["rev-parse", "--short=10", "HEAD"])?;
    let changes = git(&["--no-optional-locks", "status", "--porcelain"])?;
    Ok(Some(match changes.is_empty() {
        true => revision,
        false => format!("{revision}-dirty"),
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;
    use std::path::PathBuf;

    use super::*;

    /// Creates a repository with one commit, and returns the start of its hash.
    fn repository(folder: &Path) -> String {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("file"), "one").unwrap();
        git(folder, &["init", "--quiet"]).unwrap();
        commit(folder)
    }

    fn commit(folder: &Path) -> String {
        let user = ["-c", "user.name=a", "-c", "user.email=a@b"];
        let flags = ["commit", "--quiet", "--no-gpg-sign", "--message=x"];
        git(folder, &["add", "."]).unwrap();
        git(folder, &[&user[..], &flags[..]].concat()).unwrap();
        let whole = git(folder, &["rev-parse", "HEAD"]).unwrap();
        whole[..10].to_owned()
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("work");
        (folder, path)
    }

    #[test]
    fn a_work_tree_has_its_revision_and_says_whether_it_changed() {
        let (_kept, path) = folder();
        let digits = repository(&path);
        assert_eq!(revision(&path).unwrap(), digits);
        let link = path.with_file_name("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert_eq!(revision(&link).unwrap(), digits);
        fs::write(path.join("file"), "two").unwrap();
        assert_eq!(revision(&path).unwrap(), format!("{digits}-dirty"));
    }

    #[test]
    fn a_folder_within_another_repository_has_none() {
        let (_kept, path) = folder();
        repository(&path);
        let inner = path.join("unpacked");
        fs::create_dir(&inner).unwrap();
        assert_eq!(revision(&inner), None);
        let digits = repository(&inner);
        assert_eq!(revision(&inner).unwrap(), digits);
    }

    #[test]
    fn an_archive_has_none() {
        let (_kept, path) = folder();
        fs::create_dir(&path).unwrap();
        assert_eq!(revision(&path), None);
        // A repository without commits.
        git(&path, &["init", "--quiet"]).unwrap();
        assert_eq!(revision(&path), None);
    }

    #[test]
    fn without_git_there_is_none_and_the_cause_is_said() {
        let (_kept, path) = folder();
        repository(&path);
        let error = revision_by("no-such-git", &path).unwrap_err();
        assert!(format!("{error:#}").contains("cannot run git"), "{error:#}");
    }

    #[test]
    fn a_shallow_clone_has_its_revision() {
        let (_kept, path) = folder();
        repository(&path);
        fs::write(path.join("file"), "two").unwrap();
        let digits = commit(&path);
        let clone = path.with_file_name("clone");
        let url = format!("file://{}", path.display());
        let to = clone.to_str().unwrap();
        git(&path, &["clone", "--quiet", "--depth=1", &url, to]).unwrap();
        assert_eq!(revision(&clone).unwrap(), digits);
    }

    #[test]
    fn a_work_tree_of_another_owner_has_none_and_the_cause_is_said() {
        let (_kept, path) = folder();
        repository(&path);
        let safe = git(&path, &["config", "--get-all", "safe.directory"]).unwrap_or_default();
        let changed = [path.clone(), path.join(".git")]
            .iter()
            .try_for_each(|folder| chown(folder, Some(65534), None));
        if changed.is_err() || !safe.is_empty() {
            eprintln!("skipped: needs root, and a git without `safe.directory` settings");
            return;
        }
        let error = revision_by("git", &path).unwrap_err();
        assert!(format!("{error:#}").contains("ownership"), "{error:#}");
        assert_eq!(revision(&path), None);
    }
}
