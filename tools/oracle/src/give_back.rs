// SPDX-License-Identifier: GPL-2.0

//! R6: which ACPI ranges a kernel gets back.

use crate::{Boot, Set, Span};

/// What the base of the linear map is rounded down to, at most, for every page size.
const LINEAR_MAP_ALIGN: u64 = 1 << 30;
/// Devices with 32 address bits reach memory up to here.
const DMA_LIMIT: u64 = 1 << 32;

/// How large a `struct page` is, about.
const PAGE_STRUCT: u64 = 64;
/// A kernel spends at most one part of so many of its own memory on the memory map of sections that
/// it has no other memory in.
pub const MAPS_SHARE: u128 = 16;

/// A kernel's own memory.
pub(crate) struct Own<'a> {
    /// How much can be allocated.
    pub bytes: u128,
    /// Where that is, and memory without a mapping.
    pub reach: Span,
    /// Memory without a mapping.
    pub nomap: &'a Set,
}

/// Those of the ranges `acpi` that can be given back to a kernel that has `own` memory.
///
/// Open: which ranges go first where not all can be given back. The rule asks for no more than that
/// each one left out would do harm. Firmware has its tables low as a rule, so it is the lowest range
/// first that does no harm, then as much as possible above. And of those, as many as memblock has
/// room for, from the lowest one; a kernel that does not use ACPI wants none. A range that lies in one
/// of `given` needs no room: it stays, as it does in stock.
pub(crate) fn give_back(
    boot: &Boot,
    own: Own<'_>,
    acpi: &[Span],
    given: &[Span],
    room: usize,
) -> Vec<Span> {
    let Own { bytes, reach: own, nomap } = own;
    let allowed = |span: &Span| *span == own || is_harmless(boot, own, *span);
    let below = acpi.iter().filter(|range| range.last <= own.last);
    let low = below.map(|range| own.with(*range)).filter(allowed).min_by_key(|span| span.first);
    let low = low.unwrap_or(own);
    let both = acpi.iter().map(|range| low.with(*range)).filter(allowed);
    let reach = both.max_by_key(|span| span.last).unwrap_or(low);
    let within = acpi.iter().filter(|range| reach.has(range.first) && reach.has(range.last));
    let mut room = if boot.acpi { room } else { 0 };
    let mut maps = bytes / MAPS_SHARE / u128::from(boot.section / boot.page * PAGE_STRUCT);
    let whole = |span: &Span| {
        let (first, last) = (span.first & !(boot.section - 1), span.last | (boot.section - 1));
        Span { first, last }
    };
    let there: Vec<_> = given.iter().chain(nomap.spans()).map(whole).collect();
    let mut mapped = Set::of(&there);
    let has_room = |range: &&Span| {
        if given.iter().any(|given| given.has(range.first) && given.has(range.last)) {
            return true;
        }
        let sections = Set::of(&[whole(range)]);
        let more = sections.without(&mapped).bytes() / u128::from(boot.section);
        if room == 0 || more > maps {
            room = 0;
            return false;
        }
        mapped = mapped.or(&sections);
        (room, maps) = (room - 1, maps - more);
        true
    };
    within.filter(has_room).copied().collect()
}

/// Whether a kernel loses nothing if its memory reaches over `span` instead of `own`.
fn is_harmless(boot: &Boot, own: Span, span: Span) -> bool {
    let base = span.first / LINEAR_MAP_ALIGN * LINEAR_MAP_ALIGN;
    let in_linear_map = span.last - base < boot.linear_map;
    // The zones follow from the lowest byte, the bounce buffers from the highest one.
    let low = |byte: u64| byte < DMA_LIMIT;
    let crosses_dma_limit = low(span.first) != low(own.first) || low(span.last) != low(own.last);
    in_linear_map && !crosses_dma_limit && span.last <= boot.last
}
