//! What the kernel says about the processes under load: CPU time and memory, threads and children included.

use std::fs;
use std::io;
use std::time::Duration;

/// `/proc/<pid>/stat` counts in these (`USER_HZ`, the same on every Linux that Rust runs on).
const TICK: Duration = Duration::from_millis(10);

/// Some processes and their children.
pub(super) struct Processes(Vec<u32>);

impl Processes {
    /// `pids`, and whoever they have started by now.
    pub(super) fn of(pids: &[u32]) -> io::Result<Self> {
        let mut all = pids.to_vec();
        let mut seen = 0;
        while let Some(&pid) = all.get(seen) {
            all.extend(children(pid)?);
            seen += 1;
        }
        Ok(Self(all))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// User and system time since they began, in steps of 10 ms.
    pub(super) fn cpu(&self) -> io::Result<Duration> {
        let ticks = self.0.iter().map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
            ticks(&stat).ok_or_else(|| io::Error::other(format!("/proc/{pid}/stat cannot be read")))
        });
        Ok(TICK * ticks.sum::<io::Result<u32>>()?)
    }

    /// Resident memory in bytes.
    pub(super) fn resident(&self) -> io::Result<u64> {
        let bytes = self.0.iter().map(|pid| {
            let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
            resident(&status).ok_or_else(|| io::Error::other(format!("/proc/{pid}/status cannot be read")))
        });
        bytes.sum()
    }
}

fn children(pid: u32) -> io::Result<Vec<u32>> {
    let mut found = Vec::new();
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = fs::read_to_string(task?.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}

/// utime and stime: the 14th and 15th field, counted behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<u32> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    Some(next()? + next()?)
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 1 0 5 1 1";
        assert_eq!(ticks(stat), Some(42));
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let here = Processes::of(&[std::process::id()]).unwrap();
        assert!(here.resident().unwrap() > 1 << 20);
        here.cpu().unwrap();
    }
}
