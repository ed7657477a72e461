// SPDX-License-Identifier: GPL-2.0

//! One run of a machine: its serial line, its phases, and how it ended.

use crate::log::unstamped;
use anyhow::{Context, Result, bail};
use std::{
    env, fmt,
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
    process::{Child, ExitStatus, Stdio},
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};
use util::{command::Cmd, disk, setup};

/// A part of a run, with the line that ends it.
#[derive(Clone, Copy, Debug)]
pub struct Phase {
    /// The name that a verdict uses.
    pub name: &'static str,
    /// The line, or a part of it, that shows that the phase is over.
    pub ends_with: &'static str,
    /// How many seconds it may take.
    pub seconds: u64,
}

/// Multiplies how long each phase may take: for machines under load.
const FACTOR_VARIABLE: &str = "ACPI_KDUMP_TIMEOUT_FACTOR";

/// How long QEMU may take to go away after the last phase, in seconds.
const POWER_OFF: u64 = 30;

/// How the last line begins of a kernel that can neither go on nor reset its machine: after a panic
/// before it has read `panic=`, and after one before it knows how to reset.
const HALTED: [&str; 2] = ["---[ end Kernel panic", "Reboot failed -- System halted"];

/// How long a kernel that has halted must be silent until it is taken at its word, in seconds.
const SILENCE: u64 = 1;

/// How often the disk is looked at that the machine writes to, in seconds.
const LOOK: u64 = 1;

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// What the serial line said.
    pub console: String,
    /// The phases that were completed, and how long each took.
    pub phases: Vec<(&'static str, Duration)>,
    /// How long all of it took.
    pub took: Duration,
    /// How it ended.
    pub end: End,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All phases were completed, and QEMU ended with success.
    Complete,
    /// All phases were completed, and QEMU ended with this status.
    Status(ExitStatus),
    /// QEMU ended in this phase.
    Stopped(&'static str, ExitStatus),
    /// The kernel halted in this phase, and QEMU was stopped.
    Halted(&'static str),
    /// The kernel said in this phase that it had halted, and then said something else.
    WentOn(&'static str),
    /// This phase took longer than it may.
    TimedOut(&'static str, Duration),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => write!(f, "came to its end"),
            Self::Status(status) => write!(f, "came to its end, but QEMU ended with {status}"),
            Self::Stopped(phase, status) => {
                write!(f, "the machine stopped in phase '{phase}' (QEMU: {status})")
            }
            Self::Halted(phase) => write!(f, "the kernel halted in phase '{phase}'"),
            Self::WentOn(phase) => {
                write!(f, "the kernel halted in phase '{phase}', but went on to print")
            }
            Self::TimedOut(phase, limit) => write!(
                f,
                "phase '{phase}' was not over after {} s (a slow machine? run `{FACTOR_VARIABLE}=4 make ...`)",
                limit.as_secs()
            ),
        }
    }
}

/// QEMU, stopped when nobody looks at it any more.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and then there is nothing to stop.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a machine says, in its directory.
pub(crate) const CONSOLE: &str = "console.log";

/// Runs `cmd` through `phases`, in this order, with its output in `DIR/console.log`.
///
/// `progress` is told the name of each phase when it begins.
pub fn run(cmd: &Cmd, dir: &Path, phases: &[Phase], progress: &dyn Fn(&str)) -> Result<Run> {
    let factor = timeout_factor()?;
    let log = dir.join(CONSOLE);
    let context = || format!("cannot write {}", log.display());
    let file = File::create(&log).with_context(context)?;
    let errors = dir.join("qemu.log");
    let began = Instant::now();
    // Dropping the process stops QEMU, but a signal that ends the harness drops nothing.
    let with_harness = cmd.clone().under(Cmd::new("setpriv").args(["--pdeathsig", "KILL"]));
    let mut process = Process(
        with_harness
            .command()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors)?)
            .spawn()
            .with_context(|| format!("cannot start `{cmd}`"))?,
    );
    let lines = lines_of(process.0.stdout.take().expect("it is piped"), file);

    let mut done: Vec<(&'static str, Duration)> = Vec::new();
    let mut since = began;
    let mut halted = false;
    let mut given_up = None;
    let mut looked = began;
    loop {
        if looked.elapsed().as_secs() >= LOOK {
            looked = Instant::now();
            disk::check_not_full(dir)?;
        }
        let (name, limit) = match phases.get(done.len()) {
            Some(phase) => (phase.name, phase.seconds),
            None => ("power off", POWER_OFF),
        };
        let limit = Duration::from_secs(if halted { SILENCE } else { limit }).mul_f64(factor);
        progress(name);
        let Some(left) = limit.checked_sub(since.elapsed()) else {
            let end = if halted { End::Halted(name) } else { End::TimedOut(name, limit) };
            given_up = Some(end);
            break;
        };
        match lines.recv_timeout(left.min(Duration::from_secs(LOOK))) {
            Ok(line) if halted => {
                line.with_context(context)?;
                given_up = Some(End::WentOn(name));
                break;
            }
            Ok(line) => {
                let line = line.with_context(context)?;
                if HALTED.iter().any(|last| line.starts_with(last)) {
                    halted = true;
                    since = Instant::now();
                } else if phases.get(done.len()).is_some_and(|phase| line.contains(phase.ends_with))
                {
                    done.push((name, since.elapsed()));
                    since = Instant::now();
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }

    let end = match given_up {
        Some(end) => {
            drop(process);
            end
        }
        None => {
            let status = process.0.wait()?;
            match phases.get(done.len()) {
                Some(phase) => End::Stopped(phase.name, status),
                None if status.success() => End::Complete,
                None => End::Status(status),
            }
        }
    };
    // The reader has written all of it when its lines have come to an end.
    while let Ok(line) = lines.recv() {
        line.with_context(context)?;
    }
    // A dump that did not fit is no fault of the kernel.
    disk::check_not_full(dir)?;
    let said = fs::read_to_string(&errors)?;
    let console = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    if console.is_empty() && !said.is_empty() {
        bail!("`{cmd}` said nothing but:\n{}", said.trim_end());
    }
    Ok(Run { console, phases: done, took: began.elapsed(), end })
}

/// Copies `from` to `log` as it comes, and hands on each line that is whole, or why it cannot be kept.
fn lines_of(
    mut from: impl Read + Send + 'static,
    mut log: impl Write + Send + 'static,
) -> mpsc::Receiver<io::Result<String>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        let mut line = Vec::new();
        // A pipe that cannot be read has no more to say: the machine's status tells why.
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            if let Err(error) = log.write_all(&bytes[..count]) {
                let _ = sender.send(Err(error));
                break;
            }
            for byte in &bytes[..count] {
                if *byte == b'\n' {
                    let text = String::from_utf8_lossy(&line);
                    // The receiver is gone when the run was given up.
                    let _ = sender.send(Ok(unstamped(&text).to_owned()));
                    line.clear();
                } else {
                    line.push(*byte);
                }
            }
        }
    });
    receiver
}

