// SPDX-License-Identifier: GPL-2.0

//! Every case of `cases.toml` on the host: the series' own code and the oracle must come to the same,
//! and to what the file says.

use cases::{Case, Series, Stock};
use oracle::{Boot, Outcome};
use orders::{EFI_PAGE, Pages};
use std::collections::BTreeSet;

const LAST: u64 = (1 << 48) - 1;
const LINEAR_MAP: u64 = 1 << 47;
/// What memblock.memory has room for on arm64, less what the series leaves to others.
const REGIONS: usize = 1024 - 32;

/// What the firmware of the machine describes: kind, start, end, attributes.
fn firmware(case: &Case) -> Vec<orders::Descriptor> {
    let end = 0x4000_0000 + (case.memory << 20);
    let map = [
        (11, 0x400_0000, 0x800_0000, 1 << 63 | 2),
        (11, 0x901_0000, 0x901_1000, 1 << 63 | 1),
        (7, 0x4000_0000, 0x5c43_0000, 8),
        (9, 0x5c43_0000, 0x5c44_0000, 8),
        (6, 0x5c44_0000, 0x5c73_0000, 1 << 63 | 8),
        (7, 0x5c73_0000, end, 8),
    ];
    map.map(|(memory_type, start, end, attributes)| orders::Descriptor {
        pages: Pages { start, count: (end - start) / EFI_PAGE },
        kind: orders::Kind { memory_type, attributes },
    })
    .to_vec()
}

fn boot(case: &Case) -> Boot {
    let mut map = Vec::new();
    case.map.apply(firmware(case).into_iter(), &mut map);
    let mut boot = Boot {
        map: map
            .iter()
            .map(|descriptor| oracle::Descriptor {
                kind: descriptor.kind.memory_type,
                start: descriptor.pages.start,
                pages: descriptor.pages.count,
                attributes: descriptor.kind.attributes,
            })
            .collect(),
        property: case.property.clone(),
        cells: oracle::Cells { address: case.cells.0 as usize, size: case.cells.1 as usize },
        last: LAST,
        linear_map: LINEAR_MAP,
        ..Boot::default()
    };
    let before = oracle::before(&boot);
    let regions = before.mapped.spans().len() + before.nomap.spans().len();
    boot.room = REGIONS.checked_sub(regions).expect("the kernel stops at so many regions");
    boot
}

fn check(case: &Case) {
    let boot = boot(case);
    let came = match oracle::outcome(&boot) {
        Outcome::Stops => Series::Stops,
        Outcome::Boots(_) => Series::Boots,
    };
    assert_eq!(came, case.series, "{}", case.name);
    proof::hold(&boot).unwrap_or_else(|difference| panic!("{}: {difference}", case.name));
}

#[test]
fn the_series_and_the_oracle_agree_on_every_case() {
    let cases = cases::parse(include_str!("../../../cases.toml")).unwrap();
    cases.iter().for_each(check);
    println!("{} cases", cases.len());
}

#[test]
fn the_cases_are_what_the_issue_asks_for() {
    let cases = cases::parse(include_str!("../../../cases.toml")).unwrap();
    let lengths = cases.iter().filter_map(|case| Some(case.property.as_ref()?.len()));
    let lengths: BTreeSet<_> = lengths.collect();
    for length in (0..=40).filter(|length| ![0, 16, 32].contains(length)) {
        assert!(lengths.contains(&length), "no property of {length} bytes");
    }
    let entries = lengths.iter().filter(|length| *length % 16 == 0).map(|length| length / 16);
    assert!(entries.clone().any(|entries| entries == 64) && entries.clone().any(|one| one == 0));
    let ranges: Vec<_> = cases.iter().map(|case| case.map.ranges.len()).collect();
    assert!(ranges.contains(&1) && ranges.iter().any(|ranges| *ranges >= 4000));
}

/// The row of README about a case with a property.
fn row(case: &Case, property: &[u8]) -> String {
    let boot = boot(case);
    let stock = match case.stock {
        Stock::Given => "uses it",
        Stock::All => "takes all memory",
        Stock::Tables => "overwrites the tables",
        Stock::More => "takes that for memory, too",
        Stock::Tree => "overwrites its own device tree",
        Stock::Nothing => "does not come up, and does not say why",
    };
    let entries = oracle::judged(&boot, property).unwrap_or_default();
    let entry_size = 4 * (boot.cells.address + boot.cells.size);
    let whole = entries.len() * entry_size == property.len();
    let series = match case.series {
        Series::Stops => "stops, and names the property",
        Series::Boots if whole && entries.iter().all(Result::is_ok) => "uses it",
        Series::Boots => "uses the good one, names the other",
    };
    let tables = if case.move_tables { ", tables intact" } else { "" };
    format!("| {} | {stock} | {series}{tables} |\n", case.what)
}

#[test]
fn readme_says_what_the_quick_cases_say() {
    let cases = cases::parse(include_str!("../../../cases.toml")).unwrap();
    let rows = cases.iter().filter(|case| case.quick);
    let rows = rows.filter_map(|case| Some(row(case, case.property.as_ref()?)));
    let table: String = rows.collect();
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(&table), "README has not this table:\n{table}");
}
