//! Which kind of work a function or a source file does: the table `classes.toml`.

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// The table, which is data so that this crate names no framework.
const TABLE: &str = include_str!("../../classes.toml");

/// Classes with a meaning of their own here; the table has to have them.
const SPECIAL: [&str; 5] = ["kernel", "runtime", "framework", "allocation", "other"];

/// The table of classes.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkClasses {
    /// In the order they are shown.
    #[serde(rename = "class")]
    pub all: Vec<WorkClass>,
    caller: Patterns,
    /// The crate that the server is built on.
    #[serde(skip)]
    upstream: Option<String>,
}

/// One kind of work.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkClass {
    /// As in `routing`.
    pub name: String,
    /// What it is, for people.
    pub about: String,
    /// Its colour in a flame graph: red, green, blue.
    pub colour: [u8; 3],
    #[serde(default)]
    paths: Vec<String>,
    #[serde(default)]
    symbols: Vec<String>,
    #[serde(default)]
    allocates: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Patterns {
    paths: Vec<String>,
    symbols: Vec<String>,
}

/// What the table says of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// The class with this index.
    Class(usize),
    /// A helper, which works for its caller.
    Callers,
    /// Nothing.
    Unknown,
}

impl WorkClasses {
    /// The table, for a server on this crate.
    ///
    /// # Errors
    /// If the table is wrong.
    pub fn read(upstream: Option<&str>) -> Result<Self> {
        let mut table: Self =
            toml::from_str(TABLE).context("in harness/crates/cost/classes.toml")?;
        table.upstream = upstream.map(|name| name.replace('-', "_"));
        for name in SPECIAL {
            let found = table.all.iter().any(|class| class.name == name);
            found.then_some(()).with_context(|| {
                format!("harness/crates/cost/classes.toml has no class \"{name}\"")
            })?;
        }
        Ok(table)
    }

    /// The index of a class that the table has to have.
    pub(super) fn index(&self, name: &str) -> usize {
        let found = self.all.iter().position(|class| class.name == name);
        found.unwrap_or(self.all.len() - 1)
    }

    /// What a function does, by its demangled name.
    pub(super) fn of_function(&self, name: &str) -> Work {
        match owner(name) {
            Some(path) => self.of_path(path),
            None => self.of_symbol(name),
        }
    }

