//! Request mixes as data.

/// One request of a workload, before it is put on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Call {
    /// As in `GET`.
    pub method: String,
    /// Path and query, as in `/api/v1/users?page=2`.
    pub target: String,
    /// A JSON body, sent as `application/json`.
    pub body: Option<String>,
}

/// A request mix.
#[derive(Debug, Clone)]
pub struct Workload {
    /// Its file's name without `.toml`.
    pub name: String,
    /// One line on what it shows.
    pub about: String,
}
