// SPDX-License-Identifier: GPL-2.0

//! The parts of the measurement: each prints its table, keeps its raw data, and has goals.

use crate::{
    Bench,
    boot_count::{self, Which},
    counter::Spent,
    curve::{self, Curve},
    firmware::Firmware,
    function_count::{self, Cost, DESCRIPTORS, RANGES, Step},
    goal::{Goal, rows_as_table},
    keep, memory, size,
    smallest::{Smallest, smallest},
};
use anyhow::{Context, Result, ensure};
use boot::{
    crash::{self, CrashOptions},
    parallel,
};
use build::kernel::Kernel;
use serde::Serialize;
use std::{collections::BTreeMap, time::Instant};
use util::place;

/// A part.
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// What it measures.
    pub about: &'static str,
    /// Whether `make test` measures it, too.
    pub in_test: bool,
    /// Measures, prints, and returns the goals.
    pub run: fn(&Bench) -> Result<Vec<Goal>>,
}

/// All parts, the quick ones first.
pub const PARTS: [Part; 6] = [
    Part { name: "size", about: "bytes more than stock", in_test: true, run: measure_size },
    Part {
        name: "boot",
        about: "instructions from a kernel's entry to its first process",
        in_test: true,
        run: measure_boot,
    },
    Part {
        name: "steps",
        about: "instructions of each step, by size of the EFI memory map",
        in_test: false,
        run: measure_steps,
    },
    Part {
        name: "memory",
        about: "what a crash kernel has when its first process starts, in kB",
        in_test: false,
        run: memory::measure,
    },
    Part {
        name: "smallest",
        about: "the smallest crashkernel= that saves a dump, in MiB",
        in_test: false,
        run: measure_smallest,
    },
    Part {
        name: "time",
        about: "seconds that make crash takes, warm",
        in_test: false,
        run: measure_time,
    },
];

/// The columns of which each kernel is one.
const STOCK: &str = "stock";
const SERIES: &str = "series";
const PLAIN_C: &str = "C";

fn measure_size(bench: &Bench) -> Result<Vec<Goal>> {
    let series = size::size(&bench.stock.vmlinux, &bench.series.vmlinux)?;
    let plain_c = size::size(&bench.stock.vmlinux, &bench.plain_c.vmlinux)?;
    keep("size", &BTreeMap::from([(SERIES, &series), (PLAIN_C, &plain_c)]))?;
    let row = |what: &str, get: fn(&size::Size) -> i64| {
        [what.to_owned(), get(&series).to_string(), get(&plain_c).to_string()]
    };
    let rows = [
        row("freed after boot: code and data", |size| size.init),
        row("stays: code and data", |size| size.resident),
        row("stays: names of symbols", |size| size.symbol_names),
    ];
    let section = |name: &String| {
        let of = |size: &size::Size| {
            let found = size.sections.iter().find(|(section, _)| section == name);
            found.map_or(0, |(_, bytes)| *bytes).to_string()
        };
        [format!("  {name}, as linked"), of(&series), of(&plain_c)]
    };
    let mut sections: Vec<_> =
        series.sections.iter().chain(&plain_c.sections).map(|(name, _)| name).collect();
    sections.sort();
    sections.dedup();
    let rows = rows.into_iter().chain(sections.into_iter().map(section));
    println!("{}", rows_as_table(["", SERIES, PLAIN_C], rows));
    let unsigned = |bytes: i64| u64::try_from(bytes).unwrap_or(0);
    Ok(vec![
        Goal::ratio(
            "size: bytes freed after boot, of those of C",
            unsigned(series.init),
            unsigned(plain_c.init),
            1.2,
        )
        .held_to(1.85),
        Goal::number("size: bytes that stay", series.resident + series.symbol_names, 512),
    ])
}

