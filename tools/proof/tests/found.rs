// SPDX-License-Identifier: GPL-2.0

//! Boots that came to something else than the rules say, and do no more. Each says what it was.
//!
//! What is found later is added here: one entry.

use oracle::{Boot, Descriptor, attribute, kind};

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

fn reclaim(start: u64, pages: u64) -> Descriptor {
    Descriptor { kind: kind::ACPI_RECLAIM, start, pages, attributes: attribute::WRITE_BACK }
}

fn conventional(start: u64, bytes: u64) -> Descriptor {
    Descriptor { kind: 7, start, pages: bytes / 4096, attributes: attribute::WRITE_BACK }
}

fn runtime(start: u64, bytes: u64) -> Descriptor {
    Descriptor { kind: 6, ..conventional(start, bytes) }
}

fn property(ranges: &[(u64, u64)]) -> Option<Vec<u8>> {
    Some(
        ranges.iter().flat_map(|&(start, size)| [start, size]).flat_map(u64::to_be_bytes).collect(),
    )
}

fn found() -> Vec<(&'static str, Boot)> {
    let last = (1 << 48) - 1;
    let ram = conventional(GIB, GIB);
    vec![
        (
            "efi_init() took a page for memory, and it was not reserved",
            Boot { map: vec![ram, reclaim(GIB + 0x5000, 0)], page: 0x1_0000, ..Boot::default() },
        ),
        (
            "all memory above the table was reserved",
            Boot { map: vec![ram, reclaim(GIB, (1 << 52) + 1)], ..Boot::default() },
        ),
        (
            "memory was published as System RAM that is ACPI tables up to the last address",
            Boot { map: vec![ram, reclaim(4 * GIB, 1 << 40)], last, ..Boot::default() },
        ),
        (
            "a crash kernel took a table for memory to start from that reaches above the last address",
            Boot {
                map: vec![ram, reclaim(4 * GIB, 1 << 40)],
                property: property(&[(5 * GIB, GIB)]),
                last,
                ..Boot::default()
            },
        ),
        (
            "a crash kernel took memory above the last address for memory to start from",
            Boot {
                map: vec![ram, conventional(1 << 50, GIB)],
                property: property(&[(1 << 50, GIB)]),
                last,
                ..Boot::default()
            },
        ),
        (
            "memory without mapping that reaches above the last address did not count, and a table \
             within the kernel's own span was left out",
            Boot {
                map: vec![
                    conventional(600 * GIB, GIB),
                    reclaim(900 * GIB, 1),
                    runtime((1 << 48) - MIB, 2 * MIB),
                ],
                property: property(&[(600 * GIB, GIB)]),
                linear_map: 1 << 38,
                last,
                ..Boot::default()
            },
        ),
    ]
}

#[test]
fn what_was_found_comes_to_what_the_rules_say() {
    let differs = found().into_iter().filter_map(|(what, boot)| {
        let differs = proof::hold(&boot).err()?;
        Some(format!("{what}: {differs}"))
    });
    let differs: Vec<_> = differs.collect();
    assert!(differs.is_empty(), "{}", differs.join("\n\n"));
}
