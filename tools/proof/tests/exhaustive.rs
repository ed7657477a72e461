// SPDX-License-Identifier: GPL-2.0

//! All boots of a small scope.
//!
//! A universe is a few native pages, cut into units, at which descriptors and entries of the property
//! begin and end. Three tests cover it:
//!
//! - `maps`: what the kernel finds in the EFI memory map, for every map, in every order.
//! - `boots`: what comes of every map with every property.
//! - `boots_without_symmetry`: the same of a smaller universe, where nothing is left to an argument.
//!
//! `boots` takes one map for all that come to the same sets of memory, and one property for all that
//! give the same bytes. That is sound:
//!
//! - The map comes to the plan and to /proc/iomem in two ways only. One is memblock.memory, which
//!   efi_init() makes of it, and which is a set by its nature: of mapped memory and of memory without
//!   mapping. The other is the ranges of ACPI tables, and of these nothing but the union is used:
//!   `Merged` is around them, or they are asked one by one whether they are within a window that is
//!   a union of whole ranges. That `Merged` gives the union, of any map in any order, is what `maps`
//!   shows. So three sets stand for a map.
//! - The entries of the property are asked one by one whether there is memory in them, the reach of
//!   that memory is taken together, which does not depend on the order, and else `Merged` is around
//!   them. So the set of bytes stands for a property.
//! - Descriptors of other types are dropped one by one, before anything else is looked at. One
//!   stands for all of them in `maps` as `make test` runs it.
//!
//! The sets are given as the fewest ranges that make them, and these in rising and in falling order
//! by turns, for sorted ranges are merged in another way.
//!
//! `make test` runs a scope of seconds; the tests that are ignored have those of minutes:
//! `cargo test -p proof --test exhaustive -- --ignored --nocapture`.

use kernel::efi::Descriptor;
use oracle::{Boot, Set, attribute, before, kind};
use proof::{Before, descriptors_of, hold, hold_map, hold_memory};
use std::{
    collections::HashSet,
    slice,
    sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    thread,
};

/// Where the universe begins.
const BASE: u64 = 0x4000_0000;

/// Native pages, of which each is cut into units.
#[derive(Clone, Copy)]
struct Universe {
    page: u64,
    pages: u32,
    cut: u32,
}

impl Universe {
    const fn unit(self) -> u64 {
        self.page / self.cut as u64
    }

    const fn units(self) -> u32 {
        self.pages * self.cut
    }

    /// All ranges, in units: from the first to before the end.
    fn ranges(self) -> impl Iterator<Item = (u32, u32)> {
        (0..self.units())
            .flat_map(move |first| (first + 1..=self.units()).map(move |end| (first, end)))
    }

    fn descriptor(
        self,
        (kind, attributes): (u32, u64),
        (first, end): (u32, u32),
    ) -> oracle::Descriptor {
        let unit = self.unit();
        let pages = u64::from(end - first) * unit / 4096;
        oracle::Descriptor { kind, start: BASE + u64::from(first) * unit, pages, attributes }
    }

    fn entry(self, (first, end): (u32, u32)) -> [u8; 16] {
        let unit = self.unit();
        entry(BASE + u64::from(first) * unit, u64::from(end - first) * unit)
    }

    fn boot(self, map: Vec<oracle::Descriptor>) -> Boot {
        Boot { map, page: self.page, ..Boot::default() }
    }
}

fn entry(address: u64, size: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&address.to_be_bytes());
    bytes[8..].copy_from_slice(&size.to_be_bytes());
    bytes
}

type Meaning = (u32, u64);
const RAM: Meaning = (7, attribute::WRITE_BACK);
const ACPI: Meaning = (kind::ACPI_RECLAIM, attribute::WRITE_BACK);
const ACPI_NOT_WRITE_BACK: Meaning = (kind::ACPI_RECLAIM, 0x2);
const RUNTIME: Meaning = (6, attribute::WRITE_BACK);
/// Registers: a hole in memory.
const DEVICE: Meaning = (11, 0x1);

/// Runs `work` for each of `items`, on all processors, and prints the sum of the cases that it counts.
fn all<T: Sync>(what: &str, items: &[T], work: impl Fn(&T) -> u64 + Sync) {
    let (next, cases) = (AtomicUsize::new(0), AtomicU64::new(0));
    let processors = thread::available_parallelism().map_or(1, |number| number.get());
    thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Relaxed)) {
                    cases.fetch_add(work(item), Relaxed);
                }
            });
        }
    });
    let cases = cases.into_inner();
    assert!(cases > 0, "{what}: nothing was looked at");
    println!("{what}: {cases} cases");
}

fn held(result: Result<(), String>) {
    if let Err(differs) = result {
        panic!("{differs}");
    }
}

