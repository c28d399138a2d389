//! The allocator of a running program.

use std::fs;

/// What only this allocator has in a program, even without symbols: the beginning of its messages.
const ALLOCATORS: [(&str, &[u8]); 6] = [
    ("mimalloc", b"mimalloc: warning: "),
    ("jemalloc", b"<jemalloc>: "),
    ("tcmalloc", b"tcmalloc: "),
    ("snmalloc", b"snmalloc"),
    ("rpmalloc", b"rpmalloc"),
    ("Go's own", b"\xff Go buildinf:"),
];
/// Allocators as libraries that a process has mapped; the first that is there counts.
const LIBRARIES: [(&str, &str); 5] = [
    ("mimalloc", "/libmimalloc"),
    ("jemalloc", "/libjemalloc"),
    ("tcmalloc", "/libtcmalloc"),
    ("musl's own", "/ld-musl"),
    ("the C library's", "/libc."),
];

/// The allocators in the programs of these processes, or in the libraries they have loaded.
///
/// # Errors
/// If none is known, or the programs can't be read.
pub fn allocator(pids: &[u32]) -> Result<String, String> {
    let mut found: Vec<&str> = Vec::new();
    for pid in pids {
        let program = fs::read(format!("/proc/{pid}/exe")).map_err(|error| error.to_string())?;
        let inside = ALLOCATORS
            .iter()
            .filter(|(_, mark)| contains(&program, mark));
        let before = found.len();
        found.extend(inside.map(|(name, _)| name));
        if found.len() > before {
            continue;
        }
        let maps =
            fs::read_to_string(format!("/proc/{pid}/maps")).map_err(|error| error.to_string())?;
        let mapped = LIBRARIES.iter().find(|(_, part)| maps.contains(part));
        found.extend(mapped.map(|(name, _)| name));
    }
    found.sort_unstable();
    found.dedup();
    match found.is_empty() {
        true => Err("its program has no known allocator and uses no C library".to_owned()),
        false => Ok(found.join(", ")),
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let mut rest = bytes;
    let (first, len) = (part[0], part.len());
    while let Some(at) = rest.iter().position(|byte| *byte == first) {
        if rest[at..].starts_with(part) {
            return true;
        }
        rest = &rest[at + 1..];
        if rest.len() < len - 1 {
            break;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_in_c_has_the_allocator_of_its_library() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let found = (0..100).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(10));
            // Until it is replaced, the child is a copy of this program, which has all marks.
            allocator(&[child.id()])
                .ok()
                .filter(|found| !found.contains("mimalloc"))
        });
        child.kill().unwrap();
        child.wait().unwrap();
        let found = found.unwrap();
        assert!(
            ["the C library's", "musl's own"].contains(&&*found),
            "{found}"
        );
        assert!(allocator(&[]).is_err());
    }

    #[test]
    fn a_mark_is_found_anywhere() {
        for (bytes, found) in [
            (&b"abcabd"[..], true),
            (b"abd", true),
            (b"ab", false),
            (b"aab", false),
            (b"aabd", true),
        ] {
            assert_eq!(contains(bytes, b"abd"), found, "{bytes:?}");
        }
    }
}
