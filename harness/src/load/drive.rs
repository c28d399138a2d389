//! Starts the threads, holds them at one start, adds up.

use super::{Config, Control, DriveError, Measurement, Script};

/// Drives load as `config` says and waits until it is over.
///
/// # Errors
/// See [`DriveError`]; once the load has begun, faults of the server are counted in the
/// [`Measurement`] instead.
pub fn drive(
    _config: &Config,
    _script: &Script,
    _control: &Control,
) -> Result<Measurement, DriveError> {
    unimplemented!("the engine follows in the next commits")
}
