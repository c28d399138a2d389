//! How much a server consists of: lines of its own code, and crates that it is built from.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::{Server, Source};

/// Crates that parse HTTP/1.
const PARSERS: [&str; 3] = ["httparse", "llhttp-rs", "picohttpparser-sys"];

const NO_PACKAGE: &str = "it is not a package of this workspace";

impl Server {
    /// Lines of its own Rust code that are neither blank nor comments nor tests.
    ///
    /// # Errors
    /// If it is not a package of this workspace, or a file can't be read.
    pub fn glue_lines(&self) -> Result<u64, String> {
        let Source::Package { main, .. } = &self.source else {
            return Err(NO_PACKAGE.to_owned());
        };
        let mut lines = 0;
        for path in rust_files(main.parent().unwrap_or(main))? {
            let text = fs::read_to_string(&path).map_err(|error| cannot_read(&path, &error))?;
            lines += code_lines(&text).map_err(|error| cannot_read(&path, &error))?;
        }
        Ok(lines)
    }

    /// Crates that its binary is built from, other than its own: normal dependencies, direct and indirect, with the
    /// features of this build, for this machine.
    ///
    /// # Errors
    /// If it is not a package of this workspace, or cargo refuses.
    pub fn dependencies(&self) -> Result<u64, String> {
        Ok(packages(&self.tree()?).saturating_sub(1))
    }

    /// What parses the head of its requests: what it says of itself, or else the known parsers among its
    /// dependencies, with their versions.
    ///
    /// # Errors
    /// If it says nothing and no known one is found.
    pub fn parser(&self) -> Result<String, String> {
        if let Some(parser) = &self.about.parser {
            return Ok(parser.clone());
        }
        let unknown =
            "no known parser is among its dependencies, and it names none (parser = \"…\")";
        let tree = self.tree().map_err(|_| unknown.to_owned())?;
        let known = tree.lines().filter_map(|line| {
            let (name, rest) = line.split_once(" v")?;
            let version = rest.split_whitespace().next()?;
            PARSERS.contains(&name).then(|| format!("{name} {version}"))
        });
        let known: BTreeSet<String> = known.collect();
        match known.is_empty() {
            true => Err(unknown.to_owned()),
            false => Ok(known.into_iter().collect::<Vec<_>>().join(", ")),
        }
    }

    /// The output of `cargo tree`.
    fn tree(&self) -> Result<String, String> {
        let (manifest, id, flags) = self.package()?;
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let output = Command::new(cargo)
            .args(["tree", "--locked", "--edges", "normal", "--prefix", "none"])
            .args(["--format", "{p}", "--package", id, "--manifest-path"])
            .arg(manifest)
            .args(flags)
            .stdin(Stdio::null())
            .output()
            .map_err(|error| format!("cannot run cargo tree: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.trim().lines().last().unwrap_or_default();
            return Err(format!("cargo tree failed: {last}"));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Its manifest, its id, and further flags of its build.
    fn package(&self) -> Result<(&Path, &str, &[String]), String> {
        match &self.source {
            Source::Package {
                manifest,
                id,
                flags,
                ..
            } => Ok((manifest, &id.repr, flags)),
            _ => Err(NO_PACKAGE.to_owned()),
        }
    }
}

/// Different packages in the output of `cargo tree`, whose lines begin with name and version.
fn packages(tree: &str) -> u64 {
    let named = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned()))
    };
    let all: BTreeSet<_> = tree.lines().filter_map(named).collect();
    all.len() as u64
}

fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("cannot read {name}: {error}")
}

/// The Rust files of a folder and of those in it.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut files = Vec::new();
    let entries = fs::read_dir(folder).map_err(|error| cannot_read(folder, &error))?;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Lines with code in a Rust file.
fn code_lines(text: &str) -> Result<u64, String> {
    let tokens: TokenStream = text
        .parse()
        .map_err(|error: proc_macro2::LexError| error.to_string())?;
    let mut lines = BTreeSet::new();
    collect(tokens, &mut lines);
    Ok(lines.len() as u64)
}

