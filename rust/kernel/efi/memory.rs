// SPDX-License-Identifier: GPL-2.0

//! What EFI memory descriptors mean to arm64.
//!
//! Nothing that firmware says is trusted to be sensible: types and attributes that this file does
//! not know stay what they are, and a descriptor may be empty, or wrap around the address space.
//!
//! Reference: UEFI specification 2.10, section 7.2.3, `EFI_BOOT_SERVICES.GetMemoryMap()`.

use crate::phys::{
    Merged,
    PageSize,
    PhysAddr,
    PhysRange, //
};

/// The size of an EFI page is 4 KiB, whatever the native page size.
const EFI_PAGE_SHIFT: u32 = 12;

/// The type of a descriptor (`EFI_MEMORY_TYPE`). Types that are not named here exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryType(u32);

impl MemoryType {
    /// Memory that holds ACPI tables, and what else firmware and the EFI stub leave for the
    /// operating system to read: it may be reclaimed after that, and Linux never does.
    pub const ACPI_RECLAIM: Self = Self(9);

    /// Takes the type as firmware wrote it.
    #[inline]
    pub const fn new(memory_type: u32) -> Self {
        Self(memory_type)
    }
}

/// What a descriptor says can be done with its memory: bits, of which not all are named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes(u64);

impl Attributes {
    /// Can be mapped as normal memory, not cacheable.
    pub const WRITE_COMBINE: Self = Self(0x2);
    /// Can be mapped write-through cacheable.
    pub const WRITE_THROUGH: Self = Self(0x4);
    /// Can be mapped write-back cacheable.
    pub const WRITE_BACK: Self = Self(0x8);
    /// Any of these: it is memory, as opposed to registers of a device.
    ///
    /// C function: `is_memory()` in `drivers/firmware/efi/efi-init.c`.
    const MEMORY: Self = Self::WRITE_BACK
        .and(Self::WRITE_THROUGH)
        .and(Self::WRITE_COMBINE);
    /// Is set aside for a specific purpose.
    pub const SPECIFIC_PURPOSE: Self = Self(0x4_0000);

    /// Takes the bits as firmware wrote them.
    #[inline]
    pub const fn new(bits: u64) -> Self {
        Self(bits)
    }

    /// Both sets of bits.
    #[inline]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a bit of `any` is set.
    #[inline]
    pub const fn has(self, any: Self) -> bool {
        self.0 & any.0 != 0
    }
}

/// One entry of the EFI memory map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// What the memory is for.
    pub memory_type: MemoryType,
    /// The first byte.
    pub start: PhysAddr,
    /// The size in EFI pages, whatever firmware says: zero and more than there can be included.
    pub pages: u64,
    /// What can be done with the memory.
    pub attributes: Attributes,
}

impl Descriptor {
    /// The size of a descriptor in bytes, in version 1 of its layout. Firmware may step wider.
    pub const SIZE: usize = 40;

    /// Reads a descriptor of the UEFI specification's `EFI_MEMORY_DESCRIPTOR`, aligned or not.
    ///
    /// [`None`] if there are fewer than [`Self::SIZE`] bytes.
    #[inline]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        #[rustfmt::skip]
        let &[
            t0, t1, t2, t3, _, _, _, _,
            s0, s1, s2, s3, s4, s5, s6, s7,
            // VirtualStart
            _, _, _, _, _, _, _, _,
            p0, p1, p2, p3, p4, p5, p6, p7,
            a0, a1, a2, a3, a4, a5, a6, a7,
            ..
        ] = bytes else {
            return None;
        };
        Some(Self {
            memory_type: MemoryType::new(u32::from_le_bytes([t0, t1, t2, t3])),
            start: PhysAddr::new(u64::from_le_bytes([s0, s1, s2, s3, s4, s5, s6, s7])),
            pages: u64::from_le_bytes([p0, p1, p2, p3, p4, p5, p6, p7]),
            attributes: Attributes::new(u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7])),
        })
    }

    /// The memory in whole native pages; [`None`] if there is none.
    ///
    /// To the byte what efi_init() takes for memory, also where the descriptor is empty or wraps:
    /// that computes with 64 bits, and memblock ends with the address space what still wraps.
    /// Memory that was made of a descriptor in one way must not be reserved in another.
    ///
    /// C function: `memrange_efi_to_native()`.
    #[inline]
    pub fn native_pages(&self, page: PageSize) -> Option<PhysRange> {
        let mask = page.offset_mask();
        let start = PhysAddr::new(self.start.as_u64() & !mask);
        let end = self
            .start
            .as_u64()
            .wrapping_add(self.pages << EFI_PAGE_SHIFT);
        let end = end.wrapping_add(mask) & !mask;
        match end.wrapping_sub(start.as_u64()) {
            0 => None,
            size => {
                PhysRange::from_start_size(start, size).or(PhysRange::new(start, PhysAddr::MAX))
            }
        }
    }
}

