// SPDX-License-Identifier: GPL-2.0

//! One crash: a first kernel, a loader, a crash kernel, and the dump.

use crate::{
    asked::Asked,
    boots,
    cause::{ASKED, PANIC_PHASE},
    evidence::Evidence,
    facts::Facts,
    firmware_boot::Firmware,
    guest::{CrashOrders, Guest},
    hops::{self, Earlier},
    kexec_tools::KexecTools,
    log::{self, Log},
    machine::{EARLY_CONSOLE, Machine},
    run::{self, Phase, Run},
    selftests::Selftests,
    trouble,
    vmcore::Vmcore,
};
use anyhow::{Context, Result};
use build::{deps::Qemu, kernel::Kernel};
use machines::{CRASH_MEMORY, CRASH_OPTIONS, Hardware, reservation};
use std::{fs::File, path::PathBuf};

/// The phase in which the crash kernel starts.
pub const CRASH_KERNEL_PHASE: &str = "crash kernel";

const PHASES: [Phase; 6] = [
    Phase { name: "firmware", ends_with: log::FIRST_LINE, seconds: 60 },
    Phase { name: "first kernel", ends_with: "@phase| first kernel up", seconds: 60 },
    Phase { name: "load", ends_with: ASKED, seconds: 60 },
    Phase { name: PANIC_PHASE, ends_with: log::FIRST_LINE, seconds: 60 },
    Phase { name: CRASH_KERNEL_PHASE, ends_with: "@phase| crash kernel up", seconds: 60 },
    Phase { name: "dump", ends_with: "@phase| end", seconds: 120 },
];

/// What each hop has besides, behind the first kernel.
const HOP: [Phase; 2] = [
    Phase { name: "hop", ends_with: log::FIRST_LINE, seconds: 120 },
    Phase { name: "kernel after a hop", ends_with: "@phase| first kernel up", seconds: 60 },
];

/// What there is before the dump is saved, when programs read it.
const READING: Phase = Phase { name: "reading the dump", ends_with: "@phase| dump", seconds: 240 };

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
    /// What loads it.
    pub kexec_tools: KexecTools,
    /// The machine; the first kernel starts its watchdog, if it has one, before it crashes.
    pub hardware: Hardware,
    /// How many pages of evidence the first kernel leaves in its memory, at least.
    pub evidence_pages: usize,
    /// What the first kernel is told of `crashkernel=`.
    pub reservation: String,
    /// What the first kernel is told besides.
    pub first_options: String,
    /// The command line of the crash kernel.
    pub crash_command_line: String,
    /// Whether a process of the crash kernel takes all memory that it can have, before the dump.
    pub takes_all_memory: bool,
    /// What is asked of the guest besides.
    pub asked: Asked,
    /// Parts of lines of the console that are no trouble here.
    pub expected_trouble: Vec<String>,
    /// How many times as long as usual each phase may take.
    pub patience: u32,
    /// The kernel that every other hop starts, if not the first one.
    pub through: Option<&'a Kernel>,
    /// The selftests that the first kernel runs, if it does.
    pub selftests: Option<&'a Selftests>,
    /// What starts the first kernel, if not the firmware of the machine.
    pub firmware: Option<Firmware<'a>>,
}

/// A crash that was.
pub struct Crash {
    /// How it went.
    pub run: Run,
    /// Where its console and its dump are.
    pub dir: PathBuf,
    /// What loaded the crash kernel.
    pub kexec_tools: KexecTools,
    /// What the kernels said that were started before the first kernel was.
    pub earlier: Vec<Earlier>,
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
    /// What the first kernel left in its memory.
    pub evidence: Evidence,
    /// How many pages of it the dump holds.
    pub evidence_found: usize,
    /// The lines that no healthy run has.
    pub trouble: Vec<String>,
    /// What was asked of the guest.
    pub asked: Asked,
}

impl<'a> CrashCase<'a> {
    /// A crash of a small machine.
    pub fn new(name: String, first: &'a Kernel, crash: &'a Kernel, loader: Loader) -> Self {
        Self {
            name,
            first,
            crash,
            loader,
            kexec_tools: KexecTools::default(),
            hardware: Hardware::default(),
            evidence_pages: 256,
            reservation: reservation(CRASH_MEMORY),
            first_options: String::new(),
            crash_command_line: String::new(),
            takes_all_memory: false,
            asked: Asked::default(),
            expected_trouble: Vec::new(),
            patience: 1,
            through: None,
            selftests: None,
            firmware: None,
        }
        .told(CRASH_OPTIONS)
    }

    /// The same where the crash kernel is told `options` besides.
    pub fn told(self, options: &str) -> Self {
        Self { crash_command_line: format!("{} {options}", command_line()), ..self }
    }

    /// Boots, crashes, and gathers what there is to know.
    pub fn run(&self, qemu: &Qemu, guest: &Guest, progress: &dyn Fn(&str)) -> Result<Crash> {
        let run = || {
            let (machine, evidence) = self.prepare(qemu, guest)?;
            let run = run::run(&machine.cmd(), &machine.dir, &self.phases(), progress)?;
            progress("reading the dump");
            self.gather(&machine, evidence, run)
        };
        run().with_context(|| format!("the crash '{}'", self.name))
    }

