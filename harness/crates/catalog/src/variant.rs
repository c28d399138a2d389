//! Entries of one server that differ in a setting of the compiler, in the allocator or in its middleware.

use super::names;
use super::{Server, Source};

/// The settings that a variant can change, and their values; any value where none is listed.
const SETTINGS: [(&str, &[&str]); 7] = [
    ("allocator", &["mimalloc", "system", "jemalloc"]),
    ("lto", &["off", "thin", "fat"]),
    ("codegen-units", &[]),
    ("opt-level", &["1", "2", "3", "s", "z"]),
    ("panic", &["unwind", "abort"]),
    ("target-cpu", &[]),
    (MIDDLEWARE, &["1", "2", "4", "8"]),
];

/// The number of layers around the handlers that only pass the request on: an argument of the server, not of its build.
const MIDDLEWARE: &str = "middleware";

/// Whether the entry is a variant of a server.
pub fn is_variant(entry: &str) -> bool {
    entry.contains('=')
}

/// Whether the entry is a variant whose program is its server's, started with other arguments.
pub fn has_other_arguments(entry: &str) -> bool {
    let setting = entry
        .split_once('@')
        .and_then(|(_, mark)| mark.split_once('='));
    setting.is_some_and(|(name, _)| name == MIDDLEWARE)
}

impl Server {
    /// This server built with another setting, as in `lto=fat`. Its name is this server's, `@` and the setting.
    ///
    /// # Errors
    /// An unknown setting or value, or a server that cargo doesn't build.
    pub fn variant(&self, setting: &str) -> Result<Self, String> {
        let (name, value) = setting.split_once('=').ok_or_else(|| {
            format!("\"{setting}\" is not a setting: expected one such as lto=fat")
        })?;
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
        if name == MIDDLEWARE {
            let mut variant = self.built_with(Vec::new(), setting)?;
            if let Source::Package { arguments, .. } = &mut variant.source {
                arguments.extend([format!("--{name}"), value.to_owned()]);
            }
            return Ok(variant);
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

#[cfg(test)]
mod tests {
    use super::super::Catalog;
    use super::*;

    #[test]
    fn a_setting_changes_the_build_or_the_arguments() {
        let catalog = Catalog::load(&[]).unwrap();
        let server = &catalog.servers[0];
        let of = |setting| {
            let variant = server.variant(setting).unwrap();
            assert_eq!(variant.name, format!("{}@{setting}", server.name));
            let Source::Package {
                flags, arguments, ..
            } = variant.source
            else {
                panic!("a package stays one");
            };
            (flags.join(" "), arguments.join(" "))
        };
        let built = |flags: &str| (flags.to_owned(), String::new());
        assert_eq!(of("allocator=mimalloc"), built(""));
        assert_eq!(
            of("allocator=system"),
            built("--features contract/system-allocator")
        );
        assert_eq!(of("lto=fat"), built("--config profile.release.lto=\"fat\""));
        assert_eq!(
            of("target-cpu=native"),
            built("--config build.rustflags=[\"-Ctarget-cpu=native\"]")
        );
        assert_eq!(
            of("middleware=4"),
            (String::new(), "--middleware 4".to_owned())
        );
    }

    #[test]
    fn only_middleware_is_an_argument() {
        assert!(has_other_arguments("alder@middleware=4"));
        for other in ["alder", "middleware", "middleware@lto=fat", "alder@1a2b3c4"] {
            assert!(!has_other_arguments(other), "{other}");
        }
    }

    #[test]
    fn an_unknown_setting_or_value_is_refused() {
        let catalog = Catalog::load(&[]).unwrap();
        for (setting, said) in [
            ("fast", "is not a setting"),
            ("lto-fat", "is not a setting"),
            ("target=native", "did you mean \"target-cpu\"?"),
            ("lto=thick", "no value of lto \"thick\""),
            ("middleware=3", "no value of middleware \"3\""),
            ("target-cpu=a b", "is no value of target-cpu"),
        ] {
            let error = catalog.servers[0].variant(setting).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
