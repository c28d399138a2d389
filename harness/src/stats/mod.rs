//! Bootstrap, ranks, change points; pure.
