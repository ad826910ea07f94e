//! Finds out whether a process still has the client's own socket open, without sending anything.
//!
//! Linux shows the state of every socket on this machine: `sock_diag(7)` that of TCP sockets,
//! `poll(2)` that of Unix sockets. The state of other sockets is unknown. Delete this file with
//! `half_closed`.

use super::listener::Stream;

/// The state of the socket at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code))]
pub(super) enum PeerSocket {
    /// A process has it open.
    Held,
    /// The socket was closed, or its process has ended.
    Closed,
    /// The system has no socket of these addresses. It may be remote or behind NAT; a kernel without
    /// `tcp_diag` finds none at all.
    NotFound,
    /// The system does not show the state.
    Unknown,
}

impl PeerSocket {
    /// Looks the socket up, which takes a few quick system calls.
    #[cfg(target_os = "linux")]
    pub(super) fn of(stream: &Stream) -> Self {
        let state = match stream {
            Stream::Tcp(stream) => tcp(stream),
            Stream::Tls(stream) => tcp(stream.get_ref().0),
            Stream::Unix(stream) => unix(stream),
        };
        state.unwrap_or(Self::Unknown)
    }

    #[cfg(not(target_os = "linux"))]
    pub(super) fn of(_stream: &Stream) -> Self {
        Self::Unknown
    }
}

#[cfg(target_os = "linux")]
fn tcp(stream: &tokio::net::TcpStream) -> std::io::Result<PeerSocket> {
    sock_diag::query(stream.peer_addr()?, stream.local_addr()?)
}

/// Reads the state of a Unix socket. `HUP` means that both directions have ended. A peer that only
/// stops sending ends one direction.
#[cfg(target_os = "linux")]
fn unix(stream: &tokio::net::UnixStream) -> std::io::Result<PeerSocket> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut polled = [PollFd::new(stream, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec::default()))?;
    let is_closed = polled[0].revents().contains(PollFlags::HUP);
    Ok(if is_closed {
        PeerSocket::Closed
    } else {
        PeerSocket::Held
    })
}

/// The protocol of `linux/netlink.h`, `linux/sock_diag.h` and `linux/inet_diag.h`.
#[cfg(target_os = "linux")]
mod sock_diag {
    use std::{
        io,
        net::{IpAddr, SocketAddr},
    };

    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
        netlink::{SOCK_DIAG, SocketAddrNetlink},
        recv, sendto, socket_with,
    };

    use super::PeerSocket;

    const HEADER: usize = 16;
    /// A header and `struct inet_diag_req_v2`.
    const REQUEST: usize = HEADER + 56;
    const SOCK_DIAG_BY_FAMILY: u16 = 20;
    const NLM_F_REQUEST: u16 = 1;
    const NLMSG_ERROR: u16 = 2;
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    const IPPROTO_TCP: u8 = 6;
    /// The state of a listener. The kernel returns the listener on the port if it finds no
    /// connection.
    const TCP_LISTEN: u8 = 10;

    /// Looks up the one socket whose own address is `peer` and that is connected to `local`.
    pub(super) fn query(peer: SocketAddr, local: SocketAddr) -> io::Result<PeerSocket> {
        let socket = socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(SOCK_DIAG),
        )?;
        let kernel = SocketAddrNetlink::new(0, 0);
        sendto(&socket, &request(peer, local), SendFlags::empty(), &kernel)?;
        let mut reply = [0; 512];
        // The kernel replies before `sendto` returns.
        let (length, _) = recv(&socket, &mut reply, RecvFlags::DONTWAIT)?;
        read(&reply[..length]).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    fn request(peer: SocketAddr, local: SocketAddr) -> [u8; REQUEST] {
        let mut request = [0; REQUEST];
        let mut put = |at: usize, bytes: &[u8]| {
            request[at..at + bytes.len()].copy_from_slice(bytes);
        };
        put(0, &u32::try_from(REQUEST).unwrap_or_default().to_ne_bytes());
        put(4, &SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        put(6, &NLM_F_REQUEST.to_ne_bytes());
        // Matches any state and, by the cookie, any socket.
        put(HEADER + 4, &u32::MAX.to_ne_bytes());
        put(HEADER + 48, &[u8::MAX; 8]);
        put(HEADER + 1, &[IPPROTO_TCP]);
        for (address, port_at, ip_at) in [(peer, 8, 12), (local, 10, 28)] {
            put(HEADER + port_at, &address.port().to_be_bytes());
            match address.ip().to_canonical() {
                IpAddr::V4(ip) => {
                    put(HEADER, &[AF_INET]);
                    put(HEADER + ip_at, &ip.octets());
                }
                IpAddr::V6(ip) => {
                    put(HEADER, &[AF_INET6]);
                    put(HEADER + ip_at, &ip.octets());
                }
            }
        }
        request
    }

    /// Reads a reply. `None` if it is not valid, or is an error other than ENOENT.
    fn read(reply: &[u8]) -> Option<PeerSocket> {
        let number = |at: usize| {
            let bytes = reply.get(at..at + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let kind = u16::from_ne_bytes(reply.get(4..6)?.try_into().ok()?);
        if kind == NLMSG_ERROR {
            let error = number(HEADER)?.cast_signed();
            let is_missing = error == -rustix::io::Errno::NOENT.raw_os_error();
            return is_missing.then_some(PeerSocket::NotFound);
        }
        if kind != SOCK_DIAG_BY_FAMILY {
            return None;
        }
        // `struct inet_diag_msg` has the state at 1, a uid at 64, and the inode at its end.
        let state = *reply.get(HEADER + 1)?;
        let inode = number(HEADER + 68)?;
        Some(match (state, inode) {
            (TCP_LISTEN, _) => PeerSocket::NotFound,
            (_, 0) => PeerSocket::Closed,
            _ => PeerSocket::Held,
        })
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

    use super::{PeerSocket, sock_diag::query};

    #[test]
    fn a_socket_is_held_until_it_is_closed_whatever_its_family() {
        for (bound, called) in [
            ("127.0.0.1:0", "127.0.0.1"),
            ("127.0.0.1:0", "::ffff:127.0.0.1"),
            ("[::1]:0", "::1"),
            ("[::]:0", "127.0.0.1"),
        ] {
            let listener = TcpListener::bind(bound).expect("bound");
            let port = listener.local_addr().expect("an address").port();
            let called = SocketAddr::new(called.parse().expect("an address"), port);
            let client = TcpStream::connect(called).expect("accepted");
            let (server, peer) = listener.accept().expect("a client");
            let local = server.local_addr().expect("an address");
            let state = || query(peer, local).expect("a reply");
            assert_eq!(state(), PeerSocket::Held, "{called}");
            client.shutdown(Shutdown::Write).expect("half closed");
            assert_eq!(state(), PeerSocket::Held, "{called}");
            drop(client);
            assert_eq!(state(), PeerSocket::Closed, "{called}");
        }
    }

    #[test]
    fn a_remote_socket_is_not_found() {
        let local = SocketAddr::from(([127, 0, 0, 1], 80));
        let remote = SocketAddr::from(([192, 0, 2, 1], 1));
        assert_eq!(query(remote, local).expect("a reply"), PeerSocket::NotFound);
        // A listener of this machine may have the port of a remote client.
        let listener = TcpListener::bind("0.0.0.0:0").expect("bound");
        let port = listener.local_addr().expect("an address").port();
        let remote = SocketAddr::from(([192, 0, 2, 1], port));
        assert_eq!(query(remote, local).expect("a reply"), PeerSocket::NotFound);
    }
}
