// SPDX-License-Identifier: GPL-2.0

//! A whole boot: an EFI memory map, a property, `mem=`, and what bounds memory.

#![no_main]

use fuzz::Input;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| {
    if let Err(differs) = proof::hold(&input.boot()) {
        panic!("{differs}");
    }
});