/// The bytes of an EFI memory map.
///
/// # Invariants
///
/// A step is at least as large as a descriptor.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors<'a> {
    bytes: &'a [u8],
    step: usize,
}

impl<'a> Descriptors<'a> {
    /// A map without descriptors.
    // INVARIANT: A step is as large as a descriptor.
    pub const NONE: Self = Self {
        bytes: &[],
        step: Descriptor::SIZE,
    };

    /// Takes `bytes` as descriptors that begin every `step` bytes, which is firmware's choice.
    ///
    /// [`None`] if a step is smaller than a descriptor. What is left at the end is no descriptor.
    #[inline]
    pub const fn new_checked(bytes: &'a [u8], step: usize) -> Option<Self> {
        if step < Descriptor::SIZE {
            None
        } else {
            // INVARIANT: Checked in the line above.
            Some(Self { bytes, step })
        }
    }

    /// The descriptors, in the firmware's order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Descriptor> + Clone + 'a {
        let steps = self.bytes.chunks_exact(self.step);
        steps.filter_map(Descriptor::from_bytes)
    }

    /// Those of ACPI Reclaim memory, in the firmware's order, each read by `read`.
    #[inline]
    pub fn acpi_reclaim<R>(self, read: R) -> OfAcpiReclaim<'a, R>
    where
        R: Fn(&[u8]) -> Option<Descriptor>,
    {
        OfAcpiReclaim {
            descriptors: self,
            at: 0,
            read,
        }
    }
}

/// The descriptors of ACPI Reclaim memory.
#[derive(Clone)]
pub struct OfAcpiReclaim<'a, R> {
    descriptors: Descriptors<'a>,
    /// Where the next descriptor begins, in bytes.
    at: usize,
    read: R,
}

impl<R: Fn(&[u8]) -> Option<Descriptor>> Iterator for OfAcpiReclaim<'_, R> {
    type Item = Descriptor;

    #[inline]
    fn next(&mut self) -> Option<Descriptor> {
        const TYPE: MemoryType = MemoryType::ACPI_RECLAIM;
        let Descriptors { bytes, step } = self.descriptors;
        loop {
            let at = self.at;
            let first = bytes.get(at)?;
            // It does not wrap: `at` is within the slice, and is zero or no less than `step`.
            self.at = at.wrapping_add(step);
            // Firmware has many of other types. One byte tells them apart, which needs no
            // alignment.
            if TYPE.0.to_le_bytes().first() != Some(first) {
                continue;
            }
            match bytes.get(at..self.at).and_then(&self.read) {
                Some(descriptor) if descriptor.memory_type == TYPE => return Some(descriptor),
                _ => (),
            }
        }
    }
}

/// The ACPI Reclaim memory of an EFI memory map, in whole native pages.
///
/// Memory that is set aside for a specific purpose is left alone if `soft_reserve` says that the
/// kernel does so (`EFI_SOFT_RESERVE`), as efi_init() does.
#[derive(Clone)]
pub struct AcpiReclaim<I> {
    descriptors: I,
    page: PageSize,
    soft_reserve: bool,
    /// One of these it must have.
    any: Attributes,
    /// It ends here.
    last: PhysAddr,
}

impl<I: Iterator<Item = Descriptor> + Clone> AcpiReclaim<I> {
    /// What the kernel reserves: all of it in `descriptors` that is memory.
    ///
    /// The part that cannot be mapped write-back is never mapped (NOMAP).
    #[inline]
    pub fn reserved(descriptors: I, page: PageSize, soft_reserve: bool) -> Self {
        Self {
            descriptors,
            page,
            soft_reserve,
            any: Attributes::MEMORY,
            last: PhysAddr::MAX,
        }
    }

    /// The ACPI tables: what of it the kernel can map in the linear map, up to `last`, the last
    /// address that a page table can hold.
    #[inline]
    pub fn tables(descriptors: I, page: PageSize, soft_reserve: bool, last: PhysAddr) -> Self {
        Self {
            descriptors,
            page,
            soft_reserve,
            any: Attributes::WRITE_BACK,
            last,
        }
    }

