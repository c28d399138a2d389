//! Listeners and connections, over real sockets.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use machine::probe::{Processes, listeners, waits_for_connections};
use rustix::event::epoll;

/// One test at a time: between fork and exec a child started by one holds the sockets of all
/// others, which would then have two owners, or live on after they were dropped.
fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_port_has_the_listener_that_opened_it() {
    let _alone = alone();
    let me = std::process::id();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let found = listeners(port).unwrap();
    assert_eq!((found.sockets, found.unowned), (1, 0));
    assert_eq!(found.pids, [me]);
    assert!(found.only(&[me]) && !found.only(&[1]) && !found.only(&[]));

    // A connection to the port is no listener, and ends with both sides.
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let server = listener.accept().unwrap().0;
    assert_eq!(listeners(port).unwrap().sockets, 1);
    drop(listener);
    let after = listeners(port).unwrap();
    assert!(after.is_empty() && !after.only(&[me]), "{after:?}");
    drop((client, server));
}

#[test]
fn a_listener_on_ipv6_is_found() {
    let _alone = alone();
    // A machine without IPv6 has nothing to test.
    let Ok(listener) = TcpListener::bind("[::1]:0") else {
        return;
    };
    let found = listeners(listener.local_addr().unwrap().port()).unwrap();
    assert_eq!(found.pids, [std::process::id()]);
}

#[test]
fn a_socket_inherited_by_a_child_has_two_owners() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let shared = std::os::fd::OwnedFd::from(listener.try_clone().unwrap());
    // As its input the socket is open in the child.
    let mut child = Command::new("sleep")
        .arg("1000")
        .stdin(shared)
        .spawn()
        .unwrap();
    let found = listeners(port).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(found.sockets, 1);
    assert!(found.pids.contains(&child.id()), "{found:?}");
    assert!(!found.only(&[std::process::id()]), "{found:?}");
}

#[test]
fn established_connections_are_counted() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    // A group of its own: of processes started beside this one, one may end while it is read.
    rustix::process::setpgid(None, None).unwrap();
    let group = rustix::process::getpgrp().as_raw_nonzero().get();
    let mut processes = Processes::in_group(u32::try_from(group).unwrap(), None);
    let streams: Vec<_> = (0..50)
        .map(|_| {
            (
                TcpStream::connect(addr).unwrap(),
                listener.accept().unwrap().0,
            )
        })
        .collect();
    // Other tests of this process have a few of their own.
    let open = processes.established().unwrap();
    assert!((100..120).contains(&open), "{open}");
    assert!(processes.sample().sockets.unwrap() >= 101);
    drop(streams);
    let closed = processes.established().unwrap();
    assert!(closed < 50, "{closed}");
}

#[test]
fn who_waits_with_epoll_for_connections_to_a_port() {
    let _alone = alone();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, own) = (listener.local_addr().unwrap().port(), std::process::id());
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    assert!(!waits_for_connections(&[own], port).unwrap());
    epoll::add(
        &epoll,
        &listener,
        epoll::EventData::new_u64(0),
        epoll::EventFlags::IN,
    )
    .unwrap();
    assert!(waits_for_connections(&[own], port).unwrap());
    assert!(!waits_for_connections(&[1], port).unwrap());
}
