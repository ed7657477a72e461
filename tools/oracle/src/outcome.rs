// SPDX-License-Identifier: GPL-2.0

//! What memory a boot ends up with.

use crate::{
    Boot, Set, Span,
    efi::{Before, before},
    give_back::{Own, give_back},
    property::ranges,
};

/// How a boot goes on once its memory is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It does not: R5.
    Stops,
    /// With this memory.
    Boots(Memory),
}

/// The memory of a kernel when the linear map is made, as far as it follows from a [`Boot`]. What
/// cannot be mapped, above [`Boot::last`], is not in it; nor is what is added or reserved for the
/// kernel itself, its initramfs and its device tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memory {
    /// memblock.memory with a mapping.
    pub mapped: Set,
    /// memblock.memory without one.
    pub nomap: Set,
    /// ACPI, whether or not it is in memory: each span is one range of the rules.
    pub acpi: Set,
    /// The ranges of `acpi` that were given back; in a boot without a property or `mem=` all, and with
    /// a `mem=` that does as stock none.
    pub kept: Vec<Span>,
    /// What is in memblock.reserved: at least this.
    pub reserved: Set,
    /// What memblock may hand out.
    pub allocatable: Set,
    /// What `linux,usable-memory-range` gives; without a property everything.
    pub usable: Set,
}

/// What `boot` must come to.
pub fn outcome(boot: &Boot) -> Outcome {
    outcome_from(boot, &before(boot))
}

/// The same where it is known what efi_init() has made of the map.
pub fn outcome_from(boot: &Boot, before: &Before) -> Outcome {
    let Before { mapped, nomap, acpi, reclaim } = before;
    let acpi = acpi.up_to(boot.last);
    let mut memory = Memory {
        mapped: mapped.up_to(boot.last),
        nomap: nomap.up_to(boot.last),
        kept: acpi.spans().to_vec(),
        acpi,
        // R1: in every kernel.
        reserved: reclaim.up_to(boot.last),
        allocatable: Set::default(),
        usable: Set::of(&[Span::ALL]),
    };
    if let Some(property) = &boot.property {
        let Some(given) = ranges(boot, property) else {
            return Outcome::Stops;
        };
        memory.usable = Set::of(&given);
        // R5: if nothing can be allocated, the property says nothing usable.
        if !confine(boot, &mut memory) {
            return Outcome::Stops;
        }
    }
    if let Some(limit) = boot.limit {
        apply_limit(boot, &mut memory, limit);
    }
    memory.allocatable = memory.mapped.without(&memory.reserved);
    Outcome::Boots(memory)
}

/// R3: leaves of what is mapped what is usable, and the ACPI ranges that do no harm. False, and
/// nothing is done, if nothing could be allocated then.
///
/// Open: ACPI ranges that are usable by the property, and are left out. They are reserved, so R4 is
/// kept whether or not they are mapped; they are taken out of memory.
fn confine(boot: &Boot, memory: &mut Memory) -> bool {
    let own = Set::select(
        [&memory.mapped, &memory.usable, &memory.reserved],
        |[mapped, usable, reserved]| mapped && usable && !reserved,
    );
    let Some(mut reach) = own.reach() else {
        return false;
    };
    if let Some(nomap) = memory.nomap.reach() {
        reach = reach.with(nomap);
    }
    let given = memory.usable.spans();
    let room = boot.room.saturating_sub(given.len());
    let own_memory = Own { bytes: own.bytes(), reach, nomap: &memory.nomap };
    memory.kept = give_back(boot, own_memory, memory.acpi.spans(), given, room);
    let kept = Set::of(&memory.kept).and(&memory.mapped);
    memory.mapped = own.or(&kept);
    true
}

/// Applies `mem=`, which gives how many bytes of memory to leave, the lowest. Memory without a
/// mapping counts, and stays.
///
/// Open: whether ACPI counts. It stays, so it does not; in stock it does, and goes.
fn apply_limit(boot: &Boot, memory: &mut Memory, limit: u64) {
    let all = memory.mapped.or(&memory.nomap);
    let keeps_tables = boot.acpi && !memory.acpi.is_empty();
    let counted = if keeps_tables { all.without(&memory.acpi) } else { all.clone() };
    let Some(last) = byte_at(&counted, limit) else {
        return;
    };
    let below = [Span { first: 0, last }];
    let usable = std::mem::replace(&mut memory.usable, Set::of(&below));
    let confined = keeps_tables && confine(boot, memory);
    memory.usable = usable;
    if !confined {
        // Open: a limit that leaves nothing to allocate, or no tables. As stock does it.
        let last = byte_at(&all, limit).unwrap_or(u64::MAX);
        memory.mapped = memory.mapped.up_to(last);
        memory.kept.clear();
    }
}

/// The byte of `set` that is number `limit` from below, counted from one; [`None`] if there is none.
fn byte_at(set: &Set, limit: u64) -> Option<u64> {
    let mut left = u128::from(limit.checked_sub(1)?);
    for span in set.spans() {
        if left < span.bytes() {
            return Some(span.first + left as u64);
        }
        left -= span.bytes();
    }
    None
}
