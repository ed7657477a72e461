// SPDX-License-Identifier: GPL-2.0

//! Boots that are always the same: around the number of ranges at which memblock.reserved is full, and
//! those that once came to something else than the rules say.
//!
//! What is found later is added to [`found()`]: one entry.

use crate::{
    generate::room,
    order::{MORE_RELIABLE, Order},
};
use oracle::{Boot, Descriptor, Set, Span, attribute, kind};

const MIB: u64 = 1 << 20;
const WB: u64 = attribute::WRITE_BACK;

/// RAM, below which and above which there is nothing.
const RAM: Span = Span { first: 0x4000_0000, last: 0x4000_0000 + (256 * MIB - 1) };

/// How many ranges: around what the series leaves free, around what there is, and many.
const COUNTS: [u64; 12] = [78, 79, 80, 81, 126, 127, 128, 129, 130, 255, 1000, 3000];

/// Where ranges are, of one native page each.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Below all RAM, with nothing between them.
    Below,
    /// In the upper half of RAM, which memblock hands out first.
    Among,
    /// Above all RAM, with nothing between them, where memblock looks first.
    Above,
    /// Every second page from the begin of RAM on: what is free above them is in one piece.
    FromBegin,
    /// Every second page of all RAM that there is.
    Throughout,
}

const PLACES: [Place; 5] =
    [Place::Below, Place::Among, Place::Above, Place::FromBegin, Place::Throughout];

/// All of them for pages of `page` bytes, each with what it is.
pub fn fixed(page: u64) -> Vec<(String, Order)> {
    let mut fixed = Vec::new();
    for count in COUNTS {
        for place in PLACES {
            fixed.push((format!("{count} ranges, {place:?}"), scattered(page, count, place)));
        }
    }
    fixed.extend(found(page).map(|(what, order)| (what.into(), order)));
    fixed
}

/// What came to something else once.
fn found(page: u64) -> [(&'static str, Order); 3] {
    let mirrored = descriptor(7, WB | MORE_RELIABLE, RAM.first, RAM.last);
    let end = table(0u64.wrapping_sub(page), page);
    let above = table(RAM.first + 192 * MIB, page);
    let piece = scattered(page, 200, Place::Below);
    let mut limited = order(page, vec![mirrored, above], Some(128 * MIB));
    // C applies mem= then, and truncates the reservations.
    limited.boot.acpi = false;
    let middle = RAM.last - (page + page / 2 - 1);
    [
        (
            "a range up to the end of the address space was never found to be reserved",
            Order { mirror: true, ..order(page, vec![mirrored, end], None) },
        ),
        (
            "a range above mem= was reserved again late, and not at all with mirrored memory",
            Order { mirror: true, ..limited },
        ),
        (
            "memory that ends within a page was found too small for the list to grow into",
            Order { fdt: Some(Span { first: middle, last: middle + (page - 1) }), ..piece },
        ),
    ]
}

fn scattered(page: u64, count: u64, place: Place) -> Order {
    let (step, begin) = match place {
        Place::Below => (2 * page, RAM.first - 2 * page * count),
        Place::Among => (2 * page, RAM.first + 128 * MIB),
        Place::Above => (2 * page, RAM.last + 1 + page),
        Place::FromBegin | Place::Throughout => (2 * page, RAM.first + page),
    };
    let last = match place {
        // Enough for the kernel image, which is not in a single page, and for a list that grows a few
        // times.
        Place::Throughout => begin + step * count + 64 * page - 1,
        _ => RAM.last.max(begin + step * count - 1),
    };
    let ram =
        descriptor(7, WB, RAM.first, if matches!(place, Place::Above) { RAM.last } else { last });
    let tables = (0..count).map(|index| table(begin + index * step, page));
    order(page, std::iter::once(ram).chain(tables).collect(), None)
}

fn descriptor(kind: u32, attributes: u64, first: u64, last: u64) -> Descriptor {
    Descriptor { kind, start: first, pages: (last - first + 1) >> 12, attributes }
}

fn table(start: u64, page: u64) -> Descriptor {
    descriptor(kind::ACPI_RECLAIM, WB, start, start + (page - 1))
}

/// An order for a machine with `map` and a device tree. The kernel image is at the end of RAM or, where
/// there is no room, at its begin.
fn order(page: u64, map: Vec<Descriptor>, limit: Option<u64>) -> Order {
    let (phys_bits, linear_map) = (48, 1 << 44);
    let mut boot =
        Boot { map, page, limit, last: (1 << phys_bits) - 1, linear_map, ..Boot::default() };
    boot.room = room(&boot);
    let free = match oracle::outcome(&boot) {
        oracle::Outcome::Boots(memory) => memory.allocatable.whole_pages(page),
        oracle::Outcome::Stops => Set::default(),
    };
    let large = free.spans().iter().rfind(|span| span.bytes() >= 12 * u128::from(page));
    let begin = large.map_or(RAM.first, |span| span.first);
    let pages = |first, count| {
        let first = begin + first * page;
        Span { first, last: first + (count * page - 1) }
    };
    Order {
        image: pages(0, 8),
        initrd: None,
        fdt: Some(pages(9, 1)),
        map_start: pages(11, 1).first,
        stride: 48,
        phys_bits,
        mirror: false,
        page_tables: 20,
        writable: Set::default(),
        boot,
    }
}