fn timeout_factor() -> Result<f64> {
    let Ok(text) = env::var(FACTOR_VARIABLE) else { return Ok(1.0) };
    text.parse()
        .ok()
        .filter(|factor| (0.01..=1000.0).contains(factor))
        .ok_or_else(|| setup!("{FACTOR_VARIABLE}={text} is no number between 0.01 and 1000"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHASES: [Phase; 2] = [
        Phase { name: "firmware", ends_with: "Booting Linux", seconds: 20 },
        Phase { name: "kernel", ends_with: "@phase| end", seconds: 20 },
    ];

    fn run_script(script: &str, phases: &[Phase]) -> Run {
        let dir = tempfile::tempdir().unwrap();
        run(&Cmd::new("sh").args(["-c", script]), dir.path(), phases, &|_| {}).unwrap()
    }

    #[test]
    fn a_run_is_complete_with_its_last_phase_and_its_status() {
        let run = run_script("echo Booting Linux; echo '[    1.000000] @phase| end'", &PHASES);
        assert_eq!(run.end, End::Complete);
        assert_eq!(run.phases.len(), 2);
        assert!(run.console.ends_with("] @phase| end\n"), "the console is as it came");
    }

    #[test]
    fn the_status_alone_is_not_enough() {
        let run = run_script("echo Booting Linux; exit 0", &PHASES);
        assert!(matches!(run.end, End::Stopped("kernel", status) if status.success()));
    }

    #[test]
    fn the_end_marker_alone_is_not_enough() {
        let run = run_script("echo Booting Linux; echo '@phase| end'; exit 3", &PHASES);
        assert!(matches!(run.end, End::Status(status) if status.code() == Some(3)));
    }

    #[test]
    fn a_phase_does_not_end_before_the_one_that_precedes_it() {
        let run = run_script("echo '@phase| end'", &PHASES);
        assert!(matches!(run.end, End::Stopped("firmware", _)));
    }

    #[test]
    fn a_phase_that_hangs_is_stopped_and_named() {
        let phases = [PHASES[0], Phase { seconds: 1, ..PHASES[1] }];
        let run = run_script("echo Booting Linux; exec sleep 60", &phases);
        assert!(matches!(run.end, End::TimedOut("kernel", _)), "{:?}", run.end);
        assert!(run.took < Duration::from_secs(20), "it was not stopped: {:?}", run.took);
    }

    #[test]
    fn a_kernel_that_halts_is_not_waited_for() {
        for last in ["---[ end Kernel panic - not syncing: no memory ]---", HALTED[1]] {
            let script = format!("echo Booting Linux; echo '[    0.000000] {last}'; exec sleep 60");
            let run = run_script(&script, &PHASES);
            assert_eq!(run.end, End::Halted("kernel"));
            assert!(run.took >= Duration::from_secs(SILENCE), "nobody listened: {:?}", run.took);
            assert!(run.took < Duration::from_secs(20), "it was waited for: {:?}", run.took);
        }
    }

    #[test]
    fn a_kernel_that_goes_on_has_not_halted() {
        let last = HALTED[0];
        let script = format!("echo Booting Linux; echo '{last}'; echo no; exec sleep 60");
        assert_eq!(run_script(&script, &PHASES).end, End::WentOn("kernel"));
    }

    #[test]
    fn a_console_that_cannot_be_kept_is_an_error() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let lines = lines_of(&b"Booting Linux\n"[..], full);
        let error = lines.recv().unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }

    #[test]
    fn a_machine_that_cannot_start_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let cmd = Cmd::new("sh").args(["-c", "echo no firmware >&2; exit 1"]);
        let error = run(&cmd, dir.path(), &PHASES, &|_| {}).unwrap_err();
        assert!(error.to_string().contains("no firmware"), "{error}");
    }
}
