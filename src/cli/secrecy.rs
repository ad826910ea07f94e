//! Keeps this process's memory, which contains tokens and patient data, out of files and from other
//! processes.

/// Forbids core dumps. On Linux, it also forbids other processes of the same user to read this
/// process's memory. If a system does not support one of these, it is omitted.
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

/// Does nothing. Windows writes no dump unless an administrator has enabled it.
#[cfg(not(unix))]
pub(super) fn seal_memory() {}
