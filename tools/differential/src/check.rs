// SPDX-License-Identifier: GPL-2.0

//! Holds what came of a boot with the series against what must come of it.

use crate::{
    expect::Expected,
    machine::{End, Ran},
    order::Order,
};
use oracle::{Memory, Set, Shown, Span};

/// What is wrong.
type Wrong = String;

/// `IORES_DESC_ACPI_TABLES`, and what an entry for them is: memory, busy, exclusive.
const ACPI_TABLES: (u64, u64) = (2, 0x200 | 0x8000_0000 | 0x0800_0000);

/// How many entries the series leaves free in memblock.reserved (`SPARE_RESERVATIONS`), of how many.
const RESERVATIONS: (usize, usize) = (48, 128);

/// So much in one piece is enough for the lists of memblock to grow to any length that is tried.
const GROWTH: u128 = 4 << 20;

/// Why a kernel stops for want of memory, or of room in memblock.
const OUT_OF_MEMORY: [&str; 2] = ["Failed to allocate", NOT_ENOUGH_FREE];
const NOT_ENOUGH_FREE: &str = "more ranges of ACPI Reclaim memory than memblock can reserve";

/// What C says while it reads a map, of which memblock cannot hold the regions. What lies between two
/// descriptors may come later, so their number counts.
const TOO_MANY_REGIONS: &str = "cannot resize memory array";

/// What a boot with the series must be; an error says what it is instead.
pub fn check(order: &Order, expected: &Expected, ran: &Ran) -> Result<(), Wrong> {
    match (&ran.end, &expected.memory) {
        (End::Panic(why), _) if why.contains(TOO_MANY_REGIONS) && order.boot.map.len() > 500 => {
            Ok(())
        }
        // R5.
        (End::Panic(why), None) => stopped(ran, why),
        (End::Panic(why), Some(_)) if may_run_out(order, expected, why) => Ok(()),
        (End::Failed(why), Some(_)) if may_lose_initrd(expected, why) => Ok(()),
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

/// Whether the kernel may stop for want of memory, or of room in memblock, and say `why`.
fn may_run_out(order: &Order, expected: &Expected, why: &str) -> bool {
    let (spare, slots) = RESERVATIONS;
    let many = expected.reclaim + spare + 1 > slots;
    let may = match OUT_OF_MEMORY.iter().position(|known| why.contains(known)) {
        Some(0) => !expected.has_room(order),
        Some(_) => many && (expected.largest() < GROWTH || order.mirror),
        None => false,
    };
    may || (!expected.fits && OUT_OF_MEMORY.iter().any(|known| why.contains(known)))
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
    let (paged, exhausted) = (stage("paged")?, stage("exhausted")?);
    let last = order.boot.last;

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
        let missing = expected.known.without(&lists.reserved);
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
