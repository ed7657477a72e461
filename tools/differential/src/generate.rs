// SPDX-License-Identifier: GPL-2.0

//! Boots of any kind: what firmware can hand over, what a loader can write, what a user can ask for.
//!
//! Most of each boot is likely, so that it comes far, and a part of it is hostile. Shrinking makes the
//! numbers smaller and the lists shorter, so the boot that is shown in the end is a plain one.

use crate::order::{MORE_RELIABLE, Order};
use oracle::{Boot, Cells, Descriptor, Set, Span, attribute, before, kind};
use proptest::{
    collection::vec,
    option::weighted,
    prelude::*,
    sample::{Index, select},
};

/// The size of an EFI page.
const EFI_PAGE: u64 = 4096;

/// How many regions memblock.memory has room for before it can grow, on arm64 with EFI.
const MEMORY_REGIONS: usize = 1024;
/// What the series leaves free of that (`SPARE_REGIONS`).
const SPARE_REGIONS: usize = 32;

/// A descriptor's type and attributes.
const MEANINGS: [(u32, u32, u64); 13] = [
    // How often, type, attributes: memory that is mapped.
    (8, 7, WB),
    (1, 4, WB | attribute::ANY_MEMORY),
    (1, 7, WB | MORE_RELIABLE),
    (1, 7, WB | attribute::SPECIFIC_PURPOSE),
    // ACPI Reclaim.
    (8, kind::ACPI_RECLAIM, WB),
    (2, kind::ACPI_RECLAIM, 0x2),
    (1, kind::ACPI_RECLAIM, WB | attribute::SPECIFIC_PURPOSE),
    // Memory that is not mapped.
    (3, 6, WB | 1 << 63),
    (1, 0, WB),
    (1, 7, 0x4),
    // No memory.
    (1, 11, 0x1),
    (1, kind::ACPI_RECLAIM, 0x1),
    (1, 0x8000_0001, 0),
];
const WB: u64 = attribute::WRITE_BACK;

fn meaning() -> impl Strategy<Value = (u32, u64)> {
    let weighted: Vec<_> = MEANINGS
        .iter()
        .flat_map(|&(times, kind, attributes)| vec![(kind, attributes); times as usize])
        .collect();
    select(weighted)
}

/// Numbers at which 64 bits, or EFI pages, come to an end.
fn edge() -> impl Strategy<Value = u64> {
    let edges = vec![0, 1 << 32, 1 << 36, 1 << 48, 1 << 52, 1 << 63, u64::MAX];
    prop_oneof![
        any::<u64>(),
        (select(edges), -0x1_1000i64..0x1_1000)
            .prop_map(|(edge, off)| edge.wrapping_add_signed(off)),
    ]
}

/// Descriptors that no firmware should write.
fn wild() -> impl Strategy<Value = Descriptor> {
    let pages = prop_oneof![0..32u64, edge().prop_map(|bytes| bytes / EFI_PAGE), edge()];
    (meaning(), edge(), pages).prop_map(|((kind, attributes), start, pages)| Descriptor {
        kind,
        start,
        pages,
        attributes,
    })
}

/// A range of the property.
#[derive(Clone, Debug)]
enum Given {
    /// In units of the machine, and a few bytes more or less at both ends.
    Units(u64, u64, i64, i64),
    /// In the memory that a crash kernel is given as a rule, with a few bytes more or less.
    Home(i64, i64),
    /// A descriptor, but for a few bytes at both ends.
    Descriptor(Index, i64, i64),
    /// Any address and size.
    Any(u64, u64),
}

fn given() -> impl Strategy<Value = Given> {
    let off = || select(vec![0, 0, 0, 0, 0x1000, -0x1000, 0x1_0000, -0x1_0000, 1, -1, 0x800, 0x20]);
    prop_oneof![
        6 => (0..64u64, 0..64u64, off(), off()).prop_map(|(at, size, a, b)| Given::Units(at, size, a, b)),
        4 => (off(), off()).prop_map(|(a, b)| Given::Home(a, b)),
        4 => (any::<Index>(), off(), off()).prop_map(|(which, a, b)| Given::Descriptor(which, a, b)),
        1 => (edge(), edge()).prop_map(|(address, size)| Given::Any(address, size)),
    ]
}

/// `linux,usable-memory-range`.
#[derive(Clone, Debug)]
enum Property {
    /// Entries, and what is behind them.
    Entries(Vec<Given>, Vec<u8>),
    /// Any bytes.
    Bytes(Vec<u8>),
}

fn property() -> impl Strategy<Value = Property> {
    let tail = prop_oneof![4 => Just(Vec::new()), 1 => vec(any::<u8>(), 1..15)];
    let few = (vec(given(), 0..5), tail).prop_map(|(given, tail)| Property::Entries(given, tail));
    let many = vec(given(), 5..70).prop_map(|given| Property::Entries(given, Vec::new()));
    prop_oneof![
        16 => few,
        1 => many,
        1 => vec(any::<u8>(), 0..48).prop_map(Property::Bytes),
    ]
}

