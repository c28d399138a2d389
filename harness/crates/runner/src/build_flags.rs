//! The settings that change what cargo builds: environment variables and cargo's config files.
//!
//! `cargo config get` is not stable, so this reads the files by the rules of
//! <https://doc.rust-lang.org/cargo/reference/config.html>: those of the folder, of each parent, then of
//! `CARGO_HOME`. The nearest wins, lists are joined, and environment variables override files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::build::rustc_says;

/// Settings by name, such as `rustflags` or `profile.release.lto`. Empty if all are cargo's defaults.
pub(super) type BuildFlags = BTreeMap<String, String>;

/// Keys of `[build]` that matter, with the variables that set them, strongest first.
const BUILD_KEYS: [(&str, &[&str]); 5] = [
    ("rustc", &["RUSTC", "CARGO_BUILD_RUSTC"]),
    (
        "rustc-wrapper",
        &["RUSTC_WRAPPER", "CARGO_BUILD_RUSTC_WRAPPER"],
    ),
    (
        "rustc-workspace-wrapper",
        &[
            "RUSTC_WORKSPACE_WRAPPER",
            "CARGO_BUILD_RUSTC_WORKSPACE_WRAPPER",
        ],
    ),
    ("target", &["CARGO_BUILD_TARGET"]),
    (
        "incremental",
        &["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"],
    ),
];
const PROFILE_VARIABLE: &str = "CARGO_PROFILE_RELEASE_";
/// Maximum depth of includes. Cargo refuses a cycle.
const MOST_INCLUDES: u32 = 8;
/// Separates the words of `CARGO_ENCODED_RUSTFLAGS`.
const ENCODED: char = '\u{1f}';

/// The settings for a cargo build in `folder`.
pub(super) fn build_flags(folder: &Path) -> BuildFlags {
    let variables: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let home = match variables.get("CARGO_HOME") {
        Some(home) => Some(PathBuf::from(home)),
        None => std::env::home_dir().map(|home| home.join(".cargo")),
    };
    let settings = Settings {
        file: merged(folder, home.as_deref()),
        variables,
    };
    let host = || {
        let said = rustc_says("-vV").unwrap_or_default();
        let host = said.lines().find_map(|line| line.strip_prefix("host: "));
        host.unwrap_or_default().to_owned()
    };
    settings.flags(host)
}

struct Settings {
    file: Table,
    variables: BTreeMap<String, String>,
}

impl Settings {
    fn flags(&self, host: impl Fn() -> String) -> BuildFlags {
        let mut flags = BuildFlags::new();
        for (key, variables) in BUILD_KEYS {
            let of_file = || self.at(&["build", key]).map(shown);
            if let Some(value) = self.variable(variables).or_else(of_file)
                && !value.is_empty()
            {
                // The program's folder is specific to this machine.
                let value = if key.starts_with("rustc") {
                    file_name(&value)
                } else {
                    value
                };
                flags.insert(format!("build.{key}"), value);
            }
        }
        self.add_profile(&mut flags);
        self.add_target(&mut flags, host);
        if let Some(unstable) = self.at(&["unstable"]) {
            flatten("unstable", unstable, &mut flags);
        }
        flags
    }

    fn add_profile(&self, flags: &mut BuildFlags) {
        if let Some(profile) = self.at(&["profile", "release"]) {
            flatten("profile.release", profile, flags);
        }
        for (name, value) in &self.variables {
            let Some(key) = name.strip_prefix(PROFILE_VARIABLE) else {
                continue;
            };
            let key = key.to_lowercase().replace('_', "-");
            let key = key.replacen("build-override-", "build-override.", 1);
            flags.insert(format!("profile.release.{key}"), value.clone());
        }
    }

