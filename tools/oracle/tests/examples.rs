// SPDX-License-Identifier: GPL-2.0

//! The oracle against what was worked out by hand, or measured on a machine.

use oracle::{
    Boot, Descriptor, Fault, Memory, Outcome, Span, attribute, given, kind, outcome, shown,
};

const CONVENTIONAL: u32 = 7;
const RUNTIME_DATA: u32 = 6;
const RECLAIM: u32 = kind::ACPI_RECLAIM;
const WB: u64 = attribute::WRITE_BACK;

fn descriptor(kind: u32, first: u64, last: u64, attributes: u64) -> Descriptor {
    Descriptor { kind, start: first, pages: (last - first) / 4096 + 1, attributes }
}

fn property(ranges: &[(u64, u64)]) -> Option<Vec<u8>> {
    let numbers = ranges.iter().flat_map(|&(first, last)| [first, last - first + 1]);
    Some(numbers.flat_map(u64::to_be_bytes).collect())
}

/// The machine of the README: 512 MiB, firmware's tables near the top.
fn machine() -> Boot {
    let map = vec![
        descriptor(CONVENTIONAL, 0x4000_0000, 0x5c42_ffff, WB),
        descriptor(RECLAIM, 0x5c43_0000, 0x5c43_ffff, WB),
        descriptor(RUNTIME_DATA, 0x5c44_0000, 0x5c4f_ffff, WB),
        descriptor(CONVENTIONAL, 0x5c50_0000, 0x5fff_ffff, WB),
        // Registers.
        descriptor(11, 0x0900_0000, 0x0900_0fff, 1),
    ];
    Boot { map, ..Boot::default() }
}

fn memory(boot: &Boot) -> Memory {
    match outcome(boot) {
        Outcome::Boots(memory) => memory,
        Outcome::Stops => panic!("stops: {boot:x?}"),
    }
}

fn spans(pairs: &[(u64, u64)]) -> Vec<Span> {
    pairs.iter().map(|&(first, last)| Span { first, last }).collect()
}

#[test]
fn a_first_kernel_shows_what_was_measured() {
    let boot = machine();
    let memory = memory(&boot);
    let shown = shown(&boot, &memory);
    let ram = [(0x4000_0000, 0x5c42_ffff), (0x5c50_0000, 0x5fff_ffff)];
    assert_eq!(shown.system_ram.spans(), spans(&ram));
    assert_eq!(shown.acpi_tables.spans(), spans(&[(0x5c43_0000, 0x5c43_ffff)]));
    assert_eq!(shown.reserved.spans(), spans(&[(0x5c44_0000, 0x5c4f_ffff)]));
    assert_eq!(memory.reserved, memory.acpi);
    assert_eq!(memory.allocatable, shown.system_ram);
}

#[test]
fn a_crash_kernel_has_its_range_and_the_tables() {
    let given = (0x4a60_0000, 0x5a5f_ffff);
    let boot = Boot { property: property(&[given]), ..machine() };
    let memory = memory(&boot);
    assert_eq!(memory.mapped.spans(), spans(&[given, (0x5c43_0000, 0x5c43_ffff)]));
    assert_eq!(memory.allocatable.spans(), spans(&[given]));
    assert_eq!(memory.nomap.spans(), spans(&[(0x5c44_0000, 0x5c4f_ffff)]));
    assert_eq!(shown(&boot, &memory).system_ram.spans(), spans(&[given]));
}

/// F6 to F8.
#[test]
fn what_stock_takes_too_much_of_is_not_taken() {
    let good = (0x4a60_0000, 0x5a5f_ffff);
    let tables = (0x5c43_0000, 0x5c43_ffff);
    let boot = |property| Boot { property, ..machine() };
    let alone = memory(&boot(property(&[good])));
    for more in [tables, (0x10_0000_0000, 0x10_0fff_ffff), (0x0900_0000, 0x0900_0fff)] {
        let memory = memory(&boot(property(&[good, more])));
        assert_eq!(
            (memory.mapped, memory.allocatable),
            (alone.mapped.clone(), alone.allocatable.clone())
        );
        assert_eq!(outcome(&boot(property(&[more]))), Outcome::Stops);
    }
    let bytes = |length: usize| property(&[good]).map(|bytes| bytes[..length].to_vec());
    for length in 0..16 {
        assert_eq!(outcome(&boot(bytes(length))), Outcome::Stops, "{length} bytes");
    }
    let empty = property(&[good]).map(|bytes| [&bytes[..8], &[0; 8]].concat());
    assert_eq!(outcome(&boot(empty)), Outcome::Stops);
}