    /// What the code of a crate or module does, as in `tokio::runtime::task`.
    pub(super) fn of_path(&self, path: &str) -> Work {
        let fits = |prefix: &&String| {
            path.strip_prefix(prefix.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let longest = |paths: &[String]| paths.iter().filter(fits).map(String::len).max();
        let classes = self.all.iter().enumerate();
        let classes = classes.map(|(index, class)| (longest(&class.paths), Work::Class(index)));
        let best = classes
            .chain([(longest(&self.caller.paths), Work::Callers)])
            .filter_map(|(length, work)| Some((length?, work)))
            .max_by_key(|(length, _)| *length);
        match best {
            Some((_, work)) => work,
            None if self.is_upstream(path) => Work::Class(self.index("framework")),
            None => Work::Unknown,
        }
    }

    fn of_symbol(&self, name: &str) -> Work {
        let fits = |patterns: &[String]| patterns.iter().any(|pattern| is_like(name, pattern));
        let classes = self.all.iter().position(|class| fits(&class.symbols));
        match classes {
            Some(index) => Work::Class(index),
            None if fits(&self.caller.symbols) => Work::Callers,
            None => Work::Unknown,
        }
    }

    /// Whether the path is in the upstream crate, or in one whose name begins with it.
    fn is_upstream(&self, path: &str) -> bool {
        let first = path.split("::").next().unwrap_or_default();
        self.upstream.as_deref().is_some_and(|upstream| {
            first
                .strip_prefix(upstream)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        })
    }

    /// Whether a call of this function is one allocation.
    pub(super) fn allocates(&self, name: &str) -> bool {
        let mut all = self.all.iter().flat_map(|class| &class.allocates);
        all.any(|pattern| is_like(name, pattern))
    }
}

/// Whether a name is the pattern, or begins with it if it ends in `*`.
fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// The path that a Rust function belongs to: of `<A as B>::f` that of `A`, or of `B` if `A` is a type parameter.
/// Absent for a name without a path.
fn owner(name: &str) -> Option<&str> {
    let Some(inner) = name.strip_prefix('<') else {
        let path = leading(name);
        return path.contains("::").then_some(path);
    };
    let mut depth = 0_u32;
    let mut split = None;
    for (at, letter) in inner.char_indices() {
        match letter {
            '<' => depth += 1,
            // The arrow of a function type.
            '>' if inner[..at].ends_with('-') => {}
            '>' if depth == 0 => break,
            '>' => depth -= 1,
            ' ' if depth == 0 && inner[at..].starts_with(" as ") => {
                split = Some(at);
                break;
            }
            _ => {}
        }
    }
    let of_type = leading(without_pointers(&inner[..split.unwrap_or(inner.len())]));
    match split {
        Some(at) if !of_type.contains("::") => Some(leading(&inner[at + " as ".len()..])),
        _ => Some(of_type),
    }
}

/// Without references, pointers, `dyn` and the brackets of slices and tuples.
fn without_pointers(mut name: &str) -> &str {
    const MARKS: [&str; 9] = [
        "&", "mut ", "*const ", "*mut ", "dyn ", "[", "(", "<", "impl ",
    ];
    while let Some(rest) = MARKS.iter().find_map(|mark| name.strip_prefix(mark)) {
        name = rest;
    }
    name
}

/// The path that a name begins with, as in `a::b` of `a::b<C>::d`.
fn leading(name: &str) -> &str {
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'));
    name[..end.unwrap_or(name.len())].trim_end_matches(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(of: &WorkClasses, name: &str) -> String {
        match of.of_function(name) {
            Work::Class(index) => of.all[index].name.clone(),
            Work::Callers => "caller".to_owned(),
            Work::Unknown => "unknown".to_owned(),
        }
    }

    #[test]
    fn the_longest_path_that_fits_decides() {
        let table = WorkClasses::read(None).unwrap();
        let mut within_another = 0;
        for owner in &table.all {
            for path in owner.paths.iter().filter(|path| path.contains("::")) {
                assert_eq!(class(&table, &format!("{path}::x")), owner.name, "{path}");
                let outer = path.split("::").next().unwrap();
                let outer = class(&table, &format!("{outer}::x"));
                within_another += usize::from(outer != owner.name && outer != "unknown");
            }
        }
        assert!(
            within_another > 0,
            "no module has another class than its crate"
        );
    }

    #[test]
    fn a_function_belongs_to_its_outermost_path() {
        let table = WorkClasses::read(Some("warp-speed")).unwrap();
        for (name, expected) in [
            ("tokio::runtime::task::raw::poll", "runtime"),
            (
                "<hyper::proto::h1::role::Server as hyper::proto::h1::Http1Transaction>::parse",
                "framework",
            ),
            (
                "<T as tower::util::boxed_clone_sync::CloneService<R>>::clone_box",
                "framework",
            ),
            (
                "<&mut serde_json::ser::Serializer<W,F> as serde_core::ser::Serializer>::serialize_str",
                "JSON and queries",
            ),
            (
                "contract::users::_::<impl serde_core::ser::Serialize for contract::users::User>::serialize",
                "contract",
            ),
            ("matchit::router::Router<T>::at", "routing"),
            ("tower_http::trace::on_request::{{closure}}", "framework"),
            (
                "core::ptr::drop_in_place<tokio::net::tcp::stream::TcpStream>",
                "caller",
            ),
            (
                "<alloc::vec::Vec<fn(u8) -> tokio::X> as hyper::Y>::f",
                "caller",
            ),
            (
                "<core::iter::Map<I, fn(a::B) -> c::D> as serde::ser::E>::f",
                "caller",
            ),
            (
                "<std::sys::net::connection::socket::unix::Socket>::recv_with_flags",
                "caller",
            ),
            (
                "<[T] as serde::ser::Serialize>::serialize",
                "JSON and queries",
            ),
            ("mi_malloc_aligned", "allocation"),
            ("_int_free", "allocation"),
            ("__memmove_avx_unaligned_erms", "caller"),
            ("warp_speed::serve", "framework"),
            ("warp_speed_core::serve", "framework"),
            ("warp_speeding::serve", "unknown"),
            ("tokio_tungstenite::x", "unknown"),
            ("main", "unknown"),
        ] {
            assert_eq!(class(&table, name), expected, "{name}");
        }
        assert_eq!(
            class(&WorkClasses::read(None).unwrap(), "warp_speed::serve"),
            "unknown"
        );
    }

    #[test]
    fn only_some_functions_of_the_allocator_allocate() {
        let table = WorkClasses::read(None).unwrap();
        assert!(table.allocates("mi_malloc_aligned") && table.allocates("realloc"));
        assert!(!table.allocates("mi_free") && !table.allocates("_mi_malloc_generic"));
        // Else an allocation would have no class of its own to be left out by.
        let allocation = table.index("allocation");
        for name in &table.all[allocation].allocates {
            assert_eq!(table.of_function(name), Work::Class(allocation), "{name}");
        }
    }

    #[test]
    fn no_path_is_listed_twice() {
        let table = WorkClasses::read(None).unwrap();
        let mut all: Vec<&String> = table.all.iter().flat_map(|class| &class.paths).collect();
        all.extend(&table.caller.paths);
        all.sort();
        assert!(all.windows(2).all(|pair| pair[0] != pair[1]), "{all:?}");
    }
}
