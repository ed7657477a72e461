// SPDX-License-Identifier: GPL-2.0

//! The bytes of `linux,usable-memory-range`, with any cells.

#![no_main]

use kernel::{
    arm64::usable_memory::{Fault, range_of},
    fdt::{Cells, Reg},
    phys::PageSize,
};
use libfuzzer_sys::fuzz_target;
use oracle::{Span, given, number};

#[derive(arbitrary::Arbitrary, Debug)]
struct Input<'a> {
    /// Small as a rule.
    cells: (u8, u8),
    large: Option<(usize, usize)>,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let small = (usize::from(input.cells.0 % 10), usize::from(input.cells.1 % 10));
    let (address, size) = input.large.unwrap_or(small);
    let cells = oracle::Cells { address, size };
    let wanted = given(input.bytes, cells);
    let reg = Cells::new_checked(address, size).map(|cells| Reg::new(input.bytes, cells));
    assert_eq!(reg.is_some(), wanted.is_some());
    let (Some(reg), Some(wanted)) = (reg, wanted) else {
        return;
    };
    let entry_size = 4 * (address + size);
    assert_eq!(reg.leftover(), input.bytes.len() % entry_size);
    // Of single bytes each range is whole.
    let byte = PageSize::new_checked(1).expect("a power of two");
    assert_eq!(reg.entries().count(), wanted.len());
    for (entry, wanted) in reg.entries().zip(wanted) {
        let range = range_of(entry, byte);
        if entry.addr.is_some() && entry.size == Some(1) {
            // At address zero that is no range, and no whole page anywhere.
            assert_eq!(range, Err(Fault::NoWholePage));
            continue;
        }
        let came =
            range.map(|range| Span { first: range.start().as_u64(), last: range.last().as_u64() });
        let came = came.map_err(|fault| match fault {
            Fault::Empty => oracle::Fault::Empty,
            Fault::BeyondAddressSpace => oracle::Fault::BeyondAddressSpace,
            other => panic!("{other:?} is for what memory there is to say"),
        });
        assert_eq!(came, wanted);
    }
    for (entry, bytes) in reg.entries().zip(input.bytes.chunks(entry_size)) {
        let (first, second) = bytes.split_at(4 * address);
        assert_eq!((entry.addr, entry.size), (number(first), number(second)));
    }
});
