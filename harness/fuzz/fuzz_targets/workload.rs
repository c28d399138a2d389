//! Fuzzes the workload reader.
#![no_main]

#[path = "../src/workload.rs"]
mod workload;

libfuzzer_sys::fuzz_target!(|data: &[u8]| workload::check(data));
