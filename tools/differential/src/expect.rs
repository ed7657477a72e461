// SPDX-License-Identifier: GPL-2.0

//! What an order must come to: what the oracle says, and what the kernel adds of its own.

use crate::order::Order;
use oracle::{Memory, Outcome, Set, Shown, Span, before, outcome, shown};

/// What must come of an order.
pub struct Expected {
    /// The memory; [`None`] if the kernel must stop.
    pub memory: Option<Memory>,
    /// What is in memblock.reserved for a reason of its own, R1 included.
    pub known: Set,
    /// Where the EFI memory map is: mem= may take that out of memblock.reserved again, as in stock (F5).
    pub map: Set,
    /// What `/proc/iomem` shows.
    pub shown: Option<Shown>,
    /// Whether there is memory of any kind, or a stop before it is asked for. C looks for the end of
    /// memory where its list begins if there is none.
    pub has_memory: bool,
    /// What memblock may hand out.
    pub free: Set,
    /// Ranges of ACPI Reclaim memory.
    pub reclaim: Vec<Span>,
    /// Whether the kernel's own memory fits in its linear map: if not, C takes of it what does.
    pub fits: bool,
}

/// How many pages are left for what C allocates that nobody counts here: lists that grow. The piece that
/// they are in may begin and end within a page.
const FEW_PAGES: u128 = 6;
/// How large a resource of C is.
const RESOURCE: u128 = 64;

/// arm64_memblock_init() rounds the base of the linear map down to this, at most.
const LINEAR_MAP_ALIGN: u64 = 1 << 30;

/// What `order` must come to.
pub fn expected(order: &Order) -> Expected {
    let boot = &order.boot;
    let before = before(boot);
    let mut spans = before.reclaim.spans().to_vec();
    let reclaim = spans.clone();
    let page_mask = boot.page - 1;
    let whole = |span: Span| Span { first: span.first & !page_mask, last: span.last | page_mask };
    let initrd = order.initrd.map(whole);
    spans.push(order.image);
    spans.extend(initrd);
    spans.extend(order.fdt);
    let map = order.map_bytes().len() as u64;
    let map = (map > 0).then(|| {
        whole(Span { first: order.map_start, last: order.map_start.saturating_add(map - 1) })
    });
    spans.extend(map);
    let known = Set::of(&spans).up_to(boot.last);

    let mut has_memory = true;
    let memory = match outcome(boot) {
        Outcome::Stops => None,
        Outcome::Boots(mut memory) => {
            has_memory = !memory.mapped.is_empty() || !memory.nomap.is_empty();
            // mem= may take the kernel's own memory away, which C then adds again.
            if boot.limit.is_some() {
                let image = Set::of(&[order.image]).without(&memory.nomap);
                memory.mapped = memory.mapped.or(&image.up_to(boot.last));
            }
            if let Some(initrd) = initrd {
                memory.mapped = memory.mapped.or(&Set::of(&[initrd]));
                memory.nomap = memory.nomap.without(&Set::of(&[initrd]));
            }
            Some(memory)
        }
    };
    let free = memory.as_ref().map(|memory| memory.mapped.without(&known)).unwrap_or_default();
    let reach = memory.as_ref().and_then(|memory| memory.mapped.or(&memory.nomap).reach());
    let fits = reach.is_none_or(|reach| {
        reach.last - reach.first / LINEAR_MAP_ALIGN * LINEAR_MAP_ALIGN < boot.linear_map
    });
    let shown = memory.as_ref().map(|memory| shown(boot, memory));
    Expected { memory, known, map: Set::of(map.as_slice()), shown, has_memory, free, reclaim, fits }
}

impl Expected {
    /// Whether there is enough memory for what C allocates in any case: page tables, and what shows
    /// memory in `/proc/iomem`.
    pub fn has_room(&self, order: &Order) -> bool {
        let pages = u128::from(order.page_tables) + FEW_PAGES;
        self.largest() >= pages * u128::from(order.boot.page) + self.resources()
    }

    /// What the series shows memory with in `/proc/iomem`, in one piece: an array, in bytes, at most.
    pub fn resources(&self) -> u128 {
        let entries = self.memory.as_ref().map_or(0, |memory| {
            memory.mapped.spans().len() + memory.nomap.spans().len() + 2 * memory.acpi.spans().len()
        });
        entries as u128 * RESOURCE
    }

    /// The largest piece that memblock may hand out.
    pub fn largest(&self) -> u128 {
        largest(&self.free)
    }
}

/// The size of the largest piece of `set`, in bytes.
pub fn largest(set: &Set) -> u128 {
    set.spans().iter().map(|span| span.bytes()).max().unwrap_or(0)
}
