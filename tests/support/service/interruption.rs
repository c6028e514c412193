//! What can happen to a connection before a request is read from it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

/// How far a connection gets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stage {
    /// It is accepted, and nothing is read.
    Accepted,
    /// The client's part of the handshake has come.
    Greeted,
    /// Half of the answer to that is sent.
    Answered,
    /// The handshake is complete.
    Secured,
}

/// What happens then.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// The connection is closed.
    Close,
    /// It is torn down, which the client sees as an error.
    Reset,
    /// Nothing is sent until the client gives up.
    Hang,
    /// These bytes are sent, and it is closed.
    Say(Vec<u8>),
}

/// Connections that end before their time.
#[derive(Clone, Debug)]
pub struct Interruption {
    pub stage: Stage,
    pub end: End,
}

impl Interruption {
    /// Does what is planned up to the end, and returns what the client said.
    pub(super) fn approach(
        &self,
        mut stream: &TcpStream,
        config: &Arc<ServerConfig>,
    ) -> io::Result<Vec<u8>> {
        if self.stage == Stage::Accepted {
            return Ok(Vec::new());
        }
        let connection = ServerConnection::new(Arc::clone(config));
        let mut tls = connection.expect("a usable configuration");
        if self.stage == Stage::Secured {
            while tls.is_handshaking() {
                tls.complete_io(&mut stream)?;
            }
            return Ok(Vec::new());
        }
        let mut heard = Vec::new();
        while !tls.wants_write() {
            let mut buffer = [0; 4096];
            let count = stream.read(&mut buffer)?;
            heard.extend_from_slice(&buffer[..count]);
            if tls.read_tls(&mut &buffer[..count])? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            tls.process_new_packets().map_err(io::Error::other)?;
        }
        if self.stage == Stage::Answered {
            let mut flight = Vec::new();
            while tls.wants_write() {
                tls.write_tls(&mut flight)?;
            }
            stream.write_all(&flight[..flight.len() / 2])?;
        }
        Ok(heard)
    }
}
