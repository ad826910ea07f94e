//! Both bodies of an exchange, streamed frame by frame. Memory is constant, and the proxy reads
//! from a sender only as fast as the receiver takes the bytes.

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
