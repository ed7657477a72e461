// SPDX-License-Identifier: GPL-2.0

//! The rules of DESIGN, R1 to R8, as far as pure code decides them: cases worked out by hand, and
//! what they cost.
//!
//! R4 (any loader) and R8 (the dump) are about other programs: the boots show them.

use kernel::{
    arm64::{
        cap_memory::{below_limit, remove_above},
        memory_resources::{Kind, memory_resources},
        usable_memory::{Fault, Limits, Plan, range_of, usable},
    },
    efi::{AcpiReclaim, Attributes, Descriptor, MemoryType},
    fdt::RegEntry,
    memblock::{Memory, Region},
    phys::{Merged, PageSize, PhysAddr, PhysRange},
};
use oracle::{Set, Span};
use proof::Memblock;
use std::cell::{Cell, RefCell};

const PAGE: u64 = 4096;
/// Where memory starts in the small cases.
const BASE: u64 = 0x4000_0000;

/// Limits that leave nothing out.
fn no_limits() -> Limits {
    Limits {
        linear_map: 1 << 47,
        linear_map_align: PageSize::new_checked(1 << 30).unwrap(),
        regions: usize::MAX,
        section: PageSize::new_checked(1 << 27).unwrap(),
        section_map: 0,
    }
}

fn page_size() -> PageSize {
    PageSize::new_checked(PAGE).unwrap()
}

/// From page `first` to before page `end`.
fn pages(first: u64, end: u64) -> PhysRange {
    range(BASE + first * PAGE, (end - first) * PAGE)
}

/// RAM of 40 pages with two pages of tables in its middle, then memory of the runtime services.
fn small_machine() -> (Memblock, Merged<impl Iterator<Item = PhysRange> + Clone>) {
    let set = |range: PhysRange| {
        Set::of(&[Span { first: range.start().as_u64(), last: range.last().as_u64() }])
    };
    let memory = Memblock::new(&set(pages(0, 40)), &set(pages(40, 42)));
    (memory, Merged::new(Some(pages(20, 22)).into_iter()))
}

fn property_of(entries: &[(u64, u64)]) -> Vec<RegEntry> {
    entries.iter().map(|&(addr, size)| RegEntry { addr: Some(addr), size: Some(size) }).collect()
}

#[test]
fn r5_each_useless_entry_is_named() {
    let (memory, tables) = small_machine();
    let page = |page: u64| BASE + page * PAGE;
    let cases = [
        ((page(0), 0), Err(Fault::Empty)),
        ((u64::MAX, 2), Err(Fault::BeyondAddressSpace)),
        ((u64::MAX - PAGE, u64::MAX), Err(Fault::BeyondAddressSpace)),
        ((0, PAGE), Err(Fault::NoMemory)),
        // Only tables, only memory without mapping, nothing.
        ((page(20), 2 * PAGE), Err(Fault::OnlyTables)),
        ((page(40), 2 * PAGE), Err(Fault::NoMemory)),
        ((page(42), PAGE), Err(Fault::NoMemory)),
        // Part of a page, and parts of two.
        ((page(0), PAGE - 1), Err(Fault::NoWholePage)),
        ((page(0) + 1, 2 * PAGE - 2), Err(Fault::NoWholePage)),
        // One page of memory next to the tables; less than that is none.
        ((page(19), 2 * PAGE), Ok(())),
        ((page(20) - 1, 2 * PAGE), Err(Fault::OnlyTables)),
        ((page(0), u64::MAX - page(0)), Ok(())),
    ];
    for ((addr, size), wanted) in cases {
        let entry = property_of(&[(addr, size)])[0];
        let got = usable(&memory, tables.clone(), entry, page_size());
        assert_eq!(got.map(|_| ()), wanted, "address {addr:#x}, size {size:#x}");
    }
    let wide = RegEntry { addr: None, size: Some(1) };
    assert_eq!(range_of(wide, page_size()), Err(Fault::BeyondAddressSpace));
}

/// What the kernel prints of ranges, as its neighbours do, and of faults.
#[test]
fn r5_a_fault_and_a_range_are_printed_in_words() {
    assert_eq!(range(0x4000_0000, 0x1000).to_string(), "0x000040000000-0x000040000fff");
    assert_eq!(PhysRange::ALL.to_string(), "0x000000000000-0xffffffffffffffff");
    let said = [
        (Fault::BeyondAddressSpace, "reaches beyond the address space"),
        (Fault::Empty, "is empty"),
        (Fault::NoMemory, "is no memory that could be used"),
        (Fault::NoWholePage, "has no whole page"),
        (Fault::OnlyTables, "is ACPI tables, which are not for use"),
        (Fault::TooMany, "is one too many"),
    ];
    for (fault, words) in said {
        assert_eq!(fault.as_str(), words);
    }
}

