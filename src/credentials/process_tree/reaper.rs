//! Reaps orphans. A tool that runs for a token may leave children of its own. In a container they
//! become children of the first process, which may be the proxy and has to reap them.

use std::{collections::BTreeSet, io};

use parking_lot::Mutex;
use tokio::{
    process::{Child, Command},
    sync::Notify,
};

/// The children of this process. Locked only for a moment, never during a wait for the file system.
static CHILDREN: Mutex<Children> = Mutex::new(Children {
    own: BTreeSet::new(),
    starting: 0,
});
/// Notified at the end of each start.
static STARTED: Notify = Notify::const_new();

struct Children {
    /// The children for which a task waits.
    own: BTreeSet<u32>,
    /// The number of children that are being started. They are not in `own` yet, even if they end
    /// at once.
    starting: usize,
}

/// A start that is under way, until it is dropped.
struct Starting;

impl Starting {
    fn begin() -> Self {
        CHILDREN.lock().starting += 1;
        Self
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        CHILDREN.lock().starting -= 1;
        STARTED.notify_one();
    }
}

/// A child for which a task waits, until this value is dropped.
pub(super) struct Awaited(Option<u32>);

impl Awaited {
    fn new(id: Option<u32>) -> Self {
        CHILDREN.lock().own.extend(id);
        Self(id)
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            CHILDREN.lock().own.remove(&id);
        }
    }
}

/// Starts a program. Blocks on the file system.
pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Awaited)> {
    let _starting = Starting::begin();
    let child = command.spawn()?;
    let awaited = Awaited::new(child.id());
    Ok((child, awaited))
}

/// Reaps orphans for as long as the process runs. Returns at once if orphans do not become children
/// of this process.
#[cfg(target_os = "linux")]
pub async fn reap_orphans() {
    use rustix::process::child_subreaper;
    use tokio::signal::unix::{SignalKind, signal};

    let is_reaper = std::process::id() == 1 || matches!(child_subreaper(), Ok(Some(_)));
    let Some(mut ended) = is_reaper
        .then(|| signal(SignalKind::child()).ok())
        .flatten()
    else {
        return;
    };
    loop {
        tokio::select! {
            child = ended.recv() => if child.is_none() { return },
            () = STARTED.notified() => {}
        }
        // An error is a panic, which has been logged.
        let _ = tokio::task::spawn_blocking(reap).await;
    }
}

/// Does nothing. Only Linux makes orphans children of another process than the system's first.
#[cfg(not(target_os = "linux"))]
pub async fn reap_orphans() {}

#[cfg(target_os = "linux")]
fn reap() {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    // `/proc` may belong to another namespace, in which processes have other numbers.
    let this = std::fs::read_link("/proc/self").unwrap_or_default();
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return;
    };
    let ended = processes.flatten().filter_map(|process| {
        let status = std::fs::read_to_string(process.path().join("status")).ok()?;
        ended_child(&status, &this.to_string_lossy())
    });
    let ended: Vec<u32> = ended.collect();
    let children = CHILDREN.lock();
    if children.starting > 0 {
        // One of them may be a child that is being started. The next call comes at the end of the
        // start.
        return;
    }
    for id in ended.into_iter().filter(|id| !children.own.contains(id)) {
        if let Some(id) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            let _ = waitid(
                WaitId::Pid(id),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
        }
    }
}

/// The number of a process in its own namespace, if it has ended and `parent` has not waited for it, by
/// its `status` (proc(5)).
#[cfg(target_os = "linux")]
fn ended_child(status: &str, parent: &str) -> Option<u32> {
    let field = |name: &str| {
        let mut lines = status.lines().filter_map(|line| line.split_once(':'));
        lines.find_map(|(found, value)| (found == name).then(|| value.trim()))
    };
    let is_ended = field("State")?.starts_with('Z') && field("PPid")? == parent;
    let id = field("NSpid").and_then(|ids| ids.split_whitespace().next_back());
    is_ended.then(|| id?.parse().ok()).flatten()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{sync::mpsc, thread, time::Duration};

    use super::*;

    /// A program on a file system that does not respond.
    #[test]
    fn a_start_that_hangs_keeps_nobody_else_waiting() {
        let _hung = Starting::begin();
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            drop(Awaited::new(Some(u32::MAX)));
            reap();
            done.send(())
        });
        let waited = is_done.recv_timeout(Duration::from_secs(60));
        assert_eq!(waited, Ok(()));
        assert!(!CHILDREN.lock().own.contains(&u32::MAX));
    }

    #[test]
    fn an_ended_child_is_told_by_its_number_here() {
        let status = |state: &str, parent: &str, ids: &str| {
            format!("Name:\ta b\nState:\t{state}\nPid:\t9\nPPid:\t{parent}\nNSpid:\t{ids}\n")
        };
        assert_eq!(ended_child(&status("Z (zombie)", "7", "12"), "7"), Some(12));
        assert_eq!(
            ended_child(&status("Z (zombie)", "7", "900\t12\t3"), "7"),
            Some(3)
        );
        assert_eq!(ended_child(&status("S (sleeping)", "7", "12"), "7"), None);
        assert_eq!(ended_child(&status("Z (zombie)", "70", "12"), "7"), None);
        assert_eq!(ended_child("", "7"), None);
    }
}
