//! `harness new`: writes a server that builds and answers `/ping`, for its author to complete.
//!
//! The texts are in `harness/templates`.

#[path = "../../templates/mod.rs"]
mod templates;

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use crate::flags::Status;
use catalog::{Catalog, EXTERNAL, is_reserved};
use templates::{BASELINE, TEMPLATES, Template};

const EXAMPLES: &str = "\
Examples:
  cargo harness new mine                              a package in servers/mine
  cargo harness new mine --template threads
  cargo harness new mine --template external-go       a program in servers/external/mine

The new server builds and answers GET /ping. Its other routes answer 501 until you write them, and \
`harness check --server NAME` lists those first. It takes part in every command at once; one in \
servers/external if it is named, or with `--server all`. CONTRIBUTING.md has all steps.

Exit status: 0 written; 1 it can't be written; 2 a bad name or flag. On an error nothing is written.";

/// The folder of the workspace's own servers.
const SERVERS: &str = "servers";
/// Folders in [`SERVERS`] that hold servers.
const FOLDERS: [&str; 2] = ["external", "more"];
/// The longest name, so that tables stay readable.
const MAX_NAME: usize = 30;

/// Flags of `harness new`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Arguments {
    /// Its name in tables and flags: lower-case letters, digits and hyphens
    name: String,
    /// What to begin with
    #[arg(long, value_name = "NAME", default_value = TEMPLATES[0].name, value_parser = template_parser())]
    template: String,
}

fn template_parser() -> PossibleValuesParser {
    let values = TEMPLATES
        .iter()
        .map(|template| PossibleValue::new(template.name).help(template.about));
    PossibleValuesParser::new(values)
}

/// Writes the server and shows what to do next.
///
/// # Errors
/// [`Usage`](crate::flags::Usage) for a bad or taken name. If a file can't be written, nothing is.
pub fn run(arguments: &Arguments) -> Result<Status> {
    let name = arguments.name.as_str();
    refuse_bad(name)?;
    let catalog = Catalog::load(&[])?;
    let template = TEMPLATES.iter().find(|one| one.name == arguments.template);
    let template = template.context("clap refuses other templates")?;
    let parent = if template.external { EXTERNAL } else { SERVERS };
    let folder = format!("{parent}/{name}");
    refuse_taken(&catalog, name, &folder)?;
    write(&catalog.root, &folder, template, name)?;
    if !template.external {
        lock(&catalog.root, &folder)?;
    }
    let files: Vec<&str> = template.files.iter().map(|(path, _)| *path).collect();
    say!("wrote {folder}: {}", files.join(", "));
    say!(
        "It answers GET /ping. Write the other routes in {folder}/{}.",
        template.routes
    );
    let has_baseline = catalog.servers.iter().any(|server| server.name == BASELINE);
    let rivals = if has_baseline {
        format!("{name},{BASELINE}")
    } else {
        name.to_owned()
    };
    let (check, bench) = (
        format!("make check SERVER={name}"),
        format!("make bench-quick SERVER={rivals}"),
    );
    let width = check.len().max(bench.len());
    say!("\nNext:");
    say!("  {check:<width$}   # what is missing, most useful first");
    say!("  {bench:<width$}   # once that passes: a first comparison");
    Ok(Status::Fine)
}

fn refuse_bad(name: &str) -> Result<()> {
    let reserved = |name: &str| is_reserved(name) || FOLDERS.contains(&name);
    if reserved(name) {
        refuse!("a server can't be named \"{name}\": the harness reserves that name");
    }
    let valid = valid_name(name);
    if valid == name && !name.is_empty() {
        return Ok(());
    }
    let hint = match valid.as_str() {
        valid if valid.is_empty() || reserved(valid) => String::new(),
        valid => format!("; try \"{valid}\""),
    };
    refuse!(
        "\"{name}\" is not a name of a server: use up to {MAX_NAME} lower-case letters, digits and single hyphens, \
         beginning with a letter{hint}"
    );
}

