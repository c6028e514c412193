//! The service on loopback: a real TLS server that speaks its API and refuses what it would refuse.

mod api;
mod certificate;
mod fault;
mod http;
mod interruption;
mod keys;
mod rate;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::libc::linger;
use nix::sys::socket::sockopt::Linger;
use nix::sys::socket::{self, Backlog, setsockopt};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub use api::Route;
pub use certificate::{Certificate, HOST};
pub use fault::Fault;
pub use http::{Reply, Request};
pub use interruption::{End, Interruption, Stage};
pub use keys::Key;
pub use rate::Rate;

use super::temp::TempDir;
use super::wait::wait_until;
use super::world::World;
use fault::Plan;

/// Longer than any test: a client that stops in the middle of a request must not keep a thread for
/// ever.
const SILENCE: Duration = Duration::from_secs(120);

/// Between two bytes of [`Fault::Trickle`]: shorter than any timeout between reads that a client
/// could have.
const DRIP: Duration = Duration::from_millis(20);

/// What [`Fault::Trickle`] begins with.
const TRICKLE: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n";

/// A running service. It stops, and every open connection with it, when it is dropped.
pub struct Service {
    shared: Arc<Shared>,
    address: SocketAddr,
    api_key: String,
    ca_file: PathBuf,
    listener: OwnedFd,
    acceptor: Option<JoinHandle<()>>,
    _dir: TempDir,
}

/// What the threads of a service share.
struct Shared {
    world: World,
    tls: Option<Arc<ServerConfig>>,
    /// Without one it is a mirror: anybody may read everything, and an API key is an error.
    keys: Option<Mutex<Vec<Key>>>,
    faults: Mutex<Vec<Plan>>,
    interruptions: Mutex<Vec<(Range<usize>, Interruption)>>,
    rate: Mutex<Option<Rate>>,
    requests: Mutex<Vec<Request>>,
    /// What came over connections that were interrupted.
    heard: Mutex<Vec<u8>>,
    connections: Mutex<Vec<Weak<TcpStream>>>,
    /// How many connections there may be.
    capacity: AtomicUsize,
    stopping: AtomicBool,
}

impl Service {
    /// HTTPS with a certificate that the authority of [`Service::ca_file`] signed, serving
    /// [`World::example`].
    pub fn example() -> Self {
        Service::of(World::example())
    }

    pub fn of(world: World) -> Self {
        Service::start(world, Some(Certificate::Trusted))
    }

    /// HTTPS with a certificate of which something may be wrong.
    pub fn with_certificate(certificate: Certificate) -> Self {
        Service::start(World::example(), Some(certificate))
    }

    /// A read replica over plain HTTP.
    pub fn mirror_of(world: World) -> Self {
        Service::launch(world, None, None, Ipv4Addr::LOCALHOST)
    }

    /// [`Service::example`] that knows this key and no other.
    pub fn only_with(key: Key) -> Self {
        let certificate = Some(Certificate::Trusted);
        Service::launch(
            World::example(),
            certificate,
            Some(key),
            Ipv4Addr::LOCALHOST,
        )
    }

    /// Plain HTTP.
    pub fn plain() -> Self {
        Service::start(World::example(), None)
    }

