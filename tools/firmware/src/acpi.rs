// SPDX-License-Identifier: GPL-2.0

//! Moves the ACPI tables.
//!
//! Specification: ACPI 6.5, 5.2.5 to 5.2.9.

use alloc::vec::Vec;
use anyhow::{Context, Result, anyhow, bail};
use core::{ffi::c_void, ptr, slice};
use orders::{ACPI_RECLAIM, LINE, Range};
use uefi::{
    boot, println, system,
    table::cfg::{ACPI_GUID, ACPI2_GUID},
};

/// What the root pointer has: its size, its checksums, and where the XSDT is.
const RSDP_SIZE: usize = 36;
const RSDP_FIRST_PART: usize = 20;
const RSDP_CHECKSUM: usize = 8;
const RSDP_EXTENDED_CHECKSUM: usize = 32;
const RSDP_RSDT: usize = 16;
const RSDP_XSDT: usize = 24;

/// What every other table has.
const HEADER_SIZE: usize = 36;
const LENGTH: usize = 4;
const CHECKSUM: usize = 9;

/// What the FADT says of the DSDT, in 32 bits and in 64.
const FADT: &[u8] = b"FACP";
const FADT_DSDT: usize = 40;
const FADT_X_DSDT: usize = 140;

/// What is left where a table was.
const GONE: u8 = 0xee;

/// Moves the root pointer and all tables into those of `ranges` that are ACPI Reclaim memory. The
/// FACS stays: it is the firmware's own, and its type of memory is another.
pub fn move_into(ranges: &[Range]) -> Result<()> {
    let rsdp = root_pointer().context("the firmware has no ACPI tables")?;
    // SAFETY: By the specification a root pointer of this version has this size.
    let mut root = unsafe { copy(rsdp as u64, RSDP_SIZE) };
    let mut homes = Homes::new(ranges);

    // SAFETY: By the specification it is the address of a table.
    let mut xsdt = unsafe { table(number64(&root, RSDP_XSDT)) };
    let entries = (xsdt.len() - HEADER_SIZE) / size_of::<u64>();
    for entry in 0..entries {
        let at = HEADER_SIZE + entry * size_of::<u64>();
        // SAFETY: As above.
        let mut found = unsafe { table(number64(&xsdt, at)) };
        if found.starts_with(FADT) {
            // SAFETY: As above.
            let dsdt = unsafe { table(number64(&found, FADT_X_DSDT)) };
            let home = homes.settle(&dsdt, number64(&found, FADT_X_DSDT))?;
            put(&mut found, FADT_X_DSDT, &home.to_le_bytes());
            // Where it does not fit into 32 bits, there is none there.
            put(&mut found, FADT_DSDT, &u32::try_from(home).unwrap_or(0).to_le_bytes());
            seal(&mut found, CHECKSUM, ..);
        }
        let home = homes.settle(&found, number64(&xsdt, at))?;
        put(&mut xsdt, at, &home.to_le_bytes());
    }
    seal(&mut xsdt, CHECKSUM, ..);
    let home = homes.settle(&xsdt, number64(&root, RSDP_XSDT))?;
    put(&mut root, RSDP_XSDT, &home.to_le_bytes());
    put(&mut root, RSDP_RSDT, &[0; 4]);
    seal(&mut root, RSDP_CHECKSUM, ..RSDP_FIRST_PART);
    seal(&mut root, RSDP_EXTENDED_CHECKSUM, ..);
    let home = homes.settle(&root, rsdp as u64)?;

    for guid in [&ACPI2_GUID, &ACPI_GUID] {
        // SAFETY: The new root pointer is never freed.
        unsafe { boot::install_configuration_table(guid, home as *const c_void) }
            .map_err(|error| anyhow!("cannot move the ACPI root pointer: {error}"))?;
    }
    Ok(())
}

fn root_pointer() -> Option<*const c_void> {
    system::with_config_table(|tables| {
        Some(tables.iter().find(|table| table.guid == ACPI2_GUID)?.address)
    })
}

/// Where tables go: the rest of each range.
struct Homes(Vec<(u64, u64)>);

impl Homes {
    fn new(ranges: &[Range]) -> Self {
        let reclaim = ranges
            .iter()
            .filter(|range| range.described.is_some_and(|kind| kind.memory_type == ACPI_RECLAIM));
        Self(reclaim.map(|range| (range.pages.start, range.pages.end())).collect())
    }

    /// Puts `table`, which was at `old`, where there is room for it, and nothing where it was.
    fn settle(&mut self, table: &[u8], old: u64) -> Result<u64> {
        let size = table.len() as u64;
        let Some((start, _)) = self.0.iter_mut().find(|(start, end)| end - *start >= size) else {
            bail!("no range has room for a table of {size} bytes");
        };
        let home = *start;
        // As firmware does it: fields of 8 bytes need not be aligned.
        *start += size.next_multiple_of(4);
        // The next one is put into another range, if there is one.
        self.0.rotate_left(1);
        // SAFETY: The new place was allocated for tables, and has room. The old one is memory of
        // the firmware that nobody but the kernel reads any more.
        unsafe {
            ptr::copy(table.as_ptr(), home as *mut u8, table.len());
            ptr::write_bytes(old as *mut u8, GONE, table.len());
        }
        let sum = boot::calculate_crc32(table)
            .map_err(|error| anyhow!("a table cannot be summed up: {error}"))?;
        println!("{LINE}table {home:#x}-{:#x} crc32 {sum:#x}", home + size - 1);
        Ok(home)
    }
}

/// A copy of the table at `address`.
///
/// # Safety
///
/// There is a table.
unsafe fn table(address: u64) -> Vec<u8> {
    // SAFETY: Every table has a header, with its length.
    unsafe {
        let header = copy(address, HEADER_SIZE);
        let length = [header[LENGTH], header[LENGTH + 1], header[LENGTH + 2], header[LENGTH + 3]];
        copy(address, u32::from_le_bytes(length) as usize)
    }
}

/// A copy of `size` bytes.
///
/// # Safety
///
/// All of them are memory.
unsafe fn copy(address: u64, size: usize) -> Vec<u8> {
    // SAFETY: The caller's promise. Nothing writes to them while they are copied.
    unsafe { slice::from_raw_parts(address as *const u8, size) }.to_vec()
}

fn number64(table: &[u8], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&table[at..at + 8]);
    u64::from_le_bytes(bytes)
}

fn put(table: &mut [u8], at: usize, bytes: &[u8]) {
    table[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Makes the checksum at `at` right: all bytes of the part add up to zero.
fn seal<R>(table: &mut [u8], at: usize, part: R)
where
    R: slice::SliceIndex<[u8], Output = [u8]>,
{
    table[at] = 0;
    let sum = table[part].iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
    table[at] = sum.wrapping_neg();
}
