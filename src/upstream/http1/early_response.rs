//! A response that begins before its request has been sent. Its reader may pause for any time, but
//! the request must go on, so a task of its own drives both.

use std::{
    future::poll_fn,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::{sync::mpsc, time::timeout};

use super::{Broken, body_reader::BodyReader, upload::Upload};

type FrameResult = Result<Frame<Bytes>, Broken>;

/// A frame for the reader, or only the note that it was the last.
#[derive(Debug)]
struct Part {
    frame: Option<FrameResult>,
    is_last: bool,
}

/// The body of a response that began before its request was sent.
#[derive(Debug)]
pub(in super::super) struct EarlyBody {
    parts: mpsc::Receiver<Part>,
    size: SizeHint,
    is_end: bool,
    takes_rest_of_request: bool,
}

impl EarlyBody {
    pub(in super::super) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<FrameResult>> {
        if self.is_end {
            return Poll::Ready(None);
        }
        let Some(part) = ready!(self.parts.poll_recv(cx)) else {
            // Without a last part, the task has ended early, and the response is incomplete.
            return Poll::Ready(Some(Err(Broken::Closed)));
        };
        self.is_end = part.is_last;
        let data = part.frame.as_ref().and_then(|frame| frame.as_ref().ok());
        let data = data.and_then(Frame::data_ref);
        if let (Some(length), Some(data)) = (self.size.exact(), data) {
            self.size = SizeHint::with_exact(length.saturating_sub(data.len() as u64));
        }
        Poll::Ready(part.frame)
    }

    /// Whether the server takes the rest of the request.
    pub(in super::super) fn takes_rest_of_request(&self) -> bool {
        self.takes_rest_of_request
    }

    pub(in super::super) fn is_end(&self) -> bool {
        self.is_end
    }

    pub(in super::super) fn size_hint(&self) -> SizeHint {
        self.size
    }
}

/// Starts a task that sends the rest of the request and reads the response.
pub(super) fn start(reader: BodyReader, upload: Upload) -> EarlyBody {
    let (sender, parts) = mpsc::channel(1);
    let early = EarlyBody {
        parts,
        size: reader.size_hint(),
        is_end: reader.is_end(),
        takes_rest_of_request: reader.keeps_alive(),
    };
    let both = Both {
        reader,
        upload: Some(upload),
    };
    tokio::spawn(both.run(sender));
    early
}

struct Both {
    reader: BodyReader,
    /// The rest of the request. `None` once it is sent or has failed.
    upload: Option<Upload>,
}

impl Both {
    /// Drives both. Returns early if the client has left, which closes the connection.
    async fn run(mut self, client: mpsc::Sender<Part>) -> Option<()> {
        while !self.reader.is_end() {
            let permit = tokio::select! {
                permit = client.reserve() => permit.ok()?,
                () = poll_fn(|cx| self.poll_upload(cx)), if self.upload.is_some() => continue,
            };
            let frame = tokio::select! {
                frame = poll_fn(|cx| self.poll_frame(cx)) => frame,
                () = client.closed() => return None,
            };
            let is_last = self.reader.is_end();
            permit.send(Part { frame, is_last });
        }
        drop(client);
        // A server that is about to close the connection reads no more of the request.
        if self.reader.keeps_alive() {
            self.finish_upload().await;
        }
        Some(())
    }

    /// Sends the rest of the request. Gives up if no part of it comes within the idle timeout,
    /// since no other timer watches the client by now. The stream itself notices a server that
    /// takes no bytes.
    async fn finish_upload(&mut self) {
        let limit = self.reader.wire().idle_timeout();
        while let Some(upload) = &self.upload {
            let before = upload.parts();
            let sent = timeout(limit, poll_fn(|cx| self.poll_upload(cx))).await;
            let is_stalled = |upload: &Upload| upload.parts() == before;
            if sent.is_err() && self.upload.as_ref().is_some_and(is_stalled) {
                return;
            }
        }
    }

    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<FrameResult>> {
        let _ = self.poll_upload(cx);
        self.reader.poll_frame(cx)
    }

    /// Ready once the request is sent or has failed. Only its response matters then.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(upload) = &mut self.upload {
            let sent = ready!(upload.poll(self.reader.wire(), cx));
            self.upload = None;
            match sent {
                Ok(()) => self.reader.set_request_sent(),
                Err(_) => self.reader.close(),
            }
        }
        Poll::Ready(())
    }
}
