//! The source of an instruction, from a program's debug information.

use std::collections::HashMap;

/// A function at an address; several if they are inlined into each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Written {
    /// The crate and module, as in `tokio::runtime::task`; that of this workspace begins with `own::`.
    pub(super) path: String,
    /// As in `tokio-1.54.1/src/runtime/task/raw.rs:267`.
    pub(super) place: String,
}

/// Looks up addresses, and keeps what it has found.
#[derive(Default)]
pub(super) struct Sources {
    objects: HashMap<String, Option<addr2line::Loader>>,
    found: HashMap<(String, u64), Vec<Written>>,
}

impl Sources {
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
                .map(|loader| look_up(loader, address))
                .unwrap_or_default()
        })
    }
}

fn look_up(loader: &addr2line::Loader, address: u64) -> Vec<Written> {
    let mut all = Vec::new();
    let Ok(mut frames) = loader.find_frames(address) else {
        return all;
    };
    while let Ok(Some(frame)) = frames.next() {
        let location = frame.location.as_ref();
        let file = location.and_then(|location| location.file);
        if let Some(written) = file.and_then(|file| written(file, location?.line)) {
            all.push(written);
        }
    }
    all
}

/// Names a file without the folders of this machine; nothing for a path that isn't absolute, such as the C
/// library's.
fn written(file: &str, line: Option<u32>) -> Option<Written> {
    const REGISTRY: &str = "/registry/src/";
    const CHECKOUTS: &str = "/git/checkouts/";
    const LIBRARY: [&str; 2] = ["/library/", "/rust/deps/"];
    let own = |file: &str| -> Option<(String, String)> {
        // The crate's own folder: `servers/axum/src/main.rs` is `own::axum::main`.
        let (before, inside) = file
            .rsplit_once("/src/")
            .or_else(|| file.rsplit_once('/'))?;
        let mut folders = before.rsplit('/');
        let (folder, above) = (folders.next()?, folders.next().unwrap_or_default());
        let place = file.get(before.len() - folder.len() - above.len() - 1..)?;
        Some((
            module(&format!("own/{folder}/{inside}")),
            place.trim_start_matches('/').to_owned(),
        ))
    };
    let foreign = |rest: &str| {
        let path = rest.replace("/c_src/", "/").replace("/src/", "/");
        let (package, inside) = path.split_once('/').unwrap_or((&path, ""));
        Some((
            module(&format!("{}/{inside}", unversioned(package))),
            rest.to_owned(),
        ))
    };
    let after = |mark: &str| Some(&file[file.find(mark)? + mark.len()..]);
    let (path, place) = if let Some(rest) = after(REGISTRY) {
        // The folder of the registry itself.
        foreign(rest.split_once('/')?.1)
    } else if let Some(rest) = after(CHECKOUTS) {
        // The folder of the repository, and that of the commit.
        foreign(rest.split_once('/')?.1.split_once('/')?.1)
    } else if let Some(rest) = (file.starts_with("/rust"))
        .then(|| LIBRARY.iter().find_map(|mark| after(mark)))
        .flatten()
    {
        foreign(rest)
    } else {
        file.starts_with('/').then(|| own(file)).flatten()
    }?;
    let line = line.map(|line| format!(":{line}")).unwrap_or_default();
    Some(Written {
        path,
        place: place + &line,
    })
}

/// As in `http-body-util` of `http-body-util-0.1.3`.
fn unversioned(package: &str) -> &str {
    let digit_follows =
        |(at, _): &(usize, &str)| package[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    let end = package.match_indices('-').find(digit_follows);
    end.map_or(package, |(at, _)| &package[..at])
}

/// As in `salvo_core::routing::filters` of `salvo-core/routing/filters/mod.rs`.
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
                format!("{CARGO}/salvo_core-1.1.0/src/routing/mod.rs"),
                "salvo_core::routing",
                "salvo_core-1.1.0/src/routing/mod.rs:7",
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
                "/home/me/repo/servers/may-minihttp/src/users.rs".into(),
                "own::may_minihttp::users",
                "servers/may-minihttp/src/users.rs:7",
            ),
            (
                "/home/me/repo/servers/contract/src/counted.rs".into(),
                "own::contract::counted",
                "servers/contract/src/counted.rs:7",
            ),
            (
                "/home/me/repo/harness/examples/fixture/main.rs".into(),
                "own::fixture::main",
                "examples/fixture/main.rs:7",
            ),
        ] {
            let expected = Written {
                path: path.to_owned(),
                place: place.to_owned(),
            };
            assert_eq!(written(&file, Some(7)), Some(expected), "{file}");
        }
        assert_eq!(written("./malloc/malloc.c", Some(7)), None);
    }
}
