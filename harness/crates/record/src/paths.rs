//! Keeps this machine's paths out of stored and shared text.

use std::borrow::Cow;
use std::path::Path;

/// Folders of this machine and their replacements in stored text. The default hides nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HiddenPaths {
    /// Longest folder first, so that nested folders match first.
    folders: Vec<(String, &'static str)>,
}

impl HiddenPaths {
    /// Each folder with its replacement, such as `.` for the workspace and `~` for the home folder. Ignores
    /// relative folders and `/`.
    pub fn new<'a>(folders: impl IntoIterator<Item = (&'a Path, &'static str)>) -> Self {
        let mut folders: Vec<_> = folders
            .into_iter()
            .filter(|(folder, _)| folder.is_absolute() && folder.parent().is_some())
            .map(|(folder, instead)| {
                let text = folder.to_string_lossy();
                (text.trim_end_matches('/').to_owned(), instead)
            })
            .collect();
        folders.sort_by_key(|(folder, _)| std::cmp::Reverse(folder.len()));
        Self { folders }
    }

    /// `text` with every hidden folder replaced.
    pub fn clean<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut clean = Cow::Borrowed(text);
        for (folder, instead) in &self.folders {
            if clean.contains(folder.as_str()) {
                clean = Cow::Owned(replace_whole(&clean, folder, instead));
            }
        }
        clean
    }
}

/// Replaces `folder` if it is a whole path or the start of one, but not inside another path or as the start of
/// a longer name.
fn replace_whole(text: &str, folder: &str, instead: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(folder) {
        let (before, found) = rest.split_at(at);
        let after = &found[folder.len()..];
        out.push_str(before);
        // `-L/home/ann/lib` is a flag and its path.
        let word = out.rsplit(char::is_whitespace).next().unwrap_or_default();
        let flag = word.starts_with('-') && !word.contains('/');
        let joined_before = out.ends_with(is_name_char) && !flag;
        let joined_after = after.starts_with(|c| is_name_char(c) && c != '.');
        out.push_str(if joined_before || joined_after {
            folder
        } else {
            instead
        });
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths() -> HiddenPaths {
        HiddenPaths::new([
            (Path::new("/home/ann"), "~"),
            (Path::new("/home/ann/bench/"), "."),
            (Path::new("/"), "?"),
            (Path::new("relative"), "?"),
        ])
    }

    #[test]
    fn the_innermost_folder_is_replaced_everywhere() {
        let text = "error: /home/ann/bench/servers/a.rs:1 in /home/ann/.cargo, (/home/ann/bench)";
        assert_eq!(
            paths().clean(text),
            "error: ./servers/a.rs:1 in ~/.cargo, (.)"
        );
    }

    #[test]
    fn names_that_only_begin_alike_are_left() {
        let text = "/home/anna/x /srv/home/ann/x /home/ann-2";
        assert_eq!(paths().clean(text), text);
        assert_eq!(HiddenPaths::default().clean("/home/ann"), "/home/ann");
    }

    #[test]
    fn a_path_joined_to_a_flag_is_replaced() {
        let text = "-L/home/ann/lib -Clink-arg=/home/ann/x -L/srv/home/ann";
        let clean = "-L~/lib -Clink-arg=~/x -L/srv/home/ann";
        assert_eq!(paths().clean(text), clean);
    }

    #[test]
    fn a_path_at_the_end_of_a_sentence_is_replaced() {
        assert_eq!(paths().clean("not found in /home/ann."), "not found in ~.");
    }
}
