//! What `harness/docs/ARCHITECTURE.md` says of the crates and their sources.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use clap::CommandFactory as _;
use harness::cli::Cli;

/// Every crate of the harness, and those it may use: only ones above it.
const CRATES: [(&str, &str); 17] = [
    ("words", ""),
    ("stats", ""),
    ("catalog", ""),
    ("loadgen", ""),
    ("machine", "words"),
    ("record", "stats catalog machine"),
    ("store", "catalog record"),
    ("judge", "stats catalog record"),
    ("report", "words stats catalog machine record judge"),
    ("referee", "catalog"),
    ("robustness", "words catalog referee"),
    (
        "runner",
        "words stats catalog loadgen machine record store referee robustness",
    ),
    ("cost", "catalog loadgen machine record runner"),
    ("traffic", "stats catalog loadgen machine record runner"),
    (
        "crosscheck",
        "words stats catalog loadgen machine record judge report runner cost",
    ),
    ("evidence", "words stats catalog record store judge"),
    (
        "harness",
        "words stats catalog loadgen machine record store judge report referee robustness runner cost traffic crosscheck",
    ),
];

/// Sources that compute and do nothing else.
const PURE: [&str; 3] = ["stats/src", "judge/src", "catalog/src/plan.rs"];
const IO: [&str; 4] = ["std::fs", "std::net", "std::process", "std::io"];
/// Sources whose findings are typed: `report` puts them into words.
const WORDLESS: [&str; 2] = ["stats/src", "judge/src"];
const TEXT: [&str; 7] = [
    "format!",
    "write!",
    "writeln!",
    "format_args!",
    "Display",
    "ToString",
    "to_string",
];
const PRINT: [&str; 4] = ["print!", "println!", "eprint!", "eprintln!"];
/// Programs, which may print.
const PROGRAMS: [&str; 2] = ["harness", "evidence"];
/// In how many places a type name may be defined.
const MOST_ALIKE: usize = 3;
/// Every command has its own flags under this name.
const ARGUMENTS: &str = "Arguments";

fn workspace() -> Metadata {
    MetadataCommand::new().no_deps().exec().unwrap()
}

/// The folder of each crate of the harness.
fn folders(workspace: &Metadata) -> BTreeMap<&str, PathBuf> {
    let own = workspace.workspace_root.join("harness");
    workspace
        .packages
        .iter()
        .filter(|package| package.manifest_path.starts_with(&own))
        .map(|package| {
            let folder = package.manifest_path.parent().unwrap();
            (package.name.as_str(), folder.as_std_path().to_owned())
        })
        .collect()
}

/// The Rust files in `path`, or that file, each with its text without the tests in it.
fn sources(path: &Path) -> Vec<(PathBuf, String)> {
    if path.is_dir() {
        let entries = fs::read_dir(path).unwrap();
        return entries
            .flat_map(|entry| sources(&entry.unwrap().path()))
            .collect();
    }
    let name = path.file_name().unwrap().to_str().unwrap();
    if !name.ends_with(".rs") || name.ends_with("tests.rs") {
        return Vec::new();
    }
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
    vec![(path.to_owned(), code.to_owned())]
}

/// Whether `word` is in `text` and is no part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(in_word) && !text[at + word.len()..].starts_with(in_word)
    })
}

/// Fails with every line of `sources` that has one of `words`.
#[track_caller]
fn assert_without(sources: &[(PathBuf, String)], words: &[&str]) {
    assert!(!sources.is_empty());
    let found: Vec<String> = sources
        .iter()
        .flat_map(|(path, text)| text.lines().map(move |line| (path, line)))
        .filter(|(_, line)| words.iter().any(|word| has_word(line, word)))
        .map(|(path, line)| format!("{}: {}", path.display(), line.trim()))
        .collect();
    assert!(found.is_empty(), "{words:?}:\n{}", found.join("\n"));
}

