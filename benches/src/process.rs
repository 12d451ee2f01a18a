//! What a measuring program asks of the kernel about itself and about others.

use std::io;

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::resource::{Resource, getrlimit, setrlimit},
    unistd::Pid,
};

/// Raises the soft limit of open descriptors to the hard one and returns it: 10,000 connections do not fit into the usual 1,024.
///
/// # Errors
///
/// What `getrlimit` and `setrlimit` report.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(hard)
}

/// Lets a process (0: the calling thread) run on these cores only.
///
/// # Errors
///
/// When a core does not exist or is not ours to use.
pub fn pin(pid: u32, cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for &core in cores {
        set.set(core)?;
    }
    Ok(sched_setaffinity(to_pid(pid), &set)?)
}

/// The cores this process may run on, in ascending order.
///
/// # Errors
///
/// What `sched_getaffinity` reports.
pub fn allowed_cores() -> io::Result<Vec<usize>> {
    let cores = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count()).filter(|&core| cores.is_set(core).unwrap_or(false)).collect())
}

pub(crate) fn to_pid(pid: u32) -> Pid {
    // Linux gives out no process number above 2^22.
    Pid::from_raw(pid as i32)
}
