//! TLS over a socket, by rustls' unbuffered interface.
//!
//! What arrives is read in large pieces and decrypted where it lies, and goes into the caller's
//! buffer from there. rustls' own buffers ask for 4 KiB at a time, one call after the other, and copy
//! each byte once more.

use std::{
    fmt, io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, BytesMut};
use hyper::rt::{Read, ReadBufCursor, Write};
use rustls::{
    ClientConfig, CommonState, Error,
    client::UnbufferedClientConnection,
    pki_types::ServerName,
    unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus},
};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::socket::Socket;

/// Room for an answer that is small, as most are.
const SMALL: usize = 4 << 10;
/// Room for answers once one of them was not: four records of the largest kind.
const LARGE: usize = 64 << 10;
/// More than any message of a handshake (RFC 8446, section 4.4.2) or any record.
const LARGEST_MESSAGE: usize = 128 << 10;
/// Encrypted at a time.
const LARGEST_WRITE: usize = 64 << 10;
const RECORD: usize = 16 << 10;
/// More than a record is longer than what is in it (RFC 5246, section 6.2.3; RFC 8446, section 5.2).
const RECORD_OVERHEAD: usize = 64;

/// A connection to a server that has proved who it is.
pub(super) struct TlsStream {
    socket: Socket,
    session: UnbufferedClientConnection,
    /// Received, and not decrypted yet.
    incoming: BytesMut,
    /// Room to receive into.
    room: usize,
    /// Nothing can be made of `incoming` before more of it comes.
    wants_more: bool,
    /// Decrypted, and more than the reader had room for.
    plain: BytesMut,
    /// The server has said that it sends no more.
    is_ended: bool,
    /// So have we.
    has_taken_leave: bool,
    /// The session has failed. It is not asked again.
    is_broken: bool,
    outgoing: Outgoing,
    /// What the pieces of a write are put together in.
    joined: Vec<u8>,
}

impl fmt::Debug for TlsStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsStream")
            .field("socket", &self.socket)
            .finish_non_exhaustive()
    }
}

/// What came of giving the session a chance to go on.
enum Step {
    /// Something; there may be more.
    Handled,
    /// What was to be written is encrypted.
    Encrypted,
    /// Nothing, before more arrives.
    Idle,
}

impl TlsStream {
    /// Shakes hands.
    pub(super) async fn connect(
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        socket: Socket,
    ) -> io::Result<Self> {
        let session = UnbufferedClientConnection::new(config, name).map_err(invalid)?;
        let mut stream = Self {
            socket,
            session,
            incoming: BytesMut::new(),
            room: SMALL,
            wants_more: false,
            plain: BytesMut::new(),
            is_ended: false,
            has_taken_leave: false,
            is_broken: false,
            outgoing: Outgoing::default(),
            joined: Vec::new(),
        };
        std::future::poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok(stream)
    }

