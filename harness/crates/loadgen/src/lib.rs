//! The load generator; knows nothing of servers or reports.
//!
//! [`drive`] sends the requests of a [`Script`] over a fixed number of connections, as fast as
//! they are answered ([`Pace::Closed`]), at a fixed rate ([`Pace::Rate`]) or at one that changes
//! ([`Pace::Stages`]), checks every response, and gives a [`Measurement`]. [`exchange`] sends one request and waits for its answer.
//!
//! | file | what it holds |
//! |---|---|
//! | `config` | what is asked for, and why it could not be done |
//! | `control` | what a caller shares with a drive while it runs |
//! | `clock` | what all threads of a drive read the time from |
//! | `script` | requests, and what is expected of their answers |
//! | `pick` | which of them is next |
//! | `schedule` | when each request is meant to be sent |
//! | `pacing` | whose turn it is: closed loop, think time, even steps, Poisson arrivals |
//! | `response` | the HTTP/1.1 response parser, fed with whatever a read brought |
//! | `head`, `chunked` | status line and headers; the chunked transfer coding |
//! | `known` | heads that were parsed before |
//! | `malformed` | what can be wrong with a response |
//! | `judge`, `same` | is this answer the right one? does this JSON mean the same? |
//! | `ids` | which ids have been seen |
//! | `recorder`, `breakdown`, `tally` | histograms, intervals, classes, stages, errors, counts of one thread |
//! | `measurement` | what a drive gives back |
//! | `unfinished` | what requests that had not ended do to the figures |
//! | `nagle` | is it the stall of Nagle's algorithm with delayed ACK? |
//! | `dial` | where connections go, and where they come from |
//! | `engine` | the narrow interface to the sockets |
//! | `epoll`, `uring`, `portable` | its implementations |
//! | `engines` | which there are, and whether this system has them |
//! | `worker`, `slot` | one thread: decides what is sent on which connection, and when |
//! | `connections` | makes its connections, and makes them again |
//! | `replies` | takes what comes back |
//! | `crew` | starts the threads and gives them turns |
//! | `drive` | one target, one window: the turn, and its sum |
//! | `interleave` | several targets in turn, in slices |
//! | `exchange` | one blocking request |

mod breakdown;
mod chunked;
mod clock;
mod config;
mod connections;
mod control;
mod crew;
mod dial;
mod drive;
mod engine;
mod engines;
mod epoll;
mod exchange;
mod head;
mod ids;
mod interleave;
mod judge;
mod known;
mod malformed;
mod measurement;
mod nagle;
mod pacing;
#[doc(hidden)]
pub mod parts;
mod pick;
mod portable;
mod recorder;
mod replies;
mod response;
mod run_delay;
mod same;
mod schedule;
mod script;
mod slot;
mod stretch;
mod tally;
mod unfinished;
mod uring;
mod worker;

pub use config::{Arrivals, Config, DriveError, MAX_RATE, MAX_RATE_STAGES, Pace, RateStage, Think};
pub use control::{Control, Window};
pub use crew::Target;
pub use dial::Address;
pub use drive::{MAX_INTERVALS, drive};
pub use engines::EngineKind;
pub use exchange::{Client, ExchangeError, Response, exchange};
pub use interleave::{Conductor, Slice, SliceEnd, interleave};
pub use malformed::Malformed;
pub use measurement::{Class, ErrorKind, Interval, Measurement, StageFigures, ThreadTime};
pub use same::{id_beside, means};
pub use script::{Expect, Order, Request, Script, ScriptError};
pub use unfinished::{Bounds, Unfinished};
