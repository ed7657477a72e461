// SPDX-License-Identifier: GPL-2.0

//! Physical addresses and ranges of physical memory.
//!
//! Firmware describes memory with numbers that it chooses. The types here take such numbers in
//! only through checked constructors; after that no operation overflows, allocates or panics. That
//! makes them fit for early boot, where none of the three has a way out.
//!
//! - [`PhysAddr`] cannot be mixed up with a virtual address or with a size.
//! - [`PhysRange`] is never empty and never wraps. It holds its first and its last byte, both
//!   inclusive, so that a range may end at the top of the address space. One byte at address zero
//!   is no range, so that an [`Option`] is two numbers.
//! - [`PageSize`] is a power of two, and rounds ranges to whole pages.
//! - [`Merged`] and [`Difference`] do set algebra on sequences of ranges, of any length.

mod ranges;

pub use ranges::{
    Difference,
    Merged, //
};

use crate::fmt;
use core::num::NonZeroU64;

/// A physical address, in bytes.
///
/// # Examples
///
/// ```
/// use kernel::phys::PhysAddr;
///
/// assert_eq!(PhysAddr::new(0x4000_0000).as_u64(), 0x4000_0000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PhysAddr(u64);

impl PhysAddr {
    /// The lowest address.
    pub const MIN: Self = Self(0);

    /// The highest address.
    pub const MAX: Self = Self(u64::MAX);

    /// Creates an address from its number.
    #[inline]
    pub const fn new(addr: u64) -> Self {
        Self(addr)
    }

    /// The address as a number.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The next higher address; [`None`] at the top of the address space.
    #[inline]
    pub const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(addr) => Some(Self(addr)),
            None => None,
        }
    }

    /// The next lower address; [`None`] at zero.
    #[inline]
    pub const fn previous(self) -> Option<Self> {
        match self.0.checked_sub(1) {
            Some(addr) => Some(Self(addr)),
            None => None,
        }
    }
}

/// The size of a page: a power of two, in bytes.
///
/// # Invariants
///
/// The size is a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize(u64);

impl PageSize {
    /// Checks `size`, in bytes; [`None`] if it is no power of two.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::phys::PageSize;
    ///
    /// assert!(PageSize::new_checked(4096).is_some());
    /// // Neither of these is a power of two.
    /// assert!(PageSize::new_checked(0).is_none());
    /// assert!(PageSize::new_checked(4097).is_none());
    /// ```
    #[inline]
    pub const fn new_checked(size: u64) -> Option<Self> {
        if size.is_power_of_two() {
            // INVARIANT: Checked in the line above.
            Some(Self(size))
        } else {
            None
        }
    }

    /// The size as a number, in bytes.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The bits of an address that lie within a page.
    #[inline]
    pub(crate) const fn offset_mask(self) -> u64 {
        // By the type invariant the size is a power of two and hence not zero.
        self.0.wrapping_sub(1)
    }
}

/// A range of physical memory, in bytes: never empty, never wrapping.
///
/// It prints as its neighbours in early boot print ranges, both ends inclusive.
///
/// # Invariants
///
/// `start <= last`, and `last` is not zero; both bytes belong to the range.
///
/// # Examples
///
/// ```
/// use kernel::phys::{PhysAddr, PhysRange};
///
/// let start = PhysAddr::new(0x7c43_0000);
/// let range = PhysRange::from_start_size(start, 0x1_0000);
/// assert_eq!(range.map(|range| range.last()), Some(PhysAddr::new(0x7c43_ffff)));
///
/// // Empty.
/// assert!(PhysRange::from_start_size(start, 0).is_none());
/// // Wraps around the end of the address space.
/// assert!(PhysRange::from_start_size(PhysAddr::MAX, 2).is_none());
/// // Ends with the last byte of the address space.
/// assert!(PhysRange::from_start_size(PhysAddr::MAX, 1).is_some());
/// // The only byte that makes no range.
/// assert!(PhysRange::from_start_size(PhysAddr::MIN, 1).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PhysRange {
    start: PhysAddr,
    /// Not zero, so that an [`Option`] takes no more room, and is handed over in registers.
    last: NonZeroU64,
}

impl PhysRange {
    /// The whole address space.
    // INVARIANT: `MIN` is not above `MAX`, which is not zero.
    pub const ALL: Self = Self {
        start: PhysAddr::MIN,
        last: NonZeroU64::MAX,
    };

