//! What failed, read from what `cargo test` and `cargo nextest` print while they print it, and how to run
//! one of them again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::process::Command;

use anyhow::Context;

/// How nextest begins the line of a test that did not pass.
const FAILED_STATES: [&str; 5] = ["FAIL", "ABORT", "TIMEOUT", "LEAK-FAIL", "EXECFAIL"];

/// The tests that failed so far.
#[derive(Debug, Default)]
pub struct Failures {
    /// Tests of the program that runs now, whose target is not known yet.
    waiting: Vec<String>,
    /// The commands that run one again.
    commands: BTreeSet<String>,
    /// The runs that failed without naming a test: what did not compile, for example.
    unnamed: Vec<String>,
}

impl Failures {
    /// Runs a command that runs tests, shows what it prints, and goes on when some fail.
    ///
    /// # Errors
    /// When it cannot be run.
    pub fn run(&mut self, command: &mut Command) -> anyhow::Result<()> {
        let before = self.commands.len();
        let name = command_line(command);
        let (reader, writer) = std::io::pipe().context("no pipe for what the tests print")?;
        if std::io::stdout().is_terminal() && std::env::var_os("CARGO_TERM_COLOR").is_none() {
            command.env("CARGO_TERM_COLOR", "always");
        }
        command.stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn();
        // The pipe ends when nobody can write into it any more.
        command.stdout(std::process::Stdio::null());
        command.stderr(std::process::Stdio::null());
        let mut child = child.with_context(|| format!("could not run `{name}`"))?;
        let mut lines = BufReader::new(reader);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            std::io::stdout().write_all(&line)?;
            self.read(&without_colours(&String::from_utf8_lossy(&line)));
            line.clear();
        }
        let status = child.wait()?;
        if !status.success() && self.commands.len() == before {
            self.unnamed.push(format!("`{name}` ended with {status}"));
        }
        Ok(())
    }

    /// Takes a line of output, without colours.
    fn read(&mut self, line: &str) {
        let line = line.trim();
        if let Some(test) = failed_of_libtest(line) {
            self.waiting.push(test.to_owned());
        } else if let Some(target) = between(line, "to rerun pass `", "`") {
            let waiting = std::mem::take(&mut self.waiting);
            if waiting.is_empty() {
                self.commands.insert(format!("cargo test {target}"));
            }
            let commands = waiting.iter().map(|test| command_for(test, target));
            self.commands.extend(commands);
        } else if let Some((binary, test)) = failed_of_nextest(line) {
            self.commands.insert(command_for(test, &target_of(binary)));
        }
    }

    /// The closing lines: a command for each test that failed. Nothing when none did.
    pub fn summary(&self) -> Option<String> {
        let count = self.commands.len();
        let mut lines = self.unnamed.clone();
        match count {
            0 => {}
            1 => lines.push("1 test failed; to run it again:".to_owned()),
            _ => lines.push(format!("{count} tests failed; to run one of them again:")),
        }
        lines.extend(self.commands.iter().map(|command| format!("  {command}")));
        (!lines.is_empty()).then(|| lines.join("\n"))
    }
}

/// The test that a line of a test program says has failed.
fn failed_of_libtest(line: &str) -> Option<&str> {
    let test = line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?;
    Some(test.trim_end_matches(" - should panic"))
}

/// The test that a line of nextest says has failed: its program and its name.
fn failed_of_nextest(line: &str) -> Option<(&str, &str)> {
    let (state, rest) = line.split_once(" [")?;
    if !FAILED_STATES.contains(&state) && !state.starts_with("SIG") {
        return None;
    }
    let (_, rest) = rest.split_once("] ")?;
    let rest = match rest.strip_prefix('(') {
        Some(counted) => counted.split_once(") ")?.1,
        None => rest,
    };
    let (binary, test) = rest.trim().split_once(' ')?;
    Some((binary, test.trim()))
}

/// What cargo calls a program that nextest calls `package`, `package::test` or `package::kind/name`.
fn target_of(binary: &str) -> String {
    match binary.split_once("::") {
        None => format!("-p {binary} --lib"),
        Some((package, target)) => match target.split_once('/') {
            Some((kind, name)) => format!("-p {package} --{kind} {name}"),
            None => format!("-p {package} --test {target}"),
        },
    }
}

