//! What the machine is, and what spoils a measurement.
