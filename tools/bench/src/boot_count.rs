// SPDX-License-Identifier: GPL-2.0

//! What a boot costs: instructions from a kernel's entry to its first process. KASLR is off.

use crate::{
    counter::{Counts, Plan, Spent, nth},
    machine::{CPU, Machine},
    symbols::Symbols,
};
use anyhow::{Context, Result, ensure};
use boot::{boots, crash_case::Loader, directories::of_bench, guest::Guest};
use build::{deps::Qemu, kernel::Kernel};
use machines::CRASH_MEMORY;
use std::path::Path;

/// Where a kernel begins, before its MMU is on.
const ENTRY: &str = "primary_entry";
/// Where it is about to run the first process.
const FIRST_PROCESS: &str = "run_init_process";

/// The machine's memory, in MiB; that of `make crash`.
const MEMORY: u64 = 512;

/// What both kernels are told. Lines that are only kept in the log cost what they cost; on a console
/// each character costs some 200 instructions, whoever has it printed.
const COMMAND_LINE: &str = "console=ttyAMA0 nokaslr panic=-1 quiet";

/// Which boot of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The kernel that firmware starts.
    First,
    /// The kernel that a crash starts.
    Crash,
}

impl Which {
    /// Both.
    pub const ALL: [Self; 2] = [Self::First, Self::Crash];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Crash => "crash",
        }
    }
}

/// Boots `kernel` and counts the instructions of one of its two boots.
pub fn count(
    which: Which,
    kernel: &Kernel,
    name: &str,
    qemu: &Qemu,
    guest: &Guest,
    plugin: &Path,
) -> Result<Spent> {
    let case = of_bench(&format!("{}-{name}", which.name()));
    measure(which, kernel, &case, qemu, guest, plugin)
        .with_context(|| format!("counting the boot '{case}'"))
}

fn measure(
    which: Which,
    kernel: &Kernel,
    case: &str,
    qemu: &Qemu,
    guest: &Guest,
    plugin: &Path,
) -> Result<Spent> {
    let (command_line, archive) = match which {
        Which::First => (COMMAND_LINE.to_owned(), guest.boot_only()?),
        Which::Crash => (
            format!("{COMMAND_LINE} {}", machines::reservation(CRASH_MEMORY)),
            guest.crash_at_once(
                Loader::File,
                &kernel.image,
                &format!("{COMMAND_LINE} nr_cpus=1 reset_devices"),
                "bench-memory",
            )?,
        ),
    };
    let machine = Machine { qemu, dir: boots::dir(case)?, memory: MEMORY, cpu: CPU };
    let cmd = machine.cmd_with_firmware(&kernel.image, &archive, &command_line)?;
    let symbols = Symbols::read(&kernel.vmlinux)?;
    let nth_boot = match which {
        Which::First => 0,
        Which::Crash => 1,
    };
    let times = u32::try_from(nth_boot)? + 1;
    let plan = Plan::new(&symbols).entry(&symbols, ENTRY)?.end(
        symbols.address(FIRST_PROCESS)?,
        FIRST_PROCESS,
        times,
    );
    let cmd = cmd.args(plan.options(plugin, &machine.dir)?);
    machine.run(&cmd)?;
    let counts = plan.counts(&machine.dir)?;
    only(&counts, ENTRY, times)?;
    only(&counts, FIRST_PROCESS, times)?;
    Ok(plan.between(nth(&counts, ENTRY, nth_boot)?, nth(&counts, FIRST_PROCESS, nth_boot)?))
}

/// No other code was taken for the mark.
fn only(counts: &[Counts], mark: &str, times: u32) -> Result<()> {
    let came = counts.iter().filter(|counts| counts.mark == mark).count();
    ensure!(came == times as usize, "the machine came to {mark} {came} times, and not {times}");
    Ok(())
}