#[test]
fn a_crate_uses_only_those_above_it_that_it_may() {
    let workspace = workspace();
    let folders = folders(&workspace);
    let listed: BTreeSet<&str> = CRATES.iter().map(|(name, _)| *name).collect();
    assert_eq!(folders.into_keys().collect::<BTreeSet<_>>(), listed);
    for (place, (name, may)) in CRATES.iter().enumerate() {
        let may: BTreeSet<&str> = may.split_whitespace().collect();
        let above: BTreeSet<&str> = CRATES[..place].iter().map(|(name, _)| *name).collect();
        assert!(may.is_subset(&above), "{name} may use what is below it");
        let package = workspace.packages.iter().find(|one| one.name == *name);
        let uses: BTreeSet<&str> = package
            .unwrap()
            .dependencies
            .iter()
            .filter(|one| one.kind == DependencyKind::Normal && one.path.is_some())
            .map(|one| one.name.as_str())
            .collect();
        let more: Vec<_> = uses.difference(&may).collect();
        assert!(more.is_empty(), "{name} uses {more:?}");
    }
}

#[test]
fn what_only_computes_does_no_io() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    for pure in PURE {
        assert_without(&sources(&crates.join(pure)), &IO);
    }
}

#[test]
fn what_only_judges_makes_no_text() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("crates");
    for wordless in WORDLESS {
        assert_without(&sources(&crates.join(wordless)), &TEXT);
    }
}

#[test]
fn only_programs_print() {
    for (name, folder) in folders(&workspace()) {
        if !PROGRAMS.contains(&name) {
            assert_without(&sources(&folder.join("src")), &PRINT);
        }
    }
}

#[test]
fn no_framework_is_named() {
    let workspace = workspace();
    let mut names = BTreeSet::new();
    for package in &workspace.packages {
        let Some(server) = package.metadata.get("server") else {
            continue;
        };
        let upstream = server["upstream"].as_str().unwrap();
        names.extend([upstream.replace('-', "_"), upstream.replace('_', "-")]);
    }
    assert!(!names.is_empty());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for folder in folders(&workspace).values() {
        assert_without(&sources(&folder.join("src")), &names);
    }
}

/// The name of the type that a line defines. Indented, a `type` belongs to a trait or to an `impl` of one.
fn type_defined(line: &str) -> Option<&str> {
    let own = line.trim_start();
    let public = own
        .strip_prefix("pub")
        .map(|rest| match rest.strip_prefix('(') {
            Some(within) => within.split_once(')').map_or("", |(_, rest)| rest),
            None => rest,
        });
    let (kind, rest) = public.unwrap_or(own).trim_start().split_once(' ')?;
    let defines = match kind {
        "struct" | "enum" | "trait" | "union" => true,
        "type" => own.len() == line.len(),
        _ => false,
    };
    let name = rest
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .next();
    name.filter(|name| defines && name.starts_with(|c: char| c.is_uppercase()))
}

#[test]
fn a_line_that_defines_a_type_names_it() {
    for (line, name) in [
        ("struct One;", Some("One")),
        ("    pub(in crate::cmd) enum Two<T> {", Some("Two")),
        ("pub trait Three: Sized {", Some("Three")),
        ("pub type Four = u32;", Some("Four")),
        ("    type Target = u32;", None),
        ("/// A struct One", None),
        ("fn structure() {", None),
        ("", None),
    ] {
        assert_eq!(type_defined(line), name, "{line}");
    }
}

#[test]
fn no_type_name_stands_for_many_things() {
    let mut places = BTreeMap::<String, Vec<String>>::new();
    // Servers in servers/more name their types as the others do.
    let workspace = workspace();
    for package in &workspace.workspace_default_packages() {
        let folder = package.manifest_path.parent().unwrap();
        for (path, text) in sources(folder.join("src").as_std_path()) {
            for name in text.lines().filter_map(type_defined) {
                let place = path.strip_prefix(folder.as_std_path().parent().unwrap());
                let place = place.unwrap().display().to_string();
                places.entry(name.to_owned()).or_default().push(place);
            }
        }
    }
    assert!(places.contains_key(ARGUMENTS));
    places.retain(|name, places| name != ARGUMENTS && places.len() > MOST_ALIKE);
    assert!(places.is_empty(), "{places:#?}");
}

#[test]
fn each_verb_has_an_example() {
    let command = Cli::command();
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let without: Vec<&str> = shown
        .filter(|verb| {
            let example = format!("  cargo harness {}", verb.get_name());
            let help = (*verb).clone().render_long_help().to_string();
            let examples = help.split_once("\nExamples:\n");
            !examples.is_some_and(|(_, examples)| examples.contains(&example))
        })
        .map(clap::Command::get_name)
        .collect();
    assert!(without.is_empty(), "no example: {without:?}");
}
