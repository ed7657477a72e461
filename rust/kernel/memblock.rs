// SPDX-License-Identifier: GPL-2.0

//! memblock, the memory allocator of early boot.
//!
//! C header: [`include/linux/memblock.h`](srctree/include/linux/memblock.h)

mod memory;
pub mod resources;

pub use memory::{
    mapped,
    Memory,
    Region, //
};

use crate::{
    bindings,
    early_boot::EarlyBoot,
    error::to_result,
    page::PAGE_SIZE,
    phys::{
        PhysAddr,
        PhysRange, //
    },
    prelude::*, //
};
use core::{
    marker::PhantomData,
    ptr::addr_of, //
};

/// memblock while it can be changed.
#[derive(Clone, Copy)]
pub struct Memblock<'boot>(PhantomData<&'boot EarlyBoot>);

/// The bytes of a region, two for one at address zero; [`None`] of the empty region that memblock
/// keeps if it has no other, which ends the walk.
#[inline]
fn range_of(region: bindings::memblock_region) -> Option<PhysRange> {
    let last = region.base.wrapping_add(region.size.checked_sub(1)?);
    Some(PhysRange::covering(
        PhysAddr::new(region.base),
        PhysAddr::new(last),
    ))
}

impl<'boot> Memblock<'boot> {
    /// Gives access to memblock during early boot.
    #[inline]
    pub fn of_boot(_boot: &'boot EarlyBoot) -> Self {
        Self(PhantomData)
    }

    #[inline]
    fn region(self, index: usize) -> Option<Region> {
        // SAFETY: `memblock` is a static of C. By the invariant of `EarlyBoot` nothing else runs,
        // so nothing changes it now.
        let memory = unsafe { addr_of!(bindings::memblock.memory).read() };
        if index >= memory.cnt {
            return None;
        }
        // SAFETY: `regions` has `cnt` entries, and `index` is below that.
        let region = unsafe { memory.regions.wrapping_add(index).read() };
        Some(Region {
            range: range_of(region)?,
            nomap: region.flags & bindings::memblock_flags_MEMBLOCK_NOMAP != 0,
        })
    }

    /// How many regions memblock.memory can still get.
    ///
    /// Before `memblock_allow_resize()`, which comes with the linear map, memblock panics where it
    /// would need more.
    #[inline]
    pub fn free_regions(self) -> usize {
        // SAFETY: As in `region()`.
        let slots = unsafe { addr_of!(bindings::memblock.memory.max).read() };
        slots.saturating_sub(self.regions().count())
    }

    /// Whether memblock takes some memory before all other, wherever that is, or takes no other:
    /// memory that is mirrored, or the scratch memory of KHO.
    #[inline]
    pub fn has_preferred(self) -> bool {
        // Flags of memory that is like other memory here, or is never taken.
        let usual = bindings::memblock_flags_MEMBLOCK_HOTPLUG
            | bindings::memblock_flags_MEMBLOCK_NOMAP
            | bindings::memblock_flags_MEMBLOCK_DRIVER_MANAGED;
        // SAFETY: As in `region()`.
        let memory = unsafe { addr_of!(bindings::memblock.memory).read() };
        (0..memory.cnt).any(|index| {
            // SAFETY: `regions` has `cnt` entries, and `index` is below that.
            let region = unsafe { memory.regions.wrapping_add(index).read() };
            region.flags & !usual != 0
        })
    }

