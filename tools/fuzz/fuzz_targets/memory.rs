// SPDX-License-Identifier: GPL-2.0

//! What is cut out of lists of ranges: of memory, of what is kept, of /proc/iomem.

#![no_main]

use arbitrary::Arbitrary;
use fuzz::{Number, Page};
use kernel::{
    arm64::{
        cap_memory::{remove_above, remove_within},
        memory_resources::{Kind, memory_resources},
    },
    efi_driver::free_memory::{largest_free, next_free},
    phys::{Difference, Merged, PageSize, PhysAddr, PhysRange},
};
use libfuzzer_sys::fuzz_target;
use oracle::{Set, Span};
use proof::Memblock;

#[derive(Arbitrary, Debug)]
struct Input {
    page: Page,
    mapped: Vec<(Number, Number)>,
    nomap: Vec<(Number, Number)>,
    tables: Vec<(Number, Number)>,
    others: Vec<(Number, Number)>,
    one: (Number, Number),
    at: Number,
}

const UNIT: u64 = 0x1000;

/// The byte at address zero is in none: alone it is no range.
fn range((start, size): (Number, Number)) -> Option<PhysRange> {
    PhysRange::from_start_size(PhysAddr::new(start.value(0, UNIT).max(1)), size.value(0, UNIT))
}

fn span(range: PhysRange) -> Span {
    Span { first: range.start().as_u64(), last: range.last().as_u64() }
}

fn set(ranges: impl Iterator<Item = PhysRange>) -> Set {
    Set::of(&ranges.map(span).collect::<Vec<_>>())
}

/// The ranges of a set, in order and apart.
fn ranges(set: &Set) -> impl Iterator<Item = PhysRange> + Clone + '_ {
    set.spans().iter().map(|span| {
        PhysRange::new(PhysAddr::new(span.first), PhysAddr::new(span.last)).expect("in order")
    })
}

fuzz_target!(|input: Input| {
    let given = |list: &[(Number, Number)]| -> Vec<PhysRange> {
        list.iter().filter_map(|numbers| range(*numbers)).collect()
    };
    let (tables, others) = (given(&input.tables), given(&input.others));
    let page = PageSize::new_checked(input.page.bytes()).expect("a power of two");

    // The union of what comes in any order.
    let merged: Vec<_> = Merged::new(tables.iter().copied()).map(span).collect();
    let table_set = set(tables.iter().copied());
    assert_eq!(merged, table_set.spans());

    let nomap = set(given(&input.nomap).into_iter());
    let mapped = set(given(&input.mapped).into_iter()).without(&nomap);
    let other_set = set(others.iter().copied());
    let rest: Vec<_> = Difference::new(ranges(&mapped), ranges(&other_set)).map(span).collect();
    assert_eq!(rest, mapped.without(&other_set).spans());

    // What is kept, and what is taken out of that.
    let memory = Memblock::new(&mapped, &nomap);
    let all = Some(PhysRange::ALL).into_iter();
    for gap in Difference::new(all, Merged::new(others.iter().copied())) {
        remove_within(&memory, gap);
    }
    let mut wanted = mapped.and(&other_set);
    let mapped_now = |memory: &Memblock| memory.spans(false).collect::<Vec<_>>();
    assert_eq!(mapped_now(&memory), wanted.spans());
    if let Some(one) = range(input.one) {
        remove_within(&memory, one);
        wanted = wanted.without(&set(Some(one).into_iter()));
        assert_eq!(mapped_now(&memory), wanted.spans());
    }
    assert_eq!(memory.spans(true).collect::<Vec<_>>(), nomap.spans());
    let at = input.at.value(0, UNIT);
    remove_above(&memory, PhysAddr::new(at));
    assert_eq!(mapped_now(&memory), wanted.up_to(at).spans());
    assert_eq!(memory.spans(true).collect::<Vec<_>>(), nomap.up_to(at).spans());

    // What is shown; tables come in whole pages.
    let whole = |range: PhysRange| range.to_whole_pages(page);
    let table_pages = set(tables.iter().map(|table| whole(*table)));
    let nomap_pages = set(ranges(&nomap).map(whole));
    let memory = Memblock::new(&mapped, &nomap);
    let pieces: Vec<_> = memory_resources(&memory, ranges(&table_pages), page).collect();
    let shown = |kind| {
        let pieces = pieces.iter().filter(move |piece| piece.0 == kind);
        pieces.map(|piece| span(piece.1)).collect::<Vec<_>>()
    };
    let ram = mapped.whole_pages(input.page.bytes()).without(&table_pages);
    assert_eq!(shown(Kind::SystemRam), ram.spans());
    let reserved = shown(Kind::Reserved);
    assert!(reserved.is_sorted_by(|one, next| one.last < next.first), "{reserved:x?}");
    assert_eq!(Set::of(&reserved), nomap_pages);
    assert_eq!(shown(Kind::AcpiTables), table_pages.without(&nomap_pages).spans());

    // Where memblock may allocate from.
    let unused = mapped.without(&other_set);
    let free = unused.without(&table_set);
    let reserved = || ranges(&other_set);
    let largest = largest_free(&memory, reserved(), ranges(&table_set)).map(span);
    let bytes = |span: &Span| span.bytes();
    assert_eq!(largest.as_ref().map(bytes), free.spans().iter().map(bytes).max());
    assert!(largest.is_none_or(|largest| free.spans().contains(&largest)));
    let next = next_free(&memory, reserved(), ranges(&table_set), PhysAddr::new(at)).map(span);
    let below = |set: &Set| at.checked_sub(1).map(|last| set.up_to(last)).unwrap_or_default();
    // The highest unused byte, and whether a table lies between that and the limit.
    let wanted = below(&unused).reach().map(|reach| reach.last).and_then(|byte| {
        let passed = below(&table_set).reach().is_some_and(|tables| tables.last > byte);
        let piece = below(&free).spans().last().copied();
        piece.filter(|piece| piece.last == byte && !passed)
    });
    assert_eq!(next, wanted);
});
