// SPDX-License-Identifier: GPL-2.0

//! The bytes of an EFI memory map, with any step.

#![no_main]

use fuzz::Page;
use kernel::efi::{Descriptor, Descriptors};
use libfuzzer_sys::fuzz_target;
use oracle::{Boot, before};

#[derive(arbitrary::Arbitrary, Debug)]
struct Input<'a> {
    step: u8,
    page: Page,
    soft_reserve: bool,
    last: u8,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let step = usize::from(input.step);
    let Some(map) = Descriptors::new_checked(input.bytes, step) else {
        assert!(step < Descriptor::SIZE);
        return;
    };
    assert!(step >= Descriptor::SIZE);
    let map: Vec<_> = map.iter().collect();
    let field = |from: usize, bytes: usize| {
        let value = &input.bytes[from..from + bytes];
        value.iter().rev().fold(0u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let wanted = (0..input.bytes.len() / step).map(|index| index * step);
    let wanted = wanted.map(|at| oracle::Descriptor {
        kind: field(at, 4) as u32,
        start: field(at + 8, 8),
        pages: field(at + 24, 8),
        attributes: field(at + 32, 8),
    });
    let boot = Boot {
        map: wanted.collect(),
        page: input.page.bytes(),
        soft_reserve: input.soft_reserve,
        last: (1 << (30 + input.last % 33)) - 1,
        ..Boot::default()
    };
    assert_eq!(map, proof::descriptors_of(&boot.map));
    if let Err(differs) = proof::hold_map(&boot, &before(&boot), &map) {
        panic!("{differs}");
    }
});
