// SPDX-License-Identifier: GPL-2.0

//! What a crash kernel has of memory: for each size of pages, and for each place where tables are.

use crate::{
    Bench,
    crash::Crash,
    crash_memory::{self, Memory, SHOWN},
    goal::{Goal, rows_as_table},
    keep,
    layout::{LAYOUTS, Layout},
    machine::CPU,
};
use anyhow::{Context, Result, ensure};
use boot::{
    budget::{allowed, new_sections},
    case_boot::Configured,
    directories::of_bench,
    log::Log,
    memblock::Dump,
    parallel,
    span::Span,
};
use build::kernel::Kernel;
use serde::Serialize;
use std::{collections::BTreeSet, iter, path::Path};

/// The configurations, of 4K, 16K and 64K pages, each with a processor that has pages of this size.
const FLAVOURS: [(&str, &str); 3] = [("minimal", CPU), ("16k", "neoverse-n1"), ("64k", CPU)];

/// What two crash kernels have, of which one has the series.
#[derive(Debug, Serialize)]
struct Compared {
    /// The size of a page, in kB.
    page: u64,
    /// The machine.
    layout: &'static str,
    stock: Memory,
    series: Memory,
    /// How many sections of memory the series has that stock has not.
    new_sections: u64,
    /// The page tables that map nothing but ACPI tables, in kB: what it takes to have them in memory.
    for_tables: u64,
    /// What the series says of tables that it left out.
    left_out: Vec<String>,
}

impl Compared {
    fn new(layout: &Layout, page: u64, stock: &Log, series: &Log) -> Result<Self> {
        let [stock_dump, dump] = [crash_memory::dump(stock)?, crash_memory::dump(series)?];
        let new_sections = new_sections(&dump, &stock_dump, page);
        let page_tables = [&stock_dump, &dump].map(|dump| page_tables(dump, page));
        let for_tables = page_tables[1].difference(&page_tables[0]).count() as u64 * page;
        let left_out = crash_memory::left_out(series);
        // Otherwise something else is measured than what the name says.
        let kept = layout.kept(page);
        ensure!(
            new_sections == kept,
            "tables are in {new_sections} new sections, and not in {kept}"
        );
        ensure!(
            left_out.is_empty() == (kept == layout.apart),
            "{} tables were left out of memory, where there is room in {kept} of {} sections",
            left_out.len(),
            layout.apart
        );
        Ok(Self {
            page: page >> 10,
            layout: layout.name,
            stock: Memory::parse(stock, page).context("the log of stock")?,
            series: Memory::parse(series, page).context("the log of the series")?,
            new_sections,
            for_tables: for_tables >> 10,
            left_out,
        })
    }

    /// How much less the series has, in kB.
    fn less(&self, get: fn(&Memory) -> u64) -> i64 {
        get(&self.stock).cast_signed() - get(&self.series).cast_signed()
    }

    /// MemTotal and free memory are judged alike: what the series took later would be missing from the
    /// latter alone.
    fn goals(&self) -> Vec<Goal> {
        let [total, free] = [|memory: &Memory| memory.total, |memory: &Memory| memory.all_free];
        let judged = [("MemTotal", self.less(total)), ("free memory", self.less(free))];
        let goal = |what: String, measured, most| {
            Goal::number(format!("memory: {}K, {}: {what}", self.page, self.layout), measured, most)
        };
        let goals = judged.map(|(what, less)| {
            if self.new_sections == 0 {
                let what = format!("kB of {what} less, but for page tables of ACPI memory");
                return goal(what, less - self.for_tables.cast_signed(), 0);
            }
            let most = allowed(self.new_sections, self.page << 10) >> 10;
            goal(format!("kB of {what} less"), less, most.cast_signed())
        });
        goals.into()
    }
}

/// The page tables that the linear map of all memory in `dump` has, as (bytes that one maps, which): one
/// for each entry of the next level. Kernels that protect their code map it page by page.
fn page_tables(dump: &Dump, page: u64) -> BTreeSet<(u64, u64)> {
    const ADDRESSES: u64 = 1 << 48;
    let entries = page / size_of::<u64>() as u64;
    let levels = iter::successors(Some(page * entries), |maps| maps.checked_mul(entries));
    levels
        .take_while(|maps| *maps < ADDRESSES)
        .flat_map(|maps| {
            let of_span = move |span: Span| span.start / maps..span.end.div_ceil(maps);
            dump.mapped().flat_map(of_span).map(move |which| (maps, which))
        })
        .collect()
}

/// Measures, prints, and returns the goals.
pub fn measure(bench: &Bench) -> Result<Vec<Goal>> {
    let compared = compare(bench)?;
    keep("memory", &compared)?;
    let mut goals = Vec::new();
    for of_page in compared.chunk_by(|one, other| one.page == other.page) {
        println!("{}\n", table(of_page));
        goals.extend(of_page.iter().flat_map(Compared::goals));
    }
    for one in &compared {
        if let Some(line) = one.left_out.first() {
            let (page, layout, count) = (one.page, one.layout, one.left_out.len());
            println!("{page}K, {layout}: {count} left out, the first: {line}");
        }
    }
    Ok(goals)
}

