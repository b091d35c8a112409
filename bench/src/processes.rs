//! The costs of processes: CPU time and memory, as Linux counts them.

use std::collections::BTreeMap;
use std::fs;

/// CPU time of a process, with that of its children that have ended, in milliseconds. None when the process is gone.
pub fn cpu_ms(pid: u32) -> Option<u64> {
    let fields = stat(pid)?;
    // Fields 14 to 17 of proc(5): utime, stime, cutime, cstime. The fields here begin with the third.
    let ticks: u64 = fields.get(11..15)?.iter().filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

/// CPU time of a process and of all processes beneath it, in milliseconds.
pub fn tree_cpu_ms(root: u32) -> u64 {
    tree(root).into_iter().filter_map(cpu_ms).sum()
}

/// The most memory that a process has had, in kibibytes.
pub fn peak_rss_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

fn tree(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        if let Some(pid) = pid
            && let Some(parent) = stat(pid).and_then(|fields| fields.get(1)?.parse().ok())
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while next < found.len() {
        found.extend(children.get(&found[next]).into_iter().flatten());
        next += 1;
    }
    found
}

/// The fields of `/proc/PID/stat` after the command's name, which may hold spaces.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::{cpu_ms, peak_rss_kib, tree};

    #[test]
    fn this_process_has_used_memory_and_is_its_own_root() {
        let pid = std::process::id();
        assert!(peak_rss_kib(pid) > 0);
        assert!(cpu_ms(pid).is_some());
        assert_eq!(tree(pid).first(), Some(&pid));
        assert_eq!(cpu_ms(u32::MAX), None);
    }
}
