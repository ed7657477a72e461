// SPDX-License-Identifier: GPL-2.0

//! What a kernel without the series does with the same orders: the facts F6 to F8 of the design.

use crate::{
    expect::Expected,
    machine::{End, Ran},
    order::Order,
};
use oracle::{Set, before, given};
use std::ops::AddAssign;

/// How many boots with a property did what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Boots.
    pub boots: usize,
    /// Handed out memory that the property does not give.
    pub not_given: usize,
    /// Handed out ACPI tables (F6).
    pub tables: usize,
    /// Had all memory for their own (F7).
    pub all: usize,
    /// Took for memory what the EFI memory map does not have (F8).
    pub no_memory: usize,
}

impl AddAssign for Taken {
    fn add_assign(&mut self, other: Self) {
        self.boots += other.boots;
        self.not_given += other.not_given;
        self.tables += other.tables;
        self.all += other.all;
        self.no_memory += other.no_memory;
    }
}

/// What the boot `ran` took that it should not, whether the kernel has the series or not.
///
/// What a kernel handed out that panicked later is not known, and not counted.
pub fn taken(order: &Order, expected: &Expected, ran: &Ran) -> Taken {
    let Some(property) = &order.boot.property else { return Taken::default() };
    let mut taken = Taken { boots: 1, ..Taken::default() };
    let (End::Booted, Some(paged)) = (&ran.end, ran.stages.get("paged")) else { return taken };
    let before = before(&order.boot);
    let entries = given(property, order.boot.cells).unwrap_or_default();
    let given = Set::of(&entries.into_iter().flatten().collect::<Vec<_>>());
    taken.not_given = usize::from(!ran.handed_out.without(&given).is_empty());
    taken.tables = usize::from(!ran.handed_out.and(&before.acpi).is_empty());
    let all = before.mapped.up_to(order.boot.last);
    let confined = all.without(&before.reclaim).without(&given);
    taken.all = usize::from(!confined.is_empty() && paged.mapped == all);
    let own = expected.known.or(&all);
    taken.no_memory = usize::from(!paged.mapped.without(&own).is_empty());
    taken
}
