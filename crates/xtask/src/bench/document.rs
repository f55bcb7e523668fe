//! The report of a benchmark, and its sections inside a file that holds others as well.
//!
//! A section is a heading of level two or three with what follows it. What is written by hand under
//! a heading of its own stays when a benchmark writes again.

use std::path::Path;

use anyhow::Context;

/// Prints a report, and puts its sections into a file when there is one.
pub fn publish(report: &str, file: Option<&Path>) -> anyhow::Result<()> {
    println!("{report}");
    let Some(file) = file else { return Ok(()) };
    let before = std::fs::read_to_string(file).unwrap_or_default();
    std::fs::write(file, merged(&before, report))
        .with_context(|| format!("cannot write `{}`", file.display()))
}

/// The processor and the number of its cores.
pub fn machine() -> String {
    let information = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = information
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|rest| rest.split(": ").nth(1));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    format!(
        "{cores} cores of {}",
        name.unwrap_or("an unknown processor").trim()
    )
}

/// The document with the report's sections in the place of those with the same heading. New ones
/// follow the section that they follow in the report, or stand at the end.
fn merged(document: &str, report: &str) -> String {
    let mut sections = sections(document);
    let mut last = None;
    for (heading, text) in self::sections(report) {
        let text = format!("{}\n\n", text.trim_end());
        let found = sections.iter().position(|(other, _)| *other == heading);
        let place = if let Some(place) = found {
            sections[place].1 = text;
            place
        } else {
            let place = last.map_or(sections.len(), |last| last + 1);
            sections.insert(place, (heading, text));
            place
        };
        last = Some(place);
    }
    let whole: String = sections.into_iter().map(|(_, text)| text).collect();
    format!("{}\n", whole.trim())
}

/// Headings and the text that starts with each; what stands before the first has an empty heading,
/// and is left out when it is empty.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut sections = vec![(String::new(), String::new())];
    for line in text.split_inclusive('\n') {
        if line.starts_with("## ") || line.starts_with("### ") {
            sections.push((line.trim().to_owned(), String::new()));
        }
        if let Some((_, text)) = sections.last_mut() {
            text.push_str(line);
        }
    }
    sections.retain(|(heading, text)| !heading.is_empty() || !text.trim().is_empty());
    // A section that nothing follows has no empty line at its end.
    if let Some((_, text)) = sections.last_mut() {
        *text = format!("{}\n\n", text.trim_end());
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::merged;

    const DOCUMENT: &str = "# Benchmarks\n\nOne.\n\n## A\n\nold\n\n## By hand\n\nstays\n";

    #[test]
    fn sections_are_replaced_and_others_stay() {
        assert_eq!(
            merged(DOCUMENT, "## A\n\nnew\n"),
            "# Benchmarks\n\nOne.\n\n## A\n\nnew\n\n## By hand\n\nstays\n"
        );
    }

    #[test]
    fn new_sections_stand_together_at_the_end() {
        let once = merged(DOCUMENT, "## B\n\nb\n\n### C\n\nc\n");
        assert_eq!(once, format!("{DOCUMENT}\n## B\n\nb\n\n### C\n\nc\n"));
        assert_eq!(merged(&once, "## B\n\nb\n\n### C\n\nc\n"), once);
        let longer = merged(&once, "## B\n\nb\n\n### New\n\nn\n");
        assert_eq!(
            longer,
            format!("{DOCUMENT}\n## B\n\nb\n\n### New\n\nn\n\n### C\n\nc\n")
        );
    }

    #[test]
    fn a_report_with_a_preface_replaces_the_preface() {
        let text = merged(DOCUMENT, "# Benchmarks\n\nTwo.\n\n## A\n\nnew\n");
        assert_eq!(
            text,
            "# Benchmarks\n\nTwo.\n\n## A\n\nnew\n\n## By hand\n\nstays\n"
        );
        assert_eq!(merged("", "## A\n\nx\n"), "## A\n\nx\n");
    }
}
