//! The routes that a server doesn't have, as its manifest says.

use std::path::Path;
use std::{env, fs};

/// Those of the package whose tests run.
///
/// # Panics
/// Where its manifest can't be read.
pub(crate) fn lacks() -> Vec<String> {
    // Set by cargo for the program that it runs.
    let folder = env::var("CARGO_MANIFEST_DIR").expect("cargo runs the tests");
    let text =
        fs::read_to_string(Path::new(&folder).join("Cargo.toml")).expect("it has a manifest");
    let manifest: toml::Table = toml::from_str(&text).expect("cargo has read it");
    let lacks = manifest["package"]
        .get("metadata")
        .and_then(|metadata| metadata.get("server")?.get("lacks"));
    let names = lacks.and_then(toml::Value::as_array).into_iter().flatten();
    names
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}