/// The lines of all tokens, without documentation and without what is compiled for tests only.
fn collect(tokens: TokenStream, lines: &mut BTreeSet<usize>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut rest = &tokens[..];
    while let Some(token) = rest.first() {
        let (length, text) = attribute(rest).unwrap_or_default();
        if text.starts_with("doc=") {
            rest = &rest[length..];
        } else if text == "cfg(test)" {
            let end = rest.iter().position(ends_item);
            rest = &rest[end.map_or(rest.len(), |end| end + 1)..];
        } else {
            if let TokenTree::Group(group) = token {
                lines.insert(group.span_open().start().line);
                lines.insert(group.span_close().end().line);
                collect(group.stream(), lines);
            } else {
                lines.extend(token.span().start().line..=token.span().end().line);
            }
            rest = &rest[1..];
        }
    }
}

/// Tokens of the attribute that these begin with, and what is in its brackets, without blanks.
fn attribute(tokens: &[TokenTree]) -> Option<(usize, String)> {
    let mark = |at: usize, mark: char| matches!(tokens.get(at), Some(TokenTree::Punct(found)) if found.as_char() == mark);
    if !mark(0, '#') {
        return None;
    }
    let at = 1 + usize::from(mark(1, '!'));
    match tokens.get(at)? {
        TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket => {
            let mut text = group.stream().to_string();
            text.retain(|c| !c.is_whitespace());
            Some((at + 1, text))
        }
        _ => None,
    }
}

fn ends_item(token: &TokenTree) -> bool {
    match token {
        TokenTree::Punct(mark) => mark.as_char() == ';',
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Catalog;

    #[test]
    fn lines_of_code_are_neither_blank_nor_comments_nor_tests() {
        let text = r##"//! What it is.

use a::b; // 1

/* A block
   of comment */
/// Documented.
#[doc(hidden)] // 2
#[cfg(unix)] // 3
fn one() -> &'static str { // 4
    // Nothing.

    let _ = /* inside */ 1; // 5
    #[cfg(test)]
    let _ = "{ not
        counted";
    "// text, // 6
 /// is code" // 7
} // 8

#[cfg(test)]
use c::d;

#[cfg(test)]
#[allow(unused)]
mod tests {
    fn nothing() {}
}

const LAST: u8 = 0; // 9
"##;
        assert_eq!(code_lines(text), Ok(9));
        assert_eq!(code_lines("// nothing\n"), Ok(0));
        assert!(code_lines("fn broken( {").is_err());
    }

    #[test]
    fn packages_of_a_tree_are_counted_once() {
        let tree = "own v0.1.0 (/srv/own)\none v1.0.0\none v2.0.0\nmade v1.0.0 (proc-macro)\none v1.0.0 (*)\n\n";
        assert_eq!(packages(tree), 4);
    }

    #[test]
    fn servers_of_the_workspace_have_code_and_dependencies() {
        let catalog = Catalog::load(&[]).unwrap();
        let servers = catalog.servers.iter();
        for server in servers.filter(|server| matches!(server.source, Source::Package { .. })) {
            let lines = server.glue_lines().unwrap();
            assert!((50..5_000).contains(&lines), "{}: {lines}", server.name);
            let dependencies = server.dependencies().unwrap();
            assert!(
                (5..1_000).contains(&dependencies),
                "{}: {dependencies}",
                server.name
            );
        }
    }

    #[test]
    fn a_program_in_another_language_has_neither() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("server.toml");
        let text = "[server]\ndisplay = \"M\"\nclass = \"c\"\nrun = [\"./m\", \"{addr}\"]";
        fs::write(&path, text).unwrap();
        let server = crate::from_manifest(&path).unwrap();
        assert!(server.glue_lines().unwrap_err().contains("workspace"));
        assert!(server.dependencies().unwrap_err().contains("workspace"));
    }
}
