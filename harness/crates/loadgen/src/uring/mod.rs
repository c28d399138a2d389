//! The io_uring backend: one system call for everything sent and received in a turn.
//!
//! | file | contents |
//! |---|---|
//! | `mod` | the engine: submissions and completions |
//! | `buffers` | the buffers the kernel receives into |
//! | `tag` | identifies the operation of a completion |
//! | `refusal` | why this system does not let us use io_uring |
//!
//! Each connection has one multishot receive that lasts until the connection ends. Sends are queued and
//! submitted by [`Engine::flush`], by the next wait, or when [`BATCH`] of them are queued. The ring belongs to
//! one thread, and the kernel does its part of the work when that thread enters it (`DEFER_TASKRUN`), so
//! nothing interrupts a turn.
//!
//! Successful sends produce no completion (`SKIP_SUCCESS`), otherwise each would end a wait. The exception is a
//! send so large that it may be incomplete.

mod buffers;
mod refusal;
mod tag;

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags};

use super::dial::Dial;
use super::engine::{Drafts, Engine, Event, SURE, holds_back, takes_no_more};
use buffers::Buffers;
use tag::{Op, Tag, next_generation};

/// Maximum number of queued sends. Entering the kernel costs about 5 % of a send, so larger batches would gain
/// little, and the first send in the queue would wait longer.
const BATCH: usize = 16;
/// Minimum and maximum size of the submission queue; a full one is submitted.
const PLACES: (usize, usize) = (64, 1024);
/// The kernel's limit on the completion queue; the kernel keeps any more itself.
const COMPLETIONS: usize = 65_536;
/// The only group of buffers.
const GROUP: u16 = 0;
/// How long to wait at the end for the kernel to release the memory.
const LETTING_GO: Duration = Duration::from_secs(1);

/// The connections of one thread.
pub(crate) struct Uring<'w> {
    ring: IoUring,
    buffers: Buffers,
    drafts: Drafts,
    dial: Dial,
    sockets: Vec<Socket<'w>>,
    /// The buffer lent to the worker until it asks for the next event, and its length.
    lent: Option<(u16, usize)>,
    /// A completion that was read ahead.
    ahead: Option<cqueue::Entry>,
    /// Connections whose receive must be (re)started with the next wait, the one that has waited longest first: with more
    /// responses than buffers, those started last get none again.
    unarmed: VecDeque<usize>,
    /// Sends queued since the last submission.
    queued: usize,
    /// Closed while submitting failed: a queued entry may refer to their number.
    closing: Vec<OwnedFd>,
}

#[derive(Debug, Default)]
struct Socket<'w> {
    fd: Option<OwnedFd>,
    /// Counts openings, to recognise completions of a closed socket.
    generation: u32,
    /// A receive is active.
    receiving: bool,
    /// What was last sent, and whether its completion is reported even on success.
    wire: &'w [u8],
    told: bool,
    /// What was last sent is the draft.
    drafted: bool,
    /// Whether the last request was too large to be sure that it was sent completely.
    large: bool,
    /// Why the peer takes no more of it.
    broken: Option<Errno>,
}

/// Sets up a ring with all features in use and drops it; returns why that failed, if it did.
pub(crate) fn try_out() -> Result<(), String> {
    let buffers = Buffers::new(1);
    let tried = set_up(1).and_then(|ring| offer(&ring, &buffers));
    tried.map_err(|error| refusal::why(errno(&error)))
}

impl<'w> Uring<'w> {
    /// For this many connections, all closed, with this much room for the draft of each. Only the calling thread may use
    /// it.
    pub(crate) fn new(dial: Dial, connections: usize, room: usize) -> Result<Self, Errno> {
        let buffers = Buffers::new(connections);
        let ring = set_up(connections).map_err(|e| errno(&e))?;
        offer(&ring, &buffers).map_err(|e| errno(&e))?;
        Ok(Self {
            ring,
            buffers,
            drafts: Drafts::new(connections, room),
            dial,
            sockets: (0..connections).map(|_| Socket::default()).collect(),
            lent: None,
            ahead: None,
            unarmed: VecDeque::with_capacity(connections),
            queued: 0,
            closing: Vec::new(),
        })
    }

    fn tag(&self, op: Op, connection: usize) -> u64 {
        Tag {
            op,
            connection: connection as u32,
            generation: self.sockets[connection].generation,
        }
        .pack()
    }

