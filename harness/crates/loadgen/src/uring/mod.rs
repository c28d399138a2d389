//! The engine over io_uring: one system call for all that is sent and received in a turn.
//!
//! | file | what it holds |
//! |---|---|
//! | `mod` | the engine: what is asked of the kernel, and what its completions mean |
//! | `buffers` | the buffers the kernel receives into |
//! | `tag` | what an operation was for |
//! | `refusal` | why a system has no io_uring for us |
//!
//! Each connection has one receive that goes on until the connection ends (multishot). Sends are queued and
//! handed over by [`Engine::flush`], by the next wait, or when [`BATCH`] of them are queued.
//! The ring belongs to one thread, and the kernel does its part of the work when that thread
//! enters it (`DEFER_TASKRUN`), so nothing interrupts a turn.
//!
//! What goes well is not told of (`SKIP_SUCCESS`), else the wait would end with each send; only a send too
//! large to be sure of is.

mod buffers;
mod refusal;
mod tag;

use std::io;
use std::time::Duration;

use io_uring::types::{CancelBuilder, Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, SocketFlags, SocketType, socket_with};

use super::dial::Dial;
use super::engine::{Engine, Event, SURE, holds_back, takes_no_more};
use buffers::Buffers;
use tag::{Op, Tag, next_generation};

/// Sends handed over together at the latest. Entering the kernel costs some 5 % of a send, so more would gain
/// little, and the first one queued would wait longer.
const BATCH: usize = 16;
/// The fewest and the most places of the queue to the kernel; a full one is handed over.
const PLACES: (usize, usize) = (64, 1024);
/// The most completions that can wait, the kernel's limit; beyond, it keeps them itself.
const COMPLETIONS: usize = 65_536;
/// The one group of buffers.
const GROUP: u16 = 0;
/// How long the end waits for the kernel to let go of the memory.
const LETTING_GO: Duration = Duration::from_secs(1);

/// The connections of one thread.
pub(crate) struct Uring<'w> {
    ring: IoUring,
    buffers: Buffers,
    dial: Dial,
    sockets: Vec<Socket<'w>>,
    /// The buffer lent to the worker until it asks for the next event, and the bytes in it.
    lent: Option<(u16, usize)>,
    /// A completion that was looked at before its turn.
    ahead: Option<cqueue::Entry>,
    /// Connections whose receive is to be begun (again) with the next wait.
    unarmed: Vec<usize>,
    /// Sends queued since the last handing over.
    queued: usize,
    /// Closed while the queue could not be handed over: an entry of it may name their number.
    closing: Vec<OwnedFd>,
}

#[derive(Debug, Default)]
struct Socket<'w> {
    fd: Option<OwnedFd>,
    /// Counts openings, so that completions of a closed socket are known as such.
    generation: u32,
    /// The receive is under way.
    receiving: bool,
    /// What was last sent, and whether its completion will be told whatever it is.
    wire: &'w [u8],
    told: bool,
    /// Whether the last request was too large to be sure that it went out whole.
    large: bool,
    /// Why the peer takes no more of it.
    broken: Option<Errno>,
}

/// Sets up a ring with all that is used of it and takes it down again; why not, where that fails.
pub(crate) fn try_out() -> Result<(), String> {
    let buffers = Buffers::new(1);
    let tried = set_up(1).and_then(|ring| offer(&ring, &buffers));
    tried.map_err(|error| refusal::why(errno(&error)))
}

impl<'w> Uring<'w> {
    /// An engine for that many connections, none of them open. Only the calling thread may use it.
    pub(crate) fn new(dial: Dial, connections: usize) -> Result<Self, Errno> {
        let buffers = Buffers::new(connections);
        let ring = set_up(connections).map_err(|e| errno(&e))?;
        offer(&ring, &buffers).map_err(|e| errno(&e))?;
        Ok(Self {
            ring,
            buffers,
            dial,
            sockets: (0..connections).map(|_| Socket::default()).collect(),
            lent: None,
            ahead: None,
            unarmed: Vec::with_capacity(connections),
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

    /// Queues an operation; a full queue is handed over first.
    fn push(&mut self, entry: &squeue::Entry) -> Result<(), Errno> {
        for _ in 0..2 {
            #[allow(unsafe_code, reason = "the kernel is given bare addresses")]
            // SAFETY: what entries point to outlives their operations: requests by `'w`, the
            // address by the box of `Dial`, both at least as long as the engine, whose end cancels what is
            // under way; buffers by `Buffers`. Descriptors are closed after the handing over.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return Ok(());
            }
            self.submit()?;
        }
        Err(Errno::BUSY)
    }

    /// Hands over all that is queued, waiting for nothing.
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

    /// Hands over that many of what is queued, and has the kernel do what has become possible.
    fn enter(&mut self, queued: usize) -> io::Result<usize> {
        let queued = queued as u32;
        let flags = EnterFlags::GETEVENTS.bits();
        #[allow(
            unsafe_code,
            reason = "the crate's safe calls do that work only while they wait"
        )]
        // SAFETY: no more entries than are queued, and no argument.
        unsafe {
            self.ring.submitter().enter::<()>(queued, 0, flags, None)
        }
    }

