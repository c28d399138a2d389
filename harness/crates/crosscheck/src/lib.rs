//! Our load generator and others in turn against the same server: how they are run, what comes of
//! it, and how it is shown.

pub mod bare;
pub mod judge;
pub mod known;
mod report;
pub mod session;

pub use self::report::text;