#[test]
fn r5_without_usable_memory_nothing_is_changed() {
    for property in
        [&[][..], &[(BASE, 0)], &[(u64::MAX, 2), (0, PAGE)], &[(BASE + 40 * PAGE, PAGE)]]
    {
        let (memory, tables) = small_machine();
        let before = memory.spans(false).collect::<Vec<_>>();
        let property = property_of(property);
        let ranges = property.iter().filter_map(|entry| range_of(*entry, page_size()).ok());
        assert!(Plan::new(&memory, Merged::new(ranges), tables, no_limits()).is_none());
        assert_eq!(memory.spans(false).collect::<Vec<_>>(), before);
    }
}

/// A memblock of a few regions at any address.
struct Regions(Vec<(u64, u64, bool)>);

impl Memory for Regions {
    fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        self.0.iter().map(|&(start, size, nomap)| Region { range: range(start, size), nomap })
    }

    fn remove(&self, _range: PhysRange) {
        unreachable!("a decision changes nothing");
    }
}

fn range(start: u64, size: u64) -> PhysRange {
    PhysRange::from_start_size(PhysAddr::new(start), size).unwrap()
}

const GIB: u64 = 1 << 30;
const MIB: u64 = 1 << 20;

/// Which of `tables` a crash kernel with the memory `own` gets back.
fn given_back(
    own: (u64, u64),
    nomap: Option<(u64, u64)>,
    tables: &[u64],
    limits: Limits,
) -> Vec<u64> {
    let mut regions = vec![(own.0, own.1, false)];
    regions.extend(nomap.map(|(start, size)| (start, size, true)));
    regions.extend(tables.iter().map(|table| (*table, MIB, false)));
    regions.sort();
    let tables = Merged::new(tables.iter().map(|table| range(*table, MIB)));
    let usable = Merged::new([range(own.0, own.1)].into_iter());
    let plan = Plan::new(&Regions(regions), usable, tables.clone(), limits).unwrap();
    let mut all: Vec<_> = plan.kept().chain(plan.left_out()).collect();
    all.sort_by_key(|table| table.start());
    assert!(tables.eq(all));
    plan.kept().map(|table| table.start().as_u64()).collect()
}

fn kept_and_left_out<U, T>(plan: &Plan<U, T>) -> (usize, usize)
where
    U: Iterator<Item = PhysRange> + Clone,
    T: Iterator<Item = PhysRange> + Clone,
{
    (plan.kept().count(), plan.left_out().count())
}

/// The linear map of `bits` of virtual addresses is half of them.
fn linear_map(bits: u32) -> Limits {
    Limits { linear_map: 1 << (bits - 1), ..no_limits() }
}

#[test]
fn r6_tables_that_do_not_fit_into_the_linear_map_are_left_out() {
    // HAZARDS 3: 512 MiB of crash memory at 600 GiB, a table at 2 GiB. The zones are those of the
    // upper memory, so the table is above 4 GiB here to have one reason alone.
    let own = (600 * GIB, GIB / 2);
    for (bits, fits) in [(36, false), (39, false), (42, true), (47, true), (48, true), (52, true)] {
        let back = given_back(own, None, &[5 * GIB], linear_map(bits));
        assert_eq!(back, if fits { vec![5 * GIB] } else { vec![] }, "{bits} bits");
    }
    // Above, between and below.
    let own = (100 * GIB, GIB);
    let tables = [5 * GIB, 90 * GIB, 100 * GIB + GIB, 300 * GIB, 500 * GIB];
    assert_eq!(given_back(own, None, &tables, linear_map(39)), tables[..3]);
    assert_eq!(given_back(own, None, &tables[3..], linear_map(39)), tables[3..4]);
    assert_eq!(given_back(own, None, &tables, linear_map(41)), tables);
}

#[test]
fn r6_the_base_of_the_linear_map_is_rounded_down() {
    let own = (64 * GIB, GIB);
    let limits = |size| Limits { linear_map: size, ..no_limits() };
    let table = 60 * GIB + GIB / 2;
    // From 60 GiB, where the base is rounded down to, to the end of 64 GiB: 5 GiB.
    assert_eq!(given_back(own, None, &[table], limits(5 * GIB)), [table]);
    assert!(given_back(own, None, &[table], limits(5 * GIB - 1)).is_empty());
}

