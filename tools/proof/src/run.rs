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
use oracle::{Before, Boot, Fault, Span};

/// A boot under way.
pub struct Machine<'a> {
    boot: &'a Boot,
    map: &'a [Descriptor],
    /// memblock.memory.
    pub memory: Memblock,
    /// The tables that were given back.
    pub kept: Vec<Span>,
    page: PageSize,
    last: PhysAddr,
}

impl<'a> Machine<'a> {
    /// A machine with `map`, the EFI memory map of `boot` as the kernel has it. `stock` is what
    /// efi_init() has made of it.
    pub fn new(boot: &'a Boot, stock: &Before, map: &'a [Descriptor]) -> Self {
        let mut machine = Self {
            boot,
            map,
            memory: Memblock::new(&stock.mapped, &stock.nomap),
            kept: Vec::new(),
            page: PageSize::new_checked(boot.page).expect("a power of two"),
            last: PhysAddr::new(boot.last),
        };
        machine.kept = machine.tables();
        machine
    }

    /// Does what the kernel does until the linear map is made; false if it stops.
    #[must_use]
    pub fn boot(&mut self) -> bool {
        if let Some(property) = &self.boot.property {
            let Some(reg) = self.reg(property) else {
                return false;
            };
            remove_above(&self.memory, self.last);
            if !self.confine(reg) {
                return false;
            }
        }
        // arm64_memblock_init() does the same in C.
        remove_above(&self.memory, self.last);
        if let Some(limit) = self.boot.limit {
            self.limit(limit);
        }
        true
    }

    /// ACPI Reclaim memory that is reserved.
    pub fn reserved(&self) -> Vec<Span> {
        let map = self.map.iter().copied();
        let reclaim = AcpiReclaim::reserved(map, self.page, self.boot.soft_reserve);
        reclaim.ranges().map(span_of).collect()
    }

    /// ACPI tables, whether or not they are in memory.
    pub fn tables(&self) -> Vec<Span> {
        self.acpi().ranges().map(span_of).collect()
    }

    /// `arm64_request_memory_resources()`, and what it leaves to C: without tables that is the same.
    pub fn shown(&self) -> [Vec<Span>; 3] {
        let acpi = self.acpi();
        let tables = acpi.ranges().filter(|_| self.boot.acpi);
        let mut shown = [const { Vec::new() }; 3];
        let pieces = memory_resources(&self.memory, tables, self.page);
        // The kernel counts them first.
        assert_eq!(pieces.clone().count(), pieces.clone().fold(0, |count, _| count + 1));
        for (kind, range) in pieces {
            let entries = match kind {
                Kind::SystemRam => &mut shown[0],
                Kind::AcpiTables => &mut shown[1],
                Kind::Reserved => &mut shown[2],
            };
            entries.push(span_of(range));
        }
        shown
    }

    /// `report()` of confine_memory.rs: what is said of each entry; [`None`] if there is none that
    /// can be decoded.
    pub fn judged(&self) -> Option<Vec<Result<Span, Fault>>> {
        let acpi = self.acpi();
        let tables = acpi.ranges();
        let judge = |(index, entry)| {
            let fault = if index < self.boot.room.max(1) {
                usable(&self.memory, tables.clone(), entry, self.page)
            } else {
                Err(usable_memory::Fault::TooMany)
            };
            fault.map(span_of).map_err(fault_of)
        };
        let reg = self.reg(self.boot.property.as_ref()?)?;
        remove_above(&self.memory, self.last);
        Some(reg.entries().enumerate().map(judge).collect())
    }

    fn acpi(&self) -> AcpiReclaim<impl Iterator<Item = Descriptor> + Clone + 'a> {
        let map = self.map.iter().copied();
        AcpiReclaim::tables(map, self.page, self.boot.soft_reserve, self.last)
    }

    fn reg(&self, property: &'a [u8]) -> Option<Reg<'a>> {
        let cells = self.boot.cells;
        Some(Reg::new(property, Cells::new_checked(cells.address, cells.size)?))
    }

    /// `confine()` of confine_memory.rs.
    fn confine(&mut self, reg: Reg<'_>) -> bool {
        let entries = reg.entries().take(self.boot.room.max(1));
        let page = self.page;
        let usable = Merged::new(entries.filter_map(|entry| range_of(entry, page).ok()));
        self.apply(usable)
    }

    /// `arm64_enforce_memory_limit()`, and what it leaves to C.
    fn limit(&mut self, limit: u64) {
        let acpi = self.acpi();
        let tables = acpi.ranges();
        if self.boot.acpi && tables.clone().next().is_some() {
            let Some(below) = below_limit(&self.memory, tables, limit) else {
                return;
            };
            if self.apply(Merged::new(Some(below).into_iter())) {
                return;
            }
        }
        if self.memory.remove_above_limit(limit) {
            self.kept.clear();
        }
    }

    /// `keep()` of confine_memory.rs: false if there is no plan.
    fn apply(&mut self, usable: Merged<impl Iterator<Item = PhysRange> + Clone>) -> bool {
        let used = usable.clone().count();
        let acpi = self.acpi();
        // limits() of confine_memory.rs.
        let limits = Limits {
            linear_map: self.boot.linear_map,
            linear_map_align: PageSize::new_checked(1 << 30).expect("a power of two"),
            regions: if self.boot.acpi { self.boot.room.saturating_sub(used) } else { 0 },
            section: PageSize::new_checked(self.boot.section).expect("a power of two"),
            section_map: self.boot.section / self.boot.page * 64,
        };
        let Some(plan) = Plan::new(&self.memory, usable, acpi.ranges(), limits) else {
            return false;
        };
        plan.apply(&self.memory);
        self.kept = plan.kept().map(span_of).collect();
        // Each table is kept or left out.
        let left_out: Vec<_> = plan.left_out().map(span_of).collect();
        let mut tables = self.tables();
        tables.retain(|table| !self.kept.contains(table));
        assert_eq!(left_out, tables, "{:x?}", self.boot);
        true
    }
}

fn fault_of(fault: usable_memory::Fault) -> Fault {
    match fault {
        usable_memory::Fault::BeyondAddressSpace => Fault::BeyondAddressSpace,
        usable_memory::Fault::Empty => Fault::Empty,
        usable_memory::Fault::NoWholePage => Fault::NoWholePage,
        usable_memory::Fault::NoMemory => Fault::NoMemory,
        usable_memory::Fault::OnlyTables => Fault::OnlyTables,
        usable_memory::Fault::TooMany => Fault::TooMany,
    }
}
