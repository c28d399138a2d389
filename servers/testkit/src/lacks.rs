//! The routes that a server does without.

use toml::{Table, Value};

/// Those that the package under test names in its manifest. Cargo runs a package's tests in its own folder.
///
/// # Panics
/// Where the manifest can't be read.
pub(crate) fn lacks() -> Vec<String> {
    let text = std::fs::read_to_string("Cargo.toml").expect("tests run in the package's folder");
    let manifest: Table = text.parse().expect("cargo has read it");
    let of = |table: &Table, name: &str| table.get(name).and_then(Value::as_table).cloned();
    let server = of(&manifest, "package")
        .and_then(|package| of(&package, "metadata"))
        .and_then(|metadata| of(&metadata, "server"));
    let lacks = server.as_ref().and_then(|server| server.get("lacks"));
    let lacks = lacks.and_then(Value::as_array).into_iter().flatten();
    lacks.filter_map(Value::as_str).map(str::to_owned).collect()
}
