// SPDX-License-Identifier: GPL-2.0

//! One kernel started by another without a crash, with a device tree of the case's own.
//!
//! kexec(8) writes `linux,usable-memory-range` for a crash kernel only. So what a loader with a
//! mistake would write there can be tried with real loaders and without a mistake in them.

use crate::{
    crash_case::command_line,
    facts::Facts,
    guest::{Guest, KexecOrders},
    log::{self, Log},
    machine::Machine,
    run::{self, Phase, Run},
    span::Span,
    trouble,
};
use anyhow::{Context, Result};
use build::{deps::Qemu, kernel::Kernel};
use std::{
    fs::{self, File},
    io::BufWriter,
    path::PathBuf,
};
use util::place;

/// The machine's memory, in MiB: enough to have some on both sides of [`GOOD`].
const MEMORY: u64 = 512;

/// Memory that the firmware of the machine leaves alone. The second kernel and its initramfs are
/// put there.
pub const GOOD: Span = Span { start: 0x4800_0000, end: 0x5800_0000 };

/// The phase in which the second kernel starts.
pub const SECOND_KERNEL_PHASE: &str = "second kernel";

const PHASES: [Phase; 6] = [
    Phase { name: "firmware", ends_with: log::FIRST_LINE, seconds: 60 },
    Phase { name: "first kernel", ends_with: "@phase| first kernel up", seconds: 60 },
    Phase { name: "load", ends_with: "@phase| kexec", seconds: 60 },
    Phase { name: "kexec", ends_with: log::FIRST_LINE, seconds: 60 },
    Phase { name: SECOND_KERNEL_PHASE, ends_with: "@phase| second kernel up", seconds: 60 },
    Phase { name: "checks", ends_with: "@phase| end", seconds: 60 },
];

/// A start to come.
pub struct KexecCase<'a> {
    /// The name, and that of its directory below out/boots.
    pub name: String,
    /// Both kernels.
    pub kernel: &'a Kernel,
    /// What `linux,usable-memory-range` is to have.
    pub usable: Vec<u8>,
    /// Whether the ACPI Reclaim memory of the EFI map is to follow in it.
    pub tables_usable: bool,
}

/// A start that was.
pub struct Kexec {
    /// How it went.
    pub run: Run,
    /// Where its console is.
    pub dir: PathBuf,
    /// What the first kernel said; the error says what is missing.
    pub first: Result<Facts>,
    /// What the second kernel said.
    pub second: Result<Facts>,
    /// The log of the second kernel.
    pub second_log: Log,
    /// The lines that no healthy run has.
    pub trouble: Vec<String>,
}

impl KexecCase<'_> {
    /// Boots, starts the second kernel, and gathers what there is to know.
    pub fn run(&self, qemu: &Qemu, guest: &Guest, progress: &dyn Fn(&str)) -> Result<Kexec> {
        self.run_in_order(qemu, guest, progress).with_context(|| format!("'{}'", self.name))
    }

    fn run_in_order(&self, qemu: &Qemu, guest: &Guest, progress: &dyn Fn(&str)) -> Result<Kexec> {
        let machine = Machine {
            qemu,
            dir: place::out("boots")?.join(&self.name),
            kernel: self.kernel.image.clone(),
            command_line: command_line(),
            memory: MEMORY,
            watchdog: false,
        };
        fs::create_dir_all(&machine.dir)?;
        machine.prepare()?;
        let archive = guest.kexec(&KexecOrders {
            image: &self.kernel.image,
            command_line: &command_line(),
            usable: &self.usable,
            tables_usable: self.tables_usable,
            place: GOOD,
        })?;
        let mut initramfs = BufWriter::new(File::create(machine.initramfs())?);
        archive.write(&mut initramfs)?;
        drop(initramfs);

        let run = run::run(&machine.cmd(), &machine.dir, &PHASES, progress)?;
        let (firmware, mut logs) = log::kernels(&run.console);
        let trouble = trouble::scan(&firmware, &logs);
        logs.resize_with(logs.len().max(2), Log::default);
        let facts = |log: &Log, which: &str| {
            Facts::parse(log).with_context(|| format!("{}, {which}", machine.dir.display()))
        };
        Ok(Kexec {
            first: facts(&logs[0], "first kernel"),
            second: facts(&logs[1], "second kernel"),
            second_log: logs.swap_remove(1),
            trouble,
            dir: machine.dir,
            run,
        })
    }
}
