//! The versions of the tables, and the way from one to the next.

use rusqlite::Connection;

use crate::record::SCHEMA_VERSION;

/// The SQL that leads from each version to the next: entry 0 makes version 1 out of
/// an empty file. Entries are only ever added: files of every version exist.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
];

/// Marks the file as ours in the header (`PRAGMA application_id`); the letters `HRNS`.
const APPLICATION_ID: i32 = 0x4852_4e53;

const _: () = assert!(MIGRATIONS.len() == SCHEMA_VERSION as usize);

/// The newest version this harness reads.
pub(super) fn known() -> u32 {
    SCHEMA_VERSION
}

/// The file's version, or `None` where it is no record.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((id == APPLICATION_ID && version > 0).then_some(version))
}

/// Leads from version `from` to the last of `migrations`, each step in a transaction of its own.
pub(super) fn migrate(
    connection: &mut Connection,
    from: u32,
    migrations: &[&str],
) -> rusqlite::Result<()> {
    for (to, sql) in (1_u32..).zip(migrations).skip(from as usize) {
        let step = connection.transaction()?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.pragma_update(None, "user_version", to)?;
        step.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_file_is_led_through_the_steps_it_lacks() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, MIGRATIONS).unwrap();
        assert_eq!(version(&connection).unwrap(), Some(SCHEMA_VERSION));

        let later = [MIGRATIONS, &["ALTER TABLE run ADD COLUMN later TEXT"]].concat();
        migrate(&mut connection, SCHEMA_VERSION, &later).unwrap();
        assert_eq!(version(&connection).unwrap(), Some(SCHEMA_VERSION + 1));
        connection.prepare("SELECT later FROM run").unwrap();
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = [
            MIGRATIONS,
            &["CREATE TABLE extra (a); CREATE TABLE run (a);"],
        ]
        .concat();
        assert!(migrate(&mut connection, 0, &broken).is_err());
        assert_eq!(version(&connection).unwrap(), Some(SCHEMA_VERSION));
        assert!(connection.prepare("SELECT * FROM extra").is_err());
    }

    #[test]
    fn every_view_can_be_queried() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, MIGRATIONS).unwrap();
        for view in ["trial_figure", "trial_wide", "interval_series", "failure"] {
            connection
                .prepare(&format!("SELECT * FROM {view}"))
                .unwrap_or_else(|e| panic!("{view}: {e}"));
        }
    }
}
