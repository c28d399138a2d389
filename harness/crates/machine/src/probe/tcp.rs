//! The kernel's counters of connections.
//!
//! `/proc/net/snmp` has the counters of RFC 4022 (`tcpActiveOpens`, `tcpPassiveOpens`) for the network
//! namespace. They include all processes in it, so they describe a single program only on a quiet machine.

use std::fs;
use std::io::{self, ErrorKind};

/// Counters of TCP since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpCounters {
    /// Connections opened by programs here.
    pub active_opens: u64,
    /// Connections accepted by listening sockets here.
    pub passive_opens: u64,
}

/// Reads the counters.
///
/// # Errors
/// If `/proc/net/snmp` can't be read or doesn't have them.
pub fn tcp_counters() -> io::Result<TcpCounters> {
    let text = fs::read_to_string("/proc/net/snmp")?;
    parse(&text).ok_or_else(|| {
        let what = "/proc/net/snmp has no TCP counters";
        io::Error::new(ErrorKind::InvalidData, what)
    })
}

/// The lines come in pairs: names and values.
fn parse(text: &str) -> Option<TcpCounters> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let value = |wanted: &str| {
        let both = names.split_whitespace().zip(values.split_whitespace());
        both.into_iter()
            .find(|(name, _)| *name == wanted)
            .and_then(|(_, value)| value.parse().ok())
    };
    Some(TcpCounters {
        active_opens: value("ActiveOpens")?,
        passive_opens: value("PassiveOpens")?,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn counters_are_found_by_name() {
        let text = "Ip: A B\nIp: 1 2\n\
                    Tcp: RtoMin MaxConn ActiveOpens PassiveOpens\nTcp: 200 -1 17 5\n";
        let counters = parse(text).unwrap();
        assert_eq!((counters.active_opens, counters.passive_opens), (17, 5));
        assert_eq!(parse("Tcp: RtoMin\nTcp: 200\n"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_connection_counts_on_both_sides() {
        let before = tcp_counters().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let _made = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let _taken = listener.accept().unwrap();
        let after = tcp_counters().unwrap();
        assert!(after.active_opens > before.active_opens);
        assert!(after.passive_opens > before.passive_opens);
    }
}