    /// Queues an operation, submitting the queue first if it is full.
    fn push(&mut self, entry: &squeue::Entry) -> Result<(), Errno> {
        for _ in 0..2 {
            #[allow(unsafe_code, reason = "the kernel gets raw pointers")]
            // SAFETY: what entries point to outlives their operations: requests by `'w`, the address by the box
            // of `Dial`, drafts by the box of `Drafts`, all at least as long as the engine, which cancels active
            // operations when dropped; buffers by `Buffers`. Descriptors are closed after submitting.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return Ok(());
            }
            self.submit()?;
        }
        Err(Errno::BUSY)
    }

    /// Submits everything in the queue without waiting.
    fn submit(&mut self) -> Result<(), Errno> {
        self.queued = 0;
        while !self.ring.submission().is_empty() {
            match self.ring.submit() {
                Ok(1..) => {}
                Ok(0) => return Err(Errno::BUSY),
                Err(error) if errno(&error) == Errno::INTR => {}
                Err(error) => return Err(errno(&error)),
            }
        }
        Ok(())
    }

    /// Submits this many queued entries, and lets the kernel do pending work.
    fn enter(&mut self, queued: usize) -> io::Result<usize> {
        let queued = queued as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        #[allow(
            unsafe_code,
            reason = "the crate's safe calls do that work only when waiting"
        )]
        // SAFETY: no more entries than are queued, and no argument.
        unsafe {
            self.ring.submitter().enter::<()>(queued, 0, flags, None)
        }
    }

    /// Whether there is a completion to take.
    fn is_ready(&mut self) -> bool {
        self.ahead.is_some() || !self.ring.completion().is_empty()
    }

    /// Whether entering the kernel would do nothing.
    fn is_idle(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.is_empty() && !queue.taskrun() && !queue.cq_overflow()
    }

    /// Starts the receives that must be started.
    fn arm(&mut self) -> Result<(), Errno> {
        while let Some(connection) = self.unarmed.pop_front() {
            let socket = &self.sockets[connection];
            let Some(fd) = &socket.fd else { continue };
            if socket.receiving {
                continue;
            }
            let receive = opcode::RecvMulti::new(Fd(fd.as_raw_fd()), GROUP)
                .build()
                .user_data(self.tag(Op::Receive, connection));
            self.push(&receive)?;
            self.sockets[connection].receiving = true;
        }
        Ok(())
    }

    fn give_back(&mut self) {
        if let Some((id, _)) = self.lent.take() {
            self.buffers.give(id);
        }
    }

    /// What a completion means to the worker, if anything.
    fn completed(&mut self, done: &cqueue::Entry) -> Option<(usize, Event)> {
        let tag = Tag::unpack(done.user_data());
        let connection = tag.connection as usize;
        let live = self.sockets[connection].generation == tag.generation;
        let result = match done.result() {
            failed @ ..0 => Err(Errno::from_raw_os_error(-failed)),
            done => Ok(done as usize),
        };
        let event = match tag.op {
            Op::Receive => self.received_some(connection, live, result, done.flags()),
            Op::Connect if live => Some(self.connected(connection, result)),
            Op::Send if live => self.sent(connection, result),
            Op::Connect | Op::Send | Op::Cancel => None,
        };
        event.map(|event| (connection, event))
    }

    fn connected(&mut self, connection: usize, result: Result<usize, Errno>) -> Event {
        match result {
            Ok(_) => {
                self.unarmed.push_back(connection);
                Event::Opened
            }
            Err(errno) => Event::OpenFailed(errno),
        }
    }

    /// A send that failed or fell short, or a large one that is complete.
    fn sent(&mut self, connection: usize, result: Result<usize, Errno>) -> Option<Event> {
        let socket = &mut self.sockets[connection];
        socket.told = false;
        if socket.drafted && result.is_ok() {
            // It is so short that this can't be.
            return Some(Event::Failed(Errno::NOBUFS));
        }
        let wire: &'w [u8] = socket.wire;
        let rest = match result {
            Ok(sent) => &wire[sent.min(wire.len())..],
            Err(errno) if takes_no_more(errno) => {
                // The receive delivers what arrived earlier, and then ends.
                socket.broken = Some(errno);
                return None;
            }
            Err(errno) => return Some(Event::Failed(errno)),
        };
        if rest.is_empty() {
            return None;
        }
        self.send_some(connection, rest, true)
            .err()
            .map(Event::Failed)
    }

    fn received_some(
        &mut self,
        connection: usize,
        live: bool,
        result: Result<usize, Errno>,
        flags: u32,
    ) -> Option<Event> {
        let buffer = cqueue::buffer_select(flags);
        if !live {
            if let Some(id) = buffer {
                self.buffers.give(id);
            }
            return None;
        }
        if !cqueue::more(flags) {
            // It ends with the connection, or for lack of buffers or queue space.
            self.sockets[connection].receiving = false;
        }
        match (result, buffer) {
            (Ok(read @ 1..), Some(id)) => {
                self.lent = Some((id, read));
                // For a Unix socket the kernel does not report whether there is more.
                let more = cqueue::sock_nonempty(flags) || self.dial.is_unix();
                let ended = more && self.ends(connection);
                if !ended && !self.sockets[connection].receiving {
                    self.unarmed.push_back(connection);
                }
                Some(Event::Received { ended })
            }
            (Ok(_), buffer) => {
                if let Some(id) = buffer {
                    self.buffers.give(id);
                }
                let broken = self.sockets[connection].broken;
                Some(broken.map_or(Event::Ended, Event::Failed))
            }
            (Err(Errno::NOBUFS | Errno::AGAIN | Errno::INTR), _) => {
                if !self.sockets[connection].receiving {
                    self.unarmed.push_back(connection);
                }
                None
            }
            (Err(errno), _) => Some(Event::Failed(errno)),
        }
    }

    /// Whether the next completion, which comes at once if there was more to read, is the end of the same
    /// connection. It stays the next.
    fn ends(&mut self, connection: usize) -> bool {
        let receive = self.tag(Op::Receive, connection);
        self.ahead = self.ring.completion().next();
        let is_end = |next: &cqueue::Entry| next.user_data() == receive && next.result() == 0;
        self.ahead.as_ref().is_some_and(is_end)
    }

    /// Queues a send; unless `told`, it completes only on failure.
    fn send_some(&mut self, connection: usize, wire: &'w [u8], told: bool) -> Result<(), Errno> {
        let socket = &mut self.sockets[connection];
        (socket.wire, socket.told, socket.drafted) = (wire, told, false);
        self.queue_send(connection, wire.as_ptr(), wire.len(), told)
    }

    /// Queues a send of memory that outlives it.
    fn queue_send(
        &mut self,
        connection: usize,
        from: *const u8,
        len: usize,
        told: bool,
    ) -> Result<(), Errno> {
        let socket = &self.sockets[connection];
        let fd = socket.fd.as_ref().ok_or(Errno::BADF)?.as_raw_fd();
        // A longer one takes several sends.
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        // The kernel itself continues after a short write, unless there is an error.
        let flags = SendFlags::NOSIGNAL.bits() | RecvFlags::WAITALL.bits();
        let send = opcode::Send::new(Fd(fd), from, len).flags(flags as i32);
        let send = send.build().user_data(self.tag(Op::Send, connection));
        let send = match told {
            true => send,
            false => send.flags(squeue::Flags::SKIP_SUCCESS),
        };
        self.push(&send)?;
        self.queued += 1;
        match self.queued {
            BATCH.. => self.submit(),
            _ => Ok(()),
        }
    }

    /// Makes the kernel end all active operations on a descriptor; they still complete.
    fn cancel(&mut self, fd: &OwnedFd, connection: usize) -> Result<(), Errno> {
        let all = CancelBuilder::fd(Fd(fd.as_raw_fd())).all();
        let cancel = opcode::AsyncCancel2::new(all).build();
        let cancel = cancel.user_data(self.tag(Op::Cancel, connection));
        self.push(&cancel.flags(squeue::Flags::SKIP_SUCCESS))
    }
}