#[test]
fn r6_what_lies_within_the_kernels_own_span_is_always_given_back() {
    // NOMAP memory at 64 MiB spans more than the linear map already: stock has the same.
    let back = given_back((600 * GIB, GIB), Some((64 * MIB, MIB)), &[2 * GIB], linear_map(39));
    assert_eq!(back, [2 * GIB]);
}

#[test]
fn r6_tables_do_not_move_memory_across_the_dma_limit() {
    let low = (GIB, GIB / 2);
    assert!(given_back(low, None, &[4 * GIB], no_limits()).is_empty());
    assert_eq!(given_back(low, None, &[4 * GIB - MIB], no_limits()), [4 * GIB - MIB]);
    let high = (8 * GIB, GIB);
    assert!(given_back(high, None, &[3 * GIB], no_limits()).is_empty());
    assert_eq!(given_back(high, None, &[4 * GIB], no_limits()), [4 * GIB]);
    // With memory on both sides nothing moves.
    assert_eq!(given_back(high, Some((MIB, MIB)), &[3 * GIB], no_limits()), [3 * GIB]);
}

#[test]
fn r6_memblock_is_given_no_more_regions_than_it_has_room_for() {
    let tables: Vec<_> = (0..10).map(|index| GIB + index * 2 * MIB).collect();
    let limits = |regions| Limits { regions, ..no_limits() };
    assert_eq!(given_back((2 * GIB, GIB), None, &tables, limits(3)), tables[..3]);
    assert_eq!(given_back((2 * GIB, GIB), None, &tables, limits(10)), tables);
    assert!(given_back((2 * GIB, GIB), None, &tables, limits(0)).is_empty());
}

/// Each section of its own costs a memory map, of which a kernel has a share of its memory to spare.
#[test]
fn r6_tables_cost_no_more_memory_maps_than_the_kernel_can_spare() {
    let section = 128 * MIB;
    let tables: Vec<_> =
        (0..10).map(|index| GIB + index / 2 * section + index % 2 * 2 * MIB).collect();
    let limits = Limits { section_map: 2 * MIB, ..no_limits() };
    let own = |size| (2 * GIB, size);
    // One part of 16: three maps. Two tables in one section need one.
    assert_eq!(given_back(own(96 * MIB), None, &tables, limits), tables[..6]);
    assert_eq!(given_back(own(96 * MIB - 1), None, &tables, limits), tables[..4]);
    assert_eq!(given_back(own(160 * MIB), None, &tables, limits), tables);
    // A section that has other memory has a map.
    let nomap = (GIB + 3 * section + 64 * MIB, MIB);
    assert_eq!(given_back(own(96 * MIB), Some(nomap), &tables, limits), tables[..8]);
    let near = 2 * GIB + 100 * MIB;
    assert_eq!(given_back(own(MIB), None, &[near], limits), [near]);
}

#[test]
fn r6_without_tables_memory_is_published_as_stock_publishes_it() {
    let (memory, _) = small_machine();
    let page = PageSize::new_checked(PAGE).unwrap();
    let shown: Vec<_> = memory_resources(&memory, None.into_iter(), page).collect();
    let wanted = [(Kind::SystemRam, pages(0, 40)), (Kind::Reserved, pages(40, 42))];
    assert_eq!(shown, wanted);
}

/// A device tree takes memory out of the linear map to the byte: a page of which it wants a part is
/// shown as reserved, and as no table.
#[test]
fn r2_memory_without_a_mapping_wins_a_page_that_it_shares() {
    let memory = Regions(vec![
        (BASE, 8 * PAGE, false),
        (BASE + 8 * PAGE + 0x10, 0x20, true),
        (BASE + 8 * PAGE + 0x40, 0x20, true),
    ]);
    let tables = Some(pages(7, 10)).into_iter();
    let shown: Vec<_> = memory_resources(&memory, tables, page_size()).collect();
    let wanted = [
        (Kind::SystemRam, pages(0, 7)),
        (Kind::Reserved, pages(8, 9)),
        (Kind::AcpiTables, pages(7, 8)),
        (Kind::AcpiTables, pages(9, 10)),
    ];
    assert_eq!(shown, wanted);
}

