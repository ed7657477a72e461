// SPDX-License-Identifier: GPL-2.0

//! What is asked of the guest in a crash besides what every crash is for.

use crate::cause::Cause;

/// What is asked of the guest in a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// What makes the first kernel crash.
    pub cause: Cause,
    /// How many times one kernel starts another by kexec, before the last one crashes.
    pub hops: usize,
    /// Whether both kernels read all EFI variables, by calls into the firmware.
    pub efi_runtime: bool,
    /// Whether nothing of the dump is saved but its headers: there is more memory than anyone waits for.
    pub headers_only: bool,
    /// Whether a device tree describes the machine, instead of ACPI.
    pub device_tree: bool,
    /// Whether programs that read dumps read this one, in the crash kernel.
    pub reads_dump: bool,
    /// Whether the first kernel runs the kernel's own selftests of kexec.
    pub selftests: bool,
}

impl Asked {
    /// What describes the machine, as the guest calls it.
    pub fn description(&self) -> &'static str {
        if self.device_tree { "device-tree" } else { "acpi" }
    }
}
