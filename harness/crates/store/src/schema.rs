//! The versions of the tables, and the migrations between them.

use rusqlite::{Connection, OptionalExtension as _};

use record::SCHEMA_VERSION;
use record::figure::FIGURES;

/// The SQL that migrates each version to the next; entry 0 creates version 1 in an empty file. Only append
/// entries: files of every version exist.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("v1.sql"),
    include_str!("v2.sql"),
    include_str!("v3.sql"),
    include_str!("v4.sql"),
];

/// The views. They aren't part of the version, because they hold no data and the harness doesn't read them.
const VIEWS: &str = include_str!("views.sql");

/// Marks the file as ours in the header (`PRAGMA application_id`); the letters `HRNS`.
const APPLICATION_ID: i32 = 0x4852_4e53;

const _: () = assert!(MIGRATIONS.len() == SCHEMA_VERSION as usize);

/// The newest version this harness reads.
pub(super) fn known() -> u32 {
    SCHEMA_VERSION
}

/// The file's version, or `None` if it isn't a record.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<Option<u32>> {
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: u32 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    Ok((id == APPLICATION_ID && version > 0).then_some(version))
}

/// Migrates from version `from` to the last of `migrations`, each step in its own transaction.
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

/// Updates the views to match `views.sql`. Does nothing if they match or the file can't be written.
pub(super) fn refresh_views(connection: &mut Connection) -> rusqlite::Result<()> {
    let stale = stale_views(connection)?;
    if stale.is_empty() || connection.is_readonly("main")? {
        return Ok(());
    }
    let step = connection.transaction()?;
    for (name, sql) in stale {
        step.execute_batch(&format!("DROP VIEW IF EXISTS {name}; {sql}"))?;
    }
    step.commit()
}

/// Name and definition of each view that is missing or different in the file.
fn stale_views(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut stale = Vec::new();
    for (name, sql) in views() {
        let stored: Option<String> = connection
            .query_row(
                "SELECT sql FROM sqlite_master WHERE type = 'view' AND name = ?1",
                [&name],
                |row| row.get(0),
            )
            .optional()?;
        // SQLite stores the text of a definition without the semicolon.
        if stored.as_ref() != Some(&sql) {
            stale.push((name, sql));
        }
    }
    Ok(stale)
}

/// Name and definition of each view.
fn views() -> Vec<(String, String)> {
    let view = |statement: &str| {
        let (_, rest) = statement.split_once("CREATE VIEW ")?;
        let (name, _) = rest.split_once(' ')?;
        Some((name.to_owned(), format!("CREATE VIEW {rest}")))
    };
    let text = VIEWS.replace("{figures}", &wide_columns());
    text.split(";\n").filter_map(view).collect()
}

/// The figures among the columns of `trial_wide`.
fn wide_columns() -> String {
    let ids = || FIGURES.iter().filter(|figure| figure.view).map(|f| f.id);
    let longest = ids().map(str::len).max().unwrap_or(0);
    let column = |id: &str| {
        let padding = longest - id.len();
        format!(
            "max(f.value) FILTER (WHERE f.name = '{id}'){:padding$} AS {id}",
            ""
        )
    };
    ids().map(column).collect::<Vec<_>>().join(",\n       ")
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

    fn of_version(version: usize) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, 0, &MIGRATIONS[..version]).unwrap();
        connection
    }

    #[test]
    fn every_view_can_be_queried_in_a_file_of_every_version() {
        assert!(views().len() >= 7);
        for version in 1..=MIGRATIONS.len() {
            let mut connection = of_version(version);
            refresh_views(&mut connection).unwrap();
            for (view, _) in views() {
                connection
                    .prepare(&format!("SELECT * FROM {view}"))
                    .unwrap_or_else(|e| panic!("{view} in version {version}: {e}"));
            }
        }
    }

    #[test]
    fn views_that_are_as_they_should_be_are_not_written_again() {
        let mut connection = of_version(MIGRATIONS.len());
        let changes = |c: &Connection| -> i64 {
            c.pragma_query_value(None, "schema_version", |row| row.get(0))
                .unwrap()
        };
        refresh_views(&mut connection).unwrap();
        let before = changes(&connection);
        refresh_views(&mut connection).unwrap();
        assert_eq!(changes(&connection), before);

        connection
            .execute_batch("DROP VIEW trial_wide; CREATE VIEW trial_wide AS SELECT 1 AS other")
            .unwrap();
        refresh_views(&mut connection).unwrap();
        connection.prepare("SELECT server FROM trial_wide").unwrap();
    }
}
