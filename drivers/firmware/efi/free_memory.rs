// SPDX-License-Identifier: GPL-2.0

//! Memory that can be allocated from while memblock has no room to reserve all ACPI Reclaim memory.
//!
//! memblock hands out the highest free memory below its limit. A limit at the end of memory that is
//! free of tables makes it take that first, from its end to its start. As long as there is some
//! left, no table was handed out.

use kernel::{
    memblock::{
        mapped,
        Memory, //
    },
    phys::{
        Difference,
        PhysAddr,
        PhysRange, //
    },
};

/// The largest piece of mapped memory that nobody has reserved and that no table is in.
///
/// `reserved` and `tables` are sorted and without overlaps.
#[inline]
pub fn largest_free(
    memory: &impl Memory,
    reserved: impl Iterator<Item = PhysRange>,
    tables: impl Iterator<Item = PhysRange>,
) -> Option<PhysRange> {
    let free = Difference::new(Difference::new(mapped(memory), reserved), tables);
    free.max_by_key(|piece| piece.size())
}

/// What memblock hands out next below `limit`, up to the next table: it ends with the highest byte
/// that is not reserved.
///
/// [`None`] if a table lies between that byte and `limit`, which is exclusive: it may have been
/// handed out. `reserved` and `tables` are sorted and without overlaps.
#[inline]
pub fn next_free(
    memory: &impl Memory,
    reserved: impl Iterator<Item = PhysRange>,
    tables: impl Iterator<Item = PhysRange>,
    limit: PhysAddr,
) -> Option<PhysRange> {
    let below = mapped(memory).filter_map(|memory| memory.below(limit));
    let next = Difference::new(below, reserved).last()?;
    let within_reach = PhysRange::new(next.start(), limit.previous()?)?;
    let table = tables.filter(|table| table.overlaps(within_reach)).last();
    match table {
        Some(table) if table.last() > next.last() => None,
        Some(table) => next.above(table.last()),
        None => Some(next),
    }
}
