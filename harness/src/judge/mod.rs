//! From trials to rows: gates, intervals, ranks; pure.