fn measure_boot(bench: &Bench) -> Result<Vec<Goal>> {
    let mut kernels = vec![(STOCK, &bench.stock), (SERIES, &bench.series)];
    // What does not repeat is no count.
    let runs = if bench.thorough { 2 } else { 1 };
    if bench.thorough {
        kernels.push((PLAIN_C, &bench.plain_c));
    }
    let mut boots = Vec::new();
    for (name, kernel) in kernels.iter().copied() {
        for which in Which::ALL {
            boots.extend((0..runs).map(|run| (run, name, kernel, which)));
        }
    }
    let names: Vec<_> = boots
        .iter()
        .map(|(run, name, _, which)| format!("{}-{name}-{run}", which.name()))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let counts = parallel::run(&names, |at, progress| {
        let (run, name, kernel, which) = boots[at];
        progress("boots");
        let name = format!("{name}-{run}");
        boot_count::count(which, kernel, &name, &bench.qemu, &bench.guest, &bench.plugin)
    })?;
    let mut spent: BTreeMap<(&str, &str), Spent> = BTreeMap::new();
    for ((_, name, _, which), counted) in boots.iter().zip(counts) {
        if let Some(before) = spent.insert((which.name(), name), counted.clone()) {
            ensure!(
                before == counted,
                "the {} boot of {name} took {} instructions, and then {}",
                which.name(),
                before.total,
                counted.total
            );
        }
    }
    let total = |which: Which, name| spent[&(which.name(), name)].total;
    let raw: BTreeMap<String, &Spent> =
        spent.iter().map(|((which, name), spent)| (format!("{which} {name}"), spent)).collect();
    keep("boot", &raw)?;
    let rows = kernels.iter().map(|(name, _)| {
        let [first, crash] = Which::ALL.map(|which| total(which, name).to_string());
        [name.to_string(), first, crash]
    });
    println!("{}", rows_as_table(["", "first kernel", "crash kernel"], rows));
    for which in Which::ALL {
        let of = |name| &spent[&(which.name(), name)];
        println!("{}", most_different(which.name(), of(STOCK), of(SERIES)));
    }
    let goal = |which: Which, most| {
        let what = format!("boot: {} kernel, of stock", which.name());
        Goal::ratio(what, total(which, SERIES), total(which, STOCK), most)
    };
    // A crash kernel keeps the reservations that firmware's memory had, and memblock walks them. Reading
    // the tables without ioremap() pays for less than that.
    Ok(vec![goal(Which::First, 1.0005), goal(Which::Crash, 1.0).held_to(1.001)])
}

/// How many symbols are named that differ most.
const NAMED: usize = 8;

fn most_different(which: &str, stock: &Spent, series: &Spent) -> String {
    let mut differences: BTreeMap<&str, i64> = BTreeMap::new();
    for (spent, sign) in [(stock, -1), (series, 1)] {
        for (symbol, count) in &spent.by_symbol {
            *differences.entry(symbol).or_default() += sign * count.cast_signed();
        }
    }
    let mut differences: Vec<_> = differences.into_iter().collect();
    differences.sort_by_key(|(_, count)| std::cmp::Reverse(count.abs()));
    let named: Vec<_> = differences
        .iter()
        .take(NAMED)
        .map(|(symbol, count)| format!("{} {count:+}", shortened(symbol)))
        .collect();
    format!("{which} kernel, by symbol: {}", named.join(", "))
}

/// The name of a copy of generic code is longer than a line.
fn shortened(symbol: &str) -> String {
    const MOST: usize = 44;
    if symbol.len() <= MOST {
        return symbol.into();
    }
    let end: String = symbol.chars().skip(symbol.chars().count() - MOST / 2).collect();
    format!("{symbol:.0$}...{end}", MOST / 2)
}

/// What a step cost on one map.
#[derive(Serialize)]
struct Counted {
    descriptors: usize,
    ranges: usize,
    falling: bool,
    step: Step,
    series: Cost,
    plain_c: Cost,
}