/// Crashes all of them.
fn compare(bench: &Bench) -> Result<Vec<Compared>> {
    let application = build::firmware::obtain()?;
    let mut crashes = Vec::new();
    let mut pages = Vec::new();
    let mut kernels = Vec::new();
    for (flavour, _) in FLAVOURS {
        kernels.push([bench.kernel(flavour, false)?, bench.kernel(flavour, true)?]);
    }
    for ((flavour, cpu), pair) in FLAVOURS.into_iter().zip(&kernels) {
        for layout in LAYOUTS {
            pages.push((layout, Configured::of(&pair[0])?.page));
            for (kernel, variant) in pair.iter().zip(["stock", "series"]) {
                let name = of_bench(&format!("memory-{flavour}-{}-{variant}", directory(&layout)));
                crashes.push(crash(name, kernel, cpu, &layout, &application));
            }
        }
    }
    let names: Vec<_> = crashes.iter().map(|crash| crash.name.as_str()).collect();
    let logs = parallel::run(&names, |at, progress| {
        progress("crashes");
        let log = crashes[at].run(&bench.qemu, &bench.guest)?;
        log.with_context(|| format!("the crash '{}' did not come to its end", names[at]))
    })?;
    let pairs = pages.iter().zip(logs.chunks_exact(2)).zip(names.chunks_exact(2));
    pairs
        .map(|(((layout, page), logs), names)| {
            Compared::new(layout, *page, &logs[0], &logs[1]).with_context(|| names[1].to_owned())
        })
        .collect()
}

fn directory(layout: &Layout) -> String {
    layout.name.replace(", ", "-").replace(' ', "-")
}

fn crash<'a>(
    name: String,
    kernel: &'a Kernel,
    cpu: &'a str,
    layout: &Layout,
    application: &'a Path,
) -> Crash<'a> {
    Crash {
        name,
        kernel,
        cpu,
        memory: layout.memory,
        reservation: layout.reservation.into(),
        options: crash_memory::OPTIONS,
        script: "bench-memory",
        disk: false,
        firmware: layout.orders().map(|orders| (application, orders)),
    }
}

