//! The referee: an independent reading of the contract.