#[test]
fn entries_are_numbers_of_the_cells() {
    let cells = oracle::Cells { address: 1, size: 3 };
    let entry = |high: u8, low: u8| [0, 0, 0, 7, 0, 0, 0, high, 0, 0, 0, 0, 0, 0, 0, low];
    let bytes = [entry(0, 9), entry(1, 9), entry(0, 0)].concat();
    let wanted =
        vec![Ok(Span { first: 7, last: 15 }), Err(Fault::BeyondAddressSpace), Err(Fault::Empty)];
    assert_eq!(given(&bytes, cells), Some(wanted));
    for (address, size) in [(0, 1), (1, 0), (5, 4), (usize::MAX, 1), (1, usize::MAX)] {
        assert_eq!(given(&bytes, oracle::Cells { address, size }), None);
    }
}

/// HAZARDS 9: two descriptors in one native page.
#[test]
fn memory_without_mapping_wins_the_page() {
    let map = vec![
        descriptor(RECLAIM, 0x1_1000, 0x1_1fff, WB),
        descriptor(RUNTIME_DATA, 0x1_f000, 0x1_ffff, WB),
        descriptor(RECLAIM, 0x3_f000, 0x3_ffff, WB),
        descriptor(RECLAIM, 0x5_0000, 0x5_0fff, 0x2),
    ];
    let boot = Boot { map, page: 0x1_0000, ..Boot::default() };
    let memory = memory(&boot);
    assert_eq!(memory.nomap.spans(), spans(&[(0x1_0000, 0x1_ffff), (0x5_0000, 0x5_ffff)]));
    assert_eq!(memory.mapped.spans(), spans(&[(0x3_0000, 0x3_ffff)]));
    let all = [(0x1_0000, 0x1_ffff), (0x3_0000, 0x3_ffff), (0x5_0000, 0x5_ffff)];
    assert_eq!(memory.reserved.spans(), spans(&all));
    assert_eq!(shown(&boot, &memory).acpi_tables, memory.mapped);
}

/// R6: crash memory at 600 GiB, and a linear map of 39 bits of virtual addresses.
#[test]
fn a_range_that_does_harm_is_left_out() {
    const GIB: u64 = 1 << 30;
    let table = |start| descriptor(RECLAIM, start, start + 0xffff, WB);
    let map = vec![
        descriptor(CONVENTIONAL, 600 * GIB, 601 * GIB - 1, WB),
        table(2 * GIB),
        table(5 * GIB),
        table(500 * GIB),
        table(1000 * GIB),
    ];
    let property = property(&[(600 * GIB, 601 * GIB - 1)]);
    let boot = |bits: u32| Boot {
        map: map.clone(),
        property: property.clone(),
        linear_map: 1u64 << bits,
        ..Boot::default()
    };
    let kept =
        |bits| memory(&boot(bits)).kept.iter().map(|range| range.first / GIB).collect::<Vec<_>>();
    assert_eq!(kept(38), [500]);
    assert_eq!(kept(40), [5, 500, 1000]);
    // The table at 2 GiB is published all the same.
    let memory = memory(&boot(40));
    assert!(shown(&boot(40), &memory).acpi_tables.has(2 * GIB));
    assert!(!memory.mapped.has(2 * GIB));
}

/// R7: efi_init() computes with 64 bits, and so do the rules.
#[test]
fn a_descriptor_that_wraps_is_what_efi_init_makes_of_it() {
    let boot = |pages, page| Boot {
        map: vec![Descriptor { kind: RECLAIM, start: 0x5000, pages, attributes: WB }],
        page,
        last: (1 << 48) - 1,
        ..Boot::default()
    };
    let reserved = |pages, page| memory(&boot(pages, page)).reserved;
    assert_eq!(reserved((1 << 52) + 2, 0x1000).spans(), spans(&[(0x5000, 0x6fff)]));
    assert_eq!(reserved(u64::MAX >> 12, 0x1000).spans(), spans(&[(0x5000, (1 << 48) - 1)]));
    assert!(reserved(1 << 52, 0x1000).is_empty());
    assert_eq!(reserved(1 << 52, 0x1_0000).spans(), spans(&[(0, 0xffff)]));
}

#[test]
fn a_memory_limit_keeps_the_tables() {
    let boot = Boot { limit: Some(0x1000_0000), ..machine() };
    let memory = memory(&boot);
    let left = (0x4000_0000, 0x4fff_ffff);
    assert_eq!(memory.allocatable.spans(), spans(&[left]));
    assert_eq!(memory.mapped.spans(), spans(&[left, (0x5c43_0000, 0x5c43_ffff)]));
}