    /// Flags for rustc, and the linker. Cargo takes the first of these that is not empty: the variables, the
    /// target's flags, those of `[build]`.
    fn add_target(&self, flags: &mut BuildFlags, host: impl Fn() -> String) {
        let given = |name: &str, separator| {
            let text = self.variables.get(name)?;
            let words: Vec<_> = text.split(separator).filter(|w| !w.is_empty()).collect();
            (!words.is_empty()).then(|| words.join(" "))
        };
        let of_variables =
            given("CARGO_ENCODED_RUSTFLAGS", ENCODED).or_else(|| given("RUSTFLAGS", ' '));
        let targets = flags.get("build.target").cloned().unwrap_or_else(host);
        let targets: Vec<&str> = targets.split(' ').collect();
        let mut of_target = BuildFlags::new();
        for target in &targets {
            let variable = target.to_uppercase().replace('-', "_");
            for (key, name) in [("rustflags", "RUSTFLAGS"), ("linker", "LINKER")] {
                let name = format!("CARGO_TARGET_{variable}_{name}");
                self.add_one(&mut of_target, &["target", target, key], &name);
            }
        }
        let conditions = self.at(&["target"]).and_then(Value::as_table);
        for condition in conditions.into_iter().flat_map(Table::keys) {
            if condition.starts_with("cfg(") {
                for key in ["rustflags", "linker"] {
                    self.add_one(&mut of_target, &["target", condition, key], "");
                }
            }
        }
        let is_rustflags = |name: &str| name.ends_with(".rustflags");
        let mut of_build = BuildFlags::new();
        self.add_one(
            &mut of_build,
            &["build", "rustflags"],
            "CARGO_BUILD_RUSTFLAGS",
        );
        if let Some(words) = of_variables {
            of_target.retain(|name, _| !is_rustflags(name));
            flags.insert("rustflags".to_owned(), words);
        } else if of_target.keys().any(|name| is_rustflags(name)) {
            // Only cargo knows whether a condition holds, so list both.
            flags.extend(of_build);
        } else if let Some(words) = of_build.remove("build.rustflags") {
            flags.insert("rustflags".to_owned(), words);
        }
        flags.extend(of_target);
    }

    /// A key of the files, and the variable that extends its list or overrides it.
    fn add_one(&self, flags: &mut BuildFlags, keys: &[&str], variable: &str) {
        let of_file = self.at(keys).map(shown);
        let of_variable = self.variable(&[variable]);
        let value = match keys.last() {
            Some(&"linker") => of_variable.or(of_file).map(|path| file_name(&path)),
            _ => {
                let words: Vec<String> = of_file.into_iter().chain(of_variable).collect();
                Some(words.join(" "))
            }
        };
        if let Some(value) = value
            && !value.is_empty()
        {
            flags.insert(keys.join("."), value);
        }
    }

    fn variable(&self, names: &[&str]) -> Option<String> {
        names
            .iter()
            .find_map(|name| self.variables.get(*name))
            .cloned()
    }

    fn at(&self, keys: &[&str]) -> Option<&Value> {
        let (first, rest) = keys.split_first()?;
        let first = self.file.get(*first)?;
        rest.iter().try_fold(first, |value, key| value.get(*key))
    }
}

/// All config files that apply to a folder, merged. A file that can't be read is left out: cargo reports what
/// is wrong with it.
fn merged(folder: &Path, home: Option<&Path>) -> Table {
    let mut folders: Vec<PathBuf> = folder.ancestors().map(|f| f.join(".cargo")).collect();
    if let Some(home) = home
        && !folders.iter().any(|folder| folder == home)
    {
        folders.push(home.to_owned());
    }
    let mut all = Table::new();
    for folder in folders {
        // Cargo prefers the old name if both exist.
        let names = ["config", "config.toml"].map(|name| folder.join(name));
        let file = names.into_iter().find(|file| file.is_file());
        if let Some(table) = file.and_then(|file| read(&file, MOST_INCLUDES)) {
            fill(&mut all, table);
        }
    }
    all
}

