// SPDX-License-Identifier: GPL-2.0

//! One boot by hostile firmware, with whatever device tree it hands over.
//!
//! A crash kernel knows from its device tree that it is one. So one boot, of about two seconds, is
//! that of a crash kernel with any `linux,usable-memory-range`, and no loader needs a mistake in it.

use crate::{
    boots,
    cause::Cause,
    crash_case::command_line,
    facts,
    guest::Guest,
    guest_memory::GuestMemory,
    iomem::{self, Resource},
    ktap,
    log::{self, Log},
    machine::{self, Machine},
    run::{self, Phase, Run},
    trouble, usable_memory,
};
use anyhow::{Context, Result, anyhow};
use build::{deps::Qemu, kernel::Kernel};
use cases::{Case, GOOD};
use machines::Hardware;
use orders::{KERNEL_FILE, ORDERS_FILE, Orders};
use std::{
    fs,
    path::{Path, PathBuf},
};
use vm_fdt::FdtWriter;

/// The phase in which the kernel starts.
pub const KERNEL_PHASE: &str = "kernel";

const PHASES: [Phase; 3] = [
    Phase { name: "firmware", ends_with: log::FIRST_LINE, seconds: 60 },
    Phase { name: KERNEL_PHASE, ends_with: "@phase| kernel up", seconds: 120 },
    Phase { name: "checks", ends_with: "@phase| end", seconds: 120 },
];

/// A boot to come.
pub struct FirmwareBoot<'a> {
    /// The name, and that of its directory below out/boots.
    pub name: String,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// What starts it.
    pub firmware: Firmware<'a>,
}

/// What starts a kernel, and does something else before.
#[derive(Clone, Copy)]
pub struct Firmware<'a> {
    /// The application.
    pub application: &'a Path,
    /// What it does.
    pub case: &'a Case,
}

impl Firmware<'_> {
    /// `machine`, whose directory is there, with its kernel started in this way.
    pub fn starts<'q>(self, machine: Machine<'q>, fence: bool) -> Result<Machine<'q>> {
        let file = machine.dir.join("orders");
        let orders = orders(self.case, fence)?;
        fs::write(&file, orders.to_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Machine {
            files: vec![(ORDERS_FILE, file), (KERNEL_FILE, machine.kernel)],
            kernel: self.application.into(),
            ..machine
        })
    }
}

/// A boot that was.
pub struct Booted {
    /// How it went.
    pub run: Run,
    /// Where its console is.
    pub dir: PathBuf,
    /// What the firmware said.
    pub firmware: String,
    /// The log of the kernel.
    pub log: Log,
    /// What the kernel sees of its memory; the error says what is missing.
    pub seen: Result<Seen>,
    /// The lines that no healthy run has.
    pub trouble: Vec<String>,
    /// The machine's memory when it was switched off.
    pub memory: GuestMemory,
}

/// What a kernel sees of its memory.
#[derive(Debug)]
pub struct Seen {
    /// /proc/iomem.
    pub iomem: Vec<Resource>,
    /// MemTotal, in bytes.
    pub mem_total: u64,
    /// The bytes of `linux,usable-memory-range` in the flat device tree, where there is one; the error
    /// says what is wrong with the tree.
    pub property: Result<Option<Vec<u8>>>,
    /// How many files are below /sys/firmware/acpi/tables.
    pub tables: usize,
    /// The checks that the guest made itself.
    pub checks: Vec<ktap::Test>,
}

impl Seen {
    fn parse(log: &Log) -> Result<Self> {
        let sections = log.sections()?;
        let section = |name: &str| {
            sections.get(name).with_context(|| format!("the guest did not come to write '{name}'"))
        };
        Ok(Self {
            iomem: iomem::parse(section("iomem")?)?,
            mem_total: facts::mem_total(section("meminfo")?)?,
            property: usable_memory::property(&facts::hex_bytes(section("fdt")?)?),
            tables: section("tables")?.len(),
            checks: ktap::parse(log)?,
        })
    }
}

impl FirmwareBoot<'_> {
    /// Boots, and gathers what there is to know.
    pub fn run(&self, qemu: &Qemu, guest: &Guest, progress: &dyn Fn(&str)) -> Result<Booted> {
        self.run_in_order(qemu, guest, progress).with_context(|| format!("'{}'", self.name))
    }

    fn run_in_order(&self, qemu: &Qemu, guest: &Guest, progress: &dyn Fn(&str)) -> Result<Booted> {
        // Writing to all memory that the kernel takes shows what that is.
        let memtest = if self.firmware.case.fence { " memtest=1" } else { "" };
        let machine = Machine {
            qemu,
            dir: boots::dir(&self.name)?,
            kernel: self.kernel.image.clone(),
            command_line: format!("{}{memtest}", command_line()),
            hardware: Hardware::of(self.firmware.case.memory),
            files: Vec::new(),
        };
        let machine = self.firmware.starts(machine, self.firmware.case.fence)?;
        machine.prepare()?;
        guest.memory()?.save(&machine.initramfs())?;

        let memory = GuestMemory::new(machine.hardware.memory, &machine.dir)?;
        let run = run::run(&memory.attached(machine.cmd()), &machine.dir, &PHASES, progress)?;
        machine::clean(&machine.dir)?;
        let (firmware, mut logs) = log::kernels(&run.console);
        let trouble = trouble::scan(&firmware, &logs, Cause::default());
        logs.resize_with(logs.len().max(1), Log::default);
        let log = logs.swap_remove(0);
        Ok(Booted {
            seen: Seen::parse(&log),
            dir: machine.dir,
            run,
            firmware,
            log,
            trouble,
            memory,
        })
    }
}

/// What the firmware is told of a case.
fn orders(case: &Case, fence: bool) -> Result<Orders> {
    let tree = case.property.as_ref().map(|property| device_tree(property, case.cells));
    Ok(Orders {
        map: case.map.clone(),
        move_tables: case.move_tables,
        device_tree: tree.transpose()?.unwrap_or_default(),
        open: if fence { vec![GOOD] } else { Vec::new() },
    })
}

/// A device tree that says what a crash kernel may use, and nothing of the machine: that is described
/// by ACPI.
fn device_tree(property: &[u8], (address_cells, size_cells): (u32, u32)) -> Result<Vec<u8>> {
    let make = || {
        let mut tree = FdtWriter::new()?;
        let root = tree.begin_node("")?;
        tree.property_u32("#address-cells", address_cells)?;
        tree.property_u32("#size-cells", size_cells)?;
        let chosen = tree.begin_node("chosen")?;
        tree.property(usable_memory::PROPERTY, property)?;
        tree.end_node(chosen)?;
        tree.end_node(root)?;
        tree.finish()
    };
    make().map_err(|error: vm_fdt::Error| anyhow!("cannot make a device tree: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_has_the_property_and_no_machine() {
        for property in [&[][..], &[1, 2, 3]] {
            let tree = device_tree(property, (2, 2)).unwrap();
            assert_eq!(usable_memory::property(&tree).unwrap().as_deref(), Some(property));
            assert_eq!(usable_memory::nodes(&tree).unwrap(), ["chosen"]);
        }
    }
}
