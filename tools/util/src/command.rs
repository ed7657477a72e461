// SPDX-License-Identifier: GPL-2.0

//! Commands as values: built, tested as a string, printed, run.

use crate::setup;
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    fmt,
    fs::File,
    io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// One command line, with the directory and the environment that it is run in.
#[derive(Clone, Debug)]
pub struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    dir: Option<PathBuf>,
    env: BTreeMap<String, OsString>,
}

impl Cmd {
    /// A command without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self { program: program.as_ref().into(), args: Vec::new(), dir: None, env: BTreeMap::new() }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().into());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().into()));
        self
    }

    /// Sets the directory to run in.
    pub fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().into());
        self
    }

    /// Sets one environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.insert(name.into(), value.as_ref().into());
        self
    }

    /// The same command, started by `wrapper`, which takes it as its last arguments.
    pub fn under(self, wrapper: Cmd) -> Self {
        let Self { program, args, dir, env } = self;
        Self { dir, env, ..wrapper }.arg(program).args(args)
    }

    /// The same as a [`Command`] of the standard library.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(&self.env);
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command
    }

    /// Runs the command with its output on the terminal; the command is printed first.
    pub fn run(&self) -> Result<()> {
        eprintln!("$ {self}");
        let status = self.command().status().map_err(|error| self.start_error(error))?;
        if !status.success() {
            bail!("`{self}` failed: {status}");
        }
        Ok(())
    }

    /// Runs the command quietly, with its output and errors in the file `log`.
    ///
    /// On failure the error has the last lines of the log and its path.
    pub fn run_logged(&self, log: &Path) -> Result<()> {
        let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        let status = self
            .command()
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .status()
            .map_err(|error| self.start_error(error))?;
        if !status.success() {
            bail!("`{self}` failed: {status}\n{}\nthe whole log: {}", tail(log)?, log.display());
        }
        Ok(())
    }

    /// Runs the command quietly and returns what it prints on its standard output.
    ///
    /// On failure the error has what it said on its standard error.
    pub fn read(&self) -> Result<String> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .output()
            .map_err(|error| self.start_error(error))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("`{self}` failed: {}\n{}", output.status, said.trim_end());
        }
        String::from_utf8(output.stdout).with_context(|| format!("`{self}` printed no UTF-8"))
    }

    fn start_error(&self, error: io::Error) -> anyhow::Error {
        let program = self.program.to_string_lossy();
        if error.kind() == io::ErrorKind::NotFound {
            setup!(
                "{program} is not installed (or the directory to run it in is gone); run `make deps`"
            )
        } else {
            anyhow::Error::new(error).context(format!("cannot start {program}"))
        }
    }
}

/// Prints the command as a shell would take it.
impl fmt::Display for Cmd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(dir) = &self.dir {
            write!(f, "cd {} && ", quoted(dir.as_os_str()))?;
        }
        for (name, value) in &self.env {
            write!(f, "{name}={} ", quoted(value))?;
        }
        write!(f, "{}", quoted(&self.program))?;
        for arg in &self.args {
            write!(f, " {}", quoted(arg))?;
        }
        Ok(())
    }
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    match shlex::try_quote(&word) {
        Ok(quoted) => quoted.into_owned(),
        // A NUL byte cannot be quoted, and cannot be in an argument either.
        Err(_) => word.into_owned(),
    }
}

/// The last 30 lines of a log.
pub fn tail(log: &Path) -> Result<String> {
    let text = String::from_utf8_lossy(&std::fs::read(log)?).into_owned();
    let lines: Vec<_> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(30)..].join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_code;
    use std::process::ExitCode;

    #[test]
    fn prints_what_a_shell_takes() {
        let cmd = Cmd::new("make").arg("CC=clang -v").dir("a b").env("LC_ALL", "C");
        assert_eq!(cmd.to_string(), "cd 'a b' && LC_ALL=C make 'CC=clang -v'");
    }

    #[test]
    fn a_wrapper_takes_the_command_as_its_last_arguments() {
        let cmd = Cmd::new("qemu").arg("-S").dir("boots").under(Cmd::new("nice").arg("-n1"));
        assert_eq!(cmd.to_string(), "cd boots && nice -n1 qemu -S");
    }

    #[test]
    fn a_missing_program_is_a_setup_failure() {
        let error = Cmd::new("no-such-program-anywhere").read().unwrap_err();
        assert_eq!(exit_code(&error), ExitCode::from(2));
        assert!(error.to_string().contains("no-such-program-anywhere is not installed"));
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = Cmd::new("sh").args(["-c", "echo why >&2; exit 3"]).read().unwrap_err();
        assert!(error.to_string().contains("why"), "{error}");
        assert!(error.to_string().contains("exit status: 3"), "{error}");
    }
}
