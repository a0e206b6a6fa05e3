//! What a process with a key in its memory must not do: leave that memory behind when it dies.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// From here on this process leaves no core dump, and no other process of the same user may look into it. What
/// the system refuses is told by the log once there is one; a gateway does not stay away for it.
///
/// # Errors
/// The system's words.
pub(crate) fn keep_memory_private() -> Result<(), String> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if getrlimit(Resource::Core) != none {
        setrlimit(Resource::Core, none)
            .map_err(|error| format!("core dumps cannot be switched off: {error}"))?;
    }
    not_dumpable()
}

/// A pipe named in `core_pattern` is fed whatever the limit says; not so if there is nothing to dump.
#[cfg(target_os = "linux")]
fn not_dumpable() -> Result<(), String> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| format!("core dumps cannot be switched off: {error}"))
}

#[cfg(not(target_os = "linux"))]
fn not_dumpable() -> Result<(), String> {
    Ok(())
}