    /// What was agreed on.
    pub(super) fn session(&self) -> &CommonState {
        &self.session
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let step = self.step(|_| 0, &[]);
            let sent = self.begin_to_send(cx);
            if let Step::Handled = step? {
                continue;
            }
            sent?;
            if !self.session.is_handshaking() {
                return self.poll_send(cx);
            }
            if self.is_ended {
                return Poll::Ready(Err(cut_off()));
            }
            ready!(self.poll_receive(cx))?;
        }
    }

    /// Lets the session go on. Hands `take` what is decrypted and keeps what that leaves; encrypts
    /// `write` as soon as nothing has to come before it.
    fn step(&mut self, mut take: impl FnMut(&[u8]) -> usize, write: &[u8]) -> io::Result<Step> {
        if self.is_broken {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let UnbufferedStatus { mut discard, state } =
            self.session.process_tls_records(&mut self.incoming);
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.map_err(invalid)?;
                    discard += record.discard;
                    let taken = take(record.payload);
                    self.plain.extend_from_slice(&record.payload[taken..]);
                }
                Ok(Step::Handled)
            }
            Ok(ConnectionState::EncodeTlsData(mut message)) => {
                let encoded = self
                    .outgoing
                    .put(RECORD_OVERHEAD, |room| message.encode(room));
                encoded.map(|()| Step::Handled)
            }
            Ok(ConnectionState::TransmitTlsData(encoded)) => {
                // It is in `outgoing`, in front of all that follows.
                encoded.done();
                Ok(Step::Handled)
            }
            Ok(ConnectionState::WriteTraffic(mut traffic)) if !write.is_empty() => {
                let length = write.len() + (write.len() / RECORD + 1) * RECORD_OVERHEAD;
                let encrypted = self
                    .outgoing
                    .put(length, |room| traffic.encrypt(write, room));
                encrypted.map(|()| Step::Encrypted)
            }
            Ok(ConnectionState::WriteTraffic(_) | ConnectionState::BlockedHandshake) => {
                self.wants_more = true;
                Ok(Step::Idle)
            }
            Ok(ConnectionState::PeerClosed) => {
                self.is_ended = true;
                Ok(Step::Handled)
            }
            // Closed by both; a client gets no early data, and there is nothing else yet.
            Ok(_) => {
                self.is_ended = true;
                Ok(Step::Idle)
            }
            Err(error) => {
                self.is_broken = true;
                self.give_reason();
                return Err(invalid(error));
            }
        };
        self.incoming.advance(discard);
        step
    }

    /// Puts the alert that the session has left behind where it is sent from.
    fn give_reason(&mut self) {
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) =
            self.session.process_tls_records(&mut self.incoming).state
        {
            // Without it, the server still sees the connection end.
            let _ = self
                .outgoing
                .put(RECORD_OVERHEAD, |room| alert.encode(room));
        }
    }

    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.incoming.len() > LARGEST_MESSAGE {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let room = self.room.saturating_sub(self.incoming.len()).max(SMALL);
        self.incoming.reserve(room);
        let read = ready!(pin!(self.socket.read_buf(&mut self.incoming)).poll(cx))?;
        if read == 0 {
            return Poll::Ready(Err(cut_off()));
        }
        if read >= SMALL {
            self.room = LARGE;
        }
        self.wants_more = false;
        Poll::Ready(Ok(()))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.outgoing.left().is_empty() {
            let sent = Pin::new(&mut self.socket).poll_write(cx, self.outgoing.left());
            match ready!(sent)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                sent => self.outgoing.advance(sent),
            }
        }
        Poll::Ready(Ok(()))
    }

    /// As [`Self::poll_send`]; what the system does not take now goes first the next time.
    fn begin_to_send(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.poll_send(cx) {
            Poll::Ready(sent) => sent,
            Poll::Pending => Ok(()),
        }
    }

    fn encrypt(&mut self, plain: &[u8]) -> io::Result<()> {
        if plain.is_empty() {
            return Ok(());
        }
        loop {
            match self.step(|_| 0, plain)? {
                Step::Handled => {}
                Step::Encrypted => return Ok(()),
                Step::Idle => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Puts the end of what we send where it is sent from.
    fn take_leave(&mut self) {
        while let Ok(Step::Handled) = self.step(|_| 0, &[]) {}
        if self.is_broken {
            return;
        }
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) =
            self.session.process_tls_records(&mut self.incoming).state
        {
            // Without it, the server still sees the connection end.
            let _ = self
                .outgoing
                .put(RECORD_OVERHEAD, |room| traffic.queue_close_notify(room));
        }
    }
}

impl Read for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let room = buf.remaining();
        let mut put = |plain: &[u8]| {
            let length = plain.len().min(buf.remaining());
            buf.put_slice(&plain[..length]);
            length
        };
        let kept = put(&this.plain);
        this.plain.advance(kept);
        let mut read = kept;
        while read < room && !this.is_ended {
            if this.wants_more {
                if read > 0 {
                    break;
                }
                ready!(this.poll_receive(cx))?;
            }
            let step = this.step(
                |plain| {
                    let length = put(plain);
                    read += length;
                    length
                },
                &[],
            );
            if !this.outgoing.left().is_empty() {
                // An alert, or what a server asked for; what does not go now goes with the next write.
                let _ = this.begin_to_send(cx);
            }
            step?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Write for TlsStream {
    /// Encrypts once all that was encrypted before is sent, so that no more than one write waits.
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_send(cx))?;
        let plain = &buf[..buf.len().min(LARGEST_WRITE)];
        self.encrypt(plain)?;
        self.begin_to_send(cx)?;
        Poll::Ready(Ok(plain.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [buf] = bufs {
            return self.poll_write(cx, buf);
        }
        ready!(self.poll_send(cx))?;
        // Short pieces go into one record, long ones are not copied.
        let mut joined = std::mem::take(&mut self.joined);
        let mut written = 0;
        for buf in bufs {
            let mut rest = &buf[..buf.len().min(LARGEST_WRITE - written)];
            written += rest.len();
            if joined.len() + rest.len() > RECORD {
                let (first, others) = rest.split_at(RECORD - joined.len());
                joined.extend_from_slice(first);
                self.encrypt(&joined)?;
                joined.clear();
                let whole = others.len() / RECORD * RECORD;
                self.encrypt(&others[..whole])?;
                rest = &others[whole..];
            }
            joined.extend_from_slice(rest);
        }
        self.encrypt(&joined)?;
        joined.clear();
        self.joined = joined;
        self.begin_to_send(cx)?;
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_taken_leave {
            self.has_taken_leave = true;
            self.take_leave();
        }
        ready!(self.poll_send(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Encrypted, and not sent yet.
#[derive(Debug, Default)]
struct Outgoing {
    /// As long as it ever had to be, so that it is filled with zeros only once.
    buf: Vec<u8>,
    start: usize,
    end: usize,
}

impl Outgoing {
    fn left(&self) -> &[u8] {
        &self.buf[self.start..self.end]
    }

    fn advance(&mut self, sent: usize) {
        self.start += sent;
        if self.start == self.end {
            self.start = 0;
            self.end = 0;
        }
    }

    /// Has `write` put something at the end, for which `room` will do most often.
    fn put<E: Into<Refusal>>(
        &mut self,
        mut room: usize,
        mut write: impl FnMut(&mut [u8]) -> Result<usize, E>,
    ) -> io::Result<()> {
        loop {
            let end = self.end + room;
            if self.buf.len() < end {
                self.buf.resize(end, 0);
            }
            match write(&mut self.buf[self.end..]).map_err(Into::into) {
                Ok(written) => {
                    self.end += written;
                    return Ok(());
                }
                Err(Refusal::NeedsRoom(required)) if required > room => room = required,
                Err(_) => return Err(io::ErrorKind::BrokenPipe.into()),
            }
        }
    }
}

/// Why the session has written nothing.
enum Refusal {
    NeedsRoom(usize),
    /// The keys have been used as often as they may be.
    Exhausted,
}

impl From<EncodeError> for Refusal {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::InsufficientSize(size) => Self::NeedsRoom(size.required_size),
            EncodeError::AlreadyEncoded => Self::Exhausted,
        }
    }
}

impl From<EncryptError> for Refusal {
    fn from(error: EncryptError) -> Self {
        match error {
            EncryptError::InsufficientSize(size) => Self::NeedsRoom(size.required_size),
            EncryptError::EncryptExhausted => Self::Exhausted,
        }
    }
}

fn invalid(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Whoever cuts a connection must not pass for the server.
fn cut_off() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the connection ended without the end of TLS",
    )
}