/// Every map of up to `most` of `options`, in every order.
fn maps(universe: Universe, options: &[oracle::Descriptor], most: usize, what: &str) {
    let kernels = descriptors_of(options);
    let lowest: Vec<_> = (0..options.len()).collect();
    held(hold_map(&universe.boot(Vec::new()), &before(&universe.boot(Vec::new())), &[]));
    all(what, &lowest, |&lowest| {
        let mut chosen = vec![lowest];
        let mut cases = 0;
        loop {
            cases += every_order(universe, options, &kernels, &chosen);
            // The next choice of options, of which none is below the one before it.
            if chosen.len() < most {
                chosen.push(chosen[chosen.len() - 1]);
                continue;
            }
            while chosen.len() > 1 && chosen[chosen.len() - 1] + 1 == options.len() {
                chosen.pop();
            }
            if chosen.len() == 1 {
                return cases;
            }
            *chosen.last_mut().expect("two at least") += 1;
        }
    });
}

/// The descriptors `chosen`, in every order: the oracle is asked once, for it takes unions.
fn every_order(
    universe: Universe,
    options: &[oracle::Descriptor],
    kernels: &[Descriptor],
    chosen: &[usize],
) -> u64 {
    let boot = universe.boot(chosen.iter().map(|&index| options[index]).collect());
    let stock = before(&boot);
    let mut order = chosen.to_vec();
    let mut cases = 0;
    loop {
        let map: [Option<Descriptor>; 4] =
            std::array::from_fn(|at| order.get(at).map(|&index| kernels[index]));
        let map = map.map(|descriptor| descriptor.unwrap_or(kernels[0]));
        held(hold_map(&boot, &stock, &map[..order.len()]));
        cases += 1;
        if !next_order(&mut order) {
            return cases;
        }
    }
}

/// The next order of `items`, of those that differ; false after the last one.
fn next_order(items: &mut [usize]) -> bool {
    let Some(at) = items.windows(2).rposition(|pair| pair[0] < pair[1]) else {
        return false;
    };
    let above = items.iter().rposition(|item| *item > items[at]).expect("the one behind it");
    items.swap(at, above);
    items[at + 1..].reverse();
    true
}

fn options(universe: Universe, meanings: &[Meaning]) -> Vec<oracle::Descriptor> {
    let of = |meaning| universe.ranges().map(move |range| universe.descriptor(meaning, range));
    meanings.iter().flat_map(|meaning| of(*meaning)).collect()
}

/// The runs of ones in `set`, lowest first.
fn runs(set: u32) -> Vec<(u32, u32)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while set >> at != 0 {
        let first = at + (set >> at).trailing_zeros();
        at = first + (set >> first).trailing_ones();
        runs.push((first, at));
    }
    runs
}

/// All sets of `bits` bits that `most` ranges can make.
fn sets(bits: u32, most: usize) -> Vec<u32> {
    (0..1u32 << bits).filter(|set| runs(*set).len() <= most).collect()
}

/// Every map of up to `descriptors` descriptors with every property of up to `entries` ranges.
fn boots(universe: Universe, descriptors: usize, entries: usize, what: &str) {
    let whole = Universe { cut: 1, ..universe };
    let mut seen = HashSet::new();
    let mut maps = Vec::new();
    for nomap in sets(universe.pages, descriptors) {
        let left = descriptors - runs(nomap).len();
        for acpi in sets(universe.pages, left) {
            for ram in sets(universe.pages, left - runs(acpi).len()) {
                if seen.insert(((ram | acpi) & !nomap, nomap, acpi)) {
                    maps.push([(RUNTIME, nomap), (RAM, ram), (ACPI, acpi)]);
                }
            }
        }
    }
    let mut properties: Vec<Vec<u8>> = Vec::new();
    for set in sets(universe.units(), entries) {
        let mut ranges = runs(set);
        if properties.len() % 2 == 1 {
            ranges.reverse();
        }
        properties.push(ranges.into_iter().flat_map(|range| universe.entry(range)).collect());
    }
    all(what, &maps, |map| {
        let of = |(meaning, set)| {
            runs(set).into_iter().map(move |range| whole.descriptor(meaning, range))
        };
        let mut map: Vec<_> = map.iter().flat_map(|part| of(*part)).collect();
        let mut boot = universe.boot(map.clone());
        let stock: Before = before(&boot);
        // Without a property, and with each mem=.
        held(hold_memory(&boot, &stock, &descriptors_of(&map)));
        for pages in 0..=universe.pages {
            boot.limit = Some(u64::from(pages) * universe.page);
            held(hold_memory(&boot, &stock, &descriptors_of(&map)));
        }
        boot.limit = None;
        let rising = descriptors_of(&map);
        map.reverse();
        let falling = descriptors_of(&map);
        for (index, property) in properties.iter().enumerate() {
            boot.property.get_or_insert_default().clone_from(property);
            held(hold_memory(&boot, &stock, if index % 4 < 2 { &rising } else { &falling }));
        }
        u64::from(universe.pages) + 2 + properties.len() as u64
    });
}

/// Every ordered list of up to `most` of `items`.
fn lists<T: Clone>(items: &[T], most: usize) -> Vec<Vec<T>> {
    let mut lists = vec![Vec::new()];
    let mut from = 0;
    for _ in 0..most {
        let shorter = lists[from..].to_vec();
        from = lists.len();
        for list in shorter {
            lists.extend(items.iter().map(|item| [&list[..], slice::from_ref(item)].concat()));
        }
    }
    lists
}