    /// The range from `start` to `last`, both inclusive; [`None`] if `last` lies below `start`, or
    /// is zero.
    #[inline]
    pub const fn new(start: PhysAddr, last: PhysAddr) -> Option<Self> {
        match NonZeroU64::new(last.0) {
            // INVARIANT: Checked in this line.
            Some(last) if start.0 <= last.get() => Some(Self { start, last }),
            _ => None,
        }
    }

    /// The range of `size` bytes from `start`; [`None`] if it is empty or wraps.
    #[inline]
    pub const fn from_start_size(start: PhysAddr, size: u64) -> Option<Self> {
        // `?` is not const yet.
        let Some(offset) = size.checked_sub(1) else {
            return None;
        };
        match start.0.checked_add(offset) {
            Some(last) => Self::new(start, PhysAddr(last)),
            None => None,
        }
    }

    /// The smallest range that has both bytes.
    ///
    /// One byte at address zero is no range: for that, the range has the next one, too.
    #[inline]
    pub fn covering(one: PhysAddr, other: PhysAddr) -> Self {
        // INVARIANT: `last` is not below `start`, nor zero.
        Self {
            start: one.min(other),
            last: NonZeroU64::new(one.max(other).0).unwrap_or(NonZeroU64::MIN),
        }
    }

    /// The first byte.
    #[inline]
    pub const fn start(self) -> PhysAddr {
        self.start
    }

    /// The last byte, inclusive.
    #[inline]
    pub const fn last(self) -> PhysAddr {
        PhysAddr(self.last.get())
    }

    /// The size in bytes.
    ///
    /// One byte less than the truth for [`PhysRange::ALL`], whose size does not fit; memblock
    /// takes the same number for "all".
    #[inline]
    pub const fn size(self) -> u64 {
        // By the type invariant `last` is not below `start`.
        self.last.get().wrapping_sub(self.start.0).saturating_add(1)
    }

    /// Whether the two ranges have a byte in common.
    #[inline]
    pub fn overlaps(self, other: Self) -> bool {
        self.start <= other.last() && other.start <= self.last()
    }

    /// Whether the two ranges overlap or are adjacent, so that their union is one range.
    #[inline]
    pub fn touches(self, other: Self) -> bool {
        // A range without a next byte reaches the top: nothing lies beyond it.
        let reaches =
            |low: Self, high: Self| low.last().next().is_none_or(|next| high.start <= next);
        reaches(self, other) && reaches(other, self)
    }

    /// Whether every byte of `other` belongs to this range.
    #[inline]
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.last <= self.last
    }

    /// The smallest range that contains both.
    #[inline]
    pub fn hull(self, other: Self) -> Self {
        // INVARIANT: The lower of the starts is not above the higher of the ends, because neither
        // start is above the end of its own range.
        Self {
            start: self.start.min(other.start),
            last: self.last.max(other.last),
        }
    }

    /// The bytes that both have; [`None`] if they do not overlap.
    #[inline]
    pub fn intersection(self, other: Self) -> Option<Self> {
        Self::new(self.start.max(other.start), self.last().min(other.last()))
    }

    /// The part that lies below `addr`, exclusive; [`None`] if there is none, or one byte at zero.
    #[inline]
    pub fn below(self, addr: PhysAddr) -> Option<Self> {
        Self::new(self.start, self.last().min(addr.previous()?))
    }

    /// The part that lies above `addr`, exclusive; [`None`] if there is none.
    #[inline]
    pub fn above(self, addr: PhysAddr) -> Option<Self> {
        Self::new(self.start.max(addr.next()?), self.last())
    }

    /// The smallest range of whole pages that contains this one.
    ///
    /// # Examples
    ///
    /// ```
    /// use kernel::phys::{PageSize, PhysAddr, PhysRange};
    ///
    /// let range = |start, last| PhysRange::new(PhysAddr::new(start), PhysAddr::new(last));
    /// let page = PageSize::new_checked(0x1_0000);
    /// let pages = |range: PhysRange| Some(range.to_whole_pages(page?));
    /// assert_eq!(range(0x1_f000, 0x2_0fff).and_then(pages), range(0x1_0000, 0x2_ffff));
    /// ```
    #[inline]
    pub fn to_whole_pages(self, page: PageSize) -> Self {
        let mask = page.offset_mask();
        // INVARIANT: `start` can only fall and `last` can only rise.
        Self {
            start: PhysAddr(self.start.0 & !mask),
            last: self.last | mask,
        }
    }

    /// The whole pages that lie within this range; [`None`] if there is none.
    #[inline]
    pub fn whole_pages_within(self, page: PageSize) -> Option<Self> {
        let mask = page.offset_mask();
        let start = self.start.0.checked_add(mask)? & !mask;
        let last = match self.last().next() {
            Some(end) => PhysAddr(end.0 & !mask).previous()?,
            None => self.last(),
        };
        Self::new(PhysAddr(start), last)
    }
}

