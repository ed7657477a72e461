// SPDX-License-Identifier: GPL-2.0

//! The pure files of the kernel part, compiled as they are on the host.
//!
//! Each file beside this one is a symbolic link to the file that Kbuild compiles. Their unit tests
//! run here and, as KUnit suites, in the kernel; the tests in `tests/` hold them against rules and
//! oracles.

#![no_std]

// The crate is called `kernel` in the kernel as well.
extern crate self as kernel;

pub mod phys;

/// The kernel has its own `Display`, with the methods of the one in `core`.
pub mod fmt {
    pub use core::fmt::*;
}

/// The pure part of `kernel::efi`.
pub mod efi {
    mod memory;

    pub use memory::*;
}

/// The pure part of `kernel::fdt`.
pub mod fdt {
    mod reg;

    pub use reg::*;
}

/// The pure part of `kernel::memblock`.
pub mod memblock {
    mod memory;

    pub use memory::*;
}

/// The pure parts of `arch/arm64/mm/acpi_tables.rs` and `arch/arm64/mm/confine_memory.rs`.
pub mod arm64 {
    pub mod cap_memory;
    pub mod memory_resources;
    pub mod usable_memory;
}

/// The pure part of `drivers/firmware/efi/acpi_reclaim.rs`.
pub mod efi_driver {
    pub mod free_memory;
}
