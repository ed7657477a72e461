// SPDX-License-Identifier: GPL-2.0

//! Holds what came of a boot with the series against what must come of it.

use crate::{
    expect::{Expected, largest},
    machine::{End, Lists, Ran},
    order::{MORE_RELIABLE, Order},
    stock::{Taken, taken},
};
use oracle::{Memory, Set, Shown, Span};

/// What is wrong.
type Wrong = String;

/// `IORES_DESC_ACPI_TABLES`, and what an entry for them is: memory, busy, exclusive.
const ACPI_TABLES: (u64, u64) = (2, 0x200 | 0x8000_0000 | 0x0800_0000);

/// How many entries the series leaves free in memblock.reserved (`SPARE_RESERVATIONS`), of how many.
const RESERVATIONS: (usize, usize) = (48, 128);

/// What the series says of ranges that it leaves until later, and how many lines of a kind it prints.
pub const TO_BE_RESERVED: &str = "when memblock has room";
const MOST_LINES: usize = 16;

/// How large an entry of a list of memblock is.
const ENTRY: u128 = 24;

/// Why a kernel stops for want of memory, or of room in memblock.
const OUT_OF_MEMORY: [&str; 2] = ["Failed to allocate", NOT_ENOUGH_FREE];
const NOT_ENOUGH_FREE: &str = "more ranges of ACPI Reclaim memory than memblock can reserve";

/// What C says while it reads a map, of which memblock cannot hold the regions.
const TOO_MANY_REGIONS: &str = "cannot resize memory array";

/// What C says if either list is full: without the series that of what is reserved mostly is.
const FULL: &str = "cannot resize";

/// What a boot with the series must be; an error says what it is instead. `stock` is what came of it
/// without the series, which has to be known for a boot that does not come to its end.
pub fn check(
    order: &Order,
    expected: &Expected,
    ran: &Ran,
    stock: Option<&Ran>,
) -> Result<(), Wrong> {
    match (&ran.end, &expected.memory) {
        // The series has no part in it: C says this before it asks for the property.
        (End::Panic(why), _) if why.contains(TOO_MANY_REGIONS) => {
            let is_full = |end: &End| matches!(end, End::Panic(why) if why.contains(FULL));
            ensure(stock.is_some_and(|stock| is_full(&stock.end)), || {
                format!("stock boots, and this does not: {why}")
            })
        }
        // R5.
        (End::Panic(why), None) => stopped(ran, why),
        // Open: stock boots some of them, if they have fewer ranges than memblock has entries.
        (End::Panic(why), Some(_))
            if why.contains(NOT_ENOUGH_FREE) && may_run_out(order, expected, why) =>
        {
            Ok(())
        }
        (End::Panic(why), Some(_)) if may_run_out(order, expected, why) => {
            never_worse(order, expected, ran, stock)
        }
        (End::Failed(why), Some(_)) if may_lose_initrd(expected, why) => {
            never_worse(order, expected, ran, stock)
        }
        (End::Booted, Some(memory)) => booted(order, expected, memory, ran),
        (end, None) => Err(format!("it must stop, and it did not: {end:?}")),
        (end, Some(_)) => Err(format!("it must boot, and it did not: {end:?}")),
    }
}

fn ensure(holds: bool, wrong: impl FnOnce() -> Wrong) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(wrong()) }
}

/// A stop names the property, looks for a way to be seen and to restart, and comes before anything
/// was allocated.
fn stopped(ran: &Ran, why: &str) -> Result<(), Wrong> {
    ensure(why.contains("linux,usable-memory-range"), || format!("it stops with: {why}"))?;
    ensure(ran.prepared_panic, || "no console was looked for".into())?;
    ensure(ran.panic_timeout == Some(-7), || format!("panic= is {:?}", ran.panic_timeout))?;
    ensure(ran.page_tables.is_empty() && ran.stages.is_empty(), || "it went on before".into())?;
    let at_once = ran.log.iter().any(|line| line.contains(why));
    ensure(at_once, || "the line was not printed at once".into())
}

