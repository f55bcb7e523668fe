//! A server and its children as the kernel sees them: memory and processor time, from `/proc`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Bytes of a page, as every platform has them that mlrs is measured on.
const PAGE: u64 = 4096;
/// Clock ticks a second in `/proc`: `USER_HZ`, which is 100 on Linux.
const TICKS: f64 = 100.0;

/// All processes of a process group.
#[derive(Clone, Copy, Debug)]
pub struct Group(pub u32);

impl Group {
    /// Resident memory in MiB; pages that processes share count in each of them.
    pub fn resident(self) -> f64 {
        let pages: u64 = self
            .members()
            .filter_map(|(folder, _)| {
                let sizes = std::fs::read_to_string(folder.join("statm")).ok()?;
                sizes.split(' ').nth(1)?.parse::<u64>().ok()
            })
            .sum();
        (pages * PAGE) as f64 / f64::from(1 << 20)
    }

    /// Proportional memory (PSS) in MiB: of a page that several processes share, each has a part.
    pub fn proportional(self) -> f64 {
        let kibibytes: u64 = self
            .members()
            .filter_map(|(folder, _)| {
                let sizes = std::fs::read_to_string(folder.join("smaps_rollup")).ok()?;
                let line = sizes.lines().find_map(|line| line.strip_prefix("Pss:"))?;
                line.trim().strip_suffix(" kB")?.parse::<u64>().ok()
            })
            .sum();
        kibibytes as f64 / 1024.0
    }

    /// Waits until the processes have nothing to do, or for so long.
    pub fn settle(self, patience: Duration) {
        /// Between two looks.
        const PAUSE: Duration = Duration::from_millis(500);
        let begin = Instant::now();
        let mut before = self.processor_seconds();
        while begin.elapsed() < patience {
            std::thread::sleep(PAUSE);
            let now = self.processor_seconds();
            if now - before < PAUSE.as_secs_f64() / 10.0 {
                return;
            }
            before = now;
        }
    }

    /// Processor time of the processes that live, in seconds.
    fn processor_seconds(self) -> f64 {
        let ticks: u64 = self
            .members()
            .map(|(_, fields)| {
                // User and system time, the 14th and 15th field of the whole line.
                let times = fields.split(' ').skip(11).take(2);
                times
                    .filter_map(|time| time.parse::<u64>().ok())
                    .sum::<u64>()
            })
            .sum();
        ticks as f64 / TICKS
    }

    /// The folders in `/proc`, each with its `stat` from the third field on.
    fn members(self) -> impl Iterator<Item = (PathBuf, String)> {
        let group = self.0.to_string();
        let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        entries.filter_map(move |entry| {
            let numeric = entry.file_name().to_string_lossy().parse::<u32>().is_ok();
            let stat = numeric
                .then(|| std::fs::read_to_string(entry.path().join("stat")).ok())
                .flatten()?;
            // The name before it may hold anything.
            let fields = stat.rsplit_once(") ")?.1;
            // State, parent, group.
            (fields.split(' ').nth(2) == Some(&group)).then(|| (entry.path(), fields.to_owned()))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_group_has_the_memory_of_its_processes() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 60 & sleep 60"])
            .process_group(0)
            .spawn()
            .unwrap();
        let group = Group(child.id());
        let begin = Instant::now();
        while group.members().count() < 3 && begin.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(10));
        }
        group.settle(Duration::from_secs(10));
        let (members, resident, proportional) = (
            group.members().count(),
            group.resident(),
            group.proportional(),
        );
        let kill = format!("-{}", child.id());
        drop(Command::new("kill").args(["-KILL", "--", &kill]).status());
        drop(child.wait());
        assert_eq!(members, 3);
        assert!(
            proportional > 0.0 && proportional < resident,
            "{proportional} {resident}"
        );
    }
}
