//! The SQLite file of a run, from which everything else is derived.
//!
//! Each `put_*` call is one transaction, with a rollback journal instead of a write-ahead log. Between two
//! calls `run.sqlite` is the whole record and can be copied as one file. If the process is killed during a
//! call, the next reader uses the journal to restore the state before that call.

mod copy;
mod document;
mod export;
mod read;
mod schema;
mod write;

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use thiserror::Error;

use record::HiddenPaths;

pub use document::{DocumentError, read_document, write_document};
pub use export::{ExportError, read_json, write_json, write_whole};

/// How long to wait for another process that reads or writes the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// An open `run.sqlite`.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    hidden: HiddenPaths,
    locked: Option<Locked>,
}

/// Called when another program has kept the file locked for [`BUSY_TIMEOUT`].
struct Locked(Box<dyn FnMut() -> bool>);

impl fmt::Debug for Locked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Locked")
    }
}

/// Why a record could not be written or read. Every message names the file.
#[derive(Debug, Error)]
pub enum StoreError {
    /// A record is never overwritten.
    #[error("{} already exists: choose another --out, or remove it", .path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be created.
    #[error("cannot create {}: {source}; check that its folder exists and can be written", .path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file doesn't exist, or can't be read.
    #[error("cannot read {}: {source}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another kind of file, or the run was killed before it stored anything.
    #[error("{} is not the record of a run, or its run was killed before it stored anything: use the folder of another run, or start a new one", .path.display())]
    NotARecord {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer harness.
    #[error("{} has version {found}, but this harness reads only up to {known}: use the harness that wrote it, or a newer one", .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// The file's version.
        found: u32,
        /// The newest supported version.
        known: u32,
    },
    /// The file has a value that no harness writes.
    #[error("{} is damaged: {what}; restore it from a copy", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        what: String,
    },
    /// The file system is full.
    #[error("no space left to {doing} in {}: earlier results are kept; free some space and run again", .path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// The operation.
        doing: &'static str,
    },
    /// Any other SQLite error.
    #[error("cannot {doing} in {}: {source}", .path.display())]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The operation.
        doing: &'static str,
        /// The cause.
        source: rusqlite::Error,
    },
}

impl StoreError {
    /// The same error for another file.
    fn of_file(mut self, file: &Path) -> Self {
        let (Self::Exists { path }
        | Self::Create { path, .. }
        | Self::Open { path, .. }
        | Self::NotARecord { path }
        | Self::TooNew { path, .. }
        | Self::Damaged { path, .. }
        | Self::Full { path, .. }
        | Self::Sqlite { path, .. }) = &mut self;
        *path = file.to_owned();
        self
    }
}