/// R6: a kernel that has the series boots where one without it boots, and does nothing wrong then.
///
/// Stock may boot only by what is not free: pages of which not all is given, or a device tree, whose
/// reservation it drops if it lies outside of the first range of the property. And the series shows all
/// memory by one array, which is larger than that of stock.
fn never_worse(
    order: &Order,
    expected: &Expected,
    ran: &Ran,
    stock: Option<&Ran>,
) -> Result<(), Wrong> {
    let Some(stock) = stock else { return Err("what stock does is not known".into()) };
    let wrong = taken(order, expected, stock);
    let is_right = wrong == Taken { boots: wrong.boots, ..Taken::default() };
    let (End::Booted, true) = (&stock.end, is_right) else { return Ok(()) };
    let stage = |name: &str| stock.stages.get(name).ok_or_else(|| format!("no stage {name}"));
    let (paged, published) = (stage("paged")?, stage("published")?);
    let page_table = |first: &u64| Span { first: *first, last: first + (order.boot.page - 1) };
    let tables = Set::of(&stock.page_tables.iter().map(page_table).collect::<Vec<_>>());
    let allocated = published.reserved.without(&paged.reserved).or(&tables);
    let by_what_is_free = allocated.without(&expected.free).is_empty();
    let left = largest(&paged.mapped.without(&paged.reserved).and(&expected.free));
    let no_array = ran.stages.contains_key("paged")
        && left < expected.resources() + u128::from(order.boot.page);
    ensure(!by_what_is_free || no_array, || {
        "stock boots, does nothing wrong, and this does not boot".into()
    })
}

/// Whether the kernel may stop for want of memory, or of room in memblock, and say `why`.
fn may_run_out(order: &Order, expected: &Expected, why: &str) -> bool {
    let may = match OUT_OF_MEMORY.iter().position(|known| why.contains(known)) {
        Some(0) => !expected.has_room(order),
        Some(_) => is_deferred(order, expected) && !can_start(order, expected),
        None => false,
    };
    may || (!expected.fits && OUT_OF_MEMORY.iter().any(|known| why.contains(known)))
}

/// Whether memblock has no room for all ranges of ACPI Reclaim memory before there is a linear map. A
/// device tree is reserved by then.
fn is_deferred(order: &Order, expected: &Expected) -> bool {
    let (spare, slots) = RESERVATIONS;
    expected.reclaim.len() + spare + usize::from(order.fdt.is_some()) > slots
}

/// Whether there is memory in one piece, free of tables, for the page tables and all lists that
/// memblock.reserved grows into, and memblock looks there first.
fn can_start(order: &Order, expected: &Expected) -> bool {
    let (_, slots) = RESERVATIONS;
    let page = u128::from(order.boot.page);
    let mirrored =
        order.boot.map.iter().any(|descriptor| descriptor.attributes & MORE_RELIABLE != 0);
    // The list is not full yet, and each of its entries may lie within one of the ranges.
    let needed = 2 * slots + expected.reclaim.len() + 1;
    let grown = std::iter::successors(Some(2 * slots), |slots| Some(2 * slots));
    let lists = grown.take_while(|slots| *slots < 2 * needed);
    let lists: u128 = lists.map(|slots| (slots as u128 * ENTRY).next_multiple_of(page)).sum();
    let tables = u128::from(order.page_tables) * page;
    // The piece may begin and end within a page.
    expected.largest() >= lists + tables + 2 * page && !(order.mirror && mirrored)
}

/// Where memory does not fit in the linear map, C may have to leave the initramfs out, and warns; or it
/// adds one that is out of reach, for it reckons from the first byte and not from where the map begins.
fn may_lose_initrd(expected: &Expected, why: &str) -> bool {
    let lost =
        why.contains("memblock_start_of_DRAM()") || why.contains("does not fit in the linear");
    !expected.fits && lost
}

