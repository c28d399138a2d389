//! The names of entries, which identify them in rounds, records and tables.

pub use machine::{CONTROL, TARGET};

/// The suffix of a twin, as in `control~2`.
pub const TWIN_SUFFIX: &str = "~2";

/// Separates a server's name from that of another build of it, as in `alder@1a2b3c4`.
pub const BUILD_MARK: char = '@';

/// The kind of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind<'a> {
    /// A server.
    Server,
    /// The control, or its twin.
    Control,
    /// A twin of that server.
    Twin(&'a str),
    /// Another build of that server.
    Build(&'a str),
}

impl<'a> EntryKind<'a> {
    /// Reads an entry's name.
    pub fn of(name: &'a str) -> Self {
        let first = base_name(name);
        match (first.split_once(BUILD_MARK), first != name) {
            _ if first == CONTROL => Self::Control,
            (_, true) => Self::Twin(first),
            (Some((server, _)), false) => Self::Build(server),
            (None, false) => Self::Server,
        }
    }
}

/// The name of an entry's twin.
pub fn second_name(name: &str) -> String {
    format!("{name}{TWIN_SUFFIX}")
}

/// The name without the suffix of a twin.
pub fn base_name(name: &str) -> &str {
    name.strip_suffix(TWIN_SUFFIX).unwrap_or(name)
}

/// Whether it is the control, or its twin.
pub fn is_control(name: &str) -> bool {
    EntryKind::of(name) == EntryKind::Control
}

/// The display name: `display` is the server's, plus the suffix of a twin or build if it isn't already in it.
pub fn shown_name(name: &str, display: &str) -> String {
    let build = base_name(name)
        .split_once(BUILD_MARK)
        .map(|(_, build)| build);
    let mut shown = display.to_owned();
    if let Some(build) = build
        && !display.contains(BUILD_MARK)
    {
        shown.push(BUILD_MARK);
        shown.push_str(build);
    }
    if base_name(name) != name && !display.ends_with(TWIN_SUFFIX) {
        shown.push_str(TWIN_SUFFIX);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_kind_of_entry() {
        for (name, kind) in [
            ("alder", EntryKind::Server),
            ("alder~2", EntryKind::Twin("alder")),
            ("alder@1a2b3c4", EntryKind::Build("alder")),
            ("alder@1a2b3c4~2", EntryKind::Twin("alder@1a2b3c4")),
            ("control", EntryKind::Control),
            ("control~2", EntryKind::Control),
            ("control-room", EntryKind::Server),
        ] {
            assert_eq!(EntryKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn no_two_entries_of_a_server_are_shown_alike() {
        for (name, display, expected) in [
            ("black-alder", "black_alder", "black_alder"),
            ("black-alder~2", "black_alder", "black_alder~2"),
            ("alder@1a2b3c4", "alder", "alder@1a2b3c4"),
            ("alder@1a2b3c4", "alder@1a2b3c4", "alder@1a2b3c4"),
            ("alder@1a2b3c4~2", "alder", "alder@1a2b3c4~2"),
            ("control~2", "control~2", "control~2"),
        ] {
            assert_eq!(shown_name(name, display), expected);
        }
    }
}