/// The table of one size of pages.
fn table(of_page: &[Compared]) -> String {
    let page = of_page.first().map_or(0, |one| one.page);
    let mut header: [String; 1 + 2 * LAYOUTS.len()] = Default::default();
    header[0] = format!("{page}K pages");
    for (at, one) in of_page.iter().enumerate() {
        header[1 + 2 * at] = one.layout.into();
        header[2 + 2 * at] = "series".into();
    }
    let row = |name: &str, cells: &dyn Fn(&Compared) -> [String; 2]| {
        let mut row: [String; 1 + 2 * LAYOUTS.len()] = Default::default();
        row[0] = name.into();
        for (at, one) in of_page.iter().enumerate() {
            let [stock, series] = cells(one);
            row[1 + 2 * at] = stock;
            row[2 + 2 * at] = series;
        }
        row
    };
    let of_memory = SHOWN.iter().map(|(name, get)| {
        row(name, &|one| {
            let difference = -one.less(*get);
            let with = if difference == 0 { String::new() } else { format!(" ({difference:+})") };
            [get(&one.stock).to_string(), format!("{}{with}", get(&one.series))]
        })
    });
    let of_series = |name: &str, get: &dyn Fn(&Compared) -> u64| {
        row(name, &|one| [String::new(), get(one).to_string()])
    };
    let rows = of_memory.chain([
        of_series("page tables that ACPI memory needs", &|one| one.for_tables),
        of_series("new sections, not in kB", &|one| one.new_sections),
        of_series("ranges left out, not in kB", &|one| one.left_out.len() as u64),
    ]);
    rows_as_table(header.each_ref().map(String::as_str), rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Layout = LAYOUTS[0];
    const APART: Layout = LAYOUTS[1];

    /// A crash kernel's log, with tables in so many sections of their own.
    fn log(apart: u64) -> String {
        let starts: Vec<_> =
            (0..apart).map(|section| 0x6000_0000 + section * 0x2000_0000).collect();
        log_with(&starts)
    }

    /// One with tables at `starts`.
    fn log_with(starts: &[u64]) -> String {
        let mut log = String::from(
            "MEMBLOCK configuration:\nMEMBLOCK configuration:\n\
             memory[0x0]\t[0x48000000-0x57dfffff], 0xfe00000 bytes flags: 0x0\n",
        );
        for start in starts {
            let end = start + 0xffff;
            log += &format!("memory[0x1]\t[{start:#x}-{end:#x}], 0x10000 bytes flags: 0x0\n");
        }
        log + "memblock_phys_alloc_range: 4096 bytes align=0x1000 early_pgtable_alloc+0x1c/0x34\n\
               @meminfo| MemTotal:         240000 kB\n\
               @meminfo| MemFree:          230000 kB\n\
               @meminfo| Slab:               7000 kB\n\
               @meminfo| KernelStack:         800 kB\n\
               @meminfo| PageTables:          100 kB\n\
               @meminfo# 5\n\
               @zoneinfo|               count:    1\n\
               @zoneinfo# 1\n\
               @vmstat| nr_memmap_pages 0\n\
               @vmstat| nr_memmap_boot_pages 1024\n\
               @vmstat# 2\n"
    }

    fn compared(layout: &Layout, stock: &str, series: &str) -> Result<Compared> {
        Compared::new(layout, 4096, &Log::new(stock), &Log::new(series))
    }

    /// Which of the goals are met when the series has so much, beside what `layout` has anyway.
    fn met(layout: &Layout, change: fn(&mut Memory)) -> [bool; 2] {
        let mut compared = compared(layout, &log(0), &log(layout.apart)).unwrap();
        change(&mut compared.series);
        let goals = compared.goals();
        [goals[0].is_met(), goals[1].is_met()]
    }

    fn take(memory: &mut Memory, kilobytes: u64) {
        memory.total -= kilobytes;
        memory.all_free -= kilobytes;
    }

    #[test]
    fn page_tables_of_the_tables_may_be_missing_and_no_page_more() {
        let mut compared = compared(&DEFAULT, &log(0), &log_with(&[0x57f3_0000])).unwrap();
        assert_eq!((compared.new_sections, compared.for_tables), (0, 4));
        let mut met = |kilobytes, later| {
            compared.series = compared.stock.clone();
            take(&mut compared.series, kilobytes);
            compared.series.all_free -= later;
            compared.goals().iter().map(Goal::is_met).collect::<Vec<_>>()
        };
        assert_eq!(met(4, 0), [true, true]);
        assert_eq!(met(5, 0), [false, false]);
        assert_eq!(met(4, 1), [true, false]);
    }

    #[test]
    fn each_level_of_page_tables_is_counted() {
        let count = |page| {
            let of = |log: &str| page_tables(&crash_memory::dump(&Log::new(log)).unwrap(), page);
            of(&log(10)).difference(&of(&log(0))).count()
        };
        // Of the ten, the first is below the GiB that ends at 2 GiB, where the memory of stock is.
        assert_eq!(count(4096), 10 + 5);
        assert_eq!(count(16384), 10);
        assert_eq!(count(65536), 10);
        let one = crash_memory::dump(&Log::new(&log(0))).unwrap();
        let levels: Vec<_> = page_tables(&one, 4096).iter().map(|(maps, _)| *maps).collect();
        assert_eq!(levels.iter().filter(|maps| **maps == 2 << 20).count(), 127);
        assert_eq!(levels.len(), 127 + 2);
    }

    #[test]
    fn a_section_of_tables_has_a_memory_map_and_a_little_more() {
        assert_eq!(met(&APART, |memory| take(memory, 3 << 10)), [true, true]);
        assert_eq!(met(&APART, |memory| take(memory, (3 << 10) + 1)), [false, false]);
        assert_eq!(met(&APART, |memory| memory.all_free -= (3 << 10) + 1), [true, false]);
    }

    #[test]
    fn what_is_not_as_its_name_says_is_an_error() {
        let error = |layout: &Layout, stock: &str, series: &str| {
            compared(layout, stock, series).unwrap_err().to_string()
        };
        assert!(error(&APART, &log(1), &log(1)).contains("in 0 new sections, and not in 1"));
        assert!(error(&DEFAULT, &log(0), &log(1)).contains("in 1 new sections, and not in 0"));
        let line =
            "arm64/mm: ACPI Tables 0x000060000000-0x00006000ffff: left out of memory: no room\n";
        let with_line = log(1) + line;
        assert!(error(&APART, &log(0), &with_line).contains("1 tables were left out"));
        // Of ten sections there is room for eight.
        let ten = &LAYOUTS[2];
        assert!(error(ten, &log(0), &log(8)).contains("0 tables were left out"));
        let left = compared(ten, &log(0), &(log(8) + line)).unwrap().left_out;
        assert_eq!(left, [line.trim_end()]);
    }

    #[test]
    fn the_table_has_both_and_the_difference() {
        let mut one = compared(&DEFAULT, &log(0), &log(0)).unwrap();
        one.series.total -= 4;
        let text = table(&[one]);
        assert!(text.contains("4K pages") && text.contains("default"), "{text}");
        assert!(text.contains("239996 (-4)") && text.contains("230004 "), "{text}");
    }

    #[test]
    fn each_layout_has_a_directory() {
        assert_eq!(LAYOUTS.map(|layout| directory(&layout))[3], "10-sections-384M");
        assert_eq!(LAYOUTS.map(|layout| directory(&layout))[1], "1-section");
    }
}
