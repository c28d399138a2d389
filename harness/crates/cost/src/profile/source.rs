//! The source of an instruction, from a program's debug information.

use std::collections::HashMap;
use std::path::Path;

/// A function at an address; several if they are inlined into each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The crate and module, as in `tokio::runtime::task`; that of this workspace begins with `own::`.
    pub(super) path: String,
    /// As in `tokio-1.54.1/src/runtime/task/raw.rs:267`.
    pub(super) place: String,
}

/// Looks up addresses, and keeps what it has found.
pub(super) struct Sources<'a> {
    root: &'a Path,
    objects: HashMap<String, Option<addr2line::Loader>>,
    found: HashMap<(String, u64), Vec<Written>>,
}

impl<'a> Sources<'a> {
    /// Files below `root` are named relative to it.
    pub(super) fn new(root: &'a Path) -> Self {
        Self {
            root,
            objects: HashMap::new(),
            found: HashMap::new(),
        }
    }

    /// The code at an address, innermost first; nothing for a library of the system or a file without debug
    /// information.
    pub(super) fn at(&mut self, object: &str, address: u64) -> &[Written] {
        let loader = self.objects.entry(object.to_owned()).or_insert_with(|| {
            let is_program = object.starts_with('/') && !object.contains(".so");
            is_program
                .then(|| addr2line::Loader::new(object).ok())
                .flatten()
        });
        let key = (object.to_owned(), address);
        self.found.entry(key).or_insert_with(|| {
            let loader = loader.as_ref();
            loader
                .map(|loader| look_up(loader, address, self.root))
                .unwrap_or_default()
        })
    }
}

fn look_up(loader: &addr2line::Loader, address: u64, root: &Path) -> Vec<Written> {
    let mut all = Vec::new();
    let Ok(mut frames) = loader.find_frames(address) else {
        return all;
    };
    while let Ok(Some(frame)) = frames.next() {
        let location = frame.location.as_ref();
        let file = location.and_then(|location| location.file);
        if let Some(written) = file.and_then(|file| written(file, location?.line, root)) {
            all.push(written);
        }
    }
    all
}

/// Names a file without the folders of this machine; nothing for a path that isn't absolute, such as the C
/// library's.
fn written(file: &str, line: Option<u32>, root: &Path) -> Option<Written> {
    // A registry has a folder of its own, a repository one and another for the commit.
    let foreign = after(file, "/registry/src/", 1)
        .or_else(|| after(file, "/git/checkouts/", 2))
        .or_else(|| after(file, "/rust/deps/", 0))
        .or_else(|| after(file, "/rustlib/src/rust/library/", 0))
        .or_else(|| after(file.strip_prefix("/rustc/")?, "/library/", 0));
    let (path, place) = match foreign {
        Some(place) => {
            let path = place.replace("/c_src/", "/").replace("/src/", "/");
            let (package, inside) = path.split_once('/')?;
            (format!("{}/{inside}", unversioned(package)), place)
        }
        None if file.starts_with('/') => {
            let place = match Path::new(file).strip_prefix(root) {
                Ok(place) => place.to_str()?,
                Err(_) => last_folders(file),
            };
            // `servers/NAME/src/main.rs` is `own::NAME::main`.
            let (before, inside) = place
                .rsplit_once("/src/")
                .or_else(|| place.rsplit_once('/'))?;
            let folder = before.rsplit('/').next().unwrap_or_default();
            (format!("own/{folder}/{inside}"), place)
        }
        None => return None,
    };
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    Some(Written {
        path: module(&path),
        place: format!("{place}{line}"),
    })
}

/// What follows a mark and this many folders more.
fn after<'f>(file: &'f str, mark: &str, folders: usize) -> Option<&'f str> {
    let mut rest = file.split_once(mark)?.1;
    for _ in 0..folders {
        rest = rest.split_once('/')?.1;
    }
    Some(rest)
}

/// A file with three folders.
fn last_folders(file: &str) -> &str {
    let begin = file.rmatch_indices('/').nth(3);
    &file[begin.map_or(1, |(at, _)| at + 1)..]
}

/// As in `http-body-util` of `http-body-util-0.1.3`.
fn unversioned(package: &str) -> &str {
    let digit_follows =
        |(at, _): &(usize, &str)| package[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let end = package.match_indices('-').find(digit_follows);
    end.map_or(package, |(at, _)| &package[..at])
}

/// As in `a_crate::routing::filters` of `a-crate/routing/filters/mod.rs`.
fn module(path: &str) -> String {
    let path = path.rsplit_once('.').map_or(path, |(path, _)| path);
    let path = path
        .strip_suffix("/mod")
        .or_else(|| path.strip_suffix("/lib"))
        .unwrap_or(path);
    path.replace('-', "_").replace('/', "::")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_its_crate_and_no_folder_of_this_machine() {
        const CARGO: &str = "/home/me/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f";
        for (file, path, place) in [
            (
                format!("{CARGO}/tokio-1.54.1/src/runtime/task/raw.rs"),
                "tokio::runtime::task::raw",
                "tokio-1.54.1/src/runtime/task/raw.rs:7",
            ),
            (
                format!("{CARGO}/a_crate-1.1.0/src/routing/mod.rs"),
                "a_crate::routing",
                "a_crate-1.1.0/src/routing/mod.rs:7",
            ),
            (
                format!("{CARGO}/http-body-util-0.1.3/src/lib.rs"),
                "http_body_util",
                "http-body-util-0.1.3/src/lib.rs:7",
            ),
            (
                format!("{CARGO}/libmimalloc-sys-0.1.49/c_src/mimalloc/v3/src/alloc.c"),
                "libmimalloc_sys::mimalloc::v3::alloc",
                "libmimalloc-sys-0.1.49/c_src/mimalloc/v3/src/alloc.c:7",
            ),
            (
                "/rustc/5980761/library/alloc/src/raw_vec/mod.rs".into(),
                "alloc::raw_vec",
                "alloc/src/raw_vec/mod.rs:7",
            ),
            (
                "/rust/deps/hashbrown-0.15.4/src/map.rs".into(),
                "hashbrown::map",
                "hashbrown-0.15.4/src/map.rs:7",
            ),
            (
                "/home/me/repo/servers/red-alder/src/users.rs".into(),
                "own::red_alder::users",
                "servers/red-alder/src/users.rs:7",
            ),
            (
                "/home/me/repo/servers/contract/src/counted.rs".into(),
                "own::contract::counted",
                "servers/contract/src/counted.rs:7",
            ),
            (
                "/home/me/repo/harness/examples/fixture/main.rs".into(),
                "own::fixture::main",
                "harness/examples/fixture/main.rs:7",
            ),
        ] {
            let expected = Written {
                path: path.to_owned(),
                place: place.to_owned(),
            };
            let found = written(&file, Some(7), Path::new("/home/me/repo"));
            assert_eq!(found, Some(expected), "{file}");
        }
        assert_eq!(written("./malloc/malloc.c", Some(7), Path::new("/")), None);
    }
}