impl<'w> Engine<'w> for Uring<'w> {
    fn open(&mut self, connection: usize) -> Result<(), Errno> {
        self.close(connection);
        // Blocking, like a file: the kernel itself then waits until it can continue.
        let fd = self.dial.socket(SocketFlags::CLOEXEC, connection)?;
        let to = self.dial.to();
        let connect = opcode::Connect::new(Fd(fd.as_raw_fd()), to.as_ptr().cast(), to.addr_len());
        let connect = connect.build().user_data(self.tag(Op::Connect, connection));
        self.push(&connect)?;
        self.sockets[connection].fd = Some(fd);
        Ok(())
    }

    fn close(&mut self, connection: usize) {
        let Some(fd) = self.sockets[connection].fd.take() else {
            return;
        };
        // An active operation keeps the connection open, and a queued one must not reach the next socket with
        // the same number.
        let handed_over = self.cancel(&fd, connection).and_then(|()| self.submit());
        if handed_over.is_err() {
            // The next wait reports the reason.
            self.closing.push(fd);
        }
        let generation = next_generation(self.sockets[connection].generation);
        self.sockets[connection] = Socket {
            generation,
            ..Socket::default()
        };
    }

    fn send(&mut self, connection: usize, wire: &'w [u8]) -> Result<(), Errno> {
        let large = wire.len() > SURE;
        self.sockets[connection].large = large;
        self.send_some(connection, wire, large)
    }

    fn draft(&mut self, connection: usize) -> &mut [u8] {
        self.drafts.of(connection)
    }

    fn send_draft(&mut self, connection: usize, length: usize) -> Result<(), Errno> {
        let socket = &mut self.sockets[connection];
        (socket.wire, socket.told, socket.drafted) = (&[], false, true);
        socket.large = false;
        let from = self.drafts.of(connection)[..length].as_ptr();
        self.queue_send(connection, from, length, false)
    }

    fn sent_whole(&self, connection: usize) -> bool {
        let socket = &self.sockets[connection];
        let held = || socket.large && socket.fd.as_ref().is_some_and(holds_back);
        !socket.told && socket.broken.is_none() && !held()
    }

    fn flush(&mut self) -> Result<(), Errno> {
        self.submit()
    }

    fn wait(&mut self, limit: Duration) -> Result<bool, Errno> {
        self.give_back();
        self.arm()?;
        self.queued = 0;
        let entered = if limit.is_zero() || self.is_ready() {
            if self.is_idle() {
                return Ok(self.is_ready());
            }
            let queued = self.ring.submission().len();
            self.enter(queued)
        } else {
            let limit = Timespec::from(limit);
            let limit = SubmitArgs::new().timespec(&limit);
            self.ring.submitter().submit_with_args(1, &limit)
        };
        match entered.map_err(|error| errno(&error)) {
            // Timeout, a signal, or completions that must be taken first.
            Ok(_) | Err(Errno::TIME | Errno::INTR | Errno::BUSY | Errno::AGAIN) => {}
            Err(errno) => return Err(errno),
        }
        if self.ring.submission().is_empty() {
            self.closing.clear();
        }
        Ok(self.is_ready())
    }

    fn next(&mut self) -> Option<(usize, Event)> {
        self.give_back();
        loop {
            let done = match self.ahead.take() {
                Some(done) => done,
                None => self.ring.completion().next()?,
            };
            if let Some(event) = self.completed(&done) {
                return Some(event);
            }
        }
    }

    fn received(&self) -> &[u8] {
        let (id, len) = self.lent.unwrap_or((0, 0));
        self.buffers.bytes(id, len)
    }
}

