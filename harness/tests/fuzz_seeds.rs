//! The inputs the fuzzers begin with, and those that once broke something, without a fuzzer.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
#![allow(unreachable_pub, reason = "the checks belong to harness/fuzz")]

use std::fs;
use std::path::Path;

#[path = "../fuzz/src/response.rs"]
mod response;
#[path = "../fuzz/src/workload.rs"]
mod workload;

/// Runs `check` on every file of a folder of seeds, and on what is left when its end is cut off.
fn each(folder: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/seeds")
        .join(folder);
    let mut files = 0;
    for entry in fs::read_dir(&folder).unwrap() {
        let data = fs::read(entry.unwrap().path()).unwrap();
        for end in 0..=data.len() {
            check(&data[..end]);
        }
        files += 1;
    }
    assert!(files > 5, "{files} in {}", folder.display());
}

#[test]
fn responses_are_read_or_refused() {
    each("response", response::check);
}

#[test]
fn workloads_are_read_or_refused() {
    each("workload", workload::check);
}
