//! `harness protocol` and `harness fuzz` over real sockets: a right server on nothing but the
//! standard library has its cells, and a server that is wrong in one way is found by the case, or
//! the mutated request, that is meant for it.
mod fuzz;
mod matrix;
mod page;