/// Every list of descriptors with every list of entries, and with none, and with all that can be
/// wrong with the length.
fn boots_without_symmetry(universe: Universe, descriptors: usize, entries: usize, what: &str) {
    let meanings = [RAM, ACPI, ACPI_NOT_WRITE_BACK, RUNTIME, DEVICE];
    let maps = lists(&options(universe, &meanings), descriptors);
    let mut choices: Vec<_> = universe.ranges().map(|range| universe.entry(range)).collect();
    // Empty, and wrapping.
    choices.extend([entry(BASE, 0), entry(BASE, 0u64.wrapping_sub(BASE - 1))]);
    let mut properties: Vec<_> =
        lists(&choices, entries).into_iter().map(|list| list.concat()).collect();
    let longest = properties.last().cloned().unwrap_or_default();
    properties.extend((1..longest.len()).map(|length| longest[..length].to_vec()));
    let properties: Vec<_> = properties.into_iter().map(Some).chain([None]).collect();
    all(what, &maps, |map| {
        let mut boot = universe.boot(map.clone());
        for property in &properties {
            boot.property.clone_from(property);
            held(hold(&boot));
        }
        properties.len() as u64
    });
}

/// Eight pages of 4 KiB.
const SMALL: Universe = Universe { page: 0x1000, pages: 8, cut: 1 };
/// Eight halves of pages of 64 KiB.
const LARGE: Universe = Universe { page: 0x1_0000, pages: 4, cut: 2 };

#[test]
fn every_map() {
    for (universe, most, what) in [(SMALL, 4, "4K: maps"), (LARGE, 3, "64K: maps")] {
        let mut options = options(universe, &[ACPI, ACPI_NOT_WRITE_BACK]);
        options.push(universe.descriptor(RAM, (0, universe.units())));
        maps(universe, &options, most, &format!("{what} of up to {most} descriptors"));
    }
}

#[test]
fn every_boot() {
    boots(SMALL, 3, 3, "4K: up to 3 descriptors and 3 ranges");
    boots(LARGE, 4, 3, "64K: up to 4 descriptors and 3 ranges of half pages");
    boots(
        Universe { page: 0x1000, ..LARGE },
        4,
        3,
        "4K: up to 4 descriptors and 3 ranges of half pages",
    );
}

#[test]
fn every_boot_without_symmetry() {
    let small = Universe { pages: 3, ..SMALL };
    boots_without_symmetry(small, 2, 3, "4K: any 2 descriptors and any 3 ranges");
    let large = Universe { pages: 2, ..LARGE };
    boots_without_symmetry(large, 2, 2, "64K: any 2 descriptors and any 2 ranges of half pages");
}

/// A set that is given is the set that comes back, whatever the universe.
#[test]
fn a_universe_is_what_it_says() {
    assert_eq!((SMALL.ranges().count(), LARGE.ranges().count()), (36, 36));
    assert_eq!(runs(0b1101_1001), [(0, 1), (3, 5), (6, 8)]);
    assert_eq!((sets(8, 1).len(), sets(8, 3).len(), sets(8, 4).len()), (37, 247, 256));
    assert_eq!(
        lists(&[1, 2], 2),
        [vec![], vec![1], vec![2], vec![1, 1], vec![1, 2], vec![2, 1], vec![2, 2]]
    );
    let mut order = [0, 1, 1];
    assert!(next_order(&mut order) && next_order(&mut order) && !next_order(&mut order));
    let boot = LARGE.boot(vec![LARGE.descriptor(ACPI, (1, 2))]);
    let page = oracle::Span { first: BASE, last: BASE + 0xffff };
    assert_eq!(before(&boot).acpi, Set::of(&[page]));
}

#[test]
#[ignore = "minutes: make matrix"]
fn every_map_of_four() {
    for (universe, what) in [(SMALL, "4K: maps"), (LARGE, "64K: maps")] {
        let meanings = [RAM, ACPI, ACPI_NOT_WRITE_BACK, RUNTIME, DEVICE];
        let options = options(universe, &meanings);
        maps(universe, &options, 4, &format!("{what} of up to 4 descriptors of any type"));
    }
}

#[test]
#[ignore = "minutes: make matrix"]
fn every_boot_of_four() {
    boots(SMALL, 4, 3, "4K: up to 4 descriptors and 3 ranges");
    boots(Universe { page: 0x1_0000, ..SMALL }, 4, 3, "64K: up to 4 descriptors and 3 ranges");
    let halves = Universe { pages: 5, ..LARGE };
    boots(halves, 4, 4, "64K: 5 pages, up to 4 descriptors and 4 ranges of half pages");
}

#[test]
#[ignore = "minutes: make matrix"]
fn every_boot_without_symmetry_of_three() {
    let small = Universe { pages: 3, ..SMALL };
    boots_without_symmetry(small, 3, 3, "4K: any 3 descriptors and any 3 ranges");
}
