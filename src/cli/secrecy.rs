//! Keeps this process's memory, which holds tokens and patient data, from files and from other processes.

/// Forbids core dumps, and on Linux also that another process of the same user reads this one's memory.
/// A system that does not know one of them goes without.
#[cfg(unix)]
pub(super) fn seal_memory() {
    use rustix::process::{Resource, Rlimit, setrlimit};

    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    let _ = setrlimit(Resource::Core, none);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};
        let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    }
}

/// Windows writes no dump unless an administrator has enabled it.
#[cfg(not(unix))]
pub(super) fn seal_memory() {}
