//! What another process set on its TCP sockets.
//!
//! A connection's options are those of a duplicate of its descriptor, made by pidfd_getfd(2); the process must be
//! one that we may trace, such as our own descendant. The backlog comes from sock_diag(7).

use std::fs;
use std::io::{self, Error, ErrorKind};
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use rustix::net::sockopt::{
    socket_recv_buffer_size, socket_reuseport, socket_send_buffer_size, tcp_nodelay,
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::sockets::{self, Wanted};

/// The options of a process's end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionOptions {
    /// `TCP_NODELAY`.
    pub nodelay: bool,
    /// Send buffer, bytes, as the kernel counts it.
    pub send_buffer: usize,
    /// Receive buffer, bytes.
    pub receive_buffer: usize,
}

/// The sockets on which processes listen at one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerOptions {
    /// Number of listening sockets.
    pub sockets: usize,
    /// Whether the first lets others share its port (`SO_REUSEPORT`).
    pub reuse_port: bool,
}

/// The options of the socket that one of these processes uses for the connection from `client`.
///
/// # Errors
/// If no such socket is found, or the system refuses access to it.
pub fn connection_options(
    pids: &[u32],
    server: SocketAddr,
    client: SocketAddr,
) -> io::Result<ConnectionOptions> {
    let wanted = Wanted::Connection(server.port(), client.port());
    let [socket, ..] = &duplicates(pids, wanted)?[..] else {
        return Err(not_found("the connection"));
    };
    Ok(ConnectionOptions {
        nodelay: tcp_nodelay(socket)?,
        send_buffer: socket_send_buffer_size(socket)?,
        receive_buffer: socket_recv_buffer_size(socket)?,
    })
}

/// The options of the sockets on which these processes listen at a port.
///
/// # Errors
/// If there is none, or the system refuses access to it.
pub fn listener_options(pids: &[u32], port: u16) -> io::Result<ListenerOptions> {
    let sockets = duplicates(pids, Wanted::Listener(port))?;
    let first = sockets.first().ok_or_else(|| not_found("the listener"))?;
    Ok(ListenerOptions {
        sockets: sockets.len(),
        reuse_port: socket_reuseport(first)?,
    })
}

fn not_found(what: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("no process has {what}"))
}

/// Duplicates of the processes' sockets, each once.
fn duplicates(pids: &[u32], wanted: Wanted) -> io::Result<Vec<OwnedFd>> {
    let mut inodes = sockets::inodes(wanted)?;
    let mut found = Vec::new();
    for &pid in pids {
        let Some(process) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
            continue;
        };
        let handle = pidfd_open(process, PidfdFlags::empty())?;
        for entry in fs::read_dir(format!("/proc/{pid}/fd"))?.flatten() {
            let inode = super::process::socket_inode(&entry);
            let Some(place) = inodes.iter().position(|known| Some(*known) == inode) else {
                continue;
            };
            let name = entry.file_name();
            let Some(number) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            found.push(pidfd_getfd(&handle, number, PidfdGetfdFlags::empty())?);
            inodes.swap_remove(place);
        }
    }
    Ok(found)
}

/// Bytes of a netlink header (`struct nlmsghdr`).
const HEADER: usize = 16;
/// `SOCK_DIAG_BY_FAMILY`, `NLM_F_REQUEST | NLM_F_DUMP`, `NLMSG_ERROR`, `NLMSG_DONE`.
const BY_FAMILY: u16 = 20;
const DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Where `struct inet_diag_msg` has the length limit of a listener's queue.
const LIMIT: usize = HEADER + 60;

/// The backlog of the socket that listens at a port: how many connections may wait to be accepted.
///
/// # Errors
/// If there is none, or the system has no sock_diag.
pub fn backlog(port: u16) -> io::Result<u32> {
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        if let Some(backlog) = backlog_in(family, port)? {
            return Ok(backlog);
        }
    }
    Err(not_found("the listener"))
}

fn backlog_in(family: AddressFamily, port: u16) -> io::Result<Option<u32>> {
    const TCP: u8 = 6;
    const LISTEN: u32 = 1 << 10;
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        Some(netlink::SOCK_DIAG),
    )?;
    // `struct inet_diag_req_v2`, of whose socket id only the port is set.
    let mut request = vec![0; HEADER + 56];
    let length = request.len() as u32;
    request[..4].copy_from_slice(&length.to_ne_bytes());
    request[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    request[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    request[HEADER] = family.as_raw() as u8;
    request[HEADER + 1] = TCP;
    request[HEADER + 4..HEADER + 8].copy_from_slice(&LISTEN.to_ne_bytes());
    request[HEADER + 8..HEADER + 10].copy_from_slice(&port.to_be_bytes());
    send(&socket, &request, SendFlags::empty())?;
    let mut buffer = vec![0; 32 * 1024];
    let mut found = None;
    loop {
        let (_, length) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        let mut messages = &buffer[..length];
        while messages.len() >= HEADER {
            let kind = u16::from_ne_bytes([messages[4], messages[5]]);
            let length = number(messages, 0).unwrap_or(0) as usize;
            match kind {
                DONE => return Ok(found),
                ERROR => return Err(Error::other("sock_diag refused the request")),
                _ => {}
            }
            let shown = messages.get(HEADER + 4..HEADER + 6);
            if shown == Some(&port.to_be_bytes()) {
                found = found.or_else(|| number(messages, LIMIT));
            }
            // Messages begin at multiples of 4.
            let next = length.next_multiple_of(4).max(HEADER);
            messages = messages.get(next..).unwrap_or_default();
        }
        if length == 0 {
            return Ok(found);
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(four))
}

#[cfg(test)]
mod tests {
    use std::net::{SocketAddr, TcpListener, TcpStream};

    use super::*;
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

    #[test]
    fn options_of_our_own_sockets_are_found() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let client = TcpStream::connect(server).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let own = [std::process::id()];
        for nodelay in [false, true] {
            accepted.set_nodelay(nodelay).unwrap();
            let found = connection_options(&own, server, client.local_addr().unwrap()).unwrap();
            assert_eq!(found.nodelay, nodelay);
            assert_eq!(
                found.send_buffer,
                socket_send_buffer_size(&accepted).unwrap()
            );
        }
        let options = listener_options(&own, server.port()).unwrap();
        assert_eq!((options.sockets, options.reuse_port), (1, false));
        rustix::net::listen(&listener, 77).unwrap();
        assert_eq!(backlog(server.port()).unwrap(), 77);
    }

    #[test]
    fn a_port_without_a_listener_has_no_options() {
        // Bound, so that no other test can listen there meanwhile.
        let bound = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        bind(&bound, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let port = SocketAddr::try_from(getsockname(&bound).unwrap())
            .unwrap()
            .port();
        assert!(backlog(port).is_err());
        assert!(listener_options(&[std::process::id()], port).is_err());
    }
}