    /// The same on an address that only it has, so that nobody takes its port when it has stopped.
    pub fn stoppable() -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let own = Ipv4Addr::new(127, 0, 1, COUNT.fetch_add(1, Ordering::Relaxed));
        Service::launch(World::example(), None, Some(Key::new()), own)
    }

    fn start(world: World, certificate: Option<Certificate>) -> Self {
        Service::launch(world, certificate, Some(Key::new()), Ipv4Addr::LOCALHOST)
    }

    fn launch(
        world: World,
        certificate: Option<Certificate>,
        key: Option<Key>,
        address: Ipv4Addr,
    ) -> Self {
        let listener = TcpListener::bind((address, 0)).expect("a port on loopback");
        Service::listen(listener, world, certificate, key)
    }

    /// [`Service::example`] at any address.
    pub fn at(listener: TcpListener) -> Self {
        let certificate = Some(Certificate::Trusted);
        Service::listen(listener, World::example(), certificate, Some(Key::new()))
    }

    fn listen(
        listener: TcpListener,
        world: World,
        certificate: Option<Certificate>,
        key: Option<Key>,
    ) -> Self {
        // Where the queue is full, the kernel lets a client wait for a second.
        socket::listen(&listener, Backlog::MAXALLOWABLE).expect("a longer queue");
        let address = listener.local_addr().expect("the port that was bound");
        let token = |key: &Key| key.token().to_string();
        let api_key = key.as_ref().map_or(String::new(), token);
        let shared = Arc::new(Shared {
            world,
            tls: certificate.map(certificate::server_config),
            keys: key.map(|key| Mutex::new(vec![key])),
            faults: Mutex::default(),
            interruptions: Mutex::default(),
            rate: Mutex::default(),
            requests: Mutex::default(),
            heard: Mutex::default(),
            connections: Mutex::default(),
            capacity: AtomicUsize::new(usize::MAX),
            stopping: AtomicBool::new(false),
        });
        let dir = TempDir::new();
        let ca_file = dir.file("ca.pem", certificate::authority_pem());
        let handle = OwnedFd::from(listener.try_clone().expect("a second descriptor"));
        let acceptor = Some(thread::spawn({
            let shared = Arc::clone(&shared);
            move || accept(listener, &shared)
        }));
        Service {
            shared,
            address,
            api_key,
            ca_file,
            listener: handle,
            acceptor,
            _dir: dir,
        }
    }

    /// The base URL, by address.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme(), self.address)
    }

    /// The base URL, by name.
    pub fn url_by_name(&self) -> String {
        format!("{}://localhost:{}", self.scheme(), self.address.port())
    }

    fn scheme(&self) -> &'static str {
        match self.shared.tls {
            Some(_) => "https",
            None => "http",
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The authority behind the certificate, as a PEM file.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// A key that may read everything of the organization and change nothing.
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Accepts one more key and returns it.
    pub fn issue(&self, key: Key) -> String {
        let token = key.token().to_string();
        let keys = self.shared.keys.as_ref().expect("a service with keys");
        keys.lock().unwrap().push(key);
        token
    }

    /// From now on, replaces or spoils the good answers of a route. Refusals stay what they are, so
    /// that a request which the service would not accept cannot pass for one that met the fault.
    pub fn fail(&self, route: Route, fault: Fault) {
        self.plan(Plan::new(route, fault, None));
    }

    /// The same for so many answers only; those after them are good again.
    pub fn fail_times(&self, times: usize, route: Route, fault: Fault) {
        self.plan(Plan::new(route, fault, Some(times)));
    }

    fn plan(&self, plan: Plan) {
        self.shared.faults.lock().unwrap().push(plan);
    }

    /// Interrupts these connections, counted from the first one.
    pub fn interrupt(&self, connections: Range<usize>, interruption: Interruption) {
        let mut interruptions = self.shared.interruptions.lock().unwrap();
        interruptions.push((connections, interruption));
    }

    /// Refuses every connection behind so many, at least one.
    pub fn refuse_after(&self, connections: usize) {
        self.shared.capacity.store(connections, Ordering::SeqCst);
    }

    /// Refuses requests beyond a limit.
    pub fn limit(&self, rate: Rate) {
        *self.shared.rate.lock().unwrap() = Some(rate);
    }

    /// How many connections there were so far.
    pub fn connections(&self) -> usize {
        self.shared.connections.lock().unwrap().len()
    }

    /// What came over connections that were interrupted, as it was on the wire.
    pub fn heard(&self) -> Vec<u8> {
        self.shared.heard.lock().unwrap().clone()
    }

    /// Every request so far, in the order in which they arrived.
    pub fn requests(&self) -> Vec<Request> {
        self.shared.requests.lock().unwrap().clone()
    }
}

impl Service {
    /// Stops it: from now on connections are refused.
    #[track_caller]
    pub fn stop(&mut self) {
        self.close();
        // A process that another test is just starting has inherited the socket, up to its execve(2).
        wait_until("connections to be refused", || {
            TcpStream::connect(self.address).is_err()
        });
    }

    fn close(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        // This makes the acceptor look up, in whatever network it listens; after it has ended no
        // connection can be added to the list.
        let _ = socket::shutdown(self.listener.as_raw_fd(), socket::Shutdown::Both);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
        let connections = self.shared.connections.lock().unwrap();
        for connection in connections.iter().filter_map(Weak::upgrade) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.close();
    }
}

/// Gives every connection a thread until the service stops.
fn accept(listener: TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let stream = Arc::new(stream);
        let number = {
            let mut connections = shared.connections.lock().unwrap();
            connections.push(Arc::downgrade(&stream));
            connections.len()
        };
        let is_last = number >= shared.capacity.load(Ordering::SeqCst);
        let shared = Arc::clone(shared);
        let serve = move || shared.serve(&stream, number - 1);
        if is_last {
            // Before anything is answered, so that whoever comes after an answer is refused.
            let _ = socket::shutdown(listener.as_raw_fd(), socket::Shutdown::Both);
            thread::spawn(serve);
            return;
        }
        thread::spawn(serve);
    }
}

