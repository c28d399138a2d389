//! The referee: an independent reading of the contract.
//!
//! Nothing here comes from a server's code: a fault shared by server and referee would
//! be invisible. The data are written out from the contract's text once more.

mod model;

pub use model::{Expected, Model};
