// SPDX-License-Identifier: GPL-2.0

//! What memory a crash kernel may use, and which ACPI tables it gets back.
//!
//! The memory of the crashed kernel is the evidence. What the crash kernel may use was reserved
//! for it beforehand and is listed in the device tree, in the property `linux,usable-memory-range`
//! of the node `/chosen`. The ACPI tables lie outside of that: they are kept in memory, to be in
//! the linear map, and they are reserved, so that nothing is ever allocated from them.

use super::cap_memory::remove_within;
use kernel::{
    fdt::RegEntry,
    memblock::{
        mapped,
        Memory, //
    },
    phys::{
        Difference,
        Merged,
        PageSize,
        PhysAddr,
        PhysRange, //
    }, //
};

/// Why an entry of the property gives no memory to use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A number of more than 64 bits, or a range beyond the end of the address space.
    BeyondAddressSpace,
    /// A size of zero.
    Empty,
    /// No memory that is mapped.
    NoMemory,
    /// Less than a page that could be mapped.
    NoWholePage,
    /// ACPI tables, and no other memory.
    OnlyTables,
    /// Behind as many entries as memblock has room for.
    TooMany,
}

impl Fault {
    /// What the entry is or does.
    #[inline]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BeyondAddressSpace => "reaches beyond the address space",
            Self::Empty => "is empty",
            Self::NoMemory => "is no memory that could be used",
            Self::NoWholePage => "has no whole page",
            Self::OnlyTables => "is ACPI tables, which are not for use",
            Self::TooMany => "is one too many",
        }
    }
}

/// The range that an entry of the property gives, in whole pages.
///
/// The linear map leaves out what is less than a page. memblock would allocate from it all the
/// same, and the kernel would fault.
#[inline]
pub fn range_of(entry: RegEntry, page: PageSize) -> Result<PhysRange, Fault> {
    let range = match (entry.addr, entry.size) {
        (_, Some(0)) => return Err(Fault::Empty),
        // At address zero that is no range.
        (Some(_), Some(1)) => return Err(Fault::NoWholePage),
        (Some(addr), Some(size)) => PhysRange::from_start_size(PhysAddr::new(addr), size),
        _ => None,
    };
    range
        .ok_or(Fault::BeyondAddressSpace)?
        .whole_pages_within(page)
        .ok_or(Fault::NoWholePage)
}

/// The range that an entry of the property gives, if there is memory in it to allocate from.
#[inline]
pub fn usable(
    memory: &impl Memory,
    tables: Merged<impl Iterator<Item = PhysRange> + Clone>,
    entry: RegEntry,
    page: PageSize,
) -> Result<PhysRange, Fault> {
    let range = range_of(entry, page)?;
    if own_memory(memory, tables, range).next().is_some() {
        Ok(range)
    } else if mapped(memory).any(|mapped| mapped.overlaps(range)) {
        Err(Fault::OnlyTables)
    } else {
        Err(Fault::NoMemory)
    }
}

/// The mapped memory in `range` that is no table, sorted.
#[inline]
fn own_memory<'a>(
    memory: &'a impl Memory,
    tables: Merged<impl Iterator<Item = PhysRange> + Clone + 'a>,
    range: PhysRange,
) -> impl Iterator<Item = PhysRange> + 'a {
    let within = mapped(memory).filter_map(move |mapped| mapped.intersection(range));
    Difference::new(within, tables.overlapping(range))
}

/// What the kernel can do with memory outside of the usable ranges.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The size of the linear map in bytes.
    pub linear_map: u64,
    /// What the linear map's base is rounded down to, or a multiple of that.
    pub linear_map_align: PageSize,
    /// How many tables memblock has room for, over and above those in usable memory.
    pub regions: usize,
    /// A section: memory of that size has a memory map (`struct page`), or has none.
    pub section: PageSize,
    /// The size of a section's memory map in bytes.
    pub section_map: u64,
}