    /// memblock.reserved: sorted, no two of them overlap.
    #[inline]
    pub fn reserved(self) -> impl Iterator<Item = PhysRange> + Clone + 'boot {
        (0usize..).map_while(move |index| {
            // SAFETY: As in `region()`.
            let reserved = unsafe { addr_of!(bindings::memblock.reserved).read() };
            if index >= reserved.cnt {
                return None;
            }
            // SAFETY: `regions` has `cnt` entries, and `index` is below that.
            let region = unsafe { reserved.regions.wrapping_add(index).read() };
            range_of(region)
        })
    }

    /// How many entries memblock.reserved can still get. See [`Memblock::free_regions()`].
    #[inline]
    pub fn free_reservations(self) -> usize {
        // SAFETY: As in `region()`.
        let slots = unsafe { addr_of!(bindings::memblock.reserved.max).read() };
        slots.saturating_sub(self.reserved().count())
    }

    /// How many bytes memblock may allocate, in one piece, while memblock.reserved gets `more`
    /// ranges: at most so many, with all of its earlier lists. [`None`] if that cannot be counted.
    ///
    /// C function: `memblock_double_array()`.
    #[inline]
    pub fn growth_of_reserved(self, more: usize) -> Option<u64> {
        // SAFETY: As in `region()`.
        let slots = unsafe { addr_of!(bindings::memblock.reserved.max).read() };
        // A range that overlaps others is first added in pieces, one more than there are others.
        let used = self.reserved().count().checked_mul(2)?;
        let mut needed = used.checked_add(more)?.checked_add(1)?;
        let mut grown = slots;
        let mut bytes = 0u64;
        while grown < needed {
            grown = grown.checked_mul(2)?;
            let list = grown.checked_mul(size_of::<bindings::memblock_region>())?;
            bytes = bytes.checked_add(list.checked_next_multiple_of(PAGE_SIZE)? as u64)?;
            // The new list is reserved itself, and giving back the old one may split a range.
            needed = needed.checked_add(2)?;
        }
        Some(bytes)
    }

    /// Where the memory ends that memblock allocates from, exclusive.
    ///
    /// C function: `memblock_get_current_limit()`.
    #[inline]
    pub fn allocation_limit(self) -> PhysAddr {
        // SAFETY: It reads a number of memblock, which nobody changes now.
        PhysAddr::new(unsafe { bindings::memblock_get_current_limit() })
    }

    /// Has memblock allocate from memory below `limit`, exclusive; [`None`]: from all memory.
    ///
    /// C function: `memblock_set_current_limit()`.
    #[inline]
    pub fn allocate_below(self, limit: Option<PhysAddr>) {
        // `MEMBLOCK_ALLOC_ANYWHERE`, which is a cast that `bindgen` does not take.
        let limit = limit.map_or(u64::MAX, PhysAddr::as_u64);
        // SAFETY: Takes any number. `EarlyBoot` shows that memblock is not in use elsewhere.
        unsafe { bindings::memblock_set_current_limit(limit) };
    }

    /// Reserves `range`: nothing is allocated from it, now or later.
    ///
    /// It does not have to be memory that memblock knows. What is reserved already stays reserved.
    ///
    /// C function: `memblock_reserve()`.
    #[inline]
    pub fn reserve(self, range: PhysRange) -> Result {
        // SAFETY: Takes any numbers. `EarlyBoot` shows that memblock is not in use elsewhere.
        to_result(unsafe {
            bindings::__memblock_reserve(
                range.start().as_u64(),
                range.size(),
                bindings::NUMA_NO_NODE,
                bindings::memblock_flags_MEMBLOCK_NONE,
            )
        })
    }

    /// Leaves `limit` bytes of mapped memory, as `mem=` asks for, and truncates the reservations.
    ///
    /// C function: `memblock_mem_limit_remove_map()`.
    ///
    /// # Safety
    ///
    /// Nothing was allocated yet, and what is in use above the limit is reserved again.
    #[inline]
    pub unsafe fn remove_above_limit(self, limit: u64) {
        // SAFETY: Takes any number. What was reserved is the caller's concern.
        unsafe { bindings::memblock_mem_limit_remove_map(limit) };
    }
}

impl Memory for Memblock<'_> {
    #[inline]
    fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        let memblock = *self;
        (0usize..).map_while(move |index| memblock.region(index))
    }

    /// Memory that is in use may be removed: what Rust refers to, the kernel image and the flat
    /// device tree, is not mapped through the linear map, and stays where it is.
    ///
    /// C function: `memblock_remove()`.
    #[inline]
    fn remove(&self, range: PhysRange) {
        // SAFETY: As in `reserve()`.
        let removed =
            to_result(unsafe { bindings::memblock_remove(range.start().as_u64(), range.size()) });
        if removed.is_err() {
            pr_err!("{range}: not removed from memory\n");
        }
    }
}
