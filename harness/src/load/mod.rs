//! The load generator; knows nothing of servers or reports.
