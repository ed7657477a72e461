// SPDX-License-Identifier: GPL-2.0

//! The time before the page allocator: one CPU, no interrupts, no way to fail but to stop.

use crate::{
    bindings,
    ffi::c_void,
    phys::PhysAddr,
    prelude::*,
    types::NotThreadSafe, //
};
use core::ptr::{
    addr_of_mut,
    null,
    null_mut, //
};

/// How many lines are printed about things of one kind: firmware can have very many.
pub const MOST_LINES: usize = 16;

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

    /// The most that `paging_init()` allocates in one piece, in bytes: a page, or KFENCE's pool.
    ///
    /// C function: `arm64_largest_paging_alloc()` in `arch/arm64/mm/init.c`.
    #[inline]
    pub fn largest_paging_alloc(&self) -> u64 {
        // SAFETY: It returns a constant.
        unsafe { bindings::arm64_largest_paging_alloc() }
    }

    /// Stops the kernel for good: prints `why` as a panic does, and restarts the machine if
    /// `panic=` asks for that.
    ///
    /// The line is printed twice. First at once, where `earlycon=` has named a console. Then ACPI
    /// is asked for a console and for the firmware that restarts the machine, in case that it is
    /// used: other than at the usual time nothing is allocated, and no memory is written to but the
    /// kernel's own. Without ACPI the machine stays as it is, until a watchdog restarts it.
    ///
    /// C functions: `acpi_prepare_panic()` in `arch/arm64/kernel/acpi.c`, `panic()`.
    #[inline]
    pub fn stop(&self, why: &CStr) -> ! {
        // SAFETY: The format string takes one argument, a NUL-terminated string, and gets it.
        unsafe { bindings::_printk(c"\x010%s\n".as_char_ptr(), why.as_char_ptr()) };
        // SAFETY: The command line is NUL-terminated. It is cut into words in place, and nobody is
        // going to read it any more. No parameters are given, so the callback gets each word.
        unsafe {
            bindings::parse_args(
                c"panic".as_char_ptr(),
                addr_of_mut!(bindings::boot_command_line).cast(),
                null(),
                0,
                0,
                0,
                null_mut(),
                Some(take_panic_timeout),
            )
        };
        // Last, for it may panic by itself.
        // SAFETY: An `__init` function of C that `setup_arch()` could call itself: it reads the
        // tables through the fixmap. That is there, for the device tree was scanned.
        unsafe { bindings::acpi_prepare_panic() };
        // SAFETY: As for the first call.
        unsafe { bindings::panic(c"%s\n".as_char_ptr(), why.as_char_ptr()) }
    }
}

/// Takes `panic=` from a parameter of the command line, from which C reads it much later.
///
/// C functions: `parse_args()`, whose callback this is, `kstrtoint()`.
///
/// # Safety
///
/// `name` is a NUL-terminated string, and so is `value`, or it is NULL.
#[inline]
unsafe extern "C" fn take_panic_timeout(
    name: *mut c_char,
    value: *mut c_char,
    _doing: *const c_char,
    _arg: *mut c_void,
) -> c_int {
    // SAFETY: Two NUL-terminated strings: the caller's promise, and a constant.
    if value.is_null() || !unsafe { bindings::parameq(name, c"panic".as_char_ptr()) } {
        return 0;
    }
    // SAFETY: By the caller's promise `value` is NUL-terminated. `panic_timeout` is a static of C,
    // which nothing reads before `panic()` does.
    unsafe { bindings::kstrtoint(value, 0, addr_of_mut!(bindings::panic_timeout)) }
}
