// SPDX-License-Identifier: GPL-2.0

//! Takes mapped memory away from memblock, but for what is to be kept.
//!
//! memblock_cap_memory_range() does this for one range to keep, and truncates memblock.reserved on
//! the way: ACPI tables outside of that range would have to be added and reserved again. Here what
//! is kept is a set of ranges, memblock.reserved stays as it is, and nothing is ever added, so that
//! no memory can become allocatable that was not so before.

use kernel::phys::{
    Difference,
    Merged,
    PhysAddr,
    PhysRange, //
};

/// One region of memblock.memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where the region is, in bytes.
    pub range: PhysRange,
    /// Whether it stays out of the linear map (`MEMBLOCK_NOMAP`).
    pub nomap: bool,
}

/// memblock.memory, as far as it takes part in this.
pub trait Memory {
    /// The regions: sorted, no two of them overlap.
    fn regions(&self) -> impl Iterator<Item = Region> + Clone;

    /// Takes `range` out.
    fn remove(&self, range: PhysRange);
}

/// The regions that are in the linear map, or will be.
#[inline]
pub fn mapped(memory: &impl Memory) -> impl Iterator<Item = PhysRange> + Clone + '_ {
    memory
        .regions()
        .filter(|region| !region.nomap)
        .map(|region| region.range)
}

/// Removes all mapped memory that is not in `keep`, which is sorted and without overlaps.
///
/// Memory without a mapping stays: what firmware runs from and what it reads its own data from
/// must be known to be memory in a crash kernel, too.
#[inline]
pub fn remove_outside(memory: &impl Memory, keep: impl Iterator<Item = PhysRange>) {
    for gap in Difference::new(Some(PhysRange::ALL).into_iter(), keep) {
        let mut rest = Some(gap);
        // Each removal changes the list of regions, so it is looked at afresh. What lies behind
        // the part that was removed is all that can be left.
        while let Some((gap, part)) = rest.and_then(|gap| Some((gap, first_mapped(memory, gap)?))) {
            memory.remove(part);
            rest = gap.above(part.last());
        }
    }
}

/// The lowest mapped memory within `range`, in one piece.
#[inline]
fn first_mapped(memory: &impl Memory, range: PhysRange) -> Option<PhysRange> {
    mapped(memory).find_map(|mapped| mapped.intersection(range))
}

/// Leaves `limit` bytes of memory, the lowest, and all of `tables`; a limit of zero is none.
///
/// `tables` are sorted and without overlaps.
///
/// C function: `memblock_mem_limit_remove_map()` in `mm/memblock.c`. That one counts all memory; but
/// tables stay in any case, so they must not use up what the user asked for.
#[inline]
pub fn enforce_limit(
    memory: &impl Memory,
    tables: impl Iterator<Item = PhysRange> + Clone,
    limit: u64,
) {
    if limit == 0 {
        return;
    }
    let all = memory.regions().map(|region| region.range);
    if let Some(end) = end_of_limit(Difference::new(all, tables.clone()), limit) {
        let below = PhysRange::ALL.below(end).into_iter();
        remove_outside(memory, Merged::new(below.chain(tables)));
    }
}

/// The first address behind the lowest `limit` bytes of `memory`, which is sorted; [`None`] if
/// there is less.
#[inline]
fn end_of_limit(mut memory: impl Iterator<Item = PhysRange>, limit: u64) -> Option<PhysAddr> {
    let mut left = limit;
    memory.find_map(|part| match left.checked_sub(part.size()) {
        Some(rest) if rest > 0 => {
            left = rest;
            None
        }
        _ => Some(PhysAddr::new(part.start().as_u64().saturating_add(left))),
    })
}
