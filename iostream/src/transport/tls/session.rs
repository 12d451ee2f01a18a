use std::{
    fmt,
    io::{self, BufRead, IoSlice, Read, Write},
    mem,
    task::{Context, Poll},
};

use ioloop::Printable;
use rustls::{Connection, InvalidMessage, ProtocolVersion};

use super::super::{MOST_BEGUN, Transport, not_connected, total};

/// How much is encrypted before it has to leave, in bytes: four full records. It bounds the session's own buffer, and is
/// what the bytes of one `writev` can be.
const BATCH: usize = MOST_BEGUN;

/// How many tickets a server sends to one client: OpenSSL and rustls both send two.
const USUAL_TICKETS: u32 = 2;

/// How much of what is not TLS an error shows, in bytes.
const START_SHOWN: usize = 16;

/// How many pieces of ciphertext rustls shows in one call. With that many there may be more behind them.
const MOST_PIECES: usize = 64;

/// A rustls connection, and what is on its way between it and its carrier.
pub(super) struct Session {
    pub(super) conn: Connection,
    /// Decrypted and not taken by a reader, in bytes.
    plaintext: usize,
    /// Encrypted and not reported as sent, in bytes of plaintext: of what is offered next, that much has been dealt with.
    owed: usize,
    /// How much of that has not left. Invariant: at most `owed`.
    unsent: usize,
    /// Received and not shown to rustls: what came in plaintext before the handshake is part of it.
    unfed: Vec<u8>,
    /// The peer's close_notify has come.
    ended: bool,
    /// Our close_notify has been queued.
    shut: bool,
    /// What the session failed of, until an operation reports it.
    failure: Option<io::Error>,
    failed: bool,
}