impl Drop for Uring<'_> {
    /// Ends all active operations. Until then the kernel may write to the buffers and read requests.
    fn drop(&mut self) {
        let all = CancelBuilder::any().all();
        let submitter = self.ring.submitter();
        let ended = submitter.register_sync_cancel(Some(LETTING_GO.into()), all);
        let ended = ended.map_err(|error| errno(&error));
        // Cancelled operations release their connections in here.
        let let_go = self.enter(0);
        if !matches!(ended, Ok(()) | Err(Errno::NOENT)) || let_go.is_err() {
            self.buffers.abandon();
            self.drafts.abandon();
        }
    }
}

/// A ring for this many connections, used only by the calling thread.
fn set_up(connections: usize) -> io::Result<IoUring> {
    let places = connections.clamp(PLACES.0, PLACES.1).next_power_of_two();
    let completions = (2 * connections + 4 * places).next_power_of_two();
    IoUring::builder()
        .setup_single_issuer()
        .setup_defer_taskrun()
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_cqsize(completions.min(COMPLETIONS) as u32)
        .build(places as u32)
}

/// Registers the buffers with the ring.
fn offer(ring: &IoUring, buffers: &Buffers) -> io::Result<()> {
    let submitter = ring.submitter();
    let (addr, count) = (buffers.ring_addr(), buffers.count());
    #[allow(unsafe_code, reason = "the kernel gets a raw pointer")]
    // SAFETY: the entries and buffers outlive the ring: the engine drops it before them.
    unsafe {
        submitter.register_buf_ring_with_flags(addr, count, GROUP, 0)
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