    /// The ranges of it, merged and sorted.
    #[inline]
    pub fn ranges(&self) -> Merged<Pages<'_, I>> {
        Merged::new(Pages {
            reclaim: self,
            descriptors: self.descriptors.clone(),
        })
    }

    #[inline]
    fn pages_of(&self, descriptor: Descriptor) -> Option<PhysRange> {
        if descriptor.memory_type != MemoryType::ACPI_RECLAIM
            || !descriptor.attributes.has(self.any)
            || (self.soft_reserve && descriptor.attributes.has(Attributes::SPECIFIC_PURPOSE))
        {
            return None;
        }
        let pages = descriptor.native_pages(self.page)?;
        PhysRange::new(pages.start(), pages.last().min(self.last))
    }
}

/// The pages of each descriptor, in the firmware's order.
pub struct Pages<'a, I> {
    reclaim: &'a AcpiReclaim<I>,
    descriptors: I,
}

impl<I: Clone> Clone for Pages<'_, I> {
    #[inline]
    fn clone(&self) -> Self {
        Self {
            reclaim: self.reclaim,
            descriptors: self.descriptors.clone(),
        }
    }
}

impl<I: Iterator<Item = Descriptor> + Clone> Iterator for Pages<'_, I> {
    type Item = PhysRange;

    // Not marked for inlining: a copy of the one loop over all descriptors in each place that walks
    // them would be much code.
    fn next(&mut self) -> Option<PhysRange> {
        // A copy of its own stays in registers.
        let mut descriptors = self.descriptors.clone();
        let pages = descriptors.find_map(|descriptor| self.reclaim.pages_of(descriptor));
        self.descriptors = descriptors;
        pages
    }
}

#[cfg_attr(not(test), macros::kunit_tests(rust_kernel_efi_memory))]
#[cfg(any(test, CONFIG_RUST_EFI_KUNIT_TEST))]
mod tests {
    use super::*;

    const WB: Attributes = Attributes::WRITE_BACK;

    fn reclaim(start: u64, pages: u64, attributes: Attributes) -> Descriptor {
        Descriptor {
            memory_type: MemoryType::ACPI_RECLAIM,
            start: PhysAddr::new(start),
            pages,
            attributes,
        }
    }