/// `mem=` counts each byte but those of tables.
#[test]
fn a_limit_ends_with_its_last_byte() {
    let (memory, tables) = small_machine();
    let below = |limit| {
        let below = below_limit(&memory, tables.clone(), limit)?;
        Some((below.start().as_u64(), below.last().as_u64()))
    };
    let first = 20 * PAGE;
    assert_eq!(below(1), Some((0, BASE)));
    assert_eq!(below(first), Some((0, BASE + first - 1)));
    // The next byte that counts is behind the tables.
    assert_eq!(below(first + 1), Some((0, BASE + first + 2 * PAGE)));
    let all = 40 * PAGE;
    assert_eq!(below(all), Some((0, BASE + 42 * PAGE - 1)));
    assert_eq!(below(all + 1), None);
    assert_eq!(below(0), None);
}

#[test]
fn r7_thousands_of_ranges_are_found_one_by_one() {
    let map = (0..4000u64).rev().map(|index| Descriptor {
        memory_type: MemoryType::ACPI_RECLAIM,
        start: PhysAddr::new(index * 3 * PAGE),
        pages: 1,
        attributes: Attributes::WRITE_BACK,
    });
    let page = PageSize::new_checked(PAGE).unwrap();
    let found = AcpiReclaim::tables(map, page, false, PhysAddr::MAX);
    assert_eq!(found.ranges().count(), 4000);
}

/// Most firmware has its map sorted: it is walked once to see that, and from its first range on once
/// more.
#[test]
fn r7_sorted_ranges_are_walked_twice() {
    let visits = Cell::new(0u64);
    let sorted = (0..1000).map(|index| {
        visits.set(visits.get() + 1);
        pages(2 * index, 2 * index + 1)
    });
    let merged = Merged::new(sorted);
    assert_eq!(visits.replace(0), 1000);
    assert_eq!(merged.clone().count(), 1000);
    assert_eq!(visits.get(), 0, "how many there are is known");
    assert_eq!(merged.last(), Some(pages(1998, 1999)));
    assert_eq!(visits.get(), 999);
}

/// A list of regions that counts how often it is cut, and how long it gets.
struct Slots {
    regions: RefCell<Vec<(u64, u64)>>,
    most: Cell<usize>,
}

impl Memory for Slots {
    fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        let regions = self.regions.borrow().clone();
        let region = |(start, size)| Region { range: range(start, size), nomap: false };
        regions.into_iter().map(region)
    }

    fn remove(&self, cut: PhysRange) {
        let mut regions = self.regions.borrow_mut();
        let pieces = |(start, size)| {
            let region = range(start, size);
            let pieces = match region.overlaps(cut) {
                true => [region.below(cut.start()), region.above(cut.last())],
                false => [Some(region), None],
            };
            let pair = |piece: PhysRange| (piece.start().as_u64(), piece.size());
            pieces.into_iter().flatten().map(pair)
        };
        *regions = regions.drain(..).flat_map(pieces).collect();
        self.most.set(self.most.get().max(regions.len()));
    }
}

/// 4,096 descriptors, of which every eighth is a table, in falling order, and 400 usable ranges:
/// memblock gets no more regions than were counted, and the work grows with ranges times
/// descriptors, not with a higher power.
#[test]
fn r7_a_crash_kernel_with_thousands_of_descriptors_is_confined_in_time_and_room() {
    let (descriptors, entries) = (4096, 400);
    let visits = Cell::new(0u64);
    let map = (0..descriptors).rev().map(|index| {
        visits.set(visits.get() + 1);
        Descriptor {
            memory_type: MemoryType::new(if index % 8 == 0 { 9 } else { 7 }),
            start: PhysAddr::new(BASE + index * PAGE),
            pages: 1,
            attributes: Attributes::WRITE_BACK,
        }
    });
    let page = PageSize::new_checked(PAGE).unwrap();
    let tables = AcpiReclaim::tables(map, page, false, PhysAddr::MAX);
    let usable = (0..entries).map(|index| range(BASE + (index * 10 + 1) * PAGE, 2 * PAGE));
    let memory =
        Slots { regions: RefCell::new(vec![(BASE, descriptors * PAGE)]), most: Cell::new(0) };
    let limits = Limits { regions: 300, ..no_limits() };
    let plan = Plan::new(&memory, Merged::new(usable), tables.ranges(), limits).unwrap();
    // A hundred of the tables lie in usable ranges.
    assert_eq!(kept_and_left_out(&plan), (100 + 300, 512 - 400));
    plan.apply(&memory);

    let bound = 300 + entries as usize + 2;
    assert!(memory.most.get() <= bound, "{} regions", memory.most.get());
    let ranges = entries + 512;
    let visits = visits.get();
    assert!(visits <= 16 * ranges * descriptors, "{visits} descriptors read");
}

