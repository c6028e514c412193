//! Ports of the loopback interface at which nobody answers.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, IntoRawFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};

/// A port that refuses every connection until the tests end: it is taken, by a socket that does not listen.
pub fn refusing_port() -> SocketAddr {
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Inet, SockType::Stream, flags, None).expect("a socket");
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a port on loopback");
    let address: SockaddrIn = getsockname(socket.as_raw_fd()).expect("the port that was bound");
    // Never closed, so that no other test is given the port.
    let _ = socket.into_raw_fd();
    SocketAddr::from((address.ip(), address.port()))
}

/// A port that was free a moment ago, for a server that takes a number.
pub fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let address = listener.and_then(|listener| listener.local_addr());
    address.expect("a port on loopback")
}
