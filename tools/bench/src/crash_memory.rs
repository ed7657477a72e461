// SPDX-License-Identifier: GPL-2.0

//! What a crash kernel has of memory when it starts its first process, as it says itself.

use anyhow::{Context, Result, ensure};
use boot::{
    budget,
    log::Log,
    memblock::{self, Dump},
};
use regex::Regex;
use serde::Serialize;

/// What the crash kernel is told so that its log has all of that, and so that page tables of processes do
/// not depend on addresses that are drawn by lot.
pub const OPTIONS: &str = "memblock=debug norandmaps";

/// Memory, in kB.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Memory {
    /// What the page allocator has got: MemTotal of /proc/meminfo.
    pub total: u64,
    /// What it has not given away: MemFree.
    pub free: u64,
    /// The same with the free pages in the lists of processors, which MemFree does not count. How many
    /// those are follows from the size of a zone.
    pub all_free: u64,
    /// What boot has taken for page tables, most of them those of the linear map. The kernel does not
    /// count it: it is taken from memblock, and memblock=debug tells.
    pub boot_page_tables: u64,
    /// What was taken for page tables later: PageTables.
    pub page_tables: u64,
    /// The memory map (vmemmap): nr_memmap_boot_pages and nr_memmap_pages of /proc/vmstat.
    pub memory_map: u64,
    /// Bounce buffers.
    pub swiotlb: u64,
    /// Slab.
    pub slab: u64,
    /// KernelStack.
    pub kernel_stack: u64,
}