/// All maps: those in rising order, as firmware has them, and one in falling order.
fn maps() -> Vec<Firmware> {
    let mut maps = Vec::new();
    for descriptors in DESCRIPTORS {
        for ranges in RANGES.into_iter().filter(|ranges| 2 * ranges < descriptors) {
            maps.push(Firmware { descriptors, ranges, falling: false, crash: true });
        }
    }
    maps.push(Firmware { descriptors: 4096, ranges: 16, falling: true, crash: true });
    maps
}

fn measure_steps(bench: &Bench) -> Result<Vec<Goal>> {
    let counted = count_steps(bench)?;
    keep("steps", &counted)?;
    let rows = counted.iter().map(|one| {
        let ratio = Goal::ratio("", one.series.own, one.plain_c.own, 1.0).measured;
        let order = if one.falling { ", falling" } else { "" };
        [
            format!(
                "{} of {} descriptors, {} ACPI{order}",
                one.step.name(),
                one.descriptors,
                one.ranges
            ),
            one.series.own.to_string(),
            one.plain_c.own.to_string(),
            format!("{ratio:.3}"),
            one.series.memblock.to_string(),
            one.series.rest.to_string(),
            one.plain_c.rest.to_string(),
        ]
    });
    let header =
        ["", "own, series", "own, C", "ratio", "memblock", "all else, series", "all else, C"];
    println!("{}", rows_as_table(header, rows));
    draw_curves(&counted)?;
    let mut goals = Vec::new();
    for step in Step::ALL {
        let of_step = || counted.iter().filter(|one| one.step == step && !one.falling);
        let worst = of_step()
            .map(|one| {
                let what = format!(
                    "steps: {}, of C, at worst ({} descriptors, {} ACPI)",
                    step.name(),
                    one.descriptors,
                    one.ranges
                );
                Goal::ratio(what, one.series.own, one.plain_c.own, 1.05)
            })
            .max_by(|one, other| one.measured.total_cmp(&other.measured));
        goals.push(worst.context("nothing was counted")?);
        // Four times as many descriptors, and the same ranges.
        let own = |descriptors| {
            let found = of_step().find(|one| one.descriptors == descriptors && one.ranges == 1);
            found.map(|one| one.series.own).context("a map was not counted")
        };
        let what = format!("steps: {}, growth from 1024 to 4096 descriptors", step.name());
        goals.push(Goal::ratio(what, own(4096)?, own(1024)?, 4.0));
    }
    Ok(goals)
}

fn count_steps(bench: &Bench) -> Result<Vec<Counted>> {
    let maps = maps();
    let columns: [(&str, &Kernel); 2] = [(SERIES, &bench.series), (PLAIN_C, &bench.plain_c)];
    let boots: Vec<_> =
        maps.iter().flat_map(|map| columns.map(|(name, kernel)| (*map, name, kernel))).collect();
    let names: Vec<_> = boots
        .iter()
        .map(|(map, name, _)| {
            let order = if map.falling { "-falling" } else { "" };
            format!("{name}-{}-{}{order}", map.descriptors, map.ranges)
        })
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let costs = parallel::run(&names, |at, progress| {
        let (map, _, kernel) = boots[at];
        progress("boots");
        function_count::count(kernel, names[at], map, &bench.qemu, &bench.plugin)
    })?;
    let mut counted = Vec::new();
    for (map, costs) in maps.iter().zip(costs.chunks_exact(2)) {
        for step in Step::ALL {
            counted.push(Counted {
                descriptors: map.descriptors,
                ranges: map.ranges,
                falling: map.falling,
                step,
                series: costs[0][&step].clone(),
                plain_c: costs[1][&step].clone(),
            });
        }
    }
    Ok(counted)
}

