// SPDX-License-Identifier: GPL-2.0

//! The time before the page allocator: one CPU, no interrupts, no way to fail but to stop.

use crate::{
    bindings,
    phys::PhysAddr,
    prelude::*,
    types::NotThreadSafe, //
};

/// Stands for "this is early boot": `setup_arch()` is running, and has come to `efi_init()`.
///
/// What may only be done then takes a reference to it. Only C entry points make one, so safe code
/// cannot do such a thing at another time.
///
/// # Invariants
///
/// While a value exists, only the boot CPU runs, with interrupts off. The flat device tree is
/// mapped and was scanned, the early parameters were parsed, and `setup_arch()` has not returned.
pub struct EarlyBoot(NotThreadSafe);

impl EarlyBoot {
    /// Vouches for early boot.
    ///
    /// # Safety
    ///
    /// - The caller is called, directly or not, by `setup_arch()` of arm64 on the boot CPU.
    /// - That is in `efi_init()` or later.
    /// - It drops the value before it returns.
    #[inline]
    pub unsafe fn new() -> Self {
        // INVARIANT: `setup_arch()` is called once, from `start_kernel()`, before other CPUs are
        // brought up and interrupts are enabled; that it is running is the caller's promise.
        Self(NotThreadSafe)
    }

    /// Whether this boot is going to use ACPI, as far as the command line and the device tree say.
    ///
    /// Valid from `parse_early_param()` on, before and after the linear map. The tables themselves
    /// may still turn out to be unusable.
    ///
    /// C function: `acpi_boot_wanted()` in `arch/arm64/kernel/acpi.c`.
    #[inline]
    pub fn acpi_wanted(&self) -> bool {
        // SAFETY: An `__init` function that reads parsed parameters and the flat device tree. Both
        // are there by the type invariant.
        unsafe { bindings::acpi_boot_wanted() }
    }

    /// The size of the linear map in bytes, at most: what can be mapped in it has to lie within a
    /// span of that size.
    ///
    /// Valid before and after the linear map is there.
    ///
    /// C function: `arm64_linear_region_size()` in `arch/arm64/mm/init.c`. With KVM and without
    /// VHE `arm64_memblock_init()` takes one bit less than 52, which is always taken here.
    #[inline]
    pub fn linear_map_size(&self) -> u64 {
        // SAFETY: It reads what the boot CPU found out about itself before `setup_arch()`.
        let size = unsafe { bindings::arm64_linear_region_size() };
        size.min(1 << 51)
    }

    /// The highest address that a page table can hold, inclusive.
    ///
    /// C function: `arm64_last_phys_addr()` in `arch/arm64/mm/init.c`. With LPA2 it depends on the
    /// CPU.
    #[inline]
    pub fn last_mappable(&self) -> PhysAddr {
        // SAFETY: As in `linear_map_size()`.
        PhysAddr::new(unsafe { bindings::arm64_last_phys_addr() })
    }

    /// Stops the kernel for good: prints `why` as a panic does.
    ///
    /// At this time nothing can turn the machine off or restart it, so `panic=` has no effect, and
    /// the line is seen only where `earlycon=` names a console.
    ///
    /// C function: `panic()`.
    #[inline]
    pub fn stop(&self, why: &CStr) -> ! {
        // SAFETY: The format string takes one argument, a NUL-terminated string, and gets it.
        unsafe { bindings::panic(c"%s\n".as_char_ptr(), why.as_char_ptr()) }
    }
}
