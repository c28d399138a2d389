//! Reads a record that can't be written.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::{Store, StoreError};
use record::Record;

/// SQLite's rollback journal of an interrupted transaction.
const JOURNAL: &str = "-journal";

impl Store {
    /// Reads a whole record. An older version is migrated in place or, if it can't be written, in a temporary
    /// copy.
    ///
    /// # Errors
    /// As for [`Store::open`] and [`Store::load`].
    pub fn read(path: &Path) -> Result<Record, StoreError> {
        match Self::open(path).and_then(|mut store| store.load()) {
            Err(StoreError::Sqlite { source, .. }) if can_not_write(&source) => {
                let copy = Copy::of(path).map_err(|source| StoreError::Open {
                    path: path.into(),
                    source,
                })?;
                Self::open(&copy.file)
                    .and_then(|mut store| store.load())
                    .map_err(|error| error.of_file(path))
            }
            read => read,
        }
    }
}

/// A file or folder without write access, or a killed harness's journal that can't be rolled back.
fn can_not_write(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied)
    )
}

/// A copy in the folder for temporary files, removed on drop.
struct Copy {
    folder: PathBuf,
    file: PathBuf,
}

impl Copy {
    fn of(path: &Path) -> std::io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("harness-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        let copy = Self {
            file: folder.join("run.sqlite"),
            folder,
        };
        // Nobody writes the file while it is read. If it can't be locked either, its writer is gone.
        let lock = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY);
        if let Ok(lock) = &lock {
            let _ = lock.execute_batch("BEGIN; SELECT count(*) FROM sqlite_master");
        }
        copy_bytes(path, &copy.file)?;
        let journal = with_suffix(path);
        if journal.exists() {
            copy_bytes(&journal, &with_suffix(&copy.file))?;
        }
        Ok(copy)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // A leftover temporary file does no harm.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Not [`fs::copy`]: the copy must be writable.
fn copy_bytes(from: &Path, to: &Path) -> std::io::Result<()> {
    std::io::copy(&mut fs::File::open(from)?, &mut fs::File::create_new(to)?).map(drop)
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(JOURNAL);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::Run;

    #[test]
    fn a_copy_has_what_was_stored_before_a_transaction_that_was_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sqlite");
        let mut store = Store::create(&path).unwrap();
        store.put_run(&Run::default()).unwrap();
        let record = store.load().unwrap();
        drop(store);

        let mut other = Connection::open(&path).unwrap();
        // The small cache makes SQLite write pages before the transaction ends.
        other.execute_batch("PRAGMA cache_size = 2").unwrap();
        let unfinished = other.transaction().unwrap();
        unfinished
            .execute("UPDATE run SET profile = 'half'", ())
            .unwrap();
        for n in 0..2000 {
            let sql = "INSERT INTO workload (name) VALUES (?1)";
            unfinished.execute(sql, [n.to_string()]).unwrap();
        }
        let copy = Copy::of(&path).unwrap();
        let (file, kept) = (copy.file.clone(), copy.folder.clone());
        assert!(with_suffix(&file).exists());
        assert_eq!(Store::open(&file).unwrap().load().unwrap(), record);
        drop(copy);
        assert!(!kept.exists());
    }
}