    /// Whether there is something to take.
    fn is_ready(&mut self) -> bool {
        self.ahead.is_some() || !self.ring.completion().is_empty()
    }

    /// Whether entering the kernel would do nothing.
    fn is_idle(&mut self) -> bool {
        let queue = self.ring.submission();
        queue.is_empty() && !queue.taskrun() && !queue.cq_overflow()
    }

    /// Begins the receives that are to be begun.
    fn arm(&mut self) -> Result<(), Errno> {
        while let Some(connection) = self.unarmed.pop() {
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

    /// Gives the lent buffer back.
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
                self.unarmed.push(connection);
                Event::Opened
            }
            Err(errno) => Event::OpenFailed(errno),
        }
    }

    /// A send that failed or fell short, or a large one that is through.
    fn sent(&mut self, connection: usize, result: Result<usize, Errno>) -> Option<Event> {
        let socket = &mut self.sockets[connection];
        socket.told = false;
        let wire: &'w [u8] = socket.wire;
        let rest = match result {
            Ok(sent) => &wire[sent.min(wire.len())..],
            Err(errno) if takes_no_more(errno) => {
                // The receive brings what came before, and then ends.
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
            // It ends with the connection; else for want of buffers or places.
            self.sockets[connection].receiving = false;
        }
        match (result, buffer) {
            (Ok(read @ 1..), Some(id)) => {
                self.lent = Some((id, read));
                // Of a Unix socket the kernel does not say whether there is more.
                let more = cqueue::sock_nonempty(flags) || self.dial.is_unix();
                let ended = more && self.ends(connection);
                if !ended && !self.sockets[connection].receiving {
                    self.unarmed.push(connection);
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
                    self.unarmed.push(connection);
                }
                None
            }
            (Err(errno), _) => Some(Event::Failed(errno)),
        }
    }

    /// Whether the next completion, which comes at once where there was more to read, is the end
    /// of the same connection. It stays the next.
    fn ends(&mut self, connection: usize) -> bool {
        let receive = self.tag(Op::Receive, connection);
        self.ahead = self.ring.completion().next();
        let is_end = |next: &cqueue::Entry| next.user_data() == receive && next.result() == 0;
        self.ahead.as_ref().is_some_and(is_end)
    }

    /// Queues a send; unless `told`, only a failure will complete.
    fn send_some(&mut self, connection: usize, wire: &'w [u8], told: bool) -> Result<(), Errno> {
        let socket = &mut self.sockets[connection];
        let fd = socket.fd.as_ref().ok_or(Errno::BADF)?.as_raw_fd();
        (socket.wire, socket.told) = (wire, told);
        // A longer one goes in several.
        let len = u32::try_from(wire.len()).unwrap_or(u32::MAX);
        // The kernel itself goes on after a short write, but for an error.
        let flags = SendFlags::NOSIGNAL.bits() | RecvFlags::WAITALL.bits();
        let send = opcode::Send::new(Fd(fd), wire.as_ptr(), len).flags(flags as i32);
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

    /// Has the kernel end all that is under way on a descriptor; it completes all the same.
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
        // Blocking as a file is: then the kernel itself waits until it can go on.
        let flags = SocketFlags::CLOEXEC;
        let fd = socket_with(self.dial.family(), SocketType::STREAM, flags, None)?;
        self.dial.prepare(&fd, connection)?;
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
        // An operation under way holds the connection open, and one that is queued for this
        // number must not reach the next socket that has it.
        let handed_over = self.cancel(&fd, connection).and_then(|()| self.submit());
        if handed_over.is_err() {
            // The next wait will tell why.
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
            // Nothing in time, a signal, or completions that must be taken first.
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
    /// Ends all that is under way: until then the kernel may write to the buffers and read requests.
    fn drop(&mut self) {
        let all = CancelBuilder::any().all();
        let submitter = self.ring.submitter();
        let ended = submitter.register_sync_cancel(Some(LETTING_GO.into()), all);
        let ended = ended.map_err(|error| errno(&error));
        // What was ended lets go of its connection in here.
        let let_go = self.enter(0);
        if !matches!(ended, Ok(()) | Err(Errno::NOENT)) || let_go.is_err() {
            self.buffers.abandon();
        }
    }
}

/// A ring for that many connections, to be used by the calling thread alone.
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

/// Makes the buffers known to the ring.
fn offer(ring: &IoUring, buffers: &Buffers) -> io::Result<()> {
    let submitter = ring.submitter();
    let (addr, count) = (buffers.ring_addr(), buffers.count());
    #[allow(unsafe_code, reason = "the kernel is given a bare address")]
    // SAFETY: the places and buffers outlive the ring: the engine drops it before them.
    unsafe {
        submitter.register_buf_ring_with_flags(addr, count, GROUP, 0)
    }
}

fn errno(error: &io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}
