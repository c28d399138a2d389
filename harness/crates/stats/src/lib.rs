//! Medians, intervals, ratios, ranks, change points; pure.
//!
//! The replicate is a **fresh process**: every value passed to a function here is one figure of one trial,
//! never of one request. Requests to the same process are not independent samples (Kalibera and Jones,
//! "Rigorous Benchmarking in Reasonable Time", ISMM 2013).
//!
//! | file | what it answers |
//! |---|---|
//! | `quantile` | what is the median of a few values |
//! | `bootstrap` | how certain is that median |
//! | `ratio` | do two servers differ, and by how much |
//! | `unpaired` | the same for two runs, which share no round |
//! | `significance` | which of many differences may be due to chance |
//! | `rank` | which ranks may a server have |
//! | `change` | was a trial in a steady state |
//! | `outlier` | which rounds are outliers |
//! | `capacity` | up to which rate does a server meet an objective |
//! | `correlation` | do residuals follow the order of the trials |
//! | `recovery` | when is a series as it was before |
//! | `trend` | does a series of readings grow |
//!
//! All randomness comes from a seed, so the same values give the same answer.

mod bootstrap;
mod capacity;
mod change;
mod correlation;
mod outlier;
mod quantile;
mod rank;
mod ratio;
mod recovery;
mod significance;
mod trend;
mod unpaired;

pub use bootstrap::{
    Bootstrap, Interval, MIN_REPLICATES, RESAMPLES, RESAMPLING_SUFFICES, Resamples, Scale,
};
pub use capacity::{
    CapacityEnd, CapacityEstimate, CapacityOptions, CapacitySearch, CapacityTrial, DISTURBED,
    LEAST_TRIALS, SPREADS,
};
pub use change::{Steadiness, change_points, steadiness};
pub use correlation::{permutation_p, spearman};
pub use outlier::{OUTLIER_SCORE, outliers, robust_spread};
pub use quantile::{geometric_mean, median, quantile};
pub use rank::{Better, RankRange, levels, ranks};
pub use ratio::{Difference, NoiseFloor, PairedRatio, Series, differs, noise_floor, paired_ratio};
pub use recovery::{LEAST_BEFORE, Recovery, recovery};
pub use significance::{holm, paired_p, unpaired_p};
pub use trend::{Trend, trend};
pub use unpaired::{UnpairedRatio, unpaired_ratio};
