//! What the kernel says of a server's process.

use std::{fs, io};

/// All threads of a process.
pub(crate) fn threads(pid: u32) -> io::Result<Vec<i32>> {
    let mut threads = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
        threads.extend(entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()));
    }
    Ok(threads)
}

/// Nanoseconds on a processor, of all threads so far.
pub(crate) fn cpu(pid: u32) -> io::Result<u64> {
    let mut sum = 0;
    for thread in threads(pid)? {
        let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat"))?;
        let time = stat.split_whitespace().next().and_then(|time| time.parse::<u64>().ok());
        sum += time.ok_or(io::ErrorKind::InvalidData)?;
    }
    Ok(sum)
}

/// Bytes of anonymous memory in RAM: heap and stacks, not the program itself.
pub(crate) fn anonymous_memory(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let value = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = value.and_then(|value| value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    Ok(kibibytes.ok_or(io::ErrorKind::InvalidData)? * 1024)
}
