//! Which trials, in which order; pure.
