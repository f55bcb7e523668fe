//! A server and its children as the kernel sees them: memory, from `/proc`.

use std::path::PathBuf;

/// Bytes of a page, as every platform has them that mlrs is measured on.
const PAGE: u64 = 4096;

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
