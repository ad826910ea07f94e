//! A running program with the processes that it starts.
//!
//! Dropping a [`ProcessTree`] ends them all, unless [`ProcessTree::disarm`] was called. The proxy drops
//! it also when it stops in order while it waits for the program.

#[cfg(unix)]
mod group;
#[cfg(windows)]
mod job;
#[cfg(unix)]
mod reaper;

#[cfg(unix)]
pub(super) use group::ProcessTree;
#[cfg(windows)]
pub(super) use job::ProcessTree;
#[cfg(unix)]
pub use reaper::reap_orphans;

/// Does nothing. Windows has no orphans to reap.
#[cfg(windows)]
pub async fn reap_orphans() {}