impl Store {
    /// Creates a new record at `path`, whose folder must exist.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the file exists; [`StoreError::Create`] if the folder can't be written.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        // SQLite would open an existing file, so create it exclusively here.
        File::create_new(path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StoreError::Exists { path: path.into() },
            _ => StoreError::Create {
                path: path.into(),
                source,
            },
        })?;
        let mut store = Self::connect(path)?;
        schema::migrate(&mut store.connection, 0, schema::MIGRATIONS)
            .and_then(|()| schema::refresh_views(&mut store.connection))
            .map_err(|source| store.error("create the tables", source))?;
        Ok(store)
    }

    /// Opens an existing record to read it or to add to it. Migrates an older version, and updates the views.
    ///
    /// # Errors
    /// [`StoreError::NotARecord`], [`StoreError::TooNew`], and errors of the file system.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let (mut store, found) = Self::open_as_it_is(path)?;
        schema::migrate(&mut store.connection, found, schema::MIGRATIONS)
            .and_then(|()| schema::refresh_views(&mut store.connection))
            .map_err(|source| store.error("update the tables", source))?;
        Ok(store)
    }

    /// The version that a record was stored with. Doesn't migrate it.
    ///
    /// # Errors
    /// As for [`Store::open`].
    pub fn version(path: &Path) -> Result<u32, StoreError> {
        Self::open_as_it_is(path).map(|(_, version)| version)
    }

    fn open_as_it_is(path: &Path) -> Result<(Self, u32), StoreError> {
        // SQLite's error for a missing file doesn't give the cause.
        File::open(path).map_err(|source| StoreError::Open {
            path: path.into(),
            source,
        })?;
        let store = Self::connect(path)?;
        let found = schema::version(&store.connection)
            .map_err(|source| store.error("read the version", source))?
            .ok_or_else(|| StoreError::NotARecord { path: path.into() })?;
        let known = schema::known();
        if found > known {
            return Err(StoreError::TooNew {
                path: path.into(),
                found,
                known,
            });
        }
        Ok((store, found))
    }

    /// Removes this machine's paths from all text stored from now on.
    #[must_use]
    pub fn hiding(mut self, paths: HiddenPaths) -> Self {
        self.hidden = paths;
        self
    }

    /// Calls `again` whenever another program has kept the file locked for 10 s during a write: true retries,
    /// false gives up. Without it, the first timeout is an error.
    #[must_use]
    pub fn when_locked(mut self, again: impl FnMut() -> bool + 'static) -> Self {
        self.locked = Some(Locked(Box::new(again)));
        self
    }

    /// The path of the record.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn connect(path: &Path) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let wrap = |source| sqlite_error(path, "open the database", source);
        let connection = Connection::open_with_flags(path, flags).map_err(wrap)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(wrap)?;
        connection
            .pragma_update(None, "foreign_keys", true)
            .map_err(wrap)?;
        Ok(Self {
            connection,
            path: path.into(),
            hidden: HiddenPaths::default(),
            locked: None,
        })
    }

    fn error(&self, doing: &'static str, source: rusqlite::Error) -> StoreError {
        sqlite_error(&self.path, doing, source)
    }
}

fn sqlite_error(path: &Path, doing: &'static str, source: rusqlite::Error) -> StoreError {
    let path = path.to_path_buf();
    match source.sqlite_error_code() {
        Some(ErrorCode::NotADatabase) => StoreError::NotARecord { path },
        Some(ErrorCode::DiskFull) => StoreError::Full { path, doing },
        Some(ErrorCode::DatabaseCorrupt) => StoreError::Damaged {
            path,
            what: source.to_string(),
        },
        _ => StoreError::Sqlite {
            path,
            doing,
            source,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use catalog::Stage;
    use record::{Figures, Run, Trial};

    fn trial() -> Trial {
        Trial {
            round: 1,
            position: 0,
            server: "alder".into(),
            workload: "mixed".into(),
            stage: Stage::Peak,
            started_unix_ns: 0,
            failure: None,
            figures: Figures::new(),
            errors: Default::default(),
            first_error: None,
            histograms: Default::default(),
            intervals: Vec::new(),
        }
    }

    /// A record and another connection that holds this lock on it.
    fn locked(by: &str) -> (tempfile::TempDir, Store, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        let mut store = Store::create(&path).unwrap();
        store.put_run(&Run::default()).unwrap();
        store.connection.busy_timeout(Duration::ZERO).unwrap();
        let viewer = Connection::open(&path).unwrap();
        viewer.execute_batch(by).unwrap();
        (folder, store, viewer)
    }

    const LOCKS: [&str; 2] = ["BEGIN EXCLUSIVE", "BEGIN; SELECT * FROM run"];

    #[test]
    fn a_trial_is_stored_once_the_file_is_free_again() {
        for by in LOCKS {
            let (_folder, store, viewer) = locked(by);
            let mut viewer = Some(viewer);
            let mut asked = 0;
            let mut store = store.when_locked(move || {
                asked += 1;
                if asked == 3 {
                    drop(viewer.take());
                }
                asked <= 3
            });
            store.put_trials(&[trial()]).unwrap();
            assert_eq!(store.load().unwrap().trials, [trial()], "{by}");
        }
    }

    #[test]
    fn a_locked_file_is_given_up_where_nobody_waits() {
        for by in LOCKS {
            let (_folder, mut store, viewer) = locked(by);
            let error = store.put_trial(&trial()).unwrap_err();
            assert!(error.to_string().contains("locked"), "{error}");
            let mut store = store.when_locked(|| false);
            store.put_trial(&trial()).unwrap_err();
            drop(viewer);
            assert_eq!(store.load().unwrap().trials, [], "{by}");
        }
    }
}
