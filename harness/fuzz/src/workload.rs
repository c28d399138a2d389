//! What must hold for the workload reader whatever a file has in it. `harness/tests/fuzz_seeds.rs`
//! runs it too, on the inputs in `seeds/`.

use std::path::Path;

use catalog::Workload;
use serde_json::Value;

/// Reads the text of a file; whatever is accepted can be drawn from.
pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // What it includes is looked for where nothing is.
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
        // None of them can end a header line.
        let mut head = call.headers.iter().flat_map(|(name, value)| [name, value]);
        assert!(head.all(|text| !text.contains(['\r', '\n', '\0'])));
    }
}