/// Descriptors of one kind, scattered over memory.
#[derive(Clone, Debug)]
struct Scattered {
    meaning: (u32, u64),
    count: usize,
    /// In EFI pages, from one to the next.
    every: u64,
    place: Place,
}

/// Where scattered descriptors begin.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// At the base, below where a crash kernel is at home.
    Base,
    /// Where that is.
    Home,
    /// Above it, where memblock looks for free memory first.
    Above,
}

fn scattered() -> impl Strategy<Value = Scattered> {
    let count = prop_oneof![
        4 => 1..40usize,
        // Around what memblock.reserved has room for, with and without what the series leaves free.
        8 => 70..90usize,
        8 => 110..140usize,
        12 => 140..500usize,
        1 => 900..1100usize,
        1 => 2000..4000usize,
    ];
    let meaning = select(
        vec![(kind::ACPI_RECLAIM, WB); 8].into_iter().chain([(6, WB), (7, WB)]).collect::<Vec<_>>(),
    );
    let every = select(vec![2u64, 3, 8, 17, 32, 48]);
    let place = select(vec![Place::Base, Place::Home, Place::Above]);
    (meaning, count, every, place).prop_map(|(meaning, count, every, place)| Scattered {
        meaning,
        count,
        every,
        place,
    })
}

fn cells() -> impl Strategy<Value = Cells> {
    let cells = |(address, size)| Cells { address, size };
    prop_oneof![
        12 => Just(cells((2, 2))),
        3 => select(vec![(1, 1), (2, 1), (1, 2), (3, 1), (4, 4)]).prop_map(cells),
        1 => select(vec![(0, 2), (2, 0), (9, 1), (0, 0), (4, 5)]).prop_map(cells),
    ]
}

/// The size of the memory that a crash kernel is given as a rule.
const HOME: u64 = 64 << 20;

/// What a boot is made of, so that it can shrink.
#[derive(Clone, Debug)]
struct Plan {
    base: u64,
    has_home: bool,
    unit: u64,
    /// How many units of RAM begin at the base.
    ram: u64,
    /// In units, and EFI pages more.
    pieces: Vec<((u32, u64), u64, u64, u64)>,
    wild: Vec<Descriptor>,
    scattered: Option<Scattered>,
    reversed: bool,
    property: Option<Property>,
    cells: Cells,
    switches: [bool; 3],
    limit: Option<u64>,
    bits: (u32, u32),
    stride: usize,
    places: [u64; 4],
    sizes: (u64, u64),
    page_tables: u64,
}

impl Plan {
    /// Where a crash kernel is at home: above all pieces.
    fn home(&self) -> u64 {
        (self.base + 128 * self.unit).next_multiple_of(2 << 20)
    }
}

prop_compose! {
    fn plan()(
        base in select(vec![0x4000_0000, 0x4000_0000, 0, 0x8000_0000, 0xfe00_0000, 0x80_0000_0000]),
        has_home in prop::bool::weighted(0.9),
        unit in select(vec![0x10_0000, 0x1_0000, 0x1000, 0x400_0000]),
        ram in prop_oneof![1 => Just(0u64), 7 => 16..=64u64],
        pieces in vec((meaning(), 0..64u64, 0..24u64, 0..4u64), 0..12),
        wild in prop_oneof![6 => Just(Vec::new()), 1 => vec(wild(), 1..4)],
        scattered in weighted(0.35, scattered()),
        reversed in any::<bool>(),
        property in weighted(0.8, property()),
        cells in cells(),
        switches in [prop::bool::weighted(0.9), prop::bool::weighted(0.2), prop::bool::weighted(0.1)],
        limit in weighted(0.1, prop_oneof![0..256u64, Just(u64::MAX)]),
        bits in (select(vec![44u32, 40, 36, 33, 31]), select(vec![48u32, 48, 52, 40, 36, 33])),
        stride in select(vec![48usize, 40, 64, 41, 4096]),
        places in any::<[u64; 4]>(),
        sizes in (1..32u64, 0..16u64),
        page_tables in 0..24u64,
    ) -> Plan {
        Plan {
            base, has_home, unit, ram, pieces, wild, scattered, reversed, property, cells, switches, limit, bits,
            stride, places, sizes, page_tables,
        }
    }
}

/// Boots of a kernel with pages of `page` bytes.
pub fn orders(page: u64) -> impl Strategy<Value = Order> {
    plan().prop_map(move |plan| order(&plan, page))
}

