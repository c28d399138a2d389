//! Builds of one server that differ in a setting of the compiler or in the allocator.

use super::names;
use super::{Server, Source};

/// The settings that a variant can change, and their values; any value where none is listed.
const SETTINGS: [(&str, &[&str]); 6] = [
    ("allocator", &["mimalloc", "system", "jemalloc"]),
    ("lto", &["off", "thin", "fat"]),
    ("codegen-units", &[]),
    ("opt-level", &["1", "2", "3", "s", "z"]),
    ("panic", &["unwind", "abort"]),
    ("target-cpu", &[]),
];

impl Server {
    /// This server built with another setting, as in `lto=fat`. Its name is this server's, `@` and the setting.
    ///
    /// # Errors
    /// An unknown setting or value, or a server that cargo doesn't build.
    pub fn variant(&self, setting: &str) -> Result<Self, String> {
        let (name, value) = setting
            .split_once('=')
            .ok_or_else(|| format!("\"{setting}\" is no setting: expected one such as lto=fat"))?;
        let all: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
        let (_, values) = SETTINGS
            .iter()
            .find(|(known, _)| *known == name)
            .ok_or_else(|| names::unknown("setting", name, &all))?;
        if !values.is_empty() && !values.contains(&value) {
            return Err(names::unknown(&format!("value of {name}"), value, values));
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if value.is_empty() || !value.chars().all(plain) {
            return Err(format!("\"{value}\" is no value of {name}"));
        }
        let config = |text: String| vec!["--config".to_owned(), text];
        let flags = match (name, value) {
            ("allocator", "mimalloc") => Vec::new(),
            ("allocator", "system") => feature("system-allocator"),
            ("allocator", allocator) => feature(allocator),
            ("target-cpu", cpu) => config(format!("build.rustflags=[\"-Ctarget-cpu={cpu}\"]")),
            ("codegen-units", units) => config(format!("profile.release.codegen-units={units}")),
            (setting, value) => match value.parse::<u32>() {
                Ok(number) => config(format!("profile.release.{setting}={number}")),
                Err(_) => config(format!("profile.release.{setting}=\"{value}\"")),
            },
        };
        self.built_with(flags, setting)
    }

    /// This server with a counting allocator, for `harness cost`. Its speed means nothing.
    ///
    /// # Errors
    /// A program whose manifest names no such build.
    pub fn counting_allocations(&self) -> Result<Self, String> {
        const MARK: &str = "count-allocations";
        let Source::Program { run_counting, .. } = &self.source else {
            return self.built_with(feature(MARK), MARK);
        };
        let counting = run_counting.clone().ok_or(
            "its server.toml has no `run_counting`, a command that serves with a counting allocator",
        )?;
        let mut variant = self.clone();
        if let Source::Program { run, .. } = &mut variant.source {
            *run = counting;
        }
        Ok(variant.marked(MARK))
    }

    fn built_with(&self, flags: Vec<String>, mark: &str) -> Result<Self, String> {
        let mut variant = self.clone();
        let Source::Package { flags: own, .. } = &mut variant.source else {
            return Err(format!(
                "{} is not built by cargo in this workspace",
                self.name
            ));
        };
        own.extend(flags);
        Ok(variant.marked(mark))
    }
}

/// A feature of the crate that all servers share.
fn feature(name: &str) -> Vec<String> {
    vec!["--features".to_owned(), format!("contract/{name}")]
}
