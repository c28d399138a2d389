//! The load generator; knows nothing of servers or reports.
//!
//! [`drive`] sends the requests of a [`Script`] over a fixed number of connections, as fast as
//! they are answered ([`Pace::Closed`]) or at a fixed rate ([`Pace::Rate`]), checks every
//! response, and gives a [`Measurement`]. [`exchange`] sends one request and waits for its answer.
//!
//! | file | what it holds |
//! |---|---|
//! | `config` | what is asked for, and why it could not be done |
//! | `control` | what a caller shares with a drive while it runs |
//! | `script` | requests, and what is expected of their answers |
//! | `schedule` | when each request is meant to be sent |
//! | `response` | the HTTP/1.1 response parser, fed with whatever a read brought |
//! | `head`, `chunked` | status line and headers; the chunked transfer coding |
//! | `malformed` | what can be wrong with a response |
//! | `judge`, `same` | is this answer the right one? does this JSON mean the same? |
//! | `ids` | which ids have been seen |
//! | `recorder`, `tally` | histograms, intervals, errors, counts of one thread |
//! | `measurement` | what a drive gives back |
//! | `engine`, `epoll` | the narrow interface to the sockets, and its implementation over epoll |
//! | `worker`, `slot` | one thread: decides what is sent on which connection, and when |
//! | `replies` | takes what comes back |
//! | `drive` | starts the threads, holds them at one start, adds up |
//! | `exchange` | one blocking request |

mod chunked;
mod config;
mod control;
mod drive;
mod engine;
mod epoll;
mod exchange;
mod head;
mod ids;
mod judge;
mod malformed;
mod measurement;
#[doc(hidden)]
pub mod parts;
mod recorder;
mod replies;
mod response;
mod same;
mod schedule;
mod script;
mod slot;
mod tally;
mod worker;

pub use config::{Config, DriveError, Pace};
pub use control::{Control, Window};
pub use drive::drive;
pub use exchange::{Client, ExchangeError, Response, exchange};
pub use malformed::Malformed;
pub use measurement::{ErrorKind, Interval, Measurement, ThreadTime};
pub use script::{Expect, Request, Script, ScriptError};
