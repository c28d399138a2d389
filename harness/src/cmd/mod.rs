//! One file per verb, each thin: flags in, a few calls, words out.

/// Prints a line on stdout, returning from the function where that fails.
macro_rules! say {
    ($($text:tt)*) => {
        $crate::cmd::write_line(format_args!($($text)*))?
    };
}

pub mod bench;
pub mod build;
pub mod check;
pub mod compare;
pub mod crosscheck;
pub mod doctor;
pub mod drive;
pub mod fuzz;
mod git;
pub mod list;
mod machine;
mod operand;
mod progress;
pub mod protocol;
pub mod rank;
pub mod report;
mod results;

/// A line on stdout. A reader that went away, such as `head`, has seen enough: the process ends.
fn write_line(text: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    use std::io::Write as _;
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        result => anyhow::Context::context(result, "cannot write to stdout"),
    }
}
