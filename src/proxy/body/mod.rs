//! Both bodies of an exchange, streamed frame by frame: nothing piles up, and a peer that stops reading
//! stops the other side.

mod client;
mod decompressed_client;
mod download;
mod response;
mod rewrite_request;
mod rewritten;
mod upload;

pub use client::UploadError;
pub use download::DownloadError;
pub use response::ResponseBody;
pub use upload::UploadBody;

pub(super) use client::ClientBody;
pub(super) use download::Download;
pub(super) use response::DownloadBody;
pub(super) use rewrite_request::rewrite;
pub(super) use upload::Upload;
