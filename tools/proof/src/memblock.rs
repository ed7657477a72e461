// SPDX-License-Identifier: GPL-2.0

//! memblock.memory as a list, which is all of it that the pure files see.

use kernel::{
    memblock::{Memory, Region},
    phys::{PhysAddr, PhysRange},
};
use oracle::{Set, Span};
use std::cell::RefCell;

/// The list of memory: sorted, neighbours of one kind are one region.
#[derive(Clone)]
pub struct Memblock(RefCell<Vec<Region>>);

impl Memblock {
    /// A list of what is mapped and what is not.
    pub fn new(mapped: &Set, nomap: &Set) -> Self {
        let region = |nomap| move |span: &Span| Region { range: range_of(*span), nomap };
        let mapped = mapped.spans().iter().map(region(false));
        let mut regions: Vec<_> = mapped.chain(nomap.spans().iter().map(region(true))).collect();
        regions.sort_by_key(|region| region.range.start());
        Self(RefCell::new(regions))
    }

    /// The regions that are mapped, or that are not.
    pub fn spans(&self, nomap: bool) -> impl Iterator<Item = Span> {
        let found = self.regions().filter(move |region| region.nomap == nomap);
        found.map(|region| span_of(region.range))
    }

    /// `memblock_mem_limit_remove_map()` of mm/memblock.c; whether there is more than `limit`.
    pub fn remove_above_limit(&self, limit: u64) -> bool {
        let mut left = limit;
        let end = self.regions().find_map(|region| {
            if left <= region.range.size() {
                return Some(region.range.start().as_u64() + left);
            }
            left -= region.range.size();
            None
        });
        let (Some(end), 1..) = (end, limit) else {
            return false;
        };
        self.0.borrow_mut().retain_mut(|region| {
            let below = region.range.below(PhysAddr::new(end));
            if !region.nomap {
                region.range = below.unwrap_or(region.range);
            }
            region.nomap || below.is_some()
        });
        true
    }
}

impl Memory for Memblock {
    fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        (0..).map_while(|index| self.0.borrow().get(index).copied())
    }

    fn remove(&self, range: PhysRange) {
        let mut regions = self.0.borrow_mut();
        let mut index = 0;
        while let Some(region) = regions.get(index).copied() {
            if region.range.overlaps(range) {
                let left = [region.range.below(range.start()), region.range.above(range.last())];
                let left = left.into_iter().flatten();
                let left = left.map(|range| Region { range, nomap: region.nomap });
                let before = regions.len();
                regions.splice(index..=index, left);
                index += regions.len() + 1 - before;
            } else {
                index += 1;
            }
        }
    }
}

/// The kernel's range for `span`.
pub(crate) fn range_of(span: Span) -> PhysRange {
    PhysRange::new(PhysAddr::new(span.first), PhysAddr::new(span.last)).expect("in order")
}

/// The oracle's span for `range`.
pub(crate) fn span_of(range: PhysRange) -> Span {
    Span { first: range.start().as_u64(), last: range.last().as_u64() }
}
