//! Both bodies of an exchange, streamed frame by frame: nothing piles up, and a peer that stops reading
//! stops the other side.

mod client;
mod comparison;
mod decompressed_client;
mod download;
mod response;
mod rewrite_request;
mod rewritten;
mod upload;

pub(crate) use response::ResponseBody;

pub(super) use client::{ClientBody, UploadError};
pub(super) use download::Download;
pub(super) use response::DownloadBody;
pub(super) use rewrite_request::rewrite;
pub(super) use upload::{Upload, UploadBody};
