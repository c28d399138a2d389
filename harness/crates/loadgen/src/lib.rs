//! The load generator; knows nothing about servers or reports.
//!
//! [`drive`] sends the requests of a [`Script`] over a fixed number of connections, as fast as they are
//! answered ([`Pace::Closed`]), at a fixed rate ([`Pace::Rate`]), at a changing rate ([`Pace::Stages`]) or at given
//! times ([`Pace::Times`]). It checks every response and returns a [`Measurement`]. [`exchange`] sends one request and waits for its
//! response.
//!
//! | file | contents |
//! |---|---|
//! | `config` | the configuration of a drive, and its errors |
//! | `control` | what a caller shares with a drive while it runs |
//! | `clock` | the clock shared by all threads of a drive; CPU time and waiting time of each |
//! | `script` | requests and their expected responses |
//! | `session`, `chains` | requests made from values of earlier responses; where each user is |
//! | `pick` | which request is next |
//! | `schedule` | when each request is meant to be sent |
//! | `pacing` | who sends next: closed loop, think time, even steps, Poisson arrivals, given times |
//! | `retry` | failed requests that are sent again |
//! | `response` | the incremental HTTP/1.1 response parser |
//! | `head`, `chunked` | status line and headers; the chunked transfer coding |
//! | `known` | heads that were parsed before |
//! | `malformed` | what can be wrong with a response |
//! | `judge`, `same` | is this response right? does this JSON mean the same? |
//! | `compressed` | what a compressed body holds |
//! | `ids` | which ids have been seen |
//! | `recorder`, `breakdown`, `tally` | histograms, intervals, classes, stages, errors, counts of one thread |
//! | `measurement` | the results of a drive |
//! | `unfinished` | how unfinished requests affect the figures |
//! | `nagle` | is it the stall of Nagle's algorithm with delayed ACK? |
//! | `dial` | target and source addresses of connections |
//! | `engine` | the interface to the sockets |
//! | `epoll`, `uring` | its implementations |
//! | `engines` | the I/O backends, and whether this system supports them |
//! | `worker` | one thread: what it sends on which connection and when, and what becomes of it |
//! | `slot` | one connection of a worker |
//! | `crew` | starts the threads and gives them turns |
//! | `drive` | one target, one window, and the results |
//! | `interleave` | several targets in turn, in slices |
//! | `exchange` | one blocking request |

mod breakdown;
mod chains;
mod chunked;
mod clock;
mod compressed;
mod config;
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
mod recorder;
mod response;
mod retry;
mod same;
mod schedule;
mod script;
mod session;
mod slot;
mod stretch;
mod tally;
mod unfinished;
mod uring;
mod worker;

pub use compressed::Coding;
pub use config::{
    Arrivals, Config, DriveError, MAX_RATE, MAX_RATE_STAGES, MAX_TIMES, Pace, RateStage, Retries,
    Think,
};
pub use control::{Control, Window};
pub use crew::Target;
pub use dial::Address;
pub use drive::{MAX_INTERVALS, drive};
pub use engines::EngineKind;
pub use exchange::{Client, ExchangeError, Response, exchange};
pub use interleave::{Conductor, Slice, SliceEnd, interleave};
pub use malformed::Malformed;
pub use measurement::{
    Class, ErrorKind, GENERATOR_BUSY, Interval, Measurement, SessionFigures, StageFigures,
    ThreadTime,
};
pub use same::{has_shape, id_beside, means};
pub use script::{Expect, Order, Request, Script, ScriptError};
pub use session::{Pointer, Session, Step, Taken, Template};
pub use unfinished::{Bounds, Unfinished};