    fn range(start: u64, last: u64) -> Option<PhysRange> {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(last))
    }

    fn find(
        descriptors: &[Descriptor],
        page: u64,
        soft_reserve: bool,
    ) -> Option<[Option<PhysRange>; 3]> {
        let page = PageSize::new_checked(page)?;
        let descriptors = descriptors.iter().copied();
        let found = AcpiReclaim::tables(descriptors, page, soft_reserve, PhysAddr::MAX);
        let mut tables = found.ranges();
        Some([tables.next(), tables.next(), tables.next()])
    }

    // Expect each descriptor to be read where firmware's step has it, and the rest to be none.
    #[test]
    fn descriptors_are_read_step_by_step() {
        let mut bytes = [0xff; 3 * 56];
        let fields = [
            (0, 0x9, 4),
            (8, 0x1234_5678_9abc_d000, 8),
            (24, 0x2_0000_0003, 8),
            (32, 0x8000_0000_0000_000f, 8),
        ];
        for (at, value, size) in fields {
            let value: u64 = value;
            let place = bytes.iter_mut().skip(48 + at).take(size);
            place
                .zip(value.to_le_bytes())
                .for_each(|(byte, new)| *byte = new);
        }
        let read = |step| Descriptors::new_checked(&bytes, step).map(|map| map.iter());
        let wanted = Descriptor {
            memory_type: MemoryType::ACPI_RECLAIM,
            start: PhysAddr::new(0x1234_5678_9abc_d000),
            pages: 0x2_0000_0003,
            attributes: Attributes::new(0x8000_0000_0000_000f),
        };
        assert_eq!(read(48).and_then(|mut map| map.nth(1)), Some(wanted));
        assert_eq!(read(48).map(|map| map.count()), Some(3));
        assert_eq!(read(56).map(|map| map.count()), Some(3));
        assert_eq!(read(85).map(|map| map.count()), Some(1));
        assert!(read(39).is_none());
        assert_eq!(Descriptor::from_bytes(&[0; Descriptor::SIZE - 1]), None);
        assert!(read(0).is_none());
        assert_eq!(Descriptors::NONE.iter().next(), None);

        // Of the descriptor behind it the lowest byte of the type is the same, and nothing else.
        bytes.iter_mut().skip(96).take(1).for_each(|byte| *byte = 9);
        let map = Descriptors::new_checked(&bytes, 48);
        let mut found = map.map(|map| map.acpi_reclaim(Descriptor::from_bytes));
        let mut next = || found.as_mut().and_then(Iterator::next);
        assert_eq!(next(), Some(wanted));
        assert_eq!(next(), None);
    }

    // Expect the numbers that memrange_efi_to_native() comes to, and memblock_add() behind it.
    #[test]
    fn a_descriptor_that_is_empty_or_wraps_is_what_c_makes_of_it() {
        let pages = |start, pages, page| {
            PageSize::new_checked(page)
                .and_then(|page| reclaim(start, pages, WB).native_pages(page))
        };
        let top = 0xffff_ffff_ffff_f000;
        assert_eq!(pages(0x1000, 0, 0x1000), None);
        // No pages, but not at the start of one: all of that one.
        assert_eq!(pages(0x1000, 0, 0x1_0000), range(0, 0xffff));
        assert_eq!(pages(0x1001, 0, 0x1000), range(0x1000, 0x1fff));
        // The size wraps.
        assert_eq!(pages(0, 1 << 52, 0x1000), None);
        assert_eq!(pages(0x5000, (1 << 52) + 2, 0x1000), range(0x5000, 0x6fff));
        // The end wraps.
        assert_eq!(
            pages(0x2000, u64::MAX >> 12, 0x1000),
            range(0x2000, u64::MAX)
        );
        assert_eq!(pages(top, 1, 0x1000), range(top, u64::MAX));
        assert_eq!(pages(0, u64::MAX >> 12, 0x1_0000), None);
    }

    // Expect to find ranges in any order, next to each other or not, and nothing else.
    #[test]
    fn finds_acpi_reclaim_memory_merged_and_sorted() {
        let conventional = Descriptor {
            memory_type: MemoryType::new(7),
            ..reclaim(0x9000, 1, WB)
        };
        let map = [
            reclaim(0x8000, 1, WB),
            conventional,
            reclaim(0x3000, 1, WB),
            reclaim(0x2000, 1, WB),
        ];
        assert_eq!(
            find(&map, 0x1000, false),
            Some([range(0x2000, 0x3fff), range(0x8000, 0x8fff), None])
        );
        assert_eq!(find(&[], 0x1000, false), Some([None, None, None]));
    }

    // Expect two small ranges in one native page to become that page.
    #[test]
    fn ranges_are_whole_native_pages() {
        let map = [reclaim(0x1_f000, 1, WB), reclaim(0x1_1000, 1, WB)];
        assert_eq!(
            find(&map, 0x1_0000, false),
            Some([range(0x1_0000, 0x1_ffff), None, None])
        );
        assert_eq!(
            find(&map, 0x4000, false),
            Some([range(0x1_0000, 0x1_3fff), range(0x1_c000, 0x1_ffff), None])
        );
    }

    // Expect memory that is not write-back to be reserved, and to be no ACPI table.
    #[test]
    fn memory_that_is_not_write_back_is_only_reserved() {
        let map = [
            reclaim(0x1000, 1, Attributes::WRITE_COMBINE),
            reclaim(0x3000, 1, Attributes::WRITE_THROUGH),
            reclaim(0x5000, 1, WB.and(Attributes::WRITE_COMBINE)),
            // No memory: registers.
            reclaim(0x7000, 1, Attributes::new(1)),
        ];
        assert_eq!(
            find(&map, 0x1000, false),
            Some([range(0x5000, 0x5fff), None, None])
        );
        let page = PageSize::new_checked(0x1000);
        let reserved = |page| AcpiReclaim::reserved(map.iter().copied(), page, false);
        assert_eq!(page.map(|page| reserved(page).ranges().count()), Some(3));
    }

    // Expect a range that goes on where nothing can be mapped to be reserved there, too, and to be
    // ACPI tables up to there.
    #[test]
    fn tables_end_where_nothing_can_be_mapped() {
        let map = [reclaim(0x3000, u64::MAX >> 12, WB), reclaim(1 << 48, 1, WB)];
        let page = PageSize::new_checked(0x1000);
        let last = PhysAddr::new((1 << 48) - 1);
        let found = page.map(|page| {
            let map = map.iter().copied();
            let tables = AcpiReclaim::tables(map.clone(), page, false, last);
            let reserved = AcpiReclaim::reserved(map, page, false);
            let mut ranges = tables.ranges();
            [ranges.next(), ranges.next(), reserved.ranges().next()]
        });
        assert_eq!(
            found,
            Some([range(0x3000, (1 << 48) - 1), None, range(0x3000, u64::MAX)])
        );
    }

    #[test]
    fn specific_purpose_memory_is_left_alone_if_it_is_soft_reserved() {
        let map = [reclaim(0x1000, 1, WB.and(Attributes::SPECIFIC_PURPOSE))];
        assert_eq!(find(&map, 0x1000, true), Some([None, None, None]));
        assert_eq!(
            find(&map, 0x1000, false),
            Some([range(0x1000, 0x1fff), None, None])
        );
    }
}
