// SPDX-License-Identifier: GPL-2.0

//! What memory a crash kernel may use, and which ACPI tables it gets back.
//!
//! The memory of the crashed kernel is the evidence. What the crash kernel may use was reserved
//! for it beforehand and is listed in the device tree, in the property `linux,usable-memory-range`
//! of the node `/chosen`. The ACPI tables lie outside of that: they are kept in memory, to be in
//! the linear map, and they are reserved, so that nothing is ever allocated from them.

use super::cap_memory::{
    mapped,
    remove_outside,
    Memory, //
};
use kernel::{
    fdt::RegEntry,
    fmt,
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
    /// No memory that is mapped, apart from ACPI tables.
    NoMemory,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeyondAddressSpace => "reaches beyond the address space",
            Self::Empty => "is empty",
            Self::NoMemory => "is no memory that could be used",
        })
    }
}

/// The range that an entry of the property gives.
#[inline]
pub fn range_of(entry: RegEntry) -> Result<PhysRange, Fault> {
    match (entry.addr, entry.size) {
        (_, Some(0)) => Err(Fault::Empty),
        (Some(addr), Some(size)) => {
            PhysRange::from_start_size(PhysAddr::new(addr), size).ok_or(Fault::BeyondAddressSpace)
        }
        _ => Err(Fault::BeyondAddressSpace),
    }
}

/// The range that an entry of the property gives, if there is memory in it to allocate from.
///
/// `tables` are sorted and without overlaps.
#[inline]
pub fn usable(
    memory: &impl Memory,
    tables: impl Iterator<Item = PhysRange>,
    entry: RegEntry,
) -> Result<PhysRange, Fault> {
    let range = range_of(entry)?;
    let within = mapped(memory).filter_map(|mapped| mapped.intersection(range));
    match Difference::new(within, tables).next() {
        Some(_) => Ok(range),
        None => Err(Fault::NoMemory),
    }
}

/// What the kernel can do with memory outside of the usable ranges.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The size of the linear map in bytes.
    pub linear_map: u64,
    /// What the linear map's base is rounded down to, or a multiple of that.
    pub linear_map_align: PageSize,
    /// How many ranges memblock has room for.
    pub regions: usize,
}

/// Up to here devices with 32 address bits can do DMA; inclusive.
const DMA32_LAST: PhysAddr = PhysAddr::new(u32::MAX as u64);

/// What a crash kernel keeps: the usable ranges, and the ACPI tables that do no harm.
///
/// The base of the linear map, the zones of the page allocator and the size of the bounce buffers
/// all follow from the lowest and the highest address of memory. A table far away would move them,
/// and the crash kernel would lose memory of its own. Such a table is left out, which is always
/// safe: acpi_os_ioremap() maps it then.
#[derive(Clone)]
pub struct Plan<U, T> {
    usable: U,
    tables: T,
    window: PhysRange,
    regions: usize,
}

impl<U, T> Plan<U, T>
where
    U: Iterator<Item = PhysRange> + Clone,
    T: Iterator<Item = PhysRange> + Clone,
{
    /// Decides, without changing anything.
    ///
    /// `tables` are sorted and without overlaps. [`None`] if no usable range has memory in it.
    #[inline]
    pub fn new(memory: &impl Memory, usable: U, tables: T, limits: Limits) -> Option<Self> {
        let own = own_memory(memory, usable.clone(), tables.clone())?;
        Some(Self {
            usable,
            window: window(own, tables.clone(), limits),
            tables,
            regions: limits.regions,
        })
    }

    /// The ACPI tables that stay in memory, sorted.
    #[inline]
    pub fn given_back(&self) -> impl Iterator<Item = PhysRange> + Clone {
        let window = self.window;
        self.tables
            .clone()
            .filter(move |table| window.contains(*table))
            .take(self.regions)
    }

    /// The ACPI tables that do not stay in memory, sorted.
    #[inline]
    pub fn left_out(&self) -> impl Iterator<Item = PhysRange> + Clone {
        Difference::new(self.tables.clone(), self.given_back())
    }

    /// Removes from `memory` all that is mapped and neither usable nor given back.
    ///
    /// A loader may list tables as usable: they are tables all the same.
    #[inline]
    pub fn apply(&self, memory: &impl Memory) {
        let own = Difference::new(Merged::new(self.usable.clone()), self.tables.clone());
        remove_outside(memory, Merged::new(own.chain(self.given_back())));
    }
}

/// The span of the crash kernel's memory without the ACPI tables, and of all NOMAP memory.
#[inline]
fn own_memory(
    memory: &impl Memory,
    usable: impl Iterator<Item = PhysRange> + Clone,
    tables: impl Iterator<Item = PhysRange>,
) -> Option<PhysRange> {
    let usable = Merged::new(usable);
    let within = mapped(memory).flat_map(|mapped| {
        usable
            .clone()
            .filter_map(move |range| mapped.intersection(range))
    });
    let own = Difference::new(within, tables).reduce(PhysRange::hull)?;
    let nomap = memory.regions().filter(|region| region.nomap);
    Some(nomap.fold(own, |span, region| span.hull(region.range)))
}

/// The span within which tables do no harm: from the lowest to the highest of them that can be
/// added to `own`. Low tables come first, for that is where firmware has them.
#[inline]
fn window(
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
    let fits = match PhysRange::new(base, span.last()) {
        Some(mapped) => mapped.size() <= limits.linear_map,
        None => false,
    };
    // dma_limits_init() asks for the first address, arch_mm_preinit() for the last one.
    let same_zones = (own.start() <= DMA32_LAST) == (span.start() <= DMA32_LAST)
        && (own.last() <= DMA32_LAST) == (span.last() <= DMA32_LAST);
    fits && same_zones
}
