//! The narrow interface to the sockets.
//!
//! A worker decides what is sent and judges what comes; an engine moves the bytes. It hands
//! out one event at a time, so that the worker may send on any connection between two events,
//! and lends what was received from a buffer of its own, so that an idle connection needs none.

use std::ffi::c_int;
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, ioctl};

/// Sends and receives on numbered connections; `'w` is the life of the requests sent.
pub(crate) trait Engine<'w> {
    /// Begins to connect; [`Event::Opened`] or [`Event::OpenFailed`] follows. An open
    /// connection of that number is closed first, and none of its events follow.
    fn open(&mut self, connection: usize) -> Result<(), Errno>;

    /// Closes the connection; none of its events follow.
    fn close(&mut self, connection: usize);

    /// Sends all of `wire`, as soon as the socket takes it: at once, or with the next flush or wait.
    /// The one before must have been sent whole. That the peer takes no more is no error here: what it
    /// sent before can still be read, and [`Event::Failed`] follows that.
    fn send(&mut self, connection: usize, wire: &'w [u8]) -> Result<(), Errno>;

    /// Whether all of the last request has left for the peer. Asked once its answer is complete: then
    /// a peer that has read the request has acknowledged it too.
    fn sent_whole(&self, connection: usize) -> bool;

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

/// A request of at most that many bytes fits the send buffer of an idle connection: it goes out
/// whole, or the connection is broken.
pub(crate) const SURE: usize = 16 * 1024;

/// Whether the kernel still holds bytes that the peer has not acknowledged.
pub(crate) fn holds_back(socket: impl AsFd) -> bool {
    #[allow(unsafe_code, reason = "no safe call tells it")]
    // SAFETY: this request writes one integer.
    let held = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) };
    held.is_ok_and(|bytes| bytes > 0)
}

/// Tells how much of what was sent is not acknowledged (tcp(7)).
const SIOCOUTQ: Opcode = 0x5411;

/// Whether a send failed because the peer takes no more.
pub(crate) fn takes_no_more(errno: Errno) -> bool {
    matches!(errno, Errno::PIPE | Errno::CONNRESET)
}
