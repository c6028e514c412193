//! A network of a test's own: its names, its resolver, addresses that swallow everything, and servers in
//! it that run in the test.
//!
//! A socket stays in the network that it was made in, whoever holds it. So a small process inside makes
//! each socket and hands it over, and then the test serves on it as on any other.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::IoSlice;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::process::ExitCode;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::probe;
use super::run::{Live, Run};
use super::temp::TempDir;

/// Addresses that are the network's own.
pub const HERE: [&str; 2] = ["192.0.2.2", "2001:db8::2"];

/// Addresses that swallow everything: there is a neighbour of that name, and it says nothing.
pub const BLACK_HOLES: [&str; 2] = ["192.0.2.1", "2001:db8::1"];

/// Sets it up; `$0` is the file of host names and `$1` that of the resolver.
const SETUP: &str = "set -e
    ip link set lo up
    ip link add here type veth peer name there
    ip link set here up
    ip link set there up
    ip address add 192.0.2.2/24 dev here
    ip address add 2001:db8::2/64 dev here nodad
    ip neighbour add 192.0.2.1 lladdr 02:00:00:00:00:01 dev here
    ip neighbour add 2001:db8::1 lladdr 02:00:00:00:00:01 dev here
    mount --bind \"$0\" /etc/hosts
    mount --bind \"$1\" /etc/resolv.conf
    echo ready
    exec sleep infinity";

/// Such a network. It ends, with what still runs in it, when it is dropped.
pub struct Network {
    holder: Live,
    dir: TempDir,
}

impl Network {
    /// One whose resolver is asked at 127.0.0.1, and which knows no name by itself.
    pub fn new() -> Self {
        let dir = TempDir::new();
        let hosts = dir.file("hosts", "");
        let resolver = dir.file("resolv.conf", "nameserver 127.0.0.1\n");
        let unshare = ["unshare", "--user", "--map-root-user", "--net", "--mount"];
        let holder = Run::program("sh").args(["-c", SETUP]).arg(hosts);
        let holder = holder.arg(resolver).under(unshare).spawn();
        holder.wait_for_output("ready");
        Network { holder, dir }
    }

    /// Replaces what `/etc/hosts` says there.
    pub fn hosts(&self, text: &str) {
        // It is written, not replaced: the file itself is what is mounted.
        fs::write(self.dir.path().join("hosts"), text).expect("a file to write");
    }

    /// Replaces what `/etc/resolv.conf` says there.
    pub fn resolver(&self, text: &str) {
        fs::write(self.dir.path().join("resolv.conf"), text).expect("a file to write");
    }

    /// The same run in this network.
    pub fn within(&self, run: Run) -> Run {
        let holder = self.holder.pid().to_string();
        let enter = ["nsenter", "--target", &holder, "--user", "--net", "--mount"];
        run.under(enter.into_iter().chain(["--preserve-credentials"]))
    }

    /// A listener at an address of this network.
    pub fn listen(&self, address: &str) -> TcpListener {
        TcpListener::from(self.socket("tcp", address))
    }

    /// A socket for datagrams at an address of this network.
    pub fn datagrams(&self, address: &str) -> UdpSocket {
        UdpSocket::from(self.socket("udp", address))
    }

    fn socket(&self, kind: &str, address: &str) -> OwnedFd {
        let dir = TempDir::new();
        let path = dir.path().join("hand-over");
        let listener = UnixListener::bind(&path).expect("a socket to hand over at");
        let [program, role @ ..] = probe::binder();
        let bind = Run::program(program).args(role).args([kind, address]);
        self.within(bind.arg(path)).finish().assert_status(0);
        let (stream, _) = listener.accept().expect("the process that has ended well");
        receive(&stream)
    }
}

/// Makes a socket (`tcp` or `udp`, an address) and hands it over at a path.
pub fn bind(words: &[OsString]) -> ExitCode {
    let [kind, address, path] = words else {
        panic!("three words instead of {words:?}");
    };
    let address = address.to_str().expect("an address");
    let socket = match kind == OsStr::new("tcp") {
        true => OwnedFd::from(TcpListener::bind(address).expect("an address to listen at")),
        false => OwnedFd::from(UdpSocket::bind(address).expect("an address to bind")),
    };
    let stream = UnixStream::connect(PathBuf::from(path)).expect("somebody to hand it to");
    let sockets = [socket.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&sockets)];
    let data = [IoSlice::new(b"x")];
    sendmsg::<()>(stream.as_raw_fd(), &data, &rights, MsgFlags::empty(), None)
        .expect("a socket to hand over");
    ExitCode::SUCCESS
}

fn receive(stream: &UnixStream) -> OwnedFd {
    let mut byte = [0];
    let mut data = [std::io::IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!(RawFd);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(stream.as_raw_fd(), &mut data, Some(&mut space), flags);
    let message = message.expect("a message");
    let mut parts = message.cmsgs().expect("all of it");
    match parts.next() {
        // SAFETY: the kernel has just made the descriptor, and nobody else knows it.
        Some(ControlMessageOwned::ScmRights(sockets)) => unsafe {
            OwnedFd::from_raw_fd(sockets[0])
        },
        other => panic!("{other:?} instead of a socket"),
    }
}