impl fmt::Display for PhysRange {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#014x}-{:#014x}", self.start.0, self.last.get())
    }
}

#[cfg_attr(not(test), macros::kunit_tests(rust_kernel_phys))]
#[cfg(any(test, CONFIG_RUST_PHYS_KUNIT_TEST))]
mod tests {
    use super::*;

    fn range(start: u64, last: u64) -> Option<PhysRange> {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(last))
    }

    const PAGE: PageSize = match PageSize::new_checked(0x1000) {
        Some(page) => page,
        None => panic!("4 KiB is a power of two"),
    };

    #[test]
    fn a_range_is_neither_empty_nor_wrapping() {
        assert!(range(1, 0).is_none());
        assert!(range(0, 0).is_none());
        assert!(range(1, 1).is_some());
        assert_eq!(size_of::<Option<PhysRange>>(), size_of::<PhysRange>());

        let covering = |one, other| {
            Some(PhysRange::covering(
                PhysAddr::new(one),
                PhysAddr::new(other),
            ))
        };
        assert_eq!(covering(5, 9), range(5, 9));
        assert_eq!(covering(9, 5), range(5, 9));
        assert_eq!(covering(0, 0), range(0, 1));
        assert!(PhysRange::from_start_size(PhysAddr::new(0x1000), u64::MAX).is_none());
        assert!(PhysRange::from_start_size(PhysAddr::new(0), u64::MAX).is_some());
        assert_eq!(PhysRange::ALL.size(), u64::MAX);
    }

    #[test]
    fn a_page_size_is_a_power_of_two() {
        assert_eq!(PageSize::new_checked(0x1000), Some(PAGE));
        assert!(PageSize::new_checked(0).is_none());
        assert!(PageSize::new_checked(0x3000).is_none());
    }

    #[test]
    fn ranges_touch_where_nothing_lies_between_them() {
        let touch = |a: Option<PhysRange>, b: Option<PhysRange>| {
            a.zip(b).map(|(a, b)| (a.touches(b), b.touches(a)))
        };
        assert_eq!(touch(range(0, 9), range(10, 19)), Some((true, true)));
        assert_eq!(touch(range(0, 9), range(11, 19)), Some((false, false)));
        assert_eq!(touch(range(0, 9), range(5, 7)), Some((true, true)));
        // Nothing lies above a range that ends at the top.
        assert_eq!(touch(range(9, u64::MAX), range(0, 7)), Some((false, false)));
        assert_eq!(touch(range(9, u64::MAX), range(0, 8)), Some((true, true)));
    }

    #[test]
    fn parts_of_a_range_stop_at_the_ends_of_the_address_space() {
        let all = PhysRange::ALL;
        assert_eq!(all.below(PhysAddr::MIN), None);
        assert_eq!(all.above(PhysAddr::MAX), None);
        assert_eq!(all.below(PhysAddr::new(2)), range(0, 1));
        assert_eq!(
            range(5, 9).and_then(|r| r.above(PhysAddr::new(3))),
            range(5, 9)
        );
        assert_eq!(range(5, 9).and_then(|r| r.above(PhysAddr::new(9))), None);
        assert_eq!(range(5, 9).and_then(|r| r.below(PhysAddr::new(5))), None);
    }

    #[test]
    fn rounding_to_pages_does_not_overflow() {
        let top = u64::MAX - 0xfff;
        assert_eq!(
            range(u64::MAX, u64::MAX).map(|r| r.to_whole_pages(PAGE)),
            range(top, u64::MAX)
        );
        assert_eq!(
            range(top + 1, u64::MAX).and_then(|r| r.whole_pages_within(PAGE)),
            None
        );
        assert_eq!(
            range(top, u64::MAX).and_then(|r| r.whole_pages_within(PAGE)),
            range(top, u64::MAX)
        );
        assert_eq!(
            range(0x1001, 0x2fff).and_then(|r| r.whole_pages_within(PAGE)),
            range(0x2000, 0x2fff)
        );
        assert_eq!(
            range(0x1001, 0x2ffe).and_then(|r| r.whole_pages_within(PAGE)),
            None
        );
    }
}
