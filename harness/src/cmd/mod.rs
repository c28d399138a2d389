//! One file per subcommand. Each is thin: it reads flags, makes a few calls and prints the result.

/// Prints a line to stdout, and returns from the function if that fails.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cmd::write_line(format_args!($($text)*))?
    };
}

pub mod bench;
pub mod build;
pub mod check;
pub mod compare;
pub mod cost;
pub mod crosscheck;
pub mod doctor;
pub mod drive;
pub mod fuzz;
mod git;
pub mod list;
mod machine;
pub mod microbench;
mod operand;
mod progress;
pub mod protocol;
pub mod rank;
pub mod report;
mod results;

/// Prints a line to stdout. If the reader has gone away, as `head` does, the process ends.
fn write_line(text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    use std::io::Write as _;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => anyhow::Context::context(result, "cannot write to stdout"),
    }
}
