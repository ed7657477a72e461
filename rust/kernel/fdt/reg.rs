// SPDX-License-Identifier: GPL-2.0

//! Lists of addresses and sizes, as the `reg` property has them.
//!
//! Reference: Devicetree specification 0.4, section 2.3.6, `reg`.

/// How many cells of 32 bits an address and a size have.
///
/// # Invariants
///
/// Neither is zero, and both together are at most [`Cells::MOST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    addr: usize,
    size: usize,
}

impl Cells {
    /// The most cells that an entry may have; libfdt allows half of them (`FDT_MAX_NCELLS`) to each
    /// of its two parts.
    pub const MOST: usize = 8;

    /// Checks the two numbers; [`None`] if there is no entry that they can describe.
    #[inline]
    pub const fn new_checked(addr: usize, size: usize) -> Option<Self> {
        if addr == 0 || size == 0 || addr > Self::MOST || size > Self::MOST - addr {
            None
        } else {
            // INVARIANT: Checked in the lines above.
            Some(Self { addr, size })
        }
    }

    /// The size of an entry in bytes; never zero.
    #[inline]
    const fn entry_size(self) -> usize {
        // By the type invariant at most 32.
        (self.addr + self.size) * size_of::<u32>()
    }
}

/// One entry of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RegEntry {
    /// The address; [`None`] if it does not fit into 64 bits.
    pub addr: Option<u64>,
    /// The size in bytes; [`None`] if it does not fit into 64 bits.
    pub size: Option<u64>,
}

/// A list of addresses and sizes.
///
/// # Examples
///
/// ```
/// use kernel::fdt::{Cells, Reg, RegEntry};
///
/// // One cell for the address and one for the size, and half of an entry behind the first one.
/// let bytes = [0, 0, 0x10, 0, 0, 0, 0, 0x20, 0xff, 0xff, 0xff, 0xff];
/// let reg = Cells::new_checked(1, 1).map(|cells| Reg::new(&bytes, cells));
///
/// let first = RegEntry { addr: Some(0x1000), size: Some(0x20) };
/// assert_eq!(reg.and_then(|reg| reg.entries().next()), Some(first));
/// assert_eq!(reg.map(|reg| reg.entries().count()), Some(1));
/// assert_eq!(reg.map(|reg| reg.leftover()), Some(4));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reg<'a> {
    bytes: &'a [u8],
    cells: Cells,
}

impl<'a> Reg<'a> {
    /// Takes `bytes`, the value of a property, as a list of entries of `cells`.
    #[inline]
    pub const fn new(bytes: &'a [u8], cells: Cells) -> Self {
        Self { bytes, cells }
    }

    /// The entries, in the order of the property.
    #[inline]
    pub fn entries(self) -> Entries<'a> {
        Entries(self)
    }

    /// How many bytes at the end are no whole entry.
    #[inline]
    pub const fn leftover(self) -> usize {
        self.bytes.len() % self.cells.entry_size()
    }
}

/// The entries that are left.
#[derive(Clone)]
pub struct Entries<'a>(Reg<'a>);

impl Iterator for Entries<'_> {
    type Item = RegEntry;

    #[inline]
    fn next(&mut self) -> Option<RegEntry> {
        let Reg { bytes, cells } = self.0;
        let (entry, rest) = bytes.split_at_checked(cells.entry_size())?;
        self.0.bytes = rest;
        let (addr, size) = entry.split_at_checked(cells.addr * size_of::<u32>())?;
        Some(RegEntry {
            addr: number(addr),
            size: number(size),
        })
    }
}

/// The number in the big-endian `bytes`; [`None`] if it needs more than 64 bits.
#[inline]
fn number(bytes: &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for byte in bytes {
        // A byte that would be shifted out must be zero.
        if number >> 56 != 0 {
            return None;
        }
        number = number << 8 | u64::from(*byte);
    }
    Some(number)
}

#[cfg_attr(not(test), macros::kunit_tests(rust_kernel_fdt_reg))]
#[cfg(any(test, CONFIG_RUST_FDT_KUNIT_TEST))]
mod tests {
    use super::*;

    fn entry(addr: u64, size: u64) -> Option<RegEntry> {
        Some(RegEntry {
            addr: Some(addr),
            size: Some(size),
        })
    }

    #[test]
    fn cells_describe_an_entry() {
        assert!(Cells::new_checked(0, 2).is_none());
        assert!(Cells::new_checked(2, 0).is_none());
        assert!(Cells::new_checked(9, usize::MAX).is_none());
        assert!(Cells::new_checked(1, usize::MAX).is_none());
        assert!(Cells::new_checked(4, 5).is_none());
        assert_eq!(
            Cells::new_checked(4, 4).map(|cells| cells.entry_size()),
            Some(32)
        );
    }

    #[test]
    fn two_cells_are_one_number_of_64_bits() {
        let bytes = [
            0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde, 0xf0, 0, 0, 0, 1, 0, 0, 0, 2,
        ];
        let reg = Cells::new_checked(2, 2).map(|cells| Reg::new(&bytes, cells));
        assert_eq!(
            reg.and_then(|reg| reg.entries().next()),
            entry(0x1234_5678_9abc_def0, 0x1_0000_0002)
        );
        assert_eq!(reg.map(|reg| reg.entries().count()), Some(1));
    }

    #[test]
    fn one_cell_is_a_number_of_32_bits() {
        let bytes = [0, 0, 0, 1, 0, 0, 0, 2, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 3];
        let reg = Cells::new_checked(1, 1).map(|cells| Reg::new(&bytes, cells));
        assert_eq!(reg.and_then(|reg| reg.entries().next()), entry(1, 2));
        assert_eq!(
            reg.and_then(|reg| reg.entries().nth(1)),
            entry(0xffff_ffff, 3)
        );
    }

    // Expect the bytes behind the last whole entry to be counted, and never to be read as one.
    #[test]
    fn what_is_no_whole_entry_is_left_over() {
        let bytes = [0xff; 40];
        for (length, _) in bytes.iter().enumerate() {
            let reg = bytes.get(..length).zip(Cells::new_checked(2, 2));
            let reg = reg.map(|(bytes, cells)| Reg::new(bytes, cells));
            assert_eq!(reg.map(|reg| reg.entries().count()), Some(length / 16));
            assert_eq!(reg.map(|reg| reg.leftover()), Some(length % 16));
        }
    }

    // Expect the bits of a number above the lowest 64 to be allowed only where they are zero.
    #[test]
    fn a_number_of_more_than_64_bits_is_none() {
        let read = |bytes, addr, size| {
            let cells = Cells::new_checked(addr, size)?;
            Reg::new(bytes, cells).entries().next()
        };
        let high = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
        assert_eq!(
            read(&high, 3, 1),
            Some(RegEntry {
                addr: None,
                size: Some(5)
            })
        );
        assert_eq!(read(&high, 1, 3), entry(1, 5));
        // The size is behind the address, however early that is too large.
        let higher = [
            0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 6,
        ];
        assert_eq!(
            read(&higher, 4, 1),
            Some(RegEntry {
                addr: None,
                size: Some(6)
            })
        );
        let top = [0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5];
        assert_eq!(read(&top, 3, 1), entry(0xff << 56, 5));
    }
}
