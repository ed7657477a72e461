// SPDX-License-Identifier: GPL-2.0

//! One crash: a first kernel, a loader, a crash kernel, and the dump.

use crate::{
    facts::Facts,
    guest::{CrashOrders, Guest},
    log::{self, Log},
    machine::{EARLY_CONSOLE, Machine},
    run::{self, Phase, Run},
    trouble,
    vmcore::Vmcore,
};
use anyhow::{Context, Result};
use build::{deps::Qemu, kernel::Kernel};
use std::{
    fs::{self, File},
    io::BufWriter,
    path::PathBuf,
    process,
    time::SystemTime,
};
use util::{hash::Key, place};

/// How many pages of evidence the first kernel leaves in its memory.
pub const EVIDENCE_PAGES: usize = 256;

/// The machine's memory, in MiB.
const MEMORY: u64 = 512;

/// What crashkernel= gives the crash kernel, in bytes.
pub const CRASH_MEMORY: u64 = 256 << 20;

/// The phase in which the crash kernel starts.
pub const CRASH_KERNEL_PHASE: &str = "crash kernel";

const PHASES: [Phase; 6] = [
    Phase { name: "firmware", ends_with: log::FIRST_LINE, seconds: 60 },
    Phase { name: "first kernel", ends_with: "@phase| first kernel up", seconds: 60 },
    Phase { name: "load", ends_with: "@phase| crash", seconds: 60 },
    Phase { name: "panic", ends_with: log::FIRST_LINE, seconds: 60 },
    Phase { name: CRASH_KERNEL_PHASE, ends_with: "@phase| crash kernel up", seconds: 60 },
    Phase { name: "dump", ends_with: "@phase| end", seconds: 120 },
];

/// The system call that loads the crash kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loader {
    /// kexec_file_load().
    File,
    /// kexec_load().
    Load,
}

impl Loader {
    /// Both.
    pub const ALL: [Self; 2] = [Self::File, Self::Load];

    /// The option of kexec(8).
    pub fn option(self) -> &'static str {
        match self {
            Self::File => "-s",
            Self::Load => "-c",
        }
    }

    /// The name, for a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Load => "load",
        }
    }
}

/// A crash to come.
pub struct CrashCase<'a> {
    /// The name, and that of its directory below out/boots.
    pub name: String,
    /// The kernel that crashes.
    pub first: &'a Kernel,
    /// The kernel that saves the dump.
    pub crash: &'a Kernel,
    /// How the crash kernel is loaded.
    pub loader: Loader,
}

/// A crash that was.
pub struct Crash {
    /// How it went.
    pub run: Run,
    /// Where its console and its dump are.
    pub dir: PathBuf,
    /// What the first kernel said; the error says what is missing.
    pub first: Result<Facts>,
    /// What the crash kernel said.
    pub second: Result<Facts>,
    /// The log of the first kernel.
    pub first_log: Log,
    /// The log of the crash kernel.
    pub second_log: Log,
    /// The dump.
    pub dump: Result<Vmcore>,
    /// How many pages of evidence the dump holds.
    pub evidence: usize,
    /// The lines that no healthy run has.
    pub trouble: Vec<String>,
}

impl CrashCase<'_> {
    /// Boots, crashes, and gathers what there is to know.
    pub fn run(&self, qemu: &Qemu, guest: &Guest, progress: &dyn Fn(&str)) -> Result<Crash> {
        self.run_in_order(qemu, guest, progress)
            .with_context(|| format!("the crash '{}'", self.name))
    }

    fn run_in_order(&self, qemu: &Qemu, guest: &Guest, progress: &dyn Fn(&str)) -> Result<Crash> {
        let machine = Machine {
            qemu,
            dir: place::out("boots")?.join(&self.name),
            kernel: self.first.image.clone(),
            command_line: format!("{} crashkernel={}M", command_line(), CRASH_MEMORY >> 20),
            memory: MEMORY,
        };
        let run_id = run_id(&self.name);
        fs::create_dir_all(&machine.dir)?;
        machine.prepare()?;
        let archive = guest.crash(&CrashOrders {
            loader: self.loader,
            run_id: &run_id,
            image: &self.crash.image,
            command_line: &format!("{} nr_cpus=1 reset_devices", command_line()),
        })?;
        let mut initramfs = BufWriter::new(File::create(machine.initramfs())?);
        archive.write(&mut initramfs)?;
        drop(initramfs);

        let run = run::run(&machine.cmd(), &machine.dir, &PHASES, progress)?;
        progress("reading the dump");
        let (firmware, mut logs) = log::kernels(&run.console);
        let trouble = trouble::scan(&firmware, &logs);
        logs.resize_with(logs.len().max(2), Log::default);
        let facts = |log: &Log, which: &str| {
            Facts::parse(log).with_context(|| format!("{}, {which}", machine.dir.display()))
        };
        let second = facts(&logs[1], "crash kernel");
        if let Ok(Some(saved)) = second.as_ref().map(|facts| facts.saved) {
            // The disk is larger than the dump; what is left is the dump, for crash(8) and drgn.
            File::options().write(true).open(machine.disk())?.set_len(saved.size)?;
        }
        let dump = Vmcore::open(&machine.disk());
        let evidence = dump.as_ref().map_or(Ok(0), |dump| dump.evidence(&run_id))?;
        Ok(Crash {
            first: facts(&logs[0], "first kernel"),
            second,
            first_log: logs.swap_remove(0),
            second_log: logs.swap_remove(0),
            dump,
            evidence,
            trouble,
            dir: machine.dir,
            run,
        })
    }
}

/// What both kernels are told: a panic ends the machine, and the guest's scripts may write as
/// much to the log as they like.
pub fn command_line() -> String {
    format!("{EARLY_CONSOLE} console=ttyAMA0 efi=debug memblock=debug printk.devkmsg=on panic=-1")
}

/// What no memory has had in it before.
fn run_id(case: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let key = Key::new()
        .part("case", case)
        .part("process", process::id().to_le_bytes())
        .part("time", now.as_nanos().to_le_bytes());
    format!("evidence-{}", key.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_leave_the_same_evidence() {
        assert_ne!(run_id("a"), run_id("b"));
        assert_ne!(run_id("a"), run_id("a"));
    }

    #[test]
    fn a_marker_of_the_guest_ends_its_own_phase_only() {
        let at = |name: &str| PHASES.iter().position(|phase| phase.name == name).unwrap();
        assert!("@phase| crash".contains(PHASES[at("load")].ends_with));
        assert!(!"@phase| load".contains(PHASES[at("load")].ends_with));
        assert!("@phase| crash kernel up".contains(PHASES[at(CRASH_KERNEL_PHASE)].ends_with));
    }
}
