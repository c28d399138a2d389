//! Everything that the referee checks of a server's responses.

use std::time::Duration;

use referee::CheckOptions;

use crate::Server;
use crate::lacks::lacks;

/// Every route and every value behind it, every error and which of them comes first, the
/// headers, kept connections, and many clients at once.
///
/// # Panics
/// With each check that fails.
pub fn keeps_the_contract(program: &str) {
    let server = Server::boot(program);
    let options = CheckOptions {
        // A debug build on a loaded machine: how fast it is doesn't matter here.
        first_byte_limit: Duration::from_secs(1),
        // The store's own tests fill it; here that would take most of the time.
        fill_limit: Duration::ZERO,
        lacks: lacks(),
        ..CheckOptions::default()
    };
    let report = referee::check(server.addr(), &options);
    let failures: Vec<String> = report
        .failures()
        .filter_map(|failed| Some(format!("{}\n{}", failed.id, failed.outcome.as_ref().err()?)))
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} checks failed:\n{}",
        failures.len(),
        report.results.len(),
        failures.join("\n")
    );
}
