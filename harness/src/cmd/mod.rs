//! One file per verb, each thin.
