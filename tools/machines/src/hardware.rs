// SPDX-License-Identifier: GPL-2.0

//! What a machine is made of.

use serde::Deserialize;

/// What a machine is made of: QEMU's `virt`, and what is chosen of it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hardware {
    /// The model of its processors.
    pub cpu: String,
    /// How many processors.
    pub cpus: u32,
    /// Memory, in MiB.
    pub memory: u64,
    /// How many nodes have an equal part of the memory and of the processors; one, if there is no NUMA.
    pub nodes: u32,
    /// The interrupt controller.
    pub gic: Gic,
    /// The UEFI firmware.
    pub firmware: Firmware,
    /// Whether a device tree describes the machine, instead of ACPI.
    pub device_tree: bool,
    /// What the machine's random numbers begin with: with some the kernel is at a random place.
    pub seed: Option<u64>,
    /// Whether it has a watchdog: an Intel 6300ESB, on PCI.
    pub watchdog: bool,
}

/// An interrupt controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gic {
    /// GICv2, which has no ITS.
    V2,
    /// GICv3 without ITS.
    V3NoIts,
    /// GICv3 with ITS.
    #[default]
    V3,
}

/// A release of EDK2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// That of the host.
    #[default]
    Host,
    /// The newest that can be had.
    Newest,
    /// That of the host, and it starts signed kernels only: UEFI Secure Boot.
    SecureBoot,
}

impl Default for Hardware {
    fn default() -> Self {
        Self {
            // It starts the firmware as quickly as any, and faults unaligned accesses to Device memory.
            cpu: "cortex-a57".into(),
            // With one alone, QEMU up to 10.1 lets unaligned accesses to Device memory pass, and the
            // fault of 2017 does not show.
            cpus: 2,
            memory: 512,
            nodes: 1,
            gic: Gic::default(),
            firmware: Firmware::default(),
            device_tree: false,
            seed: None,
            watchdog: false,
        }
    }
}

impl Hardware {
    /// A small machine with so much memory, in MiB.
    pub fn of(memory: u64) -> Self {
        Self { memory, ..Self::default() }
    }
}
