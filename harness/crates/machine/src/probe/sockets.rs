//! TCP sockets and the processes that hold them.
//!
//! `/proc/net/tcp` and `tcp6` list sockets by inode; `/proc/PID/fd` shows which process has an inode (the kernel's
//! `Documentation/networking/proc_net_tcp.rst`).

use std::fs;
use std::io;
use std::net::SocketAddr;

use super::process::{Process, pids, socket_inodes};

/// States as numbered in the kernel's `include/net/tcp_states.h`.
const ESTABLISHED: &str = "01";
const LISTEN: &str = "0A";

/// Who listens on a port.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listeners {
    /// Listening sockets on the port, at any local address; several if a server uses `SO_REUSEPORT`.
    pub sockets: u32,
    /// The processes that hold them, ascending, without duplicates.
    pub pids: Vec<u32>,
    /// Sockets whose process was not found: it belongs to another user or another PID namespace.
    pub unowned: u32,
}

impl Listeners {
    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.sockets == 0
    }

    /// Whether there is a listening socket, and each is held only by these processes.
    pub fn only(&self, pids: &[u32]) -> bool {
        !self.pids.is_empty() && self.unowned == 0 && self.pids.iter().all(|pid| pids.contains(pid))
    }
}

/// Finds who listens on a TCP port in our network namespace.
///
/// # Errors
/// If neither `/proc/net/tcp` nor `/proc/net/tcp6` can be read.
pub fn listeners(port: u16) -> io::Result<Listeners> {
    let inodes = inodes(Wanted::Listener(port))?;
    let mut found = Listeners {
        sockets: u32::try_from(inodes.len()).unwrap_or(u32::MAX),
        ..Listeners::default()
    };
    if inodes.is_empty() {
        return Ok(found);
    }
    let mut owned = Vec::new();
    for pid in pids() {
        let mut held = socket_inodes(pid).unwrap_or_default();
        held.retain(|inode| inodes.contains(inode));
        if !held.is_empty() {
            found.pids.push(pid);
            owned.extend(held);
        }
    }
    found.pids.sort_unstable();
    let unowned = inodes.iter().filter(|inode| !owned.contains(inode)).count();
    found.unowned = u32::try_from(unowned).unwrap_or(u32::MAX);
    Ok(found)
}

/// Whether one of these processes accepted a connection; `None` while nobody has.
///
/// # Errors
/// As [`listeners`].
pub fn accepted_by(
    pids: &[u32],
    server: SocketAddr,
    client: SocketAddr,
) -> io::Result<Option<bool>> {
    let mut inodes = inodes(Wanted::Connection(server.port(), client.port()))?;
    // The kernel gives a socket its inode when it is accepted.
    inodes.retain(|inode| *inode != 0);
    if inodes.is_empty() {
        return Ok(None);
    }
    let mut held = pids.iter().filter_map(|pid| socket_inodes(*pid)).flatten();
    Ok(Some(held.any(|inode| inodes.contains(&inode))))
}

/// Whether one of these processes waits with epoll for connections to a port.
///
/// `/proc/PID/fdinfo` of an epoll instance has a line `tfd: … ino:INODE sdev:…` for each descriptor that it watches
/// (`Documentation/filesystems/proc.rst`).
///
/// # Errors
/// As [`listeners`].
pub fn waits_for_connections(pids: &[u32], port: u16) -> io::Result<bool> {
    let inodes = inodes(Wanted::Listener(port))?;
    let watched: Vec<String> = (inodes.iter())
        .map(|inode| format!(" ino:{inode:x} "))
        .collect();
    let folders = pids
        .iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/fdinfo")).ok());
    // A descriptor may be closed meanwhile.
    let mut infos =
        (folders.flatten().flatten()).filter_map(|file| fs::read_to_string(file.path()).ok());
    Ok(infos.any(|info| watched.iter().any(|ino| info.contains(ino.as_str()))))
}

/// Which sockets to find in our network namespace.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    /// Those that listen at a port.
    Listener(u16),
    /// That of a connection with this local and this remote port.
    Connection(u16, u16),
}

/// The inodes of these sockets.
pub(super) fn inodes(wanted: Wanted) -> io::Result<Vec<u64>> {
    let is_wanted = |row: &SocketRow<'_>| match wanted {
        Wanted::Listener(port) => row.state == LISTEN && row.local_port == Some(port),
        Wanted::Connection(local, remote) => {
            row.state == ESTABLISHED
                && (row.local_port, row.remote_port) == (Some(local), Some(remote))
        }
    };
    let tables = tables("/proc/net")?;
    let rows = tables.iter().flat_map(|table| rows(table));
    Ok(rows.filter(is_wanted).map(|row| row.inode).collect())
}

/// Number of established connections of a process, in its own network namespace.
pub(super) fn established(process: &Process) -> Option<u32> {
    let mut inodes = process.socket_inodes()?;
    inodes.sort_unstable();
    let tables = tables(&format!("/proc/{}/net", process.pid)).ok()?;
    let count = tables
        .iter()
        .flat_map(|table| rows(table))
        .filter(|row| row.state == ESTABLISHED && inodes.binary_search(&row.inode).is_ok())
        .count();
    u32::try_from(count).ok()
}

/// A line of `/proc/net/tcp`.
struct SocketRow<'a> {
    local_port: Option<u16>,
    remote_port: Option<u16>,
    state: &'a str,
    inode: u64,
}

/// Both tables; one may be missing, if the kernel has no IPv6.
fn tables(folder: &str) -> io::Result<Vec<String>> {
    let four = fs::read_to_string(format!("{folder}/tcp"));
    let six = fs::read_to_string(format!("{folder}/tcp6"));
    match (four, six) {
        (Err(error), Err(_)) => Err(error),
        (four, six) => Ok(four.into_iter().chain(six).collect()),
    }
}

fn rows(table: &str) -> impl Iterator<Item = SocketRow<'_>> {
    // sl local remote st tx:rx tr:when retrnsmt uid timeout inode
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let local = fields.nth(1)?;
        let remote = fields.next()?;
        let state = fields.next()?;
        let inode = fields.nth(5)?.parse().ok()?;
        let port = |address: &str| u16::from_str_radix(address.rsplit_once(':')?.1, 16).ok();
        Some(SocketRow {
            local_port: port(local),
            remote_port: port(remote),
            state,
            inode,
        })
    })
}