impl Session {
    /// `received` is the beginning of the handshake, as far as it has come.
    pub(super) fn new(mut conn: Connection, received: Vec<u8>) -> Session {
        conn.set_buffer_limit(Some(BATCH));
        Session {
            conn,
            plaintext: 0,
            owed: 0,
            unsent: 0,
            unfed: received,
            ended: false,
            shut: false,
            failure: None,
            failed: false,
        }
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.conn.is_handshaking()
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    /// Whether a reader would get something without receiving.
    pub(super) fn has_input(&self) -> bool {
        self.plaintext > 0 || self.ended || self.failed
    }

    /// Whether the peer has all it needs of a handshake that is over, sent or not. A server of TLS 1.3 has only tickets left
    /// then, and its client may not read before it has something to read.
    pub(super) fn needs_no_more(&self) -> bool {
        let is_server = matches!(self.conn, Connection::Server(_));
        !self.wants_send() || is_server && self.conn.protocol_version() == Some(ProtocolVersion::TLSv1_3)
    }

    /// Whether what comes next may be nothing but tickets.
    pub(super) fn awaits_tickets(&self) -> bool {
        match &self.conn {
            Connection::Client(conn) => !self.has_input() && conn.tls13_tickets_received() < USUAL_TICKETS,
            Connection::Server(_) => false,
        }
    }

    /// The error to be reported. The stream is closed with the first one, so there is no second in practice.
    pub(super) fn take_failure(&mut self) -> io::Error {
        self.failure.take().unwrap_or_else(not_connected)
    }

    pub(super) fn fail(&mut self, error: io::Error) {
        self.failed = true;
        self.failure.get_or_insert(error);
    }

    /// Moves decrypted bytes to `buf`.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        if self.plaintext == 0 || buf.is_empty() {
            return 0;
        }
        // Fails only when nothing is there.
        let count = self.conn.reader().read(buf).unwrap_or(0);
        self.plaintext = if self.failed { self.first_plaintext() } else { self.plaintext - count };
        count
    }

    /// Decrypts the first `count` bytes of `buf`, which were received, and puts the plaintext in their place. Returns how
    /// much of it there is; what does not fit waits in the session.
    ///
    /// Decrypting in place needs no second chunk. What has been decrypted never takes more room than what it was decrypted
    /// from, except when it began with the rest of a record that came before; rustls keeps that much.
    pub(super) fn receive(&mut self, buf: &mut [u8], count: usize) -> usize {
        let (mut fed, mut filled) = (0, 0);
        while fed < count && !self.failed {
            match self.feed(&buf[fed..count]) {
                0 => break,
                step => fed += step,
            }
            filled += self.read(&mut buf[filled..fed]);
        }
        // After a close_notify, nothing that comes means anything (RFC 8446, 6.1).
        if fed < count && !self.ended && !self.failed {
            self.unfed.extend_from_slice(&buf[fed..count]);
        }
        filled + self.read(&mut buf[filled..])
    }

    /// Decrypts received bytes; the plaintext stays in the session.
    pub(super) fn receive_all(&mut self, received: &[u8]) {
        let mut fed = 0;
        while fed < received.len() && !self.failed {
            match self.feed(&received[fed..]) {
                0 => break,
                step => fed += step,
            }
        }
        if fed < received.len() && !self.ended && !self.failed {
            self.unfed.extend_from_slice(&received[fed..]);
        }
    }

    /// Shows rustls what it could not take before. Returns whether there was anything.
    pub(super) fn receive_unfed(&mut self) -> bool {
        if self.unfed.is_empty() {
            return false;
        }
        let unfed = mem::take(&mut self.unfed);
        self.receive_all(&unfed);
        true
    }

    /// Shows rustls some bytes; returns how many it took. 0 when it takes none for now, or none any more.
    fn feed(&mut self, received: &[u8]) -> usize {
        let taken = match self.conn.read_tls(&mut &*received) {
            Ok(taken) => taken,
            // A handshake message larger than rustls accepts.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.fail(error);
                return 0;
            }
            // It has enough plaintext.
            Err(_) => return 0,
        };
        match self.conn.process_new_packets() {
            Ok(state) => {
                self.plaintext = state.plaintext_bytes_to_read();
                self.ended = state.peer_has_closed();
            }
            Err(error) => {
                // What came before the error is good.
                self.plaintext = self.first_plaintext();
                let error = self.explain(error, received);
                self.fail(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        taken
    }

    /// Says what most often is behind the error that a handshake begins with.
    fn explain(&self, error: rustls::Error, received: &[u8]) -> Box<dyn std::error::Error + Send + Sync> {
        let no_record = matches!(error, rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType));
        if no_record && self.conn.protocol_version().is_none() {
            let start = received[..received.len().min(START_SHOWN)].to_vec();
            return NotTls { start, error }.into();
        }
        error.into()
    }

    /// How much plaintext there is at least. A session that has failed does not count it.
    fn first_plaintext(&mut self) -> usize {
        self.conn.reader().fill_buf().map_or(0, <[u8]>::len)
    }

    /// Queues a close_notify, once.
    pub(super) fn shut(&mut self) {
        if !self.shut {
            self.shut = true;
            self.conn.send_close_notify();
        }
    }

    /// Whether rustls has bytes for the peer.
    pub(super) fn wants_send(&self) -> bool {
        self.conn.wants_write()
    }

    /// Sends what rustls has for the peer. False when the carrier takes no more.
    pub(super) fn flush(&mut self, wire: &mut Wire<'_, '_, '_>) -> io::Result<bool> {
        while self.conn.wants_write() {
            let result = self.conn.write_tls(wire);
            // Ciphertext is never shorter than its plaintext: at most this much of that is unsent. More than rustls has
            // shown may be unsent too, and then nothing is said.
            if wire.pieces < MOST_PIECES {
                self.unsent = self.unsent.min(wire.left);
            }
            match result {
                // A short write says that there is no room. A task that is to be woken has to try again.
                Ok(_) if wire.left > 0 && wire.cx.is_none() => return Ok(false),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.unsent = 0;
        Ok(true)
    }

    /// Encrypts and sends up to `most` bytes of `pieces`. Returns how many have left, which may be none.
    ///
    /// More than that may be encrypted. It is what comes next, so the same bytes must be offered again.
    pub(super) fn send(
        &mut self,
        wire: &mut Wire<'_, '_, '_>,
        pieces: &[IoSlice<'_>],
        most: usize,
    ) -> io::Result<usize> {
        if self.shut {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let pieces = &pieces[..pieces.len().min(MOST_PIECES)];
        let most = most.min(total(pieces));
        let mut left = self.flush(wire)?;
        let mut sent = self.report();
        while left && sent < most {
            let encrypted = self.encrypt(pieces, sent)?;
            if encrypted == 0 {
                return Err(io::Error::new(io::ErrorKind::WriteZero, "the TLS session takes no more"));
            }
            (self.owed, self.unsent) = (encrypted, encrypted);
            left = self.flush(wire)?;
            sent += self.report();
        }
        Ok(sent)
    }

    /// Encrypts a batch of what comes behind the first `skip` bytes, of which there are more.
    fn encrypt(&mut self, pieces: &[IoSlice<'_>], skip: usize) -> io::Result<usize> {
        if let [piece] = pieces {
            return self.conn.writer().write(&piece[skip..]);
        }
        let mut places = [IoSlice::new(&[]); MOST_PIECES];
        let mut rest = &mut places[..pieces.len()];
        rest.copy_from_slice(pieces);
        IoSlice::advance_slices(&mut rest, skip);
        self.conn.writer().write_vectored(rest)
    }

    /// How much plaintext has left since the last report.
    fn report(&mut self) -> usize {
        let sent = self.owed - self.unsent;
        self.owed = self.unsent;
        sent
    }
}

impl fmt::Debug for Session {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("handshaking", &self.is_handshaking())
            .field("version", &self.conn.protocol_version())
            .finish_non_exhaustive()
    }
}

/// The peer has begun with something that is no TLS record.
#[derive(Debug, thiserror::Error)]
#[error("the peer does not speak TLS: it has sent \"{}\"", Printable::bytes(start))]
struct NotTls {
    start: Vec<u8>,
    #[source]
    error: rustls::Error,
}

/// The carrier as what rustls writes to.
pub(super) struct Wire<'a, 'c, 'w> {
    carrier: &'a Transport,
    /// The task to be woken when there is room. Without one, sending is tried.
    cx: Option<&'c mut Context<'w>>,
    /// How many pieces the last call was given.
    pieces: usize,
    /// How many bytes of them were not taken.
    left: usize,
}

impl<'a, 'c, 'w> Wire<'a, 'c, 'w> {
    pub(super) fn trying(carrier: &'a Transport) -> Wire<'a, 'c, 'w> {
        Wire { carrier, cx: None, pieces: 0, left: 0 }
    }

    pub(super) fn polling(carrier: &'a Transport, cx: &'c mut Context<'w>) -> Wire<'a, 'c, 'w> {
        Wire { carrier, cx: Some(cx), pieces: 0, left: 0 }
    }
}

impl Write for Wire<'_, '_, '_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.pieces = pieces.len();
        self.left = total(pieces);
        // send(2) costs the kernel less than writev(2).
        let result = match (&mut self.cx, pieces) {
            (None, [piece]) => self.carrier.try_send(piece),
            (None, pieces) => self.carrier.try_send_vectored(pieces),
            (Some(cx), [piece]) => at_once(self.carrier.poll_send(cx, piece)),
            (Some(cx), pieces) => at_once(self.carrier.poll_send_vectored(cx, pieces)),
        };
        self.left -= *result.as_ref().unwrap_or(&0);
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn at_once(result: Poll<io::Result<usize>>) -> io::Result<usize> {
    match result {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
