//! Ports for what cannot choose its own.

use std::net::{Ipv4Addr, TcpListener};

/// A TCP port of 127.0.0.1 that nobody listened on a moment ago.
///
/// Somebody else may take it before it is used: prefer port 0 or -1 where the program offers it,
/// and retry with another port where it does not.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port on the loopback interface")
        .port()
}