/// The valid name nearest to `name`; empty if nothing of it can be used.
fn valid_name(name: &str) -> String {
    let kebab = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(kebab).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    let parts: Vec<&str> = name.split('-').filter(|part| !part.is_empty()).collect();
    let mut name = parts.join("-");
    name.truncate(MAX_NAME);
    name.trim_end_matches('-').to_owned()
}

fn refuse_taken(catalog: &Catalog, name: &str, folder: &str) -> Result<()> {
    // A package, too: an optional one would have the same name.
    if let Some(server) = catalog.servers.iter().find(|server| server.name == name) {
        let place = server
            .manifest()
            .and_then(|path| Some(path.parent()?.to_owned()));
        let place = place.as_deref().unwrap_or(&catalog.root);
        let place = place.strip_prefix(&catalog.root).unwrap_or(place);
        refuse!(
            "there is a server \"{name}\" already, in {}",
            place.display()
        );
    }
    if catalog.root.join(folder).symlink_metadata().is_ok() {
        refuse!("{folder} exists already: remove it or choose another name");
    }
    Ok(())
}

/// Writes all files next to their place and then moves them there, so that nothing is half-written.
fn write(root: &Path, folder: &str, template: &Template, name: &str) -> Result<()> {
    let scratch = tempfile::Builder::new().prefix(".new-").tempdir_in(root);
    let scratch = scratch.with_context(|| format!("cannot write to {}", root.display()))?;
    let made = scratch.path().join(name);
    let to = root.join(folder);
    let written = || -> std::io::Result<()> {
        for (path, text) in template.files {
            let path = made.join(path);
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(path, text.replace("{name}", name))?;
        }
        to.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::rename(&made, &to)
    };
    written().with_context(|| format!("cannot write {folder}"))
}

/// Adds the new package to `Cargo.lock`, as every `cargo harness` asks cargo to change nothing there. Takes
/// everything back if that fails.
fn lock(root: &Path, folder: &str) -> Result<()> {
    let path = root.join("Cargo.lock");
    let before = fs::read(&path).ok();
    let lock = |more: &[&str]| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        Command::new(cargo)
            .args(["metadata", "--format-version", "1", "--quiet"])
            .args(more)
            .current_dir(root)
            .output()
            .context("cannot run cargo")
    };
    let locked = || -> Result<()> {
        // What the templates use is locked already, so the network is seldom needed.
        if lock(&["--offline"])?.status.success() {
            return Ok(());
        }
        let output = lock(&[])?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    };
    locked().map_err(|error| {
        // If these fail too, the first error still tells more.
        let _ = fs::remove_dir_all(root.join(folder));
        if let Some(before) = before {
            let _ = fs::write(&path, before);
        }
        error.context("cargo can't add the new package to Cargo.lock, so nothing was written")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_gets_the_nearest_valid_one() {
        for (name, valid) in [
            ("mine", "mine"),
            ("may-minihttp2", "may-minihttp2"),
            ("My_Server", "my-server"),
            ("../mine", "mine"),
            ("2fast", "fast"),
            ("a--b-", "a-b"),
            ("name with spaces", "name-with-spaces"),
            ("control~2", "control-2"),
            ("明", ""),
            ("", ""),
            (
                "a-name-that-is-far-too-long-for-a-table",
                "a-name-that-is-far-too-long-fo",
            ),
        ] {
            assert_eq!(valid_name(name), valid, "{name}");
            assert_eq!(valid_name(valid), valid, "{name}");
            assert_eq!(
                refuse_bad(name).is_ok(),
                name == valid && !name.is_empty(),
                "{name}"
            );
        }
        for reserved in ["control", "all", "external", "more"] {
            let error = refuse_bad(reserved).unwrap_err().to_string();
            assert!(error.contains("reserves"), "{error}");
        }
    }

    #[test]
    fn a_template_has_the_files_that_the_harness_looks_for() {
        for template in TEMPLATES {
            let has = |wanted: &str| template.files.iter().any(|(path, _)| *path == wanted);
            let manifest = if template.external {
                "server.toml"
            } else {
                "Cargo.toml"
            };
            assert!(
                has(template.routes) && has(manifest) && has("README.md"),
                "{}",
                template.name
            );
        }
    }
}