/// A file and its includes; later includes override earlier ones.
fn read(file: &Path, depth: u32) -> Option<Table> {
    let mut table: Table = fs::read_to_string(file).ok()?.parse().ok()?;
    let included = match table.remove("include") {
        Some(Value::Array(included)) => included,
        _ => Vec::new(),
    };
    for one in included.iter().rev().filter(|_| depth > 0) {
        // A name, or a table with details.
        let name = one.as_str().or_else(|| one.get("path")?.as_str());
        let far = name.and_then(|name| read(&file.with_file_name(name), depth - 1));
        if let Some(far) = far {
            fill(&mut table, far);
        }
    }
    Some(table)
}

/// Adds the settings of a file further away.
fn fill(near: &mut Table, far: Table) {
    for (key, value) in far {
        match (near.get_mut(&key), value) {
            (None, value) => {
                near.insert(key, value);
            }
            (Some(Value::Table(near)), Value::Table(far)) => fill(near, far),
            (Some(Value::Array(near)), Value::Array(far)) => {
                near.splice(0..0, far);
            }
            (Some(_), _) => {}
        }
    }
}

fn flatten(name: &str, value: &Value, flags: &mut BuildFlags) {
    match value {
        Value::Table(table) => {
            for (key, value) in table {
                flatten(&format!("{name}.{key}"), value, flags);
            }
        }
        value => {
            flags.insert(name.to_owned(), shown(value));
        }
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        Value::Array(items) => items.iter().map(shown).collect::<Vec<_>>().join(" "),
        // No key that is read here has such a value.
        Value::Datetime(_) | Value::Table(_) => String::new(),
    }
}

