//! Target and source addresses of connections, the same for every I/O backend.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use nix::sys::socket::{setsockopt, sockopt::IpBindAddressNoPort};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, bind, socket,
    socket_with, sockopt,
};

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A port of a host.
    Tcp(SocketAddr),
    /// A Unix domain socket.
    Unix(PathBuf),
}

impl From<SocketAddr> for Address {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

impl From<&Path> for Address {
    fn from(path: &Path) -> Self {
        Self::Unix(path.to_owned())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// How the connections of one thread are opened.
#[derive(Debug)]
pub(crate) struct Dial {
    /// Boxed, because its address must not change while connecting.
    to: Box<SocketAddrAny>,
    family: AddressFamily,
    /// Source addresses, used in turn; any if empty.
    from: Vec<IpAddr>,
    /// The index of the thread, and the number of threads.
    place: (usize, usize),
}

impl Dial {
    /// # Errors
    /// If the path is not valid for a Unix socket.
    pub(crate) fn new(to: &Address, from: &[IpAddr], place: (usize, usize)) -> Result<Self, Errno> {
        let to: SocketAddrAny = match to {
            Address::Tcp(addr) => (*addr).into(),
            Address::Unix(path) => SocketAddrUnix::new(path)?.into(),
        };
        Ok(Self {
            family: to.address_family(),
            to: Box::new(to),
            from: from.to_vec(),
            place,
        })
    }

    pub(crate) fn to(&self) -> &SocketAddrAny {
        &self.to
    }

    pub(crate) fn is_unix(&self) -> bool {
        self.family == AddressFamily::UNIX
    }

    /// A new socket for the given connection of the thread.
    pub(crate) fn socket(&self, flags: SocketFlags, connection: usize) -> Result<OwnedFd, Errno> {
        let socket = socket_with(self.family, SocketType::STREAM, flags, None)?;
        self.prepare(&socket, connection)?;
        Ok(socket)
    }

    fn prepare(&self, socket: impl AsFd, connection: usize) -> Result<(), Errno> {
        if self.is_unix() {
            return Ok(());
        }
        sockopt::set_tcp_nodelay(&socket, true)?;
        match self.from.len() {
            0 => Ok(()),
            count => {
                let number = self.place.0 + connection * self.place.1;
                come_from(socket, self.from[number % count])
            }
        }
    }
}

/// Binds a socket to a source address. The port is chosen on connect, so that only connections to the same
/// server need different ports.
fn come_from(socket: impl AsFd, from: IpAddr) -> Result<(), Errno> {
    let set = setsockopt(&socket.as_fd(), IpBindAddressNoPort, &true);
    set.map_err(|errno| Errno::from_raw_os_error(errno as i32))?;
    bind(socket, &SocketAddr::from((from, 0)))
}

/// Whether connections can come from an address. Checked first, so that a missing address is not mistaken for a
/// lack of ports.
pub(crate) fn can_come_from(from: IpAddr) -> Result<(), Errno> {
    let family = match from {
        IpAddr::V4(_) => AddressFamily::INET,
        IpAddr::V6(_) => AddressFamily::INET6,
    };
    come_from(socket(family, SocketType::STREAM, None)?, from)
}

/// The system's error when a connection fails, with a fix if one is known.
#[cold]
pub(crate) fn why_not(errno: Errno) -> String {
    let help = match errno {
        Errno::ADDRNOTAVAIL => {
            ": no local port is free, because closed connections hold theirs for a minute \
             (TIME_WAIT); open fewer connections per second, keep connections \
             open, use more source addresses (--bind), or widen net.ipv4.ip_local_port_range"
        }
        Errno::MFILE => ": too many open files; raise the limit with `ulimit -n`",
        Errno::CONNREFUSED => ": nothing listens there any more",
        _ => "",
    };
    format!("{errno}{help}")
}

#[cfg(test)]
mod tests {
    use rustix::net::getsockname;

    use super::*;

    #[test]
    fn connections_come_from_their_addresses_in_turn() {
        let to = Address::from(SocketAddr::from(([127, 0, 0, 1], 9)));
        let from = [2, 3, 4].map(|host| IpAddr::from([127, 0, 0, host]));
        let dial = Dial::new(&to, &from, (1, 2)).unwrap();
        // Connections 1, 3, 5 and 7 of all.
        let hosts: Vec<(IpAddr, u16)> = (0..4)
            .map(|connection| {
                let socket = dial.socket(SocketFlags::empty(), connection).unwrap();
                let own = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
                (own.ip(), own.port())
            })
            .collect();
        // No port is taken before connecting.
        let expected = [3, 2, 4, 3].map(|host| (IpAddr::from([127, 0, 0, host]), 0));
        assert_eq!(hosts, expected);
    }

    #[test]
    fn an_address_of_another_machine_is_told() {
        can_come_from(IpAddr::from([127, 0, 0, 9])).unwrap();
        // Reserved for documentation (RFC 5737).
        let refused = can_come_from(IpAddr::from([192, 0, 2, 1]));
        assert_eq!(refused, Err(Errno::ADDRNOTAVAIL));
    }

    #[test]
    fn a_unix_socket_has_a_path_of_bounded_length() {
        let dial = |path: &str| Dial::new(&Path::new(path).into(), &[], (0, 1));
        let near = dial("/run/server.sock").unwrap();
        assert!(near.is_unix() && near.family == AddressFamily::UNIX);
        assert!(matches!(dial(&"x".repeat(200)), Err(Errno::NAMETOOLONG)));
    }

    #[test]
    fn what_can_be_helped_is_said() {
        for (errno, word) in [
            (Errno::ADDRNOTAVAIL, "net.ipv4.ip_local_port_range"),
            (Errno::MFILE, "ulimit -n"),
            (Errno::CONNREFUSED, "nothing listens there any more"),
        ] {
            let said = why_not(errno);
            assert!(said.starts_with(&errno.to_string()), "{said}");
            assert!(said.contains(word), "{said}");
        }
        assert_eq!(why_not(Errno::TIMEDOUT), Errno::TIMEDOUT.to_string());
    }
}