impl Shared {
    /// One connection. A client that goes away is its own business, so errors end it in silence.
    fn serve(&self, stream: &TcpStream, number: usize) {
        let _ = stream.set_read_timeout(Some(SILENCE));
        let ended = match self.interruption(number) {
            Some(interruption) => self.interrupted(stream, &interruption),
            None => self.attend(stream),
        };
        match ended {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => reset(stream),
            _ => drop(stream.shutdown(Shutdown::Both)),
        }
    }

    fn attend(&self, mut stream: &TcpStream) -> io::Result<()> {
        let Some(config) = &self.tls else {
            return self.converse(&mut stream);
        };
        let connection = ServerConnection::new(Arc::clone(config)).expect("a usable configuration");
        let mut tls = StreamOwned::new(connection, stream);
        self.converse(&mut tls)?;
        tls.conn.send_close_notify();
        tls.flush()
    }

    fn interruption(&self, number: usize) -> Option<Interruption> {
        let interruptions = self.interruptions.lock().unwrap();
        let mut matching = interruptions.iter();
        let found = matching.find(|(connections, _)| connections.contains(&number))?;
        Some(found.1.clone())
    }

    fn interrupted(&self, mut stream: &TcpStream, interruption: &Interruption) -> io::Result<()> {
        let config = self.tls.as_ref().expect("a service with TLS");
        let heard = interruption.approach(stream, config)?;
        self.heard.lock().unwrap().extend(heard);
        match &interruption.end {
            End::Close => Ok(()),
            End::Reset => Err(ErrorKind::ConnectionReset.into()),
            End::Hang => hang(&mut stream),
            End::Say(bytes) => stream.write_all(bytes),
        }
    }

    /// One request and its answer. An error also stands for every way to end without an orderly
    /// close.
    fn converse(&self, stream: &mut (impl Read + Write)) -> io::Result<()> {
        let request = match http::read(stream)? {
            Ok(request) => request,
            Err(defect) => return Reply::error(400, "bad_request", &defect).write(stream),
        };
        self.requests.lock().unwrap().push(request.clone());
        let over_limit = self.rate.lock().unwrap().as_mut().and_then(Rate::refusal);
        if let Some(refusal) = over_limit {
            return refusal.write(stream);
        }
        let (route, document) = match self.answer(&request) {
            Ok(answer) => answer,
            Err(refusal) => return refusal.write(stream),
        };
        match self.next_fault(route) {
            None => Reply::json(200, &document).write(stream),
            Some(Fault::Edit(edit)) => {
                let mut document = document;
                edit(&mut document);
                Reply::json(200, &document).write(stream)
            }
            Some(Fault::Reply(reply)) => reply.write(stream),
            Some(Fault::Late(time, reply)) => {
                thread::sleep(time);
                reply.write(stream)
            }
            Some(Fault::Raw(bytes)) => send(stream, &bytes),
            Some(Fault::Write(write)) => send(stream, &write(&document.to_string())),
            Some(Fault::Reset(bytes)) => {
                send(stream, &bytes)?;
                Err(ErrorKind::ConnectionReset.into())
            }
            Some(Fault::Repeat(first, again, pause)) => repeat(stream, &first, &again, pause),
            Some(Fault::Close) => Err(ErrorKind::ConnectionAborted.into()),
            Some(Fault::Hang) => hang(stream),
            Some(Fault::Stall(bytes)) => {
                send(stream, &bytes)?;
                hang(stream)
            }
            Some(Fault::Trickle) => repeat(stream, TRICKLE, b" ", DRIP),
        }
    }

    /// The fault that is planned for this answer, if any: the oldest plan first.
    fn next_fault(&self, route: Route) -> Option<Fault> {
        let mut faults = self.faults.lock().unwrap();
        faults.iter_mut().find_map(|plan| plan.next(route))
    }
}

/// Says nothing until the client gives up or the service stops.
fn hang(stream: &mut impl Read) -> io::Result<()> {
    while stream.read(&mut [0; 64])? > 0 {}
    Ok(())
}

fn send(stream: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}

/// Sends an answer that never ends, in bits of which none is waited for long.
fn repeat(stream: &mut impl Write, first: &[u8], again: &[u8], pause: Duration) -> io::Result<()> {
    send(stream, first)?;
    loop {
        thread::sleep(pause);
        send(stream, again)?;
    }
}

/// Makes the end of a connection an error for the client, as soon as the last handle is dropped.
fn reset(stream: &TcpStream) {
    let at_once = linger {
        l_onoff: 1,
        l_linger: 0,
    };
    setsockopt(stream, Linger, &at_once).expect("an option of a connection");
}