fn booted(order: &Order, expected: &Expected, memory: &Memory, ran: &Ran) -> Result<(), Wrong> {
    let stage = |name: &str| ran.stages.get(name).ok_or_else(|| format!("no stage {name}"));
    let (early, paged, exhausted) = (stage("efi")?, stage("paged")?, stage("exhausted")?);
    let last = order.boot.last;
    reserved_early(order, expected, early, ran)?;

    // R3.
    let mapped = paged.mapped.up_to(last);
    if expected.fits {
        same("mapped", &mapped, &memory.mapped)?;
        same("not mapped", &paged.nomap.up_to(last), &memory.nomap)?;
    } else {
        none("mapped", &mapped.without(&memory.mapped))?;
    }

    // R1, from before the first allocation to the end.
    for (when, lists) in [("with page tables", paged), ("in the end", exhausted)] {
        let mut missing = expected.known.without(&lists.reserved);
        if order.boot.limit.is_some() {
            let others = Set::of(&expected.reclaim);
            missing = missing.without(&expected.map.without(&others));
        }
        none(&format!("not reserved {when}"), &missing.up_to(last))?;
        let allocated = lists.reserved.up_to(last).without(&expected.known);
        none(&format!("allocated {when}"), &allocated.without(&expected.free))?;
    }
    for table in &ran.page_tables {
        let table = Span { first: *table, last: table + (order.boot.page - 1) };
        none("page table", &Set::of(&[table]).without(&expected.free))?;
    }

    none("handed out", &ran.handed_out.without(&expected.free))?;

    // R7: no memory is lost. The first page is never handed out, and nothing any more once the list
    // of what is reserved finds no room to grow.
    let first_page = Set::of(&[Span { first: 0, last: order.boot.page - 1 }]);
    let full = ran.log.iter().any(|line| line.contains("Failed to double reserved array"));
    if expected.fits && !full {
        let left = expected.free.without(&exhausted.reserved).without(&first_page);
        none("never handed out", &left)?;
    }
    // A region of mirrored memory need not be whole pages, and C shows none of those at its ends.
    let image = Set::of(&[order.image]);
    let image_is_shown = image.without(&memory.mapped).or(&image.and(&memory.reserved)).is_empty();
    // Without tables C publishes memory, the way it always did.
    let by_series = order.boot.acpi && !memory.acpi.is_empty();
    if expected.fits && image_is_shown && by_series && !order.mirror {
        shown_as(ran, expected.shown.as_ref().ok_or("nothing to show")?, last)?;
    }
    Ok(())
}

/// R1, from before the first allocation, where there is room; one line says so for each range.
fn reserved_early(
    order: &Order,
    expected: &Expected,
    early: &Lists,
    ran: &Ran,
) -> Result<(), Wrong> {
    let deferred = is_deferred(order, expected);
    let says = |what: &str| ran.log.iter().filter(|line| line.contains(what)).count();
    ensure(deferred == (says(TO_BE_RESERVED) == 1), || {
        format!("{} ranges, which are to be reserved late: {deferred}", expected.reclaim.len())
    })?;
    if !deferred {
        none(
            "not reserved at first",
            &Set::of(&expected.reclaim).without(&early.reserved).up_to(order.boot.last),
        )?;
    }
    // mem= takes reservations away, which are then made again.
    if order.boot.limit.is_some() {
        return Ok(());
    }
    for range in expected.reclaim.iter().take(MOST_LINES) {
        let line =
            format!("ACPI Reclaim memory {:#014x}-{:#014x}: reserved", range.first, range.last);
        ensure(says(&line) == 1, || format!("{} times: {line}", says(&line)))?;
    }
    Ok(())
}

fn same(what: &str, is: &Set, must_be: &Set) -> Result<(), Wrong> {
    ensure(is == must_be, || {
        let (more, less) = (is.without(must_be), must_be.without(is));
        format!("{what}: too much: {:?}, too little: {:?}", more.spans(), less.spans())
    })
}

fn none(what: &str, set: &Set) -> Result<(), Wrong> {
    ensure(set.is_empty(), || format!("{what}: {:?}", set.spans()))
}

/// R2.
fn shown_as(ran: &Ran, shown: &Shown, last: u64) -> Result<(), Wrong> {
    let set = |name: &str| {
        let named = ran.resources.iter().filter(|one| one.depth == 0 && one.name == name);
        let spans: Vec<_> =
            named.map(|one| one.span).filter(|span| span.first <= span.last).collect();
        Set::of(&spans).up_to(last)
    };
    same("System RAM", &set("System RAM"), &shown.system_ram)?;
    same("ACPI Tables", &set("ACPI Tables"), &shown.acpi_tables)?;
    same("reserved", &set("reserved"), &shown.reserved)?;
    let mut entries = ran.resources.iter().peekable();
    while let Some(one) = entries.next() {
        if one.name != "ACPI Tables" {
            continue;
        }
        let alone = one.depth == 0 && entries.peek().is_none_or(|next| next.depth == 0);
        ensure(alone, || format!("ACPI Tables {:?}: it has a child or a parent", one.span))?;
        ensure((one.desc, one.flags) == ACPI_TABLES, || {
            format!("ACPI Tables {:?}: desc {}, flags {:#x}", one.span, one.desc, one.flags)
        })?;
    }
    Ok(())
}
