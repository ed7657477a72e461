// SPDX-License-Identifier: GPL-2.0

//! A boot by the kernel's own files, called as their callers in C and the glue call them.

use crate::memblock::{Memblock, span_of};
use kernel::{
    arm64::{
        cap_memory::{below_limit, remove_above},
        memory_resources::{Kind, memory_resources},
        usable_memory::{self, Limits, Plan, range_of, usable},
    },
    efi::{AcpiReclaim, Descriptor},
    fdt::{Cells, Reg},
    phys::{Merged, PageSize, PhysAddr, PhysRange},
};
use oracle::{Before, Boot, Fault, Memory, Outcome, Set, Shown, Span};

/// What came of a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Came {
    /// What was said about each entry of the property; [`None`] without one that can be decoded.
    pub judged: Option<Vec<Result<Span, Fault>>>,
    /// Whether the boot goes on, and with what memory.
    pub outcome: Outcome,
    /// What `/proc/iomem` shows then; [`None`] if the boot stops.
    pub shown: Option<Shown>,
}

/// A boot under way.
struct Machine<'a> {
    boot: &'a Boot,
    map: &'a [Descriptor],
    memory: Memblock,
    page: PageSize,
    last: PhysAddr,
}

/// Boots with `map`, the EFI memory map of `boot` as the kernel has it. `stock` is what efi_init()
/// has made of it.
pub fn run(boot: &Boot, stock: &Before, map: &[Descriptor]) -> Came {
    let machine = Machine {
        boot,
        map,
        memory: Memblock::new(&stock.mapped, &stock.nomap),
        page: PageSize::new_checked(boot.page).expect("a power of two"),
        last: PhysAddr::new(boot.last),
    };
    let mut kept = Merged::new(machine.tables()).map(span_of).collect();
    let mut given = Set::of(&[Span::ALL]);
    let mut judged = None;

    if let Some(property) = &boot.property {
        let cells = Cells::new_checked(boot.cells.address, boot.cells.size);
        let reg = cells.map(|cells| Reg::new(property, cells));
        let confined = reg.and_then(|reg| {
            remove_above(&machine.memory, machine.last);
            judged = Some(machine.judge(reg));
            machine.confine(reg)
        });
        match confined {
            Some(confined) => (given, kept) = confined,
            None => return Came { judged, outcome: Outcome::Stops, shown: None },
        }
    }
    // arm64_memblock_init() does the same in C.
    remove_above(&machine.memory, machine.last);
    if let Some(limit) = boot.limit {
        machine.limit(limit, &mut kept);
    }

    let mapped = machine.memory.set(false);
    let reserved = set_of(machine.reclaim().reserved()).up_to(boot.last);
    let outcome = Outcome::Boots(Memory {
        allocatable: mapped.without(&reserved),
        mapped,
        nomap: machine.memory.set(true),
        acpi: set_of(machine.tables()),
        kept,
        reserved,
        usable: given,
    });
    Came { judged, outcome, shown: Some(machine.show()) }
}

impl<'a> Machine<'a> {
    fn reclaim(&self) -> AcpiReclaim<impl Iterator<Item = Descriptor> + Clone + 'a> {
        AcpiReclaim::new(self.map.iter().copied(), self.page, self.boot.soft_reserve)
    }

    fn tables(&self) -> impl Iterator<Item = PhysRange> + Clone + 'a {
        self.reclaim().tables(self.last)
    }

    /// `limits()` of confine_memory.rs.
    fn limits(&self, used: usize) -> Limits {
        Limits {
            linear_map: self.boot.linear_map,
            linear_map_align: PageSize::new_checked(1 << 30).expect("a power of two"),
            regions: if self.boot.acpi { self.boot.room.saturating_sub(used) } else { 0 },
        }
    }

    /// `report()` of confine_memory.rs.
    fn judge(&self, reg: Reg<'_>) -> Vec<Result<Span, Fault>> {
        let judge = |(index, entry)| {
            let fault = if index < self.boot.room.max(1) {
                usable(&self.memory, self.tables(), entry)
            } else {
                Err(usable_memory::Fault::TooMany)
            };
            fault.map(span_of).map_err(fault_of)
        };
        reg.entries().enumerate().map(judge).collect()
    }

    /// `confine()` of confine_memory.rs: what is given, and which tables are kept.
    fn confine(&self, reg: Reg<'_>) -> Option<(Set, Vec<Span>)> {
        let entries = reg.entries().take(self.boot.room.max(1));
        let usable = entries.filter_map(|entry| range_of(entry).ok());
        let limits = self.limits(usable.clone().count());
        let plan = Plan::new(&self.memory, usable.clone(), self.tables(), limits)?;
        plan.apply(&self.memory);
        assert!(either_kept_or_left_out(&plan, self.tables()), "{:?}", self.boot);
        Some((set_of(usable), plan.kept().map(span_of).collect()))
    }

    /// `arm64_enforce_memory_limit()`, and what it leaves to C.
    fn limit(&self, limit: u64, kept: &mut Vec<Span>) {
        if self.boot.acpi && self.tables().next().is_some() {
            let Some(below) = below_limit(&self.memory, self.tables(), limit) else {
                return;
            };
            let usable = Some(below).into_iter();
            if let Some(plan) = Plan::new(&self.memory, usable, self.tables(), self.limits(1)) {
                plan.apply(&self.memory);
                *kept = plan.kept().map(span_of).collect();
                return;
            }
        }
        if self.memory.remove_above_limit(limit) {
            kept.clear();
        }
    }

    /// `arm64_request_memory_resources()`, and what it leaves to C: without tables that is the same.
    fn show(&self) -> Shown {
        let tables = self.tables().filter(|_| self.boot.acpi);
        let shown: Vec<_> =
            memory_resources(&self.memory, Merged::new(tables), self.page).collect();
        let of = |kind| {
            set_of(shown.iter().filter(|(found, _)| *found == kind).map(|(_, range)| *range))
        };
        Shown {
            system_ram: of(Kind::SystemRam),
            acpi_tables: of(Kind::AcpiTables),
            reserved: of(Kind::Reserved),
        }
    }
}

fn either_kept_or_left_out<U, T>(
    plan: &Plan<U, T>,
    tables: impl Iterator<Item = PhysRange> + Clone,
) -> bool
where
    U: Iterator<Item = PhysRange> + Clone,
    T: Iterator<Item = PhysRange> + Clone,
{
    let mut all: Vec<_> = plan.kept().chain(plan.left_out()).map(span_of).collect();
    all.sort();
    all == Merged::new(tables).map(span_of).collect::<Vec<_>>()
}

fn fault_of(fault: usable_memory::Fault) -> Fault {
    match fault {
        usable_memory::Fault::BeyondAddressSpace => Fault::BeyondAddressSpace,
        usable_memory::Fault::Empty => Fault::Empty,
        usable_memory::Fault::NoMemory => Fault::NoMemory,
        usable_memory::Fault::OnlyTables => Fault::OnlyTables,
        usable_memory::Fault::TooMany => Fault::TooMany,
    }
}

fn set_of(ranges: impl Iterator<Item = PhysRange>) -> Set {
    Set::of(&ranges.map(span_of).collect::<Vec<_>>())
}