/// The share of its own memory that a kernel can spend on the memory map of tables that lie in
/// sections of their own: one part of so many.
const SECTION_MAPS_SHARE: u64 = 16;

/// Up to here devices with 32 address bits can do DMA; inclusive.
const DMA32_LAST: PhysAddr = PhysAddr::new(u32::MAX as u64);

/// What a kernel keeps of its memory: the usable ranges, and the ACPI tables that do no harm.
///
/// The base of the linear map, the zones of the page allocator and the size of the bounce buffers
/// all follow from the lowest and the highest address of memory. A table far away would move them,
/// and the kernel would lose memory of its own. Such a table is left out, which is always safe:
/// acpi_os_ioremap() maps it then.
#[derive(Clone)]
pub struct Plan<U, T> {
    usable: Merged<U>,
    tables: Merged<T>,
    /// Tables within do no harm.
    span: PhysRange,
    /// From here on there is no room for tables, in memblock or for their memory map; [`None`]:
    /// there is room for all.
    full_from: Option<PhysAddr>,
    /// Whether all tables stay, as is usual: who looks for others has to walk the EFI memory map.
    keeps_all: bool,
}

impl<U, T> Plan<U, T>
where
    U: Iterator<Item = PhysRange> + Clone,
    T: Iterator<Item = PhysRange> + Clone,
{
    /// Decides, without changing anything.
    ///
    /// [`None`] if there is no memory to allocate from in any usable range.
    #[inline]
    pub fn new(
        memory: &impl Memory,
        usable: Merged<U>,
        tables: Merged<T>,
        limits: Limits,
    ) -> Option<Self> {
        let (mut size, mut hull) = (0u64, None::<PhysRange>);
        for range in usable.clone() {
            for piece in own_memory(memory, tables.clone(), range) {
                size = size.saturating_add(piece.size());
                hull = Some(hull.map_or(piece, |hull| hull.hull(piece)));
            }
        }
        let own = hull?;
        let nomap = memory.regions().filter(|region| region.nomap);
        let nomap = nomap.map(|region| region.range);
        let own = nomap.clone().fold(own, PhysRange::hull);
        let maps = (size / SECTION_MAPS_SHARE)
            .checked_div(limits.section_map)
            .unwrap_or(u64::MAX);
        // Most often there is nothing to leave out, which takes no walk to see.
        let all = tables.hull().map_or(own, |tables| own.hull(tables));
        let span = if harmless(own, all, limits) {
            all
        } else {
            span(own, tables.clone(), limits)
        };
        let sections = tables
            .hull()
            .map_or(0, |tables| sections(tables, limits.section));
        let (_, most) = tables.size_hint();
        let full_from = if most.is_none_or(|most| most > limits.regions) || sections > maps {
            let outside = tables
                .clone()
                .filter(|table| span.contains(*table) && !is_within_one(usable.clone(), *table));
            let there = usable.clone().chain(nomap);
            first_without_room(outside, there, limits, maps).map(PhysRange::start)
        } else {
            None
        };
        Some(Self {
            keeps_all: span == all && full_from.is_none(),
            usable,
            tables,
            span,
            full_from,
        })
    }

    /// The tables that stay in memory: merged, sorted.
    #[inline]
    pub fn kept(&self) -> impl Iterator<Item = PhysRange> + Clone + '_ {
        self.tables.clone().filter(|table| self.keeps(*table))
    }

    /// The tables that do not stay in memory: merged, sorted.
    #[inline]
    pub fn left_out(&self) -> impl Iterator<Item = PhysRange> + Clone + '_ {
        let most = if self.keeps_all { 0 } else { usize::MAX };
        let left_out = self.tables.clone().filter(|table| !self.keeps(*table));
        left_out.take(most)
    }

    /// Whether `table`, which is merged, stays in memory.
    fn keeps(&self, table: PhysRange) -> bool {
        self.span.contains(table)
            && (self.full_from.is_none_or(|from| table.start() < from)
                || is_within_one(self.usable.clone(), table))
    }

    /// Removes from `memory` all that is mapped and neither usable nor a table that is kept.
    ///
    /// A loader may list tables as usable: they are tables all the same.
    #[inline]
    pub fn apply(&self, memory: &impl Memory) {
        // One set after the other: the union of both would come in no order, and take more walks.
        let all = Some(PhysRange::ALL).into_iter();
        let not_usable = Difference::new(all, self.usable.clone());
        // All else that is left out goes with what is not usable.
        let is_usable = |table| self.usable.clone().any(|range| range.overlaps(table));
        let left_out = self.left_out().filter(|table| is_usable(*table));
        for gap in Difference::new(not_usable, self.kept()).chain(left_out) {
            remove_within(memory, gap);
        }
    }
}

