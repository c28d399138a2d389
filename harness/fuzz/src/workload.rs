//! Properties of the workload reader for any input. `harness/tests/fuzz_seeds.rs` also runs it, on the inputs
//! in `seeds/`.

use std::path::Path;

use catalog::Workload;
use serde_json::Value;

/// Parses the text of a file; whatever is accepted must be usable for drawing requests.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // Includes are looked up in a folder that doesn't exist.
    let Ok(workload) = Workload::parse(Path::new("no-such-folder/fuzz.toml"), text) else {
        return;
    };
    let calls = workload.draw(1, 16);
    assert!((1..=64).contains(&calls.len()));
    for call in calls {
        assert!(call.target.starts_with('/'));
        assert!(call.target.bytes().all(|byte| byte.is_ascii_graphic()));
        if let Some(text) = call.json() {
            assert!(serde_json::from_str::<Value>(text).is_ok_and(|json| json.is_object()));
        }
        // None of them may contain a line end.
        let mut head = call.headers.iter().flat_map(|(name, value)| [name, value]);
        assert!(head.all(|text| !text.contains(['\r', '\n', '\0'])));
    }
}