fn draw_curves(counted: &[Counted]) -> Result<()> {
    for step in Step::ALL {
        let mut curves = Vec::new();
        for ranges in RANGES {
            let of = |get: fn(&Counted) -> &Cost| -> Vec<(u64, u64)> {
                let wanted =
                    |one: &&Counted| one.step == step && one.ranges == ranges && !one.falling;
                let point = |one: &Counted| (one.descriptors as u64, get(one).own);
                counted.iter().filter(wanted).map(point).collect()
            };
            for (name, points) in
                [(SERIES, of(|one| &one.series)), (PLAIN_C, of(|one| &one.plain_c))]
            {
                curves.push(Curve { name: format!("{name}, {ranges} ACPI ranges"), points });
            }
        }
        let path = place::out("bench")?.join(format!("{}.svg", step.name()));
        curve::draw(&path, &format!("{}: instructions", step.name()), &curves)?;
        println!("out/bench/{}.svg", step.name());
    }
    Ok(())
}

fn measure_smallest(bench: &Bench) -> Result<Vec<Goal>> {
    let columns = [(STOCK, &bench.stock), (SERIES, &bench.series)];
    let names = columns.map(|(name, _)| name);
    let found = parallel::run(&names, |at, progress| {
        progress("smallest crashkernel=");
        let (name, kernel) = columns[at];
        smallest(kernel, name, &bench.qemu, &bench.guest)
    })?;
    let (stock, series) = (found[0], found[1]);
    keep("smallest", &BTreeMap::from([(STOCK, stock), (SERIES, series)]))?;
    let row = |what: &str, get: fn(&Smallest) -> u64| {
        [what.to_owned(), get(&stock).to_string(), get(&series).to_string()]
    };
    let rows = [row("saves a dump", |found| found.saves), row("does not", |found| found.fails)];
    println!("{}", rows_as_table(["", STOCK, SERIES], rows));
    let more = series.saves.cast_signed() - stock.saves.cast_signed();
    Ok(vec![Goal::number("smallest: MiB of crashkernel=, more than stock", more, 0)])
}

fn measure_time(bench: &Bench) -> Result<Vec<Goal>> {
    let started = Instant::now();
    let options = CrashOptions { source: bench.source.clone(), reproduce_2017: false };
    let outcome = crash::measure(&options)?;
    let took = started.elapsed().as_secs_f64();
    let runs: Vec<_> =
        outcome.described.iter().filter(|line| line.starts_with("out/boots/")).collect();
    for line in &runs {
        println!("{line}");
    }
    keep("time", &(took, &runs))?;
    let quickest = runs.iter().filter_map(|line| seconds(line)).min_by(f64::total_cmp);
    Ok(vec![
        Goal::seconds("time: make crash, warm, in seconds", took, 20.0),
        Goal::seconds(
            "time: the quickest of its crashes, in seconds",
            quickest.context("nothing crashed")?,
            4.0,
        ),
    ])
}

/// How long a crash took, from the line that says so.
fn seconds(line: &str) -> Option<f64> {
    line.split_once(": ")?.1.split_once(" s ")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_of_all_sizes() {
        let maps = maps();
        assert_eq!(maps.iter().filter(|map| map.falling).count(), 1);
        for descriptors in DESCRIPTORS {
            assert!(maps.iter().any(|map| map.descriptors == descriptors && map.ranges == 1));
        }
        assert!(maps.iter().any(|map| (map.descriptors, map.ranges) == (4096, 256)));
    }

    #[test]
    fn what_differs_most_is_named_first() {
        let spent = |list: &[(&str, u64)]| Spent {
            total: list.iter().map(|(_, count)| count).sum(),
            by_symbol: list.iter().map(|(name, count)| (name.to_string(), *count)).collect(),
        };
        let stock = spent(&[("ioremap", 900), ("same", 5)]);
        let series = spent(&[("same", 5), ("keep", 100)]);
        let text = most_different("crash", &stock, &series);
        assert!(text.starts_with("crash kernel, by symbol: ioremap -900, keep +100"), "{text}");
        assert_eq!(shortened(&"x".repeat(200)).len(), 47);
    }

    #[test]
    fn seconds_are_read_from_the_line_of_a_crash() {
        let line = "out/boots/crash-stock-file: 6.7 s (firmware 0.7, first kernel 1.3)";
        assert_eq!(seconds(line), Some(6.7));
        assert_eq!(seconds("out/boots/x"), None);
    }
}
