// SPDX-License-Identifier: GPL-2.0

//! Random boots, shrunk where one fails.

use kernel::efi::{Descriptor, Descriptors};
use oracle::{Boot, Cells};
use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{FileFailurePersistence, TestRunner},
};

/// What a number is: mostly a multiple of `unit` near the start of memory, sometimes a few bytes off,
/// seldom anything at all.
fn number(base: u64, unit: u64, most: u64) -> impl Strategy<Value = u64> {
    let near = (0..most, prop_oneof![8 => Just(0u64), 1 => 0..unit, 1 => Just(u64::MAX)])
        .prop_map(move |(count, more)| (base + count * unit).wrapping_add(more));
    let end = (0..64u32, any::<bool>()).prop_map(|(bit, below)| (1 << bit) - u64::from(below));
    prop_oneof![20 => near, 2 => end, 1 => any::<u64>()]
}

fn descriptor(unit: u64) -> impl Strategy<Value = oracle::Descriptor> {
    let kind = prop_oneof![4 => Just(7u32), 5 => Just(9u32), 2 => select(vec![5u32, 6, 10, 11, 0]), 1 => 0..16u32, 1 => any::<u32>()];
    let attributes = prop_oneof![
        10 => Just(0xfu64), 1 => Just(8u64), 1 => Just(2u64), 1 => Just(4u64), 1 => Just(1u64),
        1 => Just(0x4_000fu64), 1 => any::<u64>()
    ];
    let pages = number(0, unit / 4096, 24);
    (kind, number(BASE, unit, 64), pages, attributes).prop_map(
        |(kind, start, pages, attributes)| oracle::Descriptor { kind, start, pages, attributes },
    )
}

const BASE: u64 = 0x4000_0000;

/// Entries as a loader writes them, with cells that may be too few for their numbers.
fn entries(unit: u64, cells: Cells) -> impl Strategy<Value = Vec<u8>> {
    let entry = (number(BASE, unit / 16, 64 * 16), number(0, unit / 16, 30 * 16));
    (vec(entry, 0..6), vec(any::<u8>(), 0..4)).prop_map(move |(entries, behind)| {
        let cell = |number: u64, cells: usize| {
            let bytes = u128::from(number).to_be_bytes();
            let wide = [&[0; 32], &bytes[..]].concat();
            wide[wide.len() - 4 * cells..].to_vec()
        };
        let entries = entries.iter();
        let bytes =
            entries.flat_map(|(a, b)| [cell(*a, cells.address), cell(*b, cells.size)].concat());
        bytes.chain(behind).collect()
    })
}

fn property(unit: u64) -> impl Strategy<Value = (Cells, Option<Vec<u8>>)> {
    let cells =
        prop_oneof![10 => Just((2, 2)), 2 => (1..4usize, 1..5usize), 1 => (0..10usize, 0..10usize)];
    cells.prop_flat_map(move |(address, size)| {
        let cells = Cells { address, size };
        let value = prop_oneof![
            2 => Just(None),
            12 => entries(unit, cells).prop_map(Some),
            1 => vec(any::<u8>(), 0..100).prop_map(Some)
        ];
        (Just(cells), value)
    })
}

/// Boots with a map of up to `most` descriptors.
fn boots(most: usize) -> impl Strategy<Value = Boot> {
    // Memory of 64 units: 256 KiB to 64 TiB, across the limits of DMA and of linear maps.
    let unit = prop_oneof![4 => Just(12u32), 1 => select(vec![14u32, 16]), 3 => 12..40u32];
    unit.prop_flat_map(move |unit| {
        let unit = 1u64 << unit;
        let memory = (vec(descriptor(unit), 0..most), select(vec![0x1000u64, 0x4000, 0x1_0000]));
        let limits = (
            prop_oneof![3 => Just(48u32), 1 => Just(52u32), 1 => 30..64u32],
            prop_oneof![3 => Just(63u32), 2 => select(vec![35u32, 38, 41, 47, 51]), 1 => 12..63u32],
            prop_oneof![3 => Just(usize::MAX), 1 => 0..8usize],
            prop_oneof![1 => Just(1u64 << 27), 1 => Just(unit.max(0x1_0000) * 4)],
        );
        let asked = (property(unit), prop::option::weighted(0.2, number(0, unit, 80)));
        let flags = (prop::bool::weighted(0.8), prop::bool::weighted(0.5));
        (memory, limits, asked, flags).prop_map(|(memory, limits, asked, flags)| Boot {
            map: memory.0,
            page: memory.1,
            soft_reserve: flags.1,
            property: asked.0.1,
            cells: asked.0.0,
            acpi: flags.0,
            // One byte at address zero is no range; the kernel takes whole pages.
            limit: asked.1.filter(|limit| *limit != 1),
            last: (1 << limits.0) - 1,
            linear_map: 1 << limits.1,
            room: limits.2,
            section: limits.3,
        })
    })
}

/// Runs `check` for `cases` values, and prints how many these were. One that fails is shrunk, and kept
/// beside this file, to be tried first from then on.
fn random<S: Strategy>(
    what: &str,
    cases: u32,
    values: S,
    check: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let config = ProptestConfig {
        cases,
        max_shrink_iters: 20_000,
        source_file: Some(file!()),
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    };
    if let Err(error) = TestRunner::new(config).run(&values, check) {
        panic!("{what}: {error}");
    }
    println!("{what}: {cases} cases");
}

fn hold(boot: Boot) -> Result<(), TestCaseError> {
    proof::hold(&boot).map_err(TestCaseError::fail)
}

#[test]
fn a_boot_comes_to_what_the_rules_say() {
    random("random boots of up to 12 descriptors", 60_000, boots(12), hold);
}

#[test]
fn so_does_one_with_hundreds_of_descriptors() {
    random("random boots of up to 600 descriptors", 300, boots(600), hold);
}

#[test]
fn any_step_and_any_bytes_are_read_as_firmware_wrote_them() {
    let maps = (vec(descriptor(4096), 0..8), 0..200usize, vec(any::<u8>(), 0..400));
    random("random bytes of a map, and any step", 20_000, maps, |(map, step, bytes)| {
        let read = |bytes: &[u8]| {
            Descriptors::new_checked(bytes, step).map(|map| map.iter().collect::<Vec<_>>())
        };
        if step < Descriptor::SIZE {
            prop_assert_eq!(read(&bytes), None);
            return Ok(());
        }
        prop_assert_eq!(read(&bytes).map(|map| map.len()), Some(bytes.len() / step));
        let written = proof::bytes_of(&map, step);
        prop_assert_eq!(read(&written), Some(proof::descriptors_of(&map)));
        // One byte less is one descriptor less.
        if let Some(all_but_one) = written.len().checked_sub(1) {
            let fewer = read(&written[..all_but_one]).map(|map| map.len());
            prop_assert_eq!(fewer, Some(map.len() - 1));
        }
        Ok(())
    });
}
