// SPDX-License-Identifier: GPL-2.0

//! The flat device tree that the kernel was booted with, during early boot.
//!
//! C headers: [`include/linux/of_fdt.h`](srctree/include/linux/of_fdt.h),
//! [`include/linux/libfdt.h`](srctree/include/linux/libfdt.h)

mod reg;

pub use reg::{
    Cells,
    Reg,
    RegEntry, //
};

use crate::{
    bindings,
    early_boot::EarlyBoot,
    prelude::*, //
};
use core::ptr::{
    addr_of,
    addr_of_mut, //
};

/// The value of a property of the `/chosen` node, in bytes; [`None`] if there is no such property.
///
/// A property without a value is an empty slice. Valid from `setup_machine_fdt()` on, before and
/// after the linear map.
///
/// C functions: `fdt_path_offset()`, `of_get_flat_dt_prop()`.
#[inline]
pub fn chosen_property<'boot>(_boot: &'boot EarlyBoot, name: &CStr) -> Option<&'boot [u8]> {
    // SAFETY: A static of C, set by `early_init_dt_verify()` before `efi_init()` and not changed
    // while `setup_arch()` runs.
    let fdt = unsafe { addr_of!(bindings::initial_boot_params).read() };
    if fdt.is_null() {
        return None;
    }
    // The second name is what early_init_dt_scan_chosen() falls back to.
    let node = [c"/chosen", c"/chosen@0"].into_iter().find_map(|path| {
        // SAFETY: `fdt` was found to be a device tree by `early_init_dt_verify()`; libfdt checks
        // every offset in it against its size. The path is NUL-terminated.
        let node = unsafe { bindings::fdt_path_offset(fdt, path.as_char_ptr()) };
        c_ulong::try_from(node).ok()
    })?;

    let mut size: c_int = 0;
    // SAFETY: `node` is the offset of a node of the device tree, `name` is NUL-terminated, and
    // `size` is writable.
    let value =
        unsafe { bindings::of_get_flat_dt_prop(node, name.as_char_ptr(), addr_of_mut!(size)) };
    if value.is_null() {
        return None;
    }
    // SAFETY: libfdt returns a pointer to `size` bytes within the device tree, which stays mapped
    // and unchanged while `setup_arch()` runs, so for as long as `'boot`.
    Some(unsafe { core::slice::from_raw_parts(value.cast(), usize::try_from(size).ok()?) })
}

/// How many cells an address and a size of the root node's children have.
///
/// [`None`] if the root node gives a number that no entry can be decoded with.
#[inline]
pub fn root_cells(_boot: &EarlyBoot) -> Option<Cells> {
    // SAFETY: Statics of C in init memory, set by `early_init_dt_scan_root()` before `efi_init()`.
    let (addr, size) = unsafe { (bindings::dt_root_addr_cells, bindings::dt_root_size_cells) };
    Cells::new_checked(usize::try_from(addr).ok()?, usize::try_from(size).ok()?)
}
