//! Sends one request over the connections of a pool, and tries another connection where that is
//! safe.

use http::{Request, Response};
use http_body::Body as _;

use super::{
    connection::{Connection, Http2},
    error::{SendError, StreamError},
    http1::{self, PooledWire},
    lease::Lease,
    pool::{Leased, Pool},
    request_body::{RequestBody, Watched},
    response_body::ResponseBody,
};

/// The number of connections that one request may try. A server that takes twenty requests a
/// connection, and gets a hundred at once, refuses the last of them four times.
const ATTEMPTS: usize = 8;

impl Pool {
    /// Sends a request, whose target is path and query alone, and waits for the response's head.
    ///
    /// A request that the server certainly did not process goes to another connection, whatever its
    /// method. It is
    ///
    /// - a request of which no byte was written;
    /// - a request that the server says it did not process, by HTTP/2 (RFC 9113, sections 6.8 and
    ///   8.7);
    /// - a request that crossed a 408, by which the server closed the idle connection (RFC 9110,
    ///   section 15.5.9).
    ///
    /// A safe request without a body is also sent a second time if its connection ends before a
    /// byte of a response (RFC 9110, section 9.2.2). `rebuild` makes the body once more, or returns
    /// `None` if it cannot.
    pub async fn send<F: Future<Output = Option<RequestBody>> + Send>(
        &self,
        head: &Request<()>,
        mut body: RequestBody,
        rebuild: impl Fn(RetryReason) -> F,
    ) -> Result<Response<ResponseBody>, SendError> {
        // Boxed, since most requests do not need the memory for it.
        let rebuild = |reason| {
            tracing::debug!(host = %self.shared.origin, ?reason, "the request is sent again");
            Box::pin(rebuild(reason))
        };
        let mut may_repeat = head.method().is_safe() && body.is_end_stream();
        let mut leased = self.shared.lease().await?;
        let mut attempts = 1;
        loop {
            let is_reused = leased.is_reused;
            let sent = self.attempt(leased, head, body).await;
            if attempts == ATTEMPTS {
                return sent.map_err(|failure| failure.error);
            }
            attempts += 1;
            let failure = match sent {
                Ok(response) if !(is_reused && http1::is_idle_timeout(&response)) => {
                    return Ok(response);
                }
                Ok(response) => match rebuild(RetryReason::IdleTimeout).await {
                    None => return Ok(response),
                    Some(anew) => {
                        drop(response);
                        body = anew;
                        // Idle connections often end together, so another idle one would probably
                        // fail, too.
                        leased = Box::pin(self.shared.fresh()).await?;
                        continue;
                    }
                },
                Err(failure) => failure,
            };
            body = match failure.sent {
                Sent::Nothing(body) => body,
                Sent::Unprocessed => match rebuild(RetryReason::Unprocessed).await {
                    Some(body) => body,
                    None => return Err(failure.error),
                },
                Sent::Refused(refusing) => match rebuild(RetryReason::Unprocessed).await {
                    Some(anew) => {
                        body = anew;
                        leased = Box::pin(self.shared.lease_other_than(&refusing)).await?;
                        continue;
                    }
                    None => return Err(failure.error),
                },
                Sent::Lost if may_repeat => match rebuild(RetryReason::Lost).await {
                    Some(anew) => {
                        may_repeat = false;
                        body = anew;
                        leased = Box::pin(self.shared.fresh()).await?;
                        continue;
                    }
                    None => return Err(failure.error),
                },
                Sent::Lost | Sent::Perhaps => return Err(failure.error),
            };
            leased = Box::pin(self.shared.lease()).await?;
        }
    }

    async fn attempt(
        &self,
        leased: Leased,
        head: &Request<()>,
        body: RequestBody,
    ) -> Result<Response<ResponseBody>, NoResponse> {
        tracing::debug!(
            host = %self.shared.origin,
            is_reused = leased.is_reused,
            "the request takes a connection"
        );
        let wire = match leased.connection {
            Connection::Http1(wire) => wire,
            // Boxed, since most requests do not need the memory for it.
            Connection::Http2(connection) => {
                return Box::pin(self.over_http2(connection, head, body)).await;
            }
        };
        let host = self.shared.origin.host_header();
        let wire = PooledWire::new(wire, self.shared.clone());
        let no_response = match http1::send(wire, head, body, host).await {
            Ok(response) => return Ok(response.map(ResponseBody::http1)),
            Err(no_response) => no_response,
        };
        // Garbled bytes on a reused connection are the rest of an earlier response.
        let is_late = leased.is_reused && no_response.is_garbled;
        if is_late {
            self.shared.distrust();
        }
        Err(NoResponse {
            sent: if is_late || no_response.is_silent {
                Sent::Lost
            } else {
                Sent::Perhaps
            },
            error: no_response.error,
        })
    }

    async fn over_http2(
        &self,
        connection: Http2,
        head: &Request<()>,
        body: RequestBody,
    ) -> Result<Response<ResponseBody>, NoResponse> {
        let mut lease = Lease::new(self.shared.clone(), connection);
        let (body, body_error) = Watched::new(body);
        let mut failure = match lease.send(head.clone().map(|()| body)).await {
            Ok(response) => return Ok(response.map(|body| ResponseBody::http2(body, lease))),
            Err(failure) => failure,
        };
        let verdict = StreamError::of(failure.error());
        let unsent = failure.take_message();
        if unsent.is_some() || verdict == StreamError::GoingAway {
            lease.give_up();
        }
        if let Some(source) = body_error.take() {
            return Err(NoResponse {
                error: SendError::RequestBody(source),
                sent: Sent::Perhaps,
            });
        }
        let (sent, error) = match (unsent, verdict) {
            (Some(unsent), _) => (
                Sent::Nothing(unsent.into_body().into_inner()),
                SendError::Closed,
            ),
            (None, StreamError::GoingAway) => (Sent::Unprocessed, SendError::Unprocessed),
            (None, StreamError::Refused) => {
                let refusing = Box::new(lease.refused());
                (Sent::Refused(refusing), SendError::Unprocessed)
            }
            (None, StreamError::Lost) => (Sent::Lost, SendError::Closed),
            (None, _) => (Sent::Perhaps, SendError::Closed),
        };
        Err(NoResponse { error, sent })
    }
}

/// The reason why a request is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryReason {
    /// The server says that it did not process the request.
    Unprocessed,
    /// The server ended an idle connection while the request was on its way there.
    IdleTimeout,
    /// The connection ended before a byte of a response. The server may have acted on the request,
    /// which is safe and has no body.
    Lost,
}

/// A request that got no response.
struct NoResponse {
    error: SendError,
    sent: Sent,
}

/// The part of a request that may have reached its server.
enum Sent {
    /// No byte of it. Contains the body, which is unread.
    Nothing(RequestBody),
    /// An unknown part. The server says that it did not process the request, and ends the
    /// connection.
    Unprocessed,
    /// An unknown part. The server says that it did not process the request on this connection,
    /// which stays open.
    Refused(Box<Http2>),
    /// Perhaps all of it. No byte of a response came.
    Lost,
    /// Perhaps all of it.
    Perhaps,
}
