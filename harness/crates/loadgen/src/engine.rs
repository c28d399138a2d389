//! The interface to the sockets.
//!
//! A worker decides what to send and judges what arrives; an engine does the I/O. It returns one event at a
//! time, so that the worker can send on any connection between two events. Received bytes are lent from the
//! engine's own buffer, so that an idle connection needs none.

use std::ffi::c_int;
use std::time::Duration;

use rustix::fd::AsFd;
use rustix::io::Errno;
use rustix::ioctl::{Getter, Opcode, ioctl};

/// Sends and receives on numbered connections; `'w` is the lifetime of the requests.
pub(crate) trait Engine<'w> {
    /// Begins to connect; [`Event::Opened`] or [`Event::OpenFailed`] follows. If a connection with this number
    /// is open, closes it first and drops its events.
    fn open(&mut self, connection: usize) -> Result<(), Errno>;

    /// Closes the connection and drops its events.
    fn close(&mut self, connection: usize);

    /// Sends all of `wire` as soon as the socket accepts it: at once, or with the next flush or wait. The
    /// previous request must have been sent completely. If the peer accepts no more, that is not an error here:
    /// what it sent earlier can still be read, and [`Event::Failed`] follows.
    fn send(&mut self, connection: usize, wire: &'w [u8]) -> Result<(), Errno>;

    /// Where to write a request that is made up just before it is sent, at most as long as the room that the engine was
    /// made with. The previous request of the connection must have ended.
    fn draft(&mut self, connection: usize) -> &mut [u8];

    /// Sends the first `length` bytes of the draft, at most [`SURE`] of them, like [`Self::send`].
    fn send_draft(&mut self, connection: usize, length: usize) -> Result<(), Errno>;

    /// Whether the last request was sent completely. Called once its response is complete: by then a peer that
    /// has read the request has acknowledged it too.
    fn sent_whole(&self, connection: usize) -> bool;

    /// Sends requests that are held back for batching.
    fn flush(&mut self) -> Result<(), Errno> {
        Ok(())
    }

    /// Waits up to `limit` for events; returns whether there are any.
    fn wait(&mut self, limit: Duration) -> Result<bool, Errno>;

    fn next(&mut self) -> Option<(usize, Event)>;

    /// The bytes of the last [`Event::Received`].
    fn received(&self) -> &[u8];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Opened,
    OpenFailed(Errno),
    Received {
        /// Whether the peer is known to have ended its side after them.
        ended: bool,
    },
    /// The peer ended its side.
    Ended,
    Failed(Errno),
}

/// Requests made up just before they are sent: one per connection, in memory that never moves.
#[derive(Debug, Default)]
pub(crate) struct Drafts {
    bytes: Box<[u8]>,
    room: usize,
}

impl Drafts {
    /// This much room for each connection.
    pub(crate) fn new(connections: usize, room: usize) -> Self {
        Self {
            bytes: vec![0; connections * room].into_boxed_slice(),
            room,
        }
    }

    pub(crate) fn of(&mut self, connection: usize) -> &mut [u8] {
        let start = connection * self.room;
        &mut self.bytes[start..start + self.room]
    }

    /// Leaks the memory, so that the kernel can use it forever.
    pub(crate) fn abandon(&mut self) {
        std::mem::forget(std::mem::take(self));
    }
}

/// A request of at most this size fits the send buffer of an idle connection: it is sent completely, or the
/// connection is broken.
pub(crate) const SURE: usize = 16 * 1024;

/// Whether the kernel still holds bytes that the peer has not acknowledged.
pub(crate) fn holds_back(socket: impl AsFd) -> bool {
    #[allow(unsafe_code, reason = "rustix has no safe call for this")]
    // SAFETY: this request writes one integer.
    let held = unsafe { ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) };
    held.is_ok_and(|bytes| bytes > 0)
}

/// Returns the number of unacknowledged bytes (tcp(7)).
const SIOCOUTQ: Opcode = 0x5411;

/// Whether a send failed because the peer accepts no more.
pub(crate) fn takes_no_more(errno: Errno) -> bool {
    matches!(errno, Errno::PIPE | Errno::CONNRESET)
}