fn command_for(test: &str, target: &str) -> String {
    if target.ends_with("--doc") {
        return format!("cargo test {target} '{test}'");
    }
    format!("cargo xtask test --filter {test} -- {target}")
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(after)?.0)
}

/// A line without the escape sequences that colour it.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|end: char| end.is_ascii_alphabetic());
        text.push_str(end.map_or("", |end| part.get(end + 1..).unwrap_or_default()));
    }
    text
}

fn command_line(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program()).file_name();
    let words = program.into_iter().chain(command.get_args());
    let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Failures {
        let mut failures = Failures::default();
        for line in text.lines() {
            failures.read(&without_colours(line));
        }
        failures
    }

    #[test]
    fn what_cargo_test_prints_gives_the_commands() {
        let failures = read(
            "\
running 3 tests
test rows::are_kept ... ok
test rows::are_counted ... FAILED
test panics - should panic ... FAILED

failures:
    rows::are_counted

error: test failed, to rerun pass `-p mlrs-store --lib`
     Running tests/image/main.rs (target/debug/deps/image-0)
error: test failed, to rerun pass `-p mlrs-tests --test image`
test crates/api/src/lib.rs - id (line 3) ... FAILED
error: doctest failed, to rerun pass `-p mlrs-api --doc`
error: 3 targets failed:
    `-p mlrs-store --lib`
",
        );
        assert_eq!(
            failures.summary().unwrap(),
            "4 tests failed; to run one of them again:\n  \
             cargo test -p mlrs-api --doc 'crates/api/src/lib.rs - id (line 3)'\n  \
             cargo test -p mlrs-tests --test image\n  \
             cargo xtask test --filter panics -- -p mlrs-store --lib\n  \
             cargo xtask test --filter rows::are_counted -- -p mlrs-store --lib"
        );
    }

    #[test]
    fn what_nextest_prints_gives_the_commands() {
        let failures = read("\
    Starting 4 tests across 3 binaries
        PASS [   0.004s] (1/4) mlrs-store rows::are_kept
\u{1b}[31;1m        FAIL\u{1b}[0m [   0.071s] (2/4) \u{1b}[35;1mmlrs-tests::image\u{1b}[0m crates::\u{1b}[34;1mlisted\u{1b}[0m
     SIGABRT [   0.004s] mlrs-store rows::are_counted
     TIMEOUT [ 300.004s] (4/4) mlrs::bin/mlrs arguments::parsed
  stderr ───
    a line [of a test] that says FAIL
────────────
     Summary [   0.075s] 4 tests run: 1 passed, 3 failed, 0 skipped
        FAIL [   0.071s] (2/4) mlrs-tests::image crates::listed
");
        assert_eq!(
            failures.summary().unwrap(),
            "3 tests failed; to run one of them again:\n  \
             cargo xtask test --filter arguments::parsed -- -p mlrs --bin mlrs\n  \
             cargo xtask test --filter crates::listed -- -p mlrs-tests --test image\n  \
             cargo xtask test --filter rows::are_counted -- -p mlrs-store --lib"
        );
    }

    #[test]
    fn a_run_that_fails_without_a_test_is_named() {
        let mut failures = Failures::default();
        failures
            .run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"]))
            .unwrap();
        assert_eq!(
            failures.summary().unwrap(),
            "`sh -c echo broken >&2; exit 3` ended with exit status: 3"
        );
        let mut failures = Failures::default();
        failures.run(&mut Command::new("true")).unwrap();
        assert_eq!(failures.summary(), None);
        let mut missing = Command::new("no-such-program-at-all");
        let error = failures.run(&mut missing).unwrap_err();
        assert_eq!(error.to_string(), "could not run `no-such-program-at-all`");
    }

    #[test]
    fn a_run_goes_on_after_a_test_that_fails() {
        let script = "echo 'test a ... FAILED'; echo 'to rerun pass `-p x --lib`' >&2; exit 101";
        let mut failures = Failures::default();
        failures
            .run(Command::new("sh").args(["-c", script]))
            .unwrap();
        failures.run(&mut Command::new("true")).unwrap();
        assert_eq!(
            failures.summary().unwrap(),
            "1 test failed; to run it again:\n  cargo xtask test --filter a -- -p x --lib"
        );
    }
}
