//! HTTP/1.1 connections between two requests (RFC 9112, section 9.3).
//!
//! Bytes that a server sends after its response, such as a body after a 204, would be read as the
//! response to the next request, which may be another client's. Three rules prevent this:
//!
//! - A connection on which bytes have come without a request is closed.
//! - A connection is held back for 200 ms after a response without a body, and after a response
//!   that began before its request was sent.
//! - No connection to an origin that sent such bytes is reused for 10 minutes.

use std::{collections::VecDeque, time::Duration};

use tokio::{sync::oneshot, time::Instant};

use super::http1::{Condition, Wire};

/// The longest time that a late body takes to arrive, with Nagle's algorithm and a delayed ACK (RFC
/// 9293, section 3.8.6.3).
const HOLD_BACK: Duration = Duration::from_millis(200);
/// The number of connections that are held back. Beyond it, the oldest serves early.
const MAX_HELD_BACK: usize = 64;
/// The time for which no connection to an origin is reused after it sent unrequested bytes.
const DISTRUST: Duration = Duration::from_secs(600);

/// An open connection that no request needs.
#[derive(Debug)]
pub(super) struct Idle<C> {
    pub(super) connection: C,
    /// The number of sweeps before the connection became idle.
    pub(super) since: u64,
}

/// The idle HTTP/1.1 connections to one origin.
#[derive(Debug)]
pub(super) struct IdleConnections {
    /// The name of the origin in the log.
    origin: String,
    /// The connections that can serve now. The last one that was used is at the end and is taken
    /// first, so that surplus connections stay idle and are closed.
    ready: Vec<Idle<Box<Wire>>>,
    /// The connections that are held back, the longest first.
    held_back: VecDeque<(Instant, Idle<Box<Wire>>)>,
    /// The requests that wait for a connection, in order.
    waiting: VecDeque<oneshot::Sender<Box<Wire>>>,
    distrusted_until: Option<Instant>,
}