/// In how many sections `range` lies.
#[inline]
fn sections(range: PhysRange, section: PageSize) -> u64 {
    let all = range.to_whole_pages(section);
    all.size().div_ceil(section.as_u64())
}

/// The first of `tables` that memblock has no room for, or for which more than `maps` sections need
/// a memory map that have none by what is `there`.
///
/// `tables` are sorted and without overlaps.
#[inline]
fn first_without_room(
    mut tables: impl Iterator<Item = PhysRange>,
    there: impl Iterator<Item = PhysRange> + Clone,
    limits: Limits,
    mut maps: u64,
) -> Option<PhysRange> {
    let mut regions = limits.regions;
    // All sections up to here were looked at.
    let mut done = None;
    tables.find(|table| {
        if regions == 0 {
            return true;
        }
        regions -= 1;
        let sections = table.to_whole_pages(limits.section);
        let mut rest = match done {
            Some(last) => sections.above(last),
            None => Some(sections),
        };
        done = Some(sections.last());
        while let Some(sections) = rest {
            let size = limits.section.as_u64();
            let first = PhysRange::from_start_size(sections.start(), size).unwrap_or(sections);
            let last = match there.clone().find(|range| range.overlaps(first)) {
                // What is there may go on, and is passed over as a whole.
                Some(range) => range.to_whole_pages(limits.section).last(),
                None if maps == 0 => return true,
                None => {
                    maps -= 1;
                    first.last()
                }
            };
            rest = sections.above(last);
        }
        false
    })
}

/// Whether `table` lies in one of the usable ranges: then it is a part of a region of memory, and
/// needs none of its own. To take it out would need one more.
#[inline]
fn is_within_one(mut usable: impl Iterator<Item = PhysRange>, table: PhysRange) -> bool {
    usable.any(|range| range.contains(table))
}

/// The span within which tables do no harm: from the lowest to the highest of them that can be
/// added to `own`. Low tables come first, for that is where firmware has them.
///
/// `tables` are sorted and without overlaps.
#[inline]
fn span(
    own: PhysRange,
    tables: impl Iterator<Item = PhysRange> + Clone,
    limits: Limits,
) -> PhysRange {
    let with_low = tables
        .clone()
        .map(|table| own.hull(table))
        .filter(|span| span.last() == own.last())
        .find(|span| harmless(own, *span, limits))
        .unwrap_or(own);
    tables
        .map(|table| with_low.hull(table))
        .filter(|span| harmless(own, *span, limits))
        .last()
        .unwrap_or(with_low)
}

/// Whether memory can span `span` instead of `own` without a loss.
#[inline]
fn harmless(own: PhysRange, span: PhysRange, limits: Limits) -> bool {
    if span == own {
        return true;
    }
    let base = span.to_whole_pages(limits.linear_map_align).start();
    let fits =
        PhysRange::new(base, span.last()).is_some_and(|mapped| mapped.size() <= limits.linear_map);
    // The limit of ZONE_DMA follows from the first address, the size of swiotlb from the last one.
    let same_zones = (own.start() <= DMA32_LAST) == (span.start() <= DMA32_LAST)
        && (own.last() <= DMA32_LAST) == (span.last() <= DMA32_LAST);
    fits && same_zones
}
