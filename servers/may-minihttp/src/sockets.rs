//! What the kernel still holds for the connections of a port, from `/proc` (proc(5)).

use std::fs;
use std::io;
use std::ops::AddAssign;

/// Bytes, and connections, that wait in the kernel.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Queues {
    /// Connections not yet accepted.
    pub(crate) unaccepted: u64,
    /// Bytes that arrived and were not yet read.
    pub(crate) unread: u64,
    /// Bytes that were written and not yet received by the client.
    pub(crate) unsent: u64,
}

impl Queues {
    /// Adds up over all sockets of the local `port`.
    ///
    /// # Errors
    /// Where `/proc` can't be read.
    pub(crate) fn read(port: u16) -> io::Result<Self> {
        let mut sum = parse(&fs::read_to_string("/proc/self/net/tcp")?, port);
        // Absent where IPv6 is switched off.
        if let Ok(table) = fs::read_to_string("/proc/self/net/tcp6") {
            sum += parse(&table, port);
        }
        Ok(sum)
    }

    /// Whether nothing waits.
    pub(crate) fn are_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Queues {
    fn add_assign(&mut self, other: Self) {
        self.unaccepted += other.unaccepted;
        self.unread += other.unread;
        self.unsent += other.unsent;
    }
}

fn parse(table: &str, port: u16) -> Queues {
    let mut sum = Queues::default();
    for queues in table.lines().skip(1).filter_map(|line| socket(line, port)) {
        sum += queues;
    }
    sum
}

/// One line: `sl local_address rem_address st tx_queue:rx_queue … inode …`, numbers in
/// hexadecimal but for the inode. A listening socket's `rx_queue` counts connections.
fn socket(line: &str, port: u16) -> Option<Queues> {
    const LISTEN: &str = "0A";
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (_, local_port) = fields.get(1)?.rsplit_once(':')?;
    // A socket without an inode belongs to no process: the kernel finishes it alone.
    let is_ours = u16::from_str_radix(local_port, 16).ok()? == port && *fields.get(9)? != "0";
    if !is_ours {
        return None;
    }
    let (sent, received) = fields.get(4)?.split_once(':')?;
    let received = u64::from_str_radix(received, 16).ok()?;
    Some(if *fields.get(3)? == LISTEN {
        Queues {
            unaccepted: received,
            ..Queues::default()
        }
    } else {
        Queues {
            unread: received,
            unsent: u64::from_str_radix(sent, 16).ok()?,
            ..Queues::default()
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn waiting_connections_and_bytes_are_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(Queues::read(address.port()).unwrap().are_empty());

        let mut client = TcpStream::connect(address).unwrap();
        assert_eq!(Queues::read(address.port()).unwrap().unaccepted, 1);

        let (server, _) = listener.accept().unwrap();
        client.write_all(b"hello").unwrap();
        // Loopback delivers before the write returns; peek makes sure of it.
        server.peek(&mut [0; 5]).unwrap();
        let queues = Queues::read(address.port()).unwrap();
        assert_eq!((queues.unaccepted, queues.unread), (0, 5));
    }

    #[test]
    fn other_ports_and_orphans_are_left_out() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 101 1 0
   1: 0100007F:1F90 0100007F:9C40 01 00000010:00000020 00:00000000 00000000     0        0 102 1 0
   2: 0100007F:1F91 0100007F:9C41 01 00000001:00000001 00:00000000 00000000     0        0 103 1 0
   3: 0100007F:1F90 0100007F:9C42 04 00000001:00000001 00:00000000 00000000     0        0 0 1 0
";
        let expected = Queues {
            unaccepted: 3,
            unread: 32,
            unsent: 16,
        };
        assert_eq!(parse(table, 0x1F90), expected);
    }
}