/// One of these numbers: its name, and what it is.
type Shown = (&'static str, fn(&Memory) -> u64);

/// All of them.
pub const SHOWN: [Shown; 9] = [
    ("MemTotal", |memory| memory.total),
    ("MemFree", |memory| memory.free),
    ("  and per-CPU lists", |memory| memory.all_free),
    ("page tables of boot", |memory| memory.boot_page_tables),
    ("PageTables", |memory| memory.page_tables),
    ("vmemmap", |memory| memory.memory_map),
    ("swiotlb", |memory| memory.swiotlb),
    ("Slab", |memory| memory.slab),
    ("KernelStack", |memory| memory.kernel_stack),
];

impl Memory {
    /// Reads the log of a crash kernel with native pages of `page` bytes.
    pub fn parse(log: &Log, page: u64) -> Result<Self> {
        let sections = log.sections()?;
        let lines =
            |name: &str| sections.get(name).with_context(|| format!("the guest wrote no '{name}'"));
        let meminfo = |name: &str| number(lines("meminfo")?, &format!("^{name}: +([0-9]+) kB$"));
        let vmstat = |name: &str| number(lines("vmstat")?, &format!("^{name} ([0-9]+)$"));
        let free = meminfo("MemFree")?;
        let memory_map = vmstat("nr_memmap_boot_pages")? + vmstat("nr_memmap_pages")?;
        let listed = (in_lists(lines("zoneinfo")?)? * page) >> 10;
        Ok(Self {
            total: meminfo("MemTotal")?,
            free,
            all_free: free + listed,
            boot_page_tables: boot_page_tables(log)? >> 10,
            page_tables: meminfo("PageTables")?,
            memory_map: (memory_map * page) >> 10,
            // No line of them, no buffers.
            swiotlb: budget::swiotlb(log)? >> 10,
            slab: meminfo("Slab")?,
            kernel_stack: meminfo("KernelStack")?,
        })
    }
}

fn number(lines: &[String], pattern: &str) -> Result<u64> {
    let pattern = Regex::new(pattern)?;
    let found = lines.iter().find_map(|line| pattern.captures(line));
    Ok(found.with_context(|| format!("no line '{pattern}'"))?[1].parse()?)
}

/// How many free pages are in the lists of processors, by /proc/zoneinfo.
fn in_lists(lines: &[String]) -> Result<u64> {
    let count = Regex::new("^ +count: +([0-9]+)$")?;
    let counts: Vec<_> = lines.iter().filter_map(|line| count.captures(line)).collect();
    ensure!(!counts.is_empty(), "no processor has a list of free pages");
    counts.iter().map(|found| Ok(found[1].parse::<u64>()?)).sum()
}

/// How many bytes of page tables memblock was asked for.
fn boot_page_tables(log: &Log) -> Result<u64> {
    let asked = Regex::new(r"^memblock_phys_alloc_range: ([0-9]+) bytes .* early_pgtable_alloc\+")?;
    let mut bytes = 0;
    for found in log.lines().filter_map(|line| asked.captures(line)) {
        bytes += found[1].parse::<u64>()?;
    }
    (bytes > 0).then_some(bytes).context("memblock=debug tells of no page tables")
}

/// memblock's lists when they were complete.
pub fn dump(log: &Log) -> Result<Dump> {
    memblock::complete(log)?.context("memblock=debug printed no complete 'MEMBLOCK configuration:'")
}

/// The lines that say which tables were left out of memory.
pub fn left_out(log: &Log) -> Vec<String> {
    let of_one = |line: &&str| line.contains("ACPI Tables 0x") && line.contains(": left out");
    log.lines().filter(of_one).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "\
        memblock_phys_alloc_range: 4096 bytes align=0x1000 from=0x0 max_addr=0x1 early_pgtable_alloc+0x1c/0x34\n\
        __memblock_reserve: [0x5a5ff000-0x5a5fffff] nid=-1 flags=20 memblock_alloc_range_nid+0xb4/0x1a0\n\
        memblock_phys_alloc_range: 4096 bytes align=0x1000 from=0x0 max_addr=0x1 early_pgtable_alloc+0x1c/0x34\n\
        memblock_phys_alloc_range: 268435456 bytes align=0x200000 from=0x0 max_addr=0x1 reserve_crashkernel_generic+0xf0/0x2c4\n\
        software IO TLB: mapped [mem 0x000000005a000000-0x000000005a100000] (1MB)\n\
        @meminfo| MemTotal:         222548 kB\n\
        @meminfo| MemFree:          200000 kB\n\
        @meminfo| Slab:               7000 kB\n\
        @meminfo| KernelStack:         800 kB\n\
        @meminfo| SecPageTables:        50 kB\n\
        @meminfo| PageTables:          100 kB\n\
        @meminfo# 6\n\
        @vmstat| nr_memmap_pages 2\n\
        @vmstat| nr_memmap_boot_pages 1024\n\
        @vmstat# 2\n\
        @zoneinfo|               count:    2\n\
        @zoneinfo|               high:     5\n\
        @zoneinfo|               count:    1\n\
        @zoneinfo# 3\n";

    #[test]
    fn memory_is_read_from_the_log() {
        let wanted = Memory {
            total: 222_548,
            free: 200_000,
            all_free: 200_012,
            boot_page_tables: 8,
            page_tables: 100,
            memory_map: 4104,
            swiotlb: 1024,
            slab: 7000,
            kernel_stack: 800,
        };
        assert_eq!(Memory::parse(&Log::new(LOG), 4096).unwrap(), wanted);
        let large = Memory::parse(&Log::new(LOG), 65536).unwrap();
        assert_eq!(large, Memory { memory_map: 16 * 4104, all_free: 200_192, ..wanted });
    }

    #[test]
    fn what_is_missing_is_an_error() {
        let missing = [
            "MemTotal",
            "MemFree",
            "| PageTables",
            "Slab",
            "KernelStack",
            "@vmstat# 2",
            "early_",
            "count:",
        ];
        for without in missing.into_iter().chain(["nr_memmap_pages", "nr_memmap_boot_pages"]) {
            let text = LOG.replace(without, "x");
            assert!(Memory::parse(&Log::new(&text), 4096).is_err(), "{without}");
        }
        assert!(dump(&Log::new(LOG)).is_err());
    }

    #[test]
    fn each_name_is_that_of_its_number() {
        let memory = Memory::parse(&Log::new(LOG), 4096).unwrap();
        let shown = SHOWN.map(|(_, get)| get(&memory));
        assert_eq!(shown, [222_548, 200_000, 200_012, 8, 100, 4104, 1024, 7000, 800]);
    }

    #[test]
    fn tables_that_are_left_out_are_found() {
        let line =
            "arm64/mm: ACPI Tables 0x0001a0000000-0x0001a000ffff: left out of memory: no room";
        let log = Log::new(&format!(
            "arm64/mm: usable memory 0x000060000000-0x00006000ffff: given by\n{line}\n\
             arm64/mm: ACPI Tables: left out of memory: 40 ranges in all\n"
        ));
        assert_eq!(left_out(&log), [line]);
    }
}
