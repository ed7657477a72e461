// SPDX-License-Identifier: GPL-2.0

//! What a crash kernel needs of memory, and how little of it is enough.

use crate::machine::Machine;
use anyhow::{Context, Result, ensure};
use boot::{
    crash_case::Loader,
    guest::Guest,
    log::{self, Log},
    run::{self, End, Phase},
};
use build::{deps::Qemu, kernel::Kernel};
use machines::CRASH_MEMORY;
use regex::Regex;
use serde::Serialize;
use std::collections::BTreeMap;
use util::place;

/// The machine's memory, in MiB; that of `make crash`.
const MEMORY: u64 = 512;

/// What both kernels are told. An address that is drawn by lot would change what fits.
const COMMAND_LINE: &str = "console=ttyAMA0 nokaslr printk.devkmsg=on panic=-1";

const PHASES: [Phase; 3] = [
    Phase { name: "firmware", ends_with: log::FIRST_LINE, seconds: 120 },
    Phase { name: "first kernel", ends_with: "@phase| crash", seconds: 120 },
    Phase { name: "crash kernel", ends_with: "@phase| end", seconds: 120 },
];

/// The lines of /proc/meminfo that are compared.
const SHOWN: [&str; 5] = ["MemTotal", "MemFree", "PageTables", "Slab", "KernelStack"];

/// Kilobytes by what they are.
pub type Memory = BTreeMap<String, u64>;

/// The memory that the first process of a crash kernel has.
pub fn of_first_process(kernel: &Kernel, name: &str, qemu: &Qemu, guest: &Guest) -> Result<Memory> {
    let case = format!("bench-memory-{name}");
    let log = crash(kernel, &case, CRASH_MEMORY >> 20, "bench-memory", qemu, guest)?
        .with_context(|| format!("'{case}' did not come to its end"))?;
    memory(&log).with_context(|| format!("the log of '{case}'"))
}

fn memory(log: &Log) -> Result<Memory> {
    let sections = log.sections()?;
    let lines = sections.get("meminfo").context("the guest wrote no meminfo")?;
    let line = Regex::new(r"^(\w+): +(\d+) kB$")?;
    let mut memory = Memory::new();
    for found in lines.iter().filter_map(|text| line.captures(text)) {
        if SHOWN.contains(&&found[1]) {
            memory.insert(found[1].into(), found[2].parse()?);
        }
    }
    ensure!(memory.len() == SHOWN.len(), "of {SHOWN:?} there is {:?}", memory.keys());
    let reserved = Regex::new(r"^Memory: .* (\d+)K reserved")?;
    let found = log.lines().find_map(|text| reserved.captures(text));
    memory.insert("reserved".into(), found.context("no line 'Memory:'")?[1].parse()?);
    // No line of it, no buffers.
    let buffers = Regex::new(r"^software IO TLB: mapped .*\((\d+)MB\)")?;
    let found = log.lines().find_map(|text| buffers.captures(text));
    let megabytes: u64 = found.map_or(Ok(0), |found| found[1].parse())?;
    memory.insert("swiotlb".into(), megabytes << 10);
    Ok(memory)
}

/// Between which sizes of `crashkernel=` the smallest is looked for, in MiB.
const BOUNDS: (u64, u64) = (16, 64);

/// The smallest `crashkernel=` that still saves a dump, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Smallest {
    /// It saves one.
    pub saves: u64,
    /// One MiB less does not.
    pub fails: u64,
}

/// Looks for the smallest `crashkernel=`.
pub fn smallest(kernel: &Kernel, name: &str, qemu: &Qemu, guest: &Guest) -> Result<Smallest> {
    let (mut fails, mut saves) = BOUNDS;
    let case = |size| format!("bench-dump-{name}-{size}M");
    let enough = |size| saves_dump(kernel, &case(size), size, qemu, guest);
    ensure!(enough(saves)?, "'{}' saved no dump", case(saves));
    ensure!(!enough(fails)?, "'{}' saved a dump: the bound is too high", case(fails));
    while saves - fails > 1 {
        let size = fails.midpoint(saves);
        if enough(size)? {
            saves = size;
        } else {
            fails = size;
        }
    }
    Ok(Smallest { saves, fails })
}

fn saves_dump(kernel: &Kernel, case: &str, size: u64, qemu: &Qemu, guest: &Guest) -> Result<bool> {
    let Some(log) = crash(kernel, case, size, "bench-dump", qemu, guest)? else {
        return Ok(false);
    };
    let saved = log.sections()?.remove("saved").unwrap_or_default().concat();
    // All of memory but the crash kernel's own, and the headers.
    Ok(saved.parse::<u64>().is_ok_and(|bytes| bytes > 0 && bytes <= MEMORY << 20))
}

/// Crashes, and returns the crash kernel's log; [`None`] if it did not come to its end.
fn crash(
    kernel: &Kernel,
    case: &str,
    size: u64,
    script: &str,
    qemu: &Qemu,
    guest: &Guest,
) -> Result<Option<Log>> {
    let machine = Machine { qemu, dir: place::out("boots")?.join(case), memory: MEMORY };
    let archive = guest.crash_at_once(
        Loader::File,
        &kernel.image,
        &format!("{COMMAND_LINE} nr_cpus=1 reset_devices"),
        script,
    )?;
    let command_line = format!("{COMMAND_LINE} crashkernel={size}M");
    let cmd = machine.cmd_with_firmware(&kernel.image, &archive, &command_line)?;
    let cmd = cmd.args(machine.disk()?);
    let run = run::run(&cmd, &machine.dir, &PHASES, &|_| {})?;
    let (_, mut kernels) = log::kernels(&run.console);
    let ended = run.end == End::Complete && kernels.len() == 2;
    Ok(if ended { kernels.pop() } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
        Memory: 218964K/262144K available (3584K kernel code, 1052K rwdata, 40280K reserved, 0K cma)\n\
        software IO TLB: mapped [mem 0x1-0x2] (1MB)\n\
        @meminfo| MemTotal:         222548 kB\n\
        @meminfo| MemFree:          200000 kB\n\
        @meminfo| Slab:               7000 kB\n\
        @meminfo| KernelStack:         800 kB\n\
        @meminfo| PageTables:          100 kB\n\
        @meminfo| HugePages_Total:       0\n\
        @meminfo# 6\n";

    #[test]
    fn memory_is_read_from_the_log() {
        let memory = memory(&Log::new(LOG)).unwrap();
        assert_eq!(memory["MemTotal"], 222_548);
        assert_eq!((memory["reserved"], memory["swiotlb"]), (40_280, 1024));
        assert!(!memory.contains_key("HugePages_Total"));
    }

    #[test]
    fn what_is_missing_is_an_error() {
        for without in ["MemFree", "Memory: "] {
            let text = LOG.replace(without, "x");
            assert!(super::memory(&Log::new(&text)).is_err(), "{without}");
        }
    }
}
