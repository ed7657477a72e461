// SPDX-License-Identifier: GPL-2.0

//! The list of memory, as code sees it that decides what to keep of it.

use crate::phys::PhysRange;

/// A region of memblock.memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it is, in bytes.
    pub range: PhysRange,
    /// Whether it stays out of the linear map (`MEMBLOCK_NOMAP`).
    pub nomap: bool,
}

/// memblock.memory, or what stands for it in a test.
pub trait Memory {
    /// The regions: sorted, no two of them overlap.
    ///
    /// The list may be changed while it is walked: an index that is gone by then ends the walk.
    fn regions(&self) -> impl Iterator<Item = Region> + Clone;

    /// Takes `range` out, mapped or not.
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
