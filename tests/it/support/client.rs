//! Clients that send exactly what a test says: HTTP/1.1 byte by byte, and HTTP/2 with prior
//! knowledge.

use std::{convert::Infallible, fmt::Write as _, net::SocketAddr};

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::PATIENCE;

/// A response read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case, in the order received; values as Latin-1.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
    }

    /// All headers of that name.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers
            .iter()
            .filter(|(header, _)| header == name)
            .map(|(_, value)| value.as_str())
            .collect()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a text body")
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.body))
    }
}

/// `GET path` with a Host that fits.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, &[], b"").await
}

/// A request with a Host that fits and a Content-Length where there is a body.
pub(crate) async fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let mut head =
        format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(head, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(head, "Content-Length: {}\r\n", body.len());
    }
    head.push_str("\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(body);
    raw(address, &bytes).await
}

/// Sends bytes as they are and reads one response.
pub(crate) async fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let method = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    let head_only = method == b"HEAD";
    let exchange = async {
        let mut stream = TcpStream::connect(address)
            .await
            .expect("the proxy accepts");
        // A server may respond and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        read_response(&mut stream, head_only).await
    };
    timeout(PATIENCE, exchange)
        .await
        .expect("an answer in time")
}

/// Sends bytes as they are and returns all that comes until the connection ends, in whatever way.
pub(crate) async fn to_the_end(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let exchange = async {
        let mut stream = TcpStream::connect(address)
            .await
            .expect("the proxy accepts");
        let _ = stream.write_all(bytes).await;
        let mut received = Vec::new();
        // A reset says as much as an end.
        let _ = stream.read_to_end(&mut received).await;
        received
    };
    timeout(PATIENCE, exchange)
        .await
        .expect("the connection ends in time")
}

/// Reads one response from a connection, which stays open.
pub(crate) async fn read_response(
    stream: &mut (impl AsyncRead + Unpin),
    head_only: bool,
) -> Answer {
    let mut buffer = BytesMut::new();
    let end_of_head = loop {
        if let Some(end) = find(&buffer, b"\r\n\r\n") {
            if buffer.starts_with(b"HTTP/1.1 100") {
                let _ = buffer.split_to(end + 4);
                continue;
            }
            break end + 4;
        }
        let read = stream.read_buf(&mut buffer).await.unwrap_or_default();
        assert!(
            read > 0,
            "the connection ended in a head: {:?}",
            &buffer[..]
        );
    };
    let head: String = buffer
        .split_to(end_of_head)
        .iter()
        .map(|byte| char::from(*byte))
        .collect();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1))
        .expect("a status line");
    let status: u16 = status.parse().expect("a status");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer {
        status,
        headers,
        body: Bytes::new(),
    };
    if head_only || matches!(status, 204 | 304) {
        return answer;
    }
    let length = answer
        .header("content-length")
        .map(|length| length.parse::<usize>().expect("a length"));
    let chunked = answer
        .header("transfer-encoding")
        .is_some_and(|coding| coding.contains("chunked"));
    loop {
        if let Some(length) = length {
            if buffer.len() >= length {
                answer.body = buffer.split_to(length).freeze();
                return answer;
            }
        } else if chunked && let Some(body) = dechunk(&buffer) {
            answer.body = body;
            return answer;
        }
        if stream.read_buf(&mut buffer).await.unwrap_or_default() == 0 {
            assert!(
                length.is_none() && !chunked,
                "the connection ended in a body"
            );
            answer.body = buffer.freeze();
            return answer;
        }
    }
}

/// The content of a chunked body without its trailers, once it is there as a whole.
fn dechunk(mut bytes: &[u8]) -> Option<Bytes> {
    let mut body = BytesMut::new();
    loop {
        let end = find(bytes, b"\r\n")?;
        let size = std::str::from_utf8(&bytes[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        bytes = &bytes[end + 2..];
        if size == 0 {
            return (bytes.starts_with(b"\r\n") || find(bytes, b"\r\n\r\n").is_some())
                .then(|| body.freeze());
        }
        body.extend_from_slice(bytes.get(..size)?);
        bytes = bytes.get(size + 2..)?;
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack
        .windows(needle.len())
        .position(|window| window == needle)
}

/// Repeats a request until its response satisfies a condition. There is no event to wait for on the
/// other side of a socket.
pub(crate) async fn until(
    address: SocketAddr,
    path: &str,
    condition: impl Fn(&Answer) -> bool,
) -> Answer {
    let poll = async {
        loop {
            let answer = get(address, path).await;
            if condition(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, poll)
        .await
        .expect("the condition holds in time")
}

/// One request over HTTP/2 with prior knowledge. `request`'s URI is absolute.
pub(crate) async fn http2<B>(
    address: SocketAddr,
    request: http::Request<B>,
) -> http::Response<Bytes>
where
    B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
{
    let exchange = async {
        let stream = TcpStream::connect(address)
            .await
            .expect("the proxy accepts");
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
                .await
                .expect("HTTP/2 with prior knowledge");
        let connection = tokio::spawn(connection);
        let (head, body) = sender
            .send_request(request)
            .await
            .expect("an answer")
            .into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        connection.abort();
        http::Response::from_parts(head, body)
    };
    timeout(PATIENCE, exchange)
        .await
        .expect("an answer in time")
}
