//! The narrow interface to the sockets.
//!
//! A worker decides what is sent and judges what comes; an engine moves the bytes. It hands
//! out one event at a time, so that the worker may send on any connection between two events,
//! and lends what was received from a buffer of its own, so that an idle connection needs none.

use std::time::Duration;

use rustix::io::Errno;

/// Sends and receives on numbered connections; `'w` is the life of the requests sent.
pub(crate) trait Engine<'w> {
    /// Begins to connect; [`Event::Opened`] or [`Event::OpenFailed`] follows. An open
    /// connection of that number is closed first, and none of its events follow.
    fn open(&mut self, connection: usize) -> Result<(), Errno>;

    /// Closes the connection; none of its events follow.
    fn close(&mut self, connection: usize);

    /// Sends all of `wire`, as soon as the socket takes it: at once, or with the next flush or wait. Before
    /// an earlier one was sent whole, it is refused.
    fn send(&mut self, connection: usize, wire: &'w [u8]) -> Result<(), Errno>;

    /// Sends what only waits to be sent with more.
    fn flush(&mut self) -> Result<(), Errno> {
        Ok(())
    }

    /// Waits for events, at most for `limit`, and returns whether there are any.
    fn wait(&mut self, limit: Duration) -> Result<bool, Errno>;

    /// The next event of those waited for, and the connection it belongs to.
    fn next(&mut self) -> Option<(usize, Event)>;

    /// What the last [`Event::Received`] brought.
    fn received(&self) -> &[u8];
}

/// What happened on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// It stands.
    Opened,
    /// It could not be made.
    OpenFailed(Errno),
    /// Bytes came; `ended` tells that the peer has ended its side behind them.
    Received {
        /// Whether the end is known to follow.
        ended: bool,
    },
    /// The peer ended its side.
    Ended,
    /// It failed.
    Failed(Errno),
}
