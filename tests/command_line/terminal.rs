//! A folder to type commands in, and what was said there.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use mlrs_testing::{copy_files, mlrs_binary, workspace_root};

/// A temporary folder with the example model in it, where commands run one after the other.
pub struct Terminal {
    folder: tempfile::TempDir,
    transcript: String,
    variables: Vec<(&'static str, String)>,
}

/// How a command ended.
pub struct Ended {
    pub code: i32,
    pub output: String,
    pub errors: String,
}

impl Terminal {
    /// A folder with `iris/` in it. No command finds ONNX Runtime there, or anything in a cache.
    pub fn new() -> Self {
        let terminal = Self {
            folder: tempfile::tempdir().unwrap(),
            transcript: String::new(),
            variables: Vec::new(),
        };
        let model = workspace_root().join("examples/iris");
        copy_files(&model, &terminal.path("iris")).unwrap();
        terminal
    }

    /// A file or folder of this name.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Sets a variable for the commands that follow.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.variables.push((name, value.into()));
    }

    /// The command `mlrs` with these words, apart by spaces, in an environment that is the test's own.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(mlrs_binary().unwrap());
        command.args(words.split_whitespace());
        command.current_dir(self.folder.path());
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["MLRS_", "MLFLOW_", "ORT_"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
            {
                command.env_remove(&*name);
            }
        }
        command.env("XDG_CACHE_HOME", self.path("cache"));
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs `mlrs` without a word in the transcript.
    pub fn quietly(&self, words: &str, input: &[u8]) -> Ended {
        let mut child = self
            .command(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut pipe = child.stdin.take().unwrap();
        let input = input.to_vec();
        // The command may end before it has read everything.
        let writer = std::thread::spawn(move || pipe.write_all(&input).is_ok());
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let text = |bytes: &[u8]| {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            text.replace(&self.folder.path().display().to_string(), "DIR")
        };
        Ended {
            code: output.status.code().unwrap(),
            output: text(&output.stdout),
            errors: text(&output.stderr),
        }
    }

    /// Runs `mlrs` with these words and this standard input, and adds what it says to the transcript.
    pub fn run_with(&mut self, words: &str, input: &[u8]) -> Ended {
        let ended = self.quietly(words, input);
        let redirect = if input.is_empty() { "" } else { " < INPUT" };
        let lines = [
            format!("$ mlrs {words}{redirect}\n"),
            ended.output.clone(),
            ended.errors.clone(),
            if ended.code == 0 {
                "\n".to_owned()
            } else {
                format!("[exit {}]\n\n", ended.code)
            },
        ];
        self.transcript.extend(lines);
        ended
    }

    /// Runs `mlrs` with these words, and adds what it says to the transcript.
    pub fn run(&mut self, words: &str) -> Ended {
        self.run_with(words, b"")
    }

    /// All that was typed and said.
    pub fn transcript(&self) -> &str {
        self.transcript.trim_end()
    }
}
