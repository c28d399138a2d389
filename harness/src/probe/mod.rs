//! Figures read from a process.
