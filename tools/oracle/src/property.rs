// SPDX-License-Identifier: GPL-2.0

//! What `linux,usable-memory-range` gives.

use crate::{Boot, Set, Span, before};

/// How many cells of 32 bits the two numbers of an entry have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cells {
    /// Those of the address.
    pub address: usize,
    /// Those of the size.
    pub size: usize,
}

impl Cells {
    /// Whether there is an entry of so many cells. libfdt takes four for each number; eight for both
    /// are as good.
    pub fn describe_an_entry(self) -> bool {
        self.address >= 1 && self.size >= 1 && self.address.saturating_add(self.size) <= 8
    }
}

/// Why an entry gives no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Its size is zero.
    Empty,
    /// A number of it, or its last byte, needs more than 64 bits.
    BeyondAddressSpace,
    /// It has no whole native page.
    NoWholePage,
    /// There is no mapped memory in it.
    NoMemory,
    /// There is mapped memory in it, and all of it is ACPI.
    OnlyTables,
    /// There is no room for it.
    TooMany,
}

/// What the whole entries of the property give, in their order; [`None`] if `cells` are no cells of
/// an entry. The bytes behind the last whole entry give nothing.
pub fn given(property: &[u8], cells: Cells) -> Option<Vec<Result<Span, Fault>>> {
    if !cells.describe_an_entry() {
        return None;
    }
    let address = 4 * cells.address;
    let entries = property.chunks_exact(address + 4 * cells.size);
    Some(entries.map(|entry| range(number(&entry[..address]), number(&entry[address..]))).collect())
}

/// The number in `bytes`, the highest first; [`None`] if it needs more than 64 bits.
pub fn number(bytes: &[u8]) -> Option<u64> {
    let (high, low) = bytes.split_at(bytes.len().saturating_sub(8));
    if high.iter().any(|byte| *byte != 0) {
        return None;
    }
    Some(low.iter().fold(0, |number, byte| number * 256 + u64::from(*byte)))
}

fn range(address: Option<u64>, size: Option<u64>) -> Result<Span, Fault> {
    if size == Some(0) {
        return Err(Fault::Empty);
    }
    let (Some(first), Some(size)) = (address, size) else {
        return Err(Fault::BeyondAddressSpace);
    };
    match u64::try_from(u128::from(first) + u128::from(size) - 1) {
        Ok(last) => Ok(Span { first, last }),
        Err(_) => Err(Fault::BeyondAddressSpace),
    }
}

/// The whole native pages of an entry.
///
/// Open: part of a page at either end of an entry. It cannot be mapped without memory that was not
/// given, so it is none.
fn whole_pages(boot: &Boot, entry: Result<Span, Fault>) -> Result<Span, Fault> {
    let pages = Set::of(&[entry?]).whole_pages(boot.page);
    pages.spans().first().copied().ok_or(Fault::NoWholePage)
}

/// Open: how many entries count. As many as memblock has room for, and one in any case.
fn counted(boot: &Boot) -> usize {
    boot.room.max(1)
}

/// The ranges that the property of `boot` gives, with or without memory in them; [`None`] if it
/// cannot be decoded.
pub(crate) fn ranges(boot: &Boot, property: &[u8]) -> Option<Vec<Span>> {
    let entries = given(property, boot.cells)?;
    let entries = entries.into_iter().take(counted(boot));
    Some(entries.filter_map(|entry| whole_pages(boot, entry).ok()).collect())
}

/// What each whole entry of the property of `boot` is good for: there is memory in the range to
/// allocate from, or there is a reason to ignore it. [`None`] if it cannot be decoded.
pub fn judged(boot: &Boot, property: &[u8]) -> Option<Vec<Result<Span, Fault>>> {
    let mapped = before(boot).mapped.up_to(boot.last);
    let tables = before(boot).acpi;
    let judge = |(index, entry): (usize, Result<Span, Fault>)| {
        if index >= counted(boot) {
            return Err(Fault::TooMany);
        }
        let range = whole_pages(boot, entry)?;
        let memory = mapped.and(&Set::of(&[range]));
        if memory.is_empty() {
            Err(Fault::NoMemory)
        } else if memory.without(&tables).is_empty() {
            Err(Fault::OnlyTables)
        } else {
            Ok(range)
        }
    };
    Some(given(property, boot.cells)?.into_iter().enumerate().map(judge).collect())
}
