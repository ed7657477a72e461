// SPDX-License-Identifier: GPL-2.0

//! memblock, the memory allocator of early boot.
//!
//! C header: [`include/linux/memblock.h`](srctree/include/linux/memblock.h)

pub mod resources;

use crate::{
    bindings,
    early_boot::EarlyBoot,
    error::{
        to_result,
        Result, //
    },
    phys::{
        PhysAddr,
        PhysRange, //
    }, //
};
use core::{
    marker::PhantomData,
    ptr::addr_of, //
};

/// A region of memblock.memory.
#[derive(Clone, Copy, Debug)]
pub struct Region {
    /// Where it is, in bytes.
    pub range: PhysRange,
    /// Whether it stays out of the linear map (`MEMBLOCK_NOMAP`).
    pub nomap: bool,
}

/// memblock while it can be changed.
#[derive(Clone, Copy)]
pub struct Memblock<'boot>(PhantomData<&'boot EarlyBoot>);

impl<'boot> Memblock<'boot> {
    /// Gives access to memblock during early boot.
    #[inline]
    pub fn of_boot(_boot: &'boot EarlyBoot) -> Self {
        Self(PhantomData)
    }

    /// The regions of memblock.memory: sorted, no two of them overlap.
    ///
    /// The list may be changed while it is walked: an index that is gone by then ends the walk.
    #[inline]
    pub fn regions(self) -> impl Iterator<Item = Region> + Clone + 'boot {
        (0usize..).map_while(move |index| self.region(index))
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
            // memblock keeps one empty region if it has no other: that ends the walk.
            range: PhysRange::from_start_size(PhysAddr::new(region.base), region.size)?,
            nomap: region.flags & bindings::memblock_flags_MEMBLOCK_NOMAP != 0,
        })
    }

    /// How many regions memblock.memory has room for.
    ///
    /// Before `memblock_allow_resize()`, which comes with the linear map, memblock panics where it
    /// would need more.
    #[inline]
    pub fn region_slots(self) -> usize {
        // SAFETY: As in `region()`.
        unsafe { addr_of!(bindings::memblock.memory.max).read() }
    }

    /// Takes `range` out of memblock.memory.
    ///
    /// C function: `memblock_remove()`.
    #[inline]
    pub fn remove(self, range: PhysRange) -> Result {
        // SAFETY: Takes any numbers. `EarlyBoot` shows that memblock is not in use elsewhere.
        to_result(unsafe { bindings::memblock_remove(range.start().as_u64(), range.size()) })
    }

    /// Reserves `range`: nothing is allocated from it, now or later.
    ///
    /// It does not have to be memory that memblock knows. What is reserved already stays reserved.
    ///
    /// C function: `memblock_reserve()`.
    #[inline]
    pub fn reserve(self, range: PhysRange) -> Result {
        // SAFETY: As in `remove()`.
        to_result(unsafe { bindings::memblock_reserve(range.start().as_u64(), range.size()) })
    }

    /// Leaves `limit` bytes of mapped memory, as `mem=` asks for, and truncates the reservations.
    ///
    /// C function: `memblock_mem_limit_remove_map()`.
    #[inline]
    pub fn remove_above_limit(self, limit: u64) {
        // SAFETY: As in `remove()`.
        unsafe { bindings::memblock_mem_limit_remove_map(limit) };
    }
}
