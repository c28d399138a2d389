//! One file per subcommand. Each is thin: it reads flags, makes a few calls and prints the result.

/// Prints a line to stdout, and returns from the function if that fails.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cmd::write_line(format_args!($($text)*))?
    };
}

/// Returns from the function with a [`Usage`](crate::flags::Usage) error.
macro_rules! refuse {
    ($($text:tt)*) => {
        return Err($crate::flags::Usage(format!($($text)*)).into())
    };
}

mod access_log;
pub mod bench;
pub mod build;
pub mod capacity;
pub mod check;
pub mod compare;
pub mod cost;
pub mod crosscheck;
pub mod doctor;
pub mod drive;
pub mod fairness;
pub mod footprint;
pub mod fuzz;
mod git;
pub mod impair;
pub mod import;
pub mod ladder;
pub mod list;
mod machine;
pub mod microbench;
pub mod new;
mod operand;
pub mod patterns;
pub mod profile;
mod progress;
pub mod protocol;
pub mod rank;
pub mod report;
pub mod restart;
mod results;
pub mod soak;
mod survey;
pub mod upstream;

/// Writes a file whole.
fn write_file(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    let written = store::write_whole(path, text);
    anyhow::Context::with_context(written, || format!("cannot write {}", path.display()))
}

/// Writes a document of the workspace, and says so.
fn renew(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    write_file(path, text)?;
    eprintln!("updated {}", path.display());
    Ok(())
}

/// Renews a section in the README of each of these servers that is a package of the workspace.
fn renew_readmes<'s>(
    catalog: &catalog::Catalog,
    sections: impl Iterator<Item = (&'s str, String)>,
) -> anyhow::Result<()> {
    for (name, section) in sections {
        let mut servers = catalog.servers.iter();
        let Some(catalog::Source::Package { manifest, .. }) = servers
            .find(|server| server.name == name)
            .map(|server| &server.source)
        else {
            continue;
        };
        let path = manifest.with_file_name("README.md");
        // The section's links are those of a folder in servers; one in servers/more is further down.
        let folder = manifest
            .parent()
            .and_then(|folder| folder.strip_prefix(&catalog.root).ok());
        let up = "../".repeat(folder.map_or(2, |folder| folder.iter().count()));
        let section = section.replace("(../../harness/", &format!("({up}harness/"));
        let readme = std::fs::read_to_string(&path).unwrap_or_default();
        renew(&path, &::report::with_section(&readme, &section))?;
    }
    Ok(())
}

/// Ctrl-C and SIGTERM, from now on.
fn interrupt() -> anyhow::Result<runner::Interrupt> {
    let interrupt = runner::Interrupt::on_signals();
    anyhow::Context::context(interrupt, "cannot install the Ctrl-C handler")
}

/// Builds a server with a counting allocator.
///
/// # Errors
/// Why it has no such build.
fn counting_build(
    catalog: &catalog::Catalog,
    server: &catalog::Server,
    progress: &mut progress::Progress,
    interrupt: &runner::Interrupt,
) -> Result<runner::Built, String> {
    let counting = server.counting_allocations()?;
    progress.note(&format!(
        "building {} with a counting allocator",
        server.name
    ));
    runner::build(catalog, &counting, interrupt).map_err(|failure| {
        format!(
            "the build with a counting allocator failed: {}",
            failure.reason
        )
    })
}

/// Six digits of the clock: different for each run, and easy to type.
fn random_seed() -> u64 {
    u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs()) / 1_000
}

/// Lines of a table whose first column is aligned left and whose others are aligned right.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let width = |text: &str| text.chars().count();
    let column = |index: usize| rows.iter().map(|row| width(&row[index])).max().unwrap_or(0);
    let columns = rows.first().map_or(0, Vec::len);
    let widths: Vec<usize> = (0..columns).map(column).collect();
    let line = |row: &Vec<String>| {
        let mut line = format!("{:<1$}", row[0], widths[0]);
        for (cell, width) in row.iter().zip(&widths).skip(1) {
            line += &format!("  {cell:>width$}");
        }
        line
    };
    rows.iter().map(line).collect()
}

/// Prints a line to stdout. If the reader has gone away, as `head` does, the process ends.
fn write_line(text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    use std::io::Write as _;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => anyhow::Context::context(result, "cannot write to stdout"),
    }
}
