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
            // memblock keeps one empty region if it has no other: that ends the walk.
            range: PhysRange::from_start_size(PhysAddr::new(region.base), region.size)?,
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
    #[inline]
    pub fn remove_above_limit(self, limit: u64) {
        // SAFETY: As in `reserve()`.
        unsafe { bindings::memblock_mem_limit_remove_map(limit) };
    }
}

impl Memory for Memblock<'_> {
    #[inline]
    fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        let memblock = *self;
        (0usize..).map_while(move |index| memblock.region(index))
    }

    /// Memory that is in use may be removed: what Rust refers to now, the kernel image and the flat
    /// device tree, is not mapped through the linear map yet.
    ///
    /// C function: `memblock_remove()`.
    #[inline]
    fn remove(&self, range: PhysRange) {
        // SAFETY: As in `reserve()`.
        let removed =
            to_result(unsafe { bindings::memblock_remove(range.start().as_u64(), range.size()) });
        if let Err(error) = removed {
            pr_err!("{range}: not removed from memory: {error:?}\n");
        }
    }
}