fn file_name(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.map_or_else(
        || path.to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "x86_64-unknown-linux-gnu";

    /// The flags in `work/inner` with these files and variables; `home` is CARGO_HOME.
    fn flags(files: &[(&str, &str)], variables: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let settings = Settings {
            file: merged(
                &folder.path().join("work/inner"),
                Some(&folder.path().join("home")),
            ),
            variables: variables.iter().map(own).collect(),
        };
        let flags = settings.flags(|| HOST.to_owned());
        flags.into_iter().map(|(n, v)| format!("{n}={v}")).collect()
    }

    #[test]
    fn nothing_set_is_nothing_recorded() {
        let other = "[target.aarch64-unknown-linux-gnu]\nlinker = 'gcc'\n[net]\nretry = 3\n[build]\njobs = 2";
        assert!(flags(&[], &[("PATH", "/bin"), ("RUSTFLAGS", "")]).is_empty());
        assert!(flags(&[("home/config.toml", other)], &[]).is_empty());
    }

    #[test]
    fn equal_flags_read_alike_wherever_they_are_set() {
        let expected = ["rustflags=-C target-cpu=native"];
        let list = "[build]\nrustflags = ['-C', 'target-cpu=native']";
        let text = "build.rustflags = '-C target-cpu=native'";
        for (files, variables) in [
            (vec![], vec![("RUSTFLAGS", " -C target-cpu=native")]),
            (
                vec![],
                vec![("CARGO_ENCODED_RUSTFLAGS", "-C\u{1f}target-cpu=native")],
            ),
            (
                vec![],
                vec![("CARGO_BUILD_RUSTFLAGS", "-C target-cpu=native")],
            ),
            (vec![("work/inner/.cargo/config.toml", list)], vec![]),
            (vec![("work/.cargo/config", text)], vec![]),
            (vec![("home/config.toml", text)], vec![]),
        ] {
            assert_eq!(
                flags(&files, &variables),
                expected,
                "{files:?} {variables:?}"
            );
        }
    }

    #[test]
    fn the_first_source_that_is_not_empty_wins_as_in_cargo() {
        let files = [(
            "work/.cargo/config.toml",
            "build.rustflags = '-Cb'\n[target.x86_64-unknown-linux-gnu]\nrustflags = '-Ct'",
        )];
        let all = [
            ("CARGO_ENCODED_RUSTFLAGS", "-Ce"),
            ("RUSTFLAGS", "-Cr"),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", "-Cv"),
        ];
        assert_eq!(flags(&files, &all), ["rustflags=-Ce"]);
        assert_eq!(flags(&files, &all[1..]), ["rustflags=-Cr"]);
        assert_eq!(
            flags(&files, &all[2..]),
            [
                "build.rustflags=-Cb",
                "target.x86_64-unknown-linux-gnu.rustflags=-Ct -Cv"
            ]
        );
    }

    #[test]
    fn near_files_win_and_lists_are_joined() {
        let files = [
            (
                "work/inner/.cargo/config.toml",
                "build.rustflags = ['-Cnear']\nprofile.release.lto = 'off'",
            ),
            (
                "work/.cargo/config.toml",
                "build.rustflags = ['-Cfar']\nprofile.release.lto = 'fat'",
            ),
            (
                "home/config.toml",
                "[profile.release]\npanic = 'abort'\n[profile.release.package.beech]\nopt-level = 1",
            ),
        ];
        let variables = [
            ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1"),
            ("CARGO_PROFILE_RELEASE_BUILD_OVERRIDE_OPT_LEVEL", "3"),
            ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
            ("CARGO_PROFILE_DEV_LTO", "fat"),
        ];
        assert_eq!(
            flags(&files, &variables),
            [
                "profile.release.build-override.opt-level=3",
                "profile.release.codegen-units=1",
                "profile.release.lto=off",
                "profile.release.package.beech.opt-level=1",
                "profile.release.panic=unwind",
                "rustflags=-Cfar -Cnear",
            ]
        );
    }

    #[test]
    fn included_files_count_less_than_the_one_that_names_them() {
        let files = [
            (
                "work/.cargo/config.toml",
                "include = ['one.toml', { path = 'more/two.toml' }, 'absent.toml']\nbuild.rustflags = ['-Cown']",
            ),
            (
                "work/.cargo/one.toml",
                "build.rustflags = ['-Cone']\nprofile.release.lto = 'fat'",
            ),
            (
                "work/.cargo/more/two.toml",
                "include = ['two.toml']\nbuild.rustflags = ['-Ctwo']\nprofile.release.lto = 'off'",
            ),
        ];
        let found = flags(&files, &[]);
        assert_eq!(found[0], "profile.release.lto=off");
        // A file that includes itself is read up to the limit.
        assert!(found[1].starts_with("rustflags=-Cone -Ctwo"), "{found:?}");
        assert!(found[1].ends_with("-Ctwo -Cown"), "{found:?}");
    }

    #[test]
    fn programs_are_named_without_their_folders() {
        let files = [(
            "work/.cargo/config.toml",
            "build.rustc-wrapper = '/opt/a/cache'\n[target.'cfg(unix)']\nlinker = '/opt/b/mold'",
        )];
        let variables = [("RUSTC", "/opt/c/rustc"), ("RUSTC_WORKSPACE_WRAPPER", "")];
        assert_eq!(
            flags(&files, &variables),
            [
                "build.rustc=rustc",
                "build.rustc-wrapper=cache",
                "target.cfg(unix).linker=mold",
            ]
        );
        let off = [("RUSTC_WRAPPER", "")];
        assert_eq!(flags(&files, &off), ["target.cfg(unix).linker=mold"]);
    }

    #[test]
    fn another_target_takes_its_own_flags() {
        let files = [(
            "work/.cargo/config.toml",
            "[target.x86_64-unknown-linux-gnu]\nrustflags = '-Cgnu'\n[target.x86_64-unknown-linux-musl]\nrustflags = '-Cmusl'",
        )];
        let variables = [("CARGO_BUILD_TARGET", "x86_64-unknown-linux-musl")];
        assert_eq!(
            flags(&files, &variables),
            [
                "build.target=x86_64-unknown-linux-musl",
                "target.x86_64-unknown-linux-musl.rustflags=-Cmusl",
            ]
        );
    }
}