    /// The phases of the run, in order.
    pub(crate) fn phases(&self) -> Vec<Phase> {
        let this = |phase: Phase| Phase {
            name: if phase.name == PANIC_PHASE { self.asked.cause.phase() } else { phase.name },
            seconds: phase.seconds * u64::from(self.patience),
            ..phase
        };
        let mut phases = PHASES.to_vec();
        if self.asked.reads_dump {
            phases.insert(phases.len() - 1, READING);
        }
        phases.splice(2..2, HOP.into_iter().cycle().take(HOP.len() * self.asked.hops));
        phases.into_iter().map(this).collect()
    }

    /// The machine with all that it needs, and the evidence on its disk.
    pub(crate) fn prepare<'q>(
        &self,
        qemu: &'q Qemu,
        guest: &Guest,
    ) -> Result<(Machine<'q>, Evidence)> {
        // Each kernel is started with the initramfs of the one before.
        let retain = if self.asked.hops > 0 { "retain_initrd" } else { "" };
        let machine = Machine {
            qemu,
            dir: boots::dir(&self.name)?,
            kernel: self.first.image.clone(),
            command_line: [&command_line(), &self.reservation, &self.first_options, retain]
                .into_iter()
                .filter(|words| !words.is_empty())
                .collect::<Vec<_>>()
                .join(" "),
            hardware: self.hardware.clone(),
            files: Vec::new(),
        };
        let machine = match self.firmware {
            Some(firmware) => firmware.starts(machine, false)?,
            None => machine,
        };
        machine.prepare()?;
        let evidence = Evidence::new(&self.name, self.evidence_pages);
        evidence.write(&machine.disk())?;
        let archive = guest.crash(&CrashOrders {
            loader: self.loader,
            kexec_tools: self.kexec_tools,
            evidence_pieces: evidence.pieces(),
            image: &self.crash.image,
            command_line: &self.crash_command_line,
            takes_all_memory: self.takes_all_memory,
            watchdog: self.hardware.watchdog,
            selftests: self.selftests.map(|selftests| (self.first, selftests)),
            hops: &hops::hops(self.asked.hops, self.first, self.through),
            asked: &self.asked,
        })?;
        archive.save(&machine.initramfs())?;
        Ok((machine, evidence))
    }

    /// What there is to know when the machine has been run.
    pub(crate) fn gather(
        &self,
        machine: &Machine<'_>,
        evidence: Evidence,
        run: Run,
    ) -> Result<Crash> {
        let (firmware, mut logs) = log::kernels(&run.console);
        let mut trouble = trouble::scan(&firmware, &logs, self.asked.cause);
        trouble.retain(|line| !self.expected_trouble.iter().any(|text| line.contains(text)));
        let hops = self.asked.hops;
        logs.resize_with(logs.len().max(hops + 2), Log::default);
        let facts = |log: &Log, which: &str| {
            Facts::parse(log).with_context(|| format!("{}, {which}", machine.dir.display()))
        };
        let earlier = logs.drain(..hops).enumerate().map(|(after, log)| Earlier {
            facts: facts(&log, "a kernel before the first"),
            same: hops::is_same(after, hops, self.through.is_some()),
        });
        let earlier = earlier.collect();
        let second = facts(&logs[1], "crash kernel");
        if let Ok(Some(saved)) = second.as_ref().map(|facts| facts.saved) {
            // The disk is larger than the dump; what is left is the dump, for crash(8) and drgn.
            File::options().write(true).open(machine.disk())?.set_len(saved.size)?;
        }
        let dump = Vmcore::open(&machine.disk());
        let evidence_found = match &dump {
            Ok(dump) if !self.asked.headers_only => dump.evidence(&evidence)?,
            _ => 0,
        };
        Ok(Crash {
            earlier,
            first: facts(&logs[0], "first kernel"),
            second,
            first_log: logs.remove(0),
            second_log: logs.remove(0),
            dump,
            evidence,
            evidence_found,
            trouble,
            asked: self.asked.clone(),
            dir: machine.dir.clone(),
            kexec_tools: self.kexec_tools,
            run,
        })
    }
}

/// What both kernels are told: a panic ends the machine, and the guest's scripts may write as
/// much to the log as they like.
pub fn command_line() -> String {
    format!("{EARLY_CONSOLE} console=ttyAMA0 efi=debug memblock=debug printk.devkmsg=on panic=-1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_of_the_guest_ends_its_own_phase_only() {
        let at = |name: &str| PHASES.iter().position(|phase| phase.name == name).unwrap();
        assert!("@phase| crash".contains(PHASES[at("load")].ends_with));
        assert!(!"@phase| load".contains(PHASES[at("load")].ends_with));
        assert!("@phase| crash kernel up".contains(PHASES[at(CRASH_KERNEL_PHASE)].ends_with));
    }
}