impl IdleConnections {
    pub(super) fn new(origin: String) -> Self {
        Self {
            origin,
            ready: Vec::new(),
            held_back: VecDeque::new(),
            waiting: VecDeque::new(),
            distrusted_until: None,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.held_back.is_empty()
    }

    /// A connection that can take a request now.
    pub(super) fn take(&mut self) -> Option<Box<Wire>> {
        loop {
            let (mut connection, was_held_back) = self.next()?;
            if self.is_quiet(&mut connection, was_held_back) {
                return Some(connection);
            }
        }
    }

    fn next(&mut self) -> Option<(Box<Wire>, bool)> {
        if let Some(idle) = self.ready.pop() {
            return Some((idle.connection, false));
        }
        let (since, _) = self.held_back.front()?;
        if self.held_back.len() < MAX_HELD_BACK && since.elapsed() < HOLD_BACK {
            return None;
        }
        let (_, idle) = self.held_back.pop_front()?;
        Some((idle.connection, true))
    }

    /// A place in the queue for a connection that has served.
    pub(super) fn wait(&mut self) -> oneshot::Receiver<Box<Wire>> {
        let (sender, receiver) = oneshot::channel();
        self.waiting.push_back(sender);
        receiver
    }

    /// Takes back a connection that has served a request. Unless it is held back, the request that
    /// has waited longest gets it.
    pub(super) fn put_back(&mut self, mut idle: Idle<Box<Wire>>) {
        if !self.accepts(&mut idle.connection) {
            return;
        }
        if idle.connection.holds_back() {
            self.held_back.push_back((Instant::now(), idle));
            return;
        }
        while let Some(waiting) = self.waiting.pop_front() {
            if waiting.is_closed() {
                continue;
            }
            // The runtime has not polled the system since the response's last bytes, so only a
            // system call shows further bytes.
            if !self.is_quiet(&mut idle.connection, true) {
                self.waiting.push_front(waiting);
                return;
            }
            match waiting.send(idle.connection) {
                Ok(()) => return,
                Err(back) => idle.connection = back,
            }
        }
        self.ready.push(idle);
    }

    /// Whether another request may use a connection that has just served one.
    fn accepts(&mut self, connection: &mut Wire) -> bool {
        if connection.has_received() && !self.is_quiet(connection, false) {
            return false;
        }
        if let Some(until) = self.distrusted_until {
            if Instant::now() < until {
                return false;
            }
            self.distrusted_until = None;
        }
        true
    }

    /// Whether no byte has come over a connection since its last response. With `look`, a system
    /// call checks this. Without it, only bytes that the runtime knows of count.
    fn is_quiet(&mut self, connection: &mut Wire, look: bool) -> bool {
        match connection.condition(look) {
            Condition::Quiet => true,
            Condition::Closed => false,
            Condition::Unsolicited => {
                self.distrust();
                false
            }
        }
    }

    /// Closes the connections that have been idle since `oldest` or longer, and those that can
    /// serve no request.
    pub(super) fn sweep(&mut self, oldest: u64) {
        let mut is_caught = false;
        let mut is_good = |idle: &mut Idle<Box<Wire>>| {
            idle.since > oldest && {
                let condition = idle.connection.condition(false);
                is_caught |= condition == Condition::Unsolicited;
                condition == Condition::Quiet
            }
        };
        self.ready.retain_mut(&mut is_good);
        self.held_back.retain_mut(|(_, idle)| is_good(idle));
        if is_caught {
            self.distrust();
        }
    }

    /// Notes that the origin sent unrequested bytes.
    pub(super) fn distrust(&mut self) {
        self.ready.clear();
        self.held_back.clear();
        let until = self.distrusted_until.replace(Instant::now() + DISTRUST);
        if until.is_none() {
            tracing::warn!(
                upstream = self.origin,
                "the upstream sends bytes beyond its responses, which could pass for responses to \
                 other requests; for the next {} minutes, each HTTP/1.1 connection to it serves only \
                 one request. Tell the owner of the service, or let it speak HTTP/2",
                DISTRUST.as_secs() / 60
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use tokio::{
        io::AsyncWriteExt as _,
        net::{TcpListener, TcpStream},
        task::coop::poll_proceed,
        time::{advance, pause},
    };

    use super::*;
    use crate::upstream::{socket::Socket, stream::Stream};

    async fn streams() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (ours.expect("a listener"), theirs.expect("a connection").0)
    }

    fn wire(stream: TcpStream) -> Box<Wire> {
        Wire::new(Stream::plain(Socket::new(stream), Duration::from_secs(60)))
    }

    async fn connection() -> (Box<Wire>, TcpStream) {
        let (ours, theirs) = streams().await;
        (wire(ours), theirs)
    }

    fn idle(connection: Box<Wire>) -> Idle<Box<Wire>> {
        Idle {
            connection,
            since: 1,
        }
    }

    #[tokio::test]
    async fn a_connection_rests_after_a_response_without_a_body() {
        let mut connections = IdleConnections::new(String::new());
        let (mut wire, _server) = connection().await;
        wire.set_hold_back(true);
        pause();
        connections.put_back(idle(wire));
        assert!(connections.take().is_none());
        advance(HOLD_BACK).await;
        assert!(connections.take().is_some());
        assert!(connections.is_empty());
    }

    #[tokio::test]
    async fn the_oldest_serves_early_where_many_rest() {
        let mut connections = IdleConnections::new(String::new());
        let (mut wires, mut servers) = (Vec::new(), Vec::new());
        for _ in 0..MAX_HELD_BACK {
            let (wire, server) = connection().await;
            wires.push(wire);
            servers.push(server);
        }
        pause();
        for (number, mut wire) in wires.into_iter().enumerate() {
            assert!(connections.take().is_none(), "{number}");
            wire.set_hold_back(true);
            connections.put_back(idle(wire));
        }
        assert!(connections.take().is_some());
        assert!(connections.take().is_none());
    }

    #[tokio::test]
    async fn the_system_is_asked_for_what_the_runtime_has_not_heard_of() {
        for (text, is_offence) in [
            ("HTTP/1.1 200 OK\r\n\r\n", true),
            ("x", true),
            ("HTTP/1.1 408 Request Timeout\r\n\r\n", false),
        ] {
            let mut connections = IdleConnections::new(String::new());
            let (mut wire, server) = connection().await;
            let mut server = server.into_std().expect("a stream");
            std::io::Write::write_all(&mut server, text.as_bytes()).expect("a reader");
            assert!(connections.is_quiet(&mut wire, false), "no news yet");
            assert!(!connections.is_quiet(&mut wire, true), "{text}");
            assert_eq!(connections.distrusted_until.is_some(), is_offence, "{text}");
        }
    }

    #[tokio::test]
    async fn who_waits_gets_no_connection_that_has_something_to_say() {
        for text in ["", "x"] {
            let mut connections = IdleConnections::new(String::new());
            let mut waiting = connections.wait();
            let (wire, server) = connection().await;
            let mut server = server.into_std().expect("a stream");
            std::io::Write::write_all(&mut server, text.as_bytes()).expect("a reader");
            connections.put_back(idle(wire));
            assert_eq!(waiting.try_recv().is_ok(), text.is_empty());
            assert!(connections.is_empty());
        }
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_seen_and_is_no_offence() {
        let mut connections = IdleConnections::new(String::new());
        let (mut wire, mut server) = connection().await;
        server.shutdown().await.expect("a reader");
        assert!(!connections.is_quiet(&mut wire, true));
        assert!(connections.accepts(&mut wire));
    }

    #[tokio::test]
    async fn a_task_that_has_used_up_its_budget_sees_it_too() {
        let mut connections = IdleConnections::new(String::new());
        let (ours, mut server) = streams().await;
        server.write_all(b"x").await.expect("a reader");
        ours.readable().await.expect("news for the runtime");
        let mut wire = wire(ours);
        let is_quiet = poll_fn(|cx| {
            while let Poll::Ready(budget) = poll_proceed(cx) {
                budget.made_progress();
            }
            Poll::Ready(connections.is_quiet(&mut wire, false))
        });
        assert!(!is_quiet.await);
    }

    #[tokio::test]
    async fn an_origin_is_trusted_again_after_a_while() {
        let mut connections = IdleConnections::new(String::new());
        let (mut wire, _server) = connection().await;
        pause();
        connections.distrust();
        assert!(!connections.accepts(&mut wire));
        advance(DISTRUST).await;
        assert!(connections.accepts(&mut wire));
    }
}
