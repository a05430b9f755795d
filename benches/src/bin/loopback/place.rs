//! Where things run.

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Keep this process on one core.
pub(crate) fn pin(core: usize) -> Result<(), String> {
    let mut set = CpuSet::new();
    set.set(core).map_err(|e| format!("core {core}: {e}"))?;
    sched_setaffinity(Pid::from_raw(0), &set).map_err(|e| format!("cannot run on core {core}: {e}"))
}

/// The first two cores that this process may use; the same one twice if there are no two.
pub(crate) fn two_cores() -> Result<(usize, usize), String> {
    let set = sched_getaffinity(Pid::from_raw(0)).map_err(|e| format!("cannot ask where to run: {e}"))?;
    let mut cores = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap_or(false));
    let first = cores.next().ok_or("this process may run nowhere")?;
    Ok((first, cores.next().unwrap_or(first)))
}