/// A loader lists all memory again and again, and firmware has its tables in no order: each entry by
/// itself would have all tables put in order for it.
#[test]
fn r7_entries_that_overlap_are_looked_at_together() {
    let (descriptors, entries) = (2048, 400);
    let visits = Cell::new(0u64);
    let tables = (0..descriptors).rev().map(|index| {
        visits.set(visits.get() + 1);
        range(BASE + (2 * index + 1) * PAGE, PAGE)
    });
    let all = range(BASE, 2 * descriptors * PAGE);
    let memory = Slots {
        regions: RefCell::new(vec![(all.start().as_u64(), all.size())]),
        most: Cell::new(0),
    };
    let usable = (0..entries).map(|_| all);
    let (usable, tables) = (Merged::new(usable), Merged::new(tables));
    let plan = Plan::new(&memory, usable, tables, no_limits()).unwrap();
    plan.apply(&memory);
    let visits = visits.get();
    // Each walk in order takes two of all descriptors for each that comes out.
    assert!(visits <= 32 * descriptors * descriptors, "{visits} descriptors read");
}

/// Tables that lie in usable memory are a part of its region. To take out those that are too many
/// would need a region more for each: there may be any number of them.
#[test]
fn r7_tables_in_usable_memory_need_no_region() {
    let tables = (0..2000).map(|index| range(BASE + (2 * index + 1) * PAGE, PAGE));
    let far = (0..10).map(|index| range(BASE + (5000 + 2 * index) * PAGE, PAGE));
    for regions in [0, 5, 960] {
        let memory = Slots { regions: RefCell::new(vec![(BASE, 6000 * PAGE)]), most: Cell::new(0) };
        let usable = Merged::new(Some(range(BASE, 4500 * PAGE)).into_iter());
        let tables = Merged::new(tables.clone().chain(far.clone()));
        let limits = Limits { regions, ..no_limits() };
        let plan = Plan::new(&memory, usable, tables, limits).unwrap();
        assert_eq!(kept_and_left_out(&plan), (2000 + regions.min(10), 10 - regions.min(10)));
        plan.apply(&memory);
        let bound = regions.min(10) + 2;
        assert!(memory.most.get() <= bound, "{} regions", memory.most.get());
        assert_eq!(memory.regions.borrow().len(), 1 + regions.min(10));
    }
}

/// Firmware claims memory above the last address, and a loader lists it: it is none, mapped or not.
#[test]
fn r5_memory_that_cannot_be_mapped_is_no_memory() {
    let memory =
        Slots { regions: RefCell::new(vec![(GIB, GIB / 2), (1 << 50, GIB)]), most: Cell::new(0) };
    remove_above(&memory, PhysAddr::new((1 << 48) - 1));
    assert_eq!(*memory.regions.borrow(), [(GIB, GIB / 2)]);
    let (usable, none) = (Some(range(1 << 50, GIB)).into_iter(), None.into_iter());
    let (usable, none) = (Merged::new(usable), Merged::new(none));
    assert!(Plan::new(&memory, usable, none, no_limits()).is_none());
    // Nothing is above all that there is.
    remove_above(&memory, PhysAddr::MAX);
    assert_eq!(*memory.regions.borrow(), [(GIB, GIB / 2)]);
}

/// The route of 2017: a loader lists a table as usable. It is a table all the same.
#[test]
fn r4_r6_a_table_that_is_left_out_is_not_memory_even_where_a_loader_lists_it() {
    let (own, table) = ((GIB, GIB / 2), (5 * GIB, MIB));
    let memory = Slots { regions: RefCell::new(vec![own, table]), most: Cell::new(0) };
    let usable = [own, table].map(|(start, size)| range(start, size));
    let tables = Some(range(table.0, table.1)).into_iter();
    let (usable, tables) = (Merged::new(usable.into_iter()), Merged::new(tables));
    let plan = Plan::new(&memory, usable, tables, no_limits()).unwrap();
    plan.apply(&memory);
    assert_eq!(*memory.regions.borrow(), [own]);
}
