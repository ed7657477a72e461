// SPDX-License-Identifier: GPL-2.0

//! Takes mapped memory away from memblock, but for what is to be kept.
//!
//! memblock_cap_memory_range() does this for one range to keep, and truncates memblock.reserved on
//! the way: ACPI tables outside of that range would have to be added and reserved again. Here what
//! is kept are sets of ranges, memblock.reserved stays as it is, and nothing is ever added, so that
//! no memory can become allocatable that was not so before. A reservation outside of memory does
//! nothing: efi_init() and those before it have made few.

use kernel::{
    memblock::{
        mapped,
        Memory, //
    },
    phys::{
        Difference,
        Merged,
        PhysAddr,
        PhysRange, //
    }, //
};

/// Removes all mapped memory that is in `range`.
///
/// Memory without a mapping stays: what firmware runs from and what it reads its own data from
/// must be known to be memory in a crash kernel, too.
#[inline]
pub fn remove_within(memory: &impl Memory, range: PhysRange) {
    let mut rest = Some(range);
    // Each removal changes the list of regions, so it is looked at afresh. What lies behind the
    // part that was removed is all that can be left.
    while let Some((range, part)) = rest.and_then(|rest| Some((rest, first_mapped(memory, rest)?)))
    {
        memory.remove(part);
        rest = range.above(part.last());
    }
}

/// Removes all memory above `last`, mapped or not.
///
/// Firmware may claim memory where no page table can hold its address. arm64_memblock_init()
/// removes it: until then a crash kernel could take it for memory to start from.
#[inline]
pub fn remove_above(memory: &impl Memory, last: PhysAddr) {
    if let Some(above) = PhysRange::ALL.above(last) {
        memory.remove(above);
    }
}

/// The lowest mapped memory within `range`, in one piece.
#[inline]
fn first_mapped(memory: &impl Memory, range: PhysRange) -> Option<PhysRange> {
    // Most lie below the range, which one comparison tells.
    let mut mapped = mapped(memory).skip_while(|mapped| mapped.last() < range.start());
    mapped.next()?.intersection(range)
}

/// The memory that `mem=` leaves, in bytes: all up to where the lowest `limit` bytes end.
///
/// [`None`] if that is all memory, or if the limit is zero, which is none.
///
/// C function: `memblock_mem_limit_remove_map()` in `mm/memblock.c`. That one counts all memory;
/// but tables stay, so they must not use up what the user asked for.
#[inline]
pub fn below_limit(
    memory: &impl Memory,
    tables: Merged<impl Iterator<Item = PhysRange> + Clone>,
    limit: u64,
) -> Option<PhysRange> {
    let all = memory.regions().map(|region| region.range);
    let mut left = limit.checked_sub(1)?;
    let last = Difference::new(all, tables).find_map(|part| {
        // The offset of the last byte that is left, if it is in this part.
        if left < part.size() {
            return part.start().as_u64().checked_add(left);
        }
        left -= part.size();
        None
    })?;
    PhysRange::new(PhysAddr::MIN, PhysAddr::new(last))
}
