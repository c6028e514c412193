//! A resolver that tells of one host, well or badly.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How often the thread looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// The length of the header of a message.
const HEADER: usize = 12;

/// What a resolver does with a question.
#[derive(Clone, Copy, PartialEq)]
pub enum Answer {
    /// The addresses of the kind that is asked for.
    Right,
    /// The same after some time.
    Late(Duration),
    /// SERVFAIL.
    Failure,
    /// NXDOMAIN.
    NoSuchName,
    /// Nothing at all.
    Silence,
}

/// A running resolver. It stops when it is dropped.
pub struct Names {
    questions: Arc<Mutex<Vec<u16>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Names {
    /// Whatever name is asked for has these addresses; `answer` says what becomes of each question, which
    /// it is told the number of (the first one is 0).
    pub fn serve(
        socket: UdpSocket,
        addresses: &[&str],
        answer: impl Fn(usize) -> Answer + Send + 'static,
    ) -> Self {
        let addresses = addresses.iter().map(|it| it.parse().expect("an address"));
        let addresses: Vec<IpAddr> = addresses.collect();
        let questions = Arc::new(Mutex::new(Vec::new()));
        let stopping = Arc::new(AtomicBool::new(false));
        socket
            .set_read_timeout(Some(LOOK))
            .expect("a time that is not zero");
        let thread = thread::spawn({
            let (questions, stopping) = (Arc::clone(&questions), Arc::clone(&stopping));
            move || {
                while !stopping.load(Ordering::SeqCst) {
                    let Some((question, asker)) = receive(&socket) else {
                        continue;
                    };
                    let number = {
                        let mut questions = questions.lock().unwrap();
                        questions.push(kind(&question));
                        questions.len() - 1
                    };
                    reply(&socket, &question, asker, &addresses, answer(number));
                }
            }
        });
        Names {
            questions,
            stopping,
            thread: Some(thread),
        }
    }

    /// How often it was asked so far, for addresses of IPv4 and of IPv6.
    pub fn questions(&self) -> [usize; 2] {
        let questions = self.questions.lock().unwrap();
        [A, AAAA].map(|kind| questions.iter().filter(|asked| **asked == kind).count())
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.thread.take().map(JoinHandle::join);
    }
}

/// The kinds of question (RFC 1035 and 3596).
const A: u16 = 1;
const AAAA: u16 = 28;

fn receive(socket: &UdpSocket) -> Option<(Vec<u8>, SocketAddr)> {
    let mut buffer = [0; 1500];
    let (length, asker) = socket.recv_from(&mut buffer).ok()?;
    let question = end_of_question(&buffer[..length])?;
    Some((buffer[..question].to_vec(), asker))
}

/// Where the one question of a message ends; options may follow.
fn end_of_question(message: &[u8]) -> Option<usize> {
    let name = message.get(HEADER..)?;
    let end = name.iter().position(|byte| *byte == 0)?;
    let end = HEADER + end + 5;
    (end <= message.len()).then_some(end)
}

fn kind(question: &[u8]) -> u16 {
    let [.., high, low, _, _] = question else {
        return 0;
    };
    u16::from_be_bytes([*high, *low])
}

fn reply(
    socket: &UdpSocket,
    question: &[u8],
    asker: SocketAddr,
    addresses: &[IpAddr],
    answer: Answer,
) {
    let right = || message(question, 0, addresses);
    let message = match answer {
        Answer::Right => right(),
        Answer::Late(delay) => {
            let (message, socket) = (right(), socket.try_clone().expect("a second descriptor"));
            thread::spawn(move || {
                thread::sleep(delay);
                socket.send_to(&message, asker)
            });
            return;
        }
        Answer::Failure => message(question, 2, &[]),
        Answer::NoSuchName => message(question, 3, &[]),
        Answer::Silence => return,
    };
    // Who asked may be gone.
    let _ = socket.send_to(&message, asker);
}

/// The answer to a question: its code, and those of the addresses that are of the kind that is asked for.
fn message(question: &[u8], code: u8, addresses: &[IpAddr]) -> Vec<u8> {
    let wanted = addresses.iter().filter_map(|address| match address {
        IpAddr::V4(address) if kind(question) == A => Some(address.octets().to_vec()),
        IpAddr::V6(address) if kind(question) == AAAA => Some(address.octets().to_vec()),
        _ => None,
    });
    let wanted: Vec<_> = wanted.collect();
    let mut message = question.to_vec();
    // A response, with recursion.
    message[2..4].copy_from_slice(&[0x81, 0x80 | code]);
    message[6..HEADER].fill(0);
    message[7] = wanted.len() as u8;
    for address in wanted {
        // The name of the question, its kind, the Internet, for no time.
        message.extend([0xc0, HEADER as u8]);
        message.extend(kind(question).to_be_bytes());
        message.extend([0, 1, 0, 0, 0, 0, 0, address.len() as u8]);
        message.extend(address);
    }
    message
}
