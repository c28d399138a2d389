//! The templates of `harness new`: plain files, in which `{name}` stands for the server's name.
//!
//! The only part of the harness that names frameworks.

/// What `harness new` writes.
#[derive(Debug)]
pub(crate) struct Template {
    /// As in `--template NAME`.
    pub(crate) name: &'static str,
    /// What it is for, in one line of the help.
    pub(crate) about: &'static str,
    /// Whether it is a program of another language, not a package of the workspace.
    pub(crate) external: bool,
    /// The file with the routes to write.
    pub(crate) routes: &'static str,
    /// Path and text of each file.
    pub(crate) files: &'static [(&'static str, &'static str)],
}

/// A file of the folder of templates, and its path in the server's folder.
macro_rules! files {
    ($($path:literal = $from:literal),+ $(,)?) => {
        &[$(($path, include_str!($from))),+]
    };
}

/// The server to compare a new one with first.
pub(crate) const BASELINE: &str = "axum";

/// All templates. The first is the default.
pub(crate) const TEMPLATES: &[Template] = &[
    Template {
        name: "hyper-service",
        about: "A framework on hyper: accepting and stopping are written, the framework takes over in the service",
        external: false,
        routes: "src/routes.rs",
        files: files! {
            "Cargo.toml" = "hyper-service/Cargo.toml",
            "README.md" = "rust/README.md",
            "src/main.rs" = "hyper-service/main.rs",
            "src/routes.rs" = "hyper-service/routes.rs",
            "tests/contract.rs" = "rust/contract.rs",
        },
    },
    Template {
        name: "tokio",
        about: "A framework on tokio with an HTTP implementation of its own: a task for each connection",
        external: false,
        routes: "src/routes.rs",
        files: files! {
            "Cargo.toml" = "tokio/Cargo.toml",
            "README.md" = "rust/README.md",
            "src/http.rs" = "without-http/http.rs",
            "src/main.rs" = "tokio/main.rs",
            "src/routes.rs" = "without-http/routes.rs",
            "tests/contract.rs" = "rust/contract.rs",
        },
    },
    Template {
        name: "threads",
        about: "A framework with threads of its own and no async runtime: each worker has its connections",
        external: false,
        routes: "src/routes.rs",
        files: files! {
            "Cargo.toml" = "threads/Cargo.toml",
            "README.md" = "rust/README.md",
            "src/connection.rs" = "threads/connection.rs",
            "src/http.rs" = "without-http/http.rs",
            "src/main.rs" = "threads/main.rs",
            "src/routes.rs" = "without-http/routes.rs",
            "tests/contract.rs" = "rust/contract.rs",
        },
    },
    Template {
        name: "external-go",
        about: "A program in Go, begun with net/http, in servers/external",
        external: true,
        routes: "main.go",
        files: files! {
            ".gitignore" = "external-go/gitignore",
            "README.md" = "external/README.md",
            "go.mod" = "external-go/go.mod",
            "main.go" = "external-go/main.go",
            "server.toml" = "external-go/server.toml",
        },
    },
    Template {
        name: "external-node",
        about: "A program in JavaScript, begun with node:http, in servers/external",
        external: true,
        routes: "server.mjs",
        files: files! {
            "README.md" = "external/README.md",
            "server.mjs" = "external-node/server.mjs",
            "server.toml" = "external-node/server.toml",
        },
    },
    Template {
        name: "external-python",
        about: "A program in Python, begun with http.server, in servers/external",
        external: true,
        routes: "server.py",
        files: files! {
            "README.md" = "external/README.md",
            "server.py" = "external-python/server.py",
            "server.toml" = "external-python/server.toml",
        },
    },
];