fn order(plan: &Plan, page: u64) -> Order {
    let map = map(plan);
    let property = plan.property.as_ref().map(|property| property_bytes(plan, property, &map));
    let [acpi, soft_reserve, mirror] = plan.switches;
    let (linear_map_bits, phys_bits) = plan.bits;
    let crowded = map.len() > 500;
    let mut boot = Boot {
        map,
        page,
        soft_reserve,
        property,
        cells: plan.cells,
        acpi,
        // mem= goes by what room is left then, which the oracle does not know.
        // The highest number means that there is none. The kernel rounds it to pages.
        limit: plan
            .limit
            .filter(|_| !crowded)
            .map(|units| units.saturating_mul(plan.unit) & !(page - 1)),
        last: (1 << phys_bits) - 1,
        linear_map: 1 << linear_map_bits,
        room: 0,
        section: oracle::section(page),
    };
    boot.room = room(&boot);

    // A loader puts what it loads where the kernel may be.
    let free = match oracle::outcome(&boot) {
        oracle::Outcome::Boots(memory) => memory.allocatable,
        oracle::Outcome::Stops => before(&boot).mapped,
    };
    let [image, initrd, fdt, map_start] = plan.places;
    let (image_pages, initrd_pages) = plan.sizes;
    let nowhere =
        Span { first: plan.base & !(page - 1), last: (plan.base & !(page - 1)) + page - 1 };
    let image = place(&free, image, image_pages * page, page);
    Order {
        image: image.unwrap_or(nowhere),
        initrd: place(&free, initrd, initrd_pages * page, page),
        fdt: place(&free, fdt, page, 8),
        map_start: place(&free, map_start, page, 8).unwrap_or(nowhere).first,
        stride: plan.stride,
        phys_bits,
        mirror,
        page_tables: plan.page_tables,
        writable: Set::default(),
        boot,
    }
}

/// How many regions memblock.memory has room for besides those that it has.
pub fn room(boot: &Boot) -> usize {
    let before = before(boot);
    let regions = before.mapped.spans().len() + before.nomap.spans().len();
    MEMORY_REGIONS.saturating_sub(regions).saturating_sub(SPARE_REGIONS)
}

/// A place of `size` bytes in `free`; [`None`] if there is none, or nothing to place.
fn place(free: &Set, dice: u64, size: u64, align: u64) -> Option<Span> {
    let spans = free.whole_pages(align);
    let fits: Vec<_> =
        spans.spans().iter().filter(|span| size > 0 && span.bytes() >= u128::from(size)).collect();
    let span = fits.get(dice as usize % fits.len().max(1))?;
    let room = (span.bytes() - u128::from(size)) / u128::from(align);
    let first = span.first + (u128::from(dice >> 8) % (room + 1)) as u64 * align;
    Some(Span { first, last: first + (size - 1) })
}

fn map(plan: &Plan) -> Vec<Descriptor> {
    let descriptor =
        |(kind, attributes), start, pages| Descriptor { kind, start, pages, attributes };
    let mut map = Vec::new();
    if plan.ram > 0 {
        map.push(descriptor((7, WB), plan.base, plan.ram * plan.unit / EFI_PAGE));
    }
    if plan.has_home {
        map.push(descriptor((7, WB), plan.home(), HOME / EFI_PAGE));
    }
    for &(meaning, at, size, odd) in &plan.pieces {
        let start = plan.base + at * plan.unit + odd * EFI_PAGE;
        map.push(descriptor(meaning, start, size * plan.unit / EFI_PAGE + odd % 2));
    }
    if let Some(Scattered { meaning, count, every, place }) = &plan.scattered {
        let begin = match place {
            Place::Base => plan.base,
            Place::Home => plan.home(),
            Place::Above => plan.home() + HOME,
        };
        let start = |index| begin + index as u64 * every * EFI_PAGE;
        map.extend((0..*count).map(|index| descriptor(*meaning, start(index), 1)));
    }
    map.extend(&plan.wild);
    if plan.reversed {
        map.reverse();
    }
    map
}

fn property_bytes(plan: &Plan, property: &Property, map: &[Descriptor]) -> Vec<u8> {
    let (entries, tail) = match property {
        Property::Entries(entries, tail) => (entries, tail),
        Property::Bytes(bytes) => return bytes.clone(),
    };
    let number = |number: u64, cells: usize| {
        let bytes = u128::from(number).to_be_bytes();
        let mut wide = vec![0; (4 * cells).saturating_sub(16)];
        wide.extend(&bytes[16usize.saturating_sub(4 * cells)..]);
        wide
    };
    let mut bytes = Vec::new();
    for entry in entries {
        let (address, size) = match entry {
            Given::Units(at, size, a, b) => {
                let first = (plan.base + at * plan.unit).wrapping_add_signed(*a);
                (first, (size * plan.unit).saturating_add_signed(*b))
            }
            Given::Home(a, b) => {
                (plan.home().wrapping_add_signed(*a), HOME.saturating_add_signed(*b))
            }
            Given::Descriptor(which, a, b) if !map.is_empty() => {
                let descriptor = which.get(map);
                let size = descriptor.pages.wrapping_mul(EFI_PAGE);
                (descriptor.start.wrapping_add_signed(*a), size.wrapping_add_signed(*b))
            }
            Given::Descriptor(_, a, b) => (plan.base.wrapping_add_signed(*a), b.unsigned_abs()),
            Given::Any(address, size) => (*address, *size),
        };
        bytes.extend(number(address, plan.cells.address));
        bytes.extend(number(size, plan.cells.size));
    }
    bytes.extend(tail);
    bytes
}
