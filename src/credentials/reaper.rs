//! The children of this process. A tool that is asked for a token may leave children of its own behind;
//! they come to the first process of a container, which has to reap them when they end.

use std::{
    collections::BTreeSet,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::process::{Child, Command};

/// Those that somebody waits for.
static OWN: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn own() -> MutexGuard<'static, BTreeSet<u32>> {
    OWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child that is left to whoever waits for it, until it is dropped.
pub(super) struct Awaited(Option<u32>);

impl Drop for Awaited {
    fn drop(&mut self) {
        if let Some(id) = self.0 {
            own().remove(&id);
        }
    }
}

/// Starts a program. It waits for the file system.
pub(super) fn spawn(command: &mut Command) -> io::Result<(Child, Awaited)> {
    // A child that ends at once is nobody's until it is in the list.
    let mut own = own();
    let child = command.spawn()?;
    own.extend(child.id());
    let awaited = Awaited(child.id());
    Ok((child, awaited))
}

/// Reaps the children that others have left behind, where they come to this process. It never ends.
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
    while ended.recv().await.is_some() {
        // An error is a panic, which is in the log.
        let _ = tokio::task::spawn_blocking(reap).await;
    }
}

/// Only Linux hands orphans to another process than the system's first.
#[cfg(not(target_os = "linux"))]
pub async fn reap_orphans() {}

#[cfg(target_os = "linux")]
fn reap() {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    let own = own();
    let Ok(processes) = std::fs::read_dir("/proc") else {
        return;
    };
    for process in processes.flatten() {
        let id = process
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u32>().ok());
        let Some(id) = id.filter(|id| !own.contains(id)) else {
            continue;
        };
        let is_ours = std::fs::read_to_string(process.path().join("stat"))
            .is_ok_and(|stat| is_ended_child(&stat, std::process::id()));
        let id = i32::try_from(id).ok().and_then(Pid::from_raw);
        if let (true, Some(id)) = (is_ours, id) {
            let _ = waitid(
                WaitId::Pid(id),
                WaitIdOptions::EXITED | WaitIdOptions::NOHANG,
            );
        }
    }
}

/// By what proc(5) says of a process: its id, its name in parentheses, its state, its parent.
#[cfg(target_os = "linux")]
fn is_ended_child(stat: &str, parent: u32) -> bool {
    let Some((_, rest)) = stat.rsplit_once(')') else {
        return false;
    };
    let mut fields = rest.split_whitespace();
    fields.next() == Some("Z") && fields.next() == Some(&*parent.to_string())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn an_ended_child_is_told_whatever_it_is_called() {
        assert!(is_ended_child("12 (sh) Z 7 12 12 0", 7));
        assert!(is_ended_child("12 (a) Z 1 (b) Z 7 12", 7));
        for stat in [
            "12 (sh) S 7 12",
            "12 (sh) Z 70 12",
            "12 (Z 7) S 1 12",
            "",
            "12 (sh)",
        ] {
            assert!(!is_ended_child(stat, 7), "{stat}");
        }
    }
}
