// SPDX-License-Identifier: GPL-2.0

//! The main job: crash a machine with a stock kernel and with the series, by each loader, and put
//! what came of it side by side.

use crate::{
    Counts, boots,
    crash_case::{Crash, CrashCase, Loader},
    guest::Guest,
    letter, machine, parallel,
    properties::{Answer, Look},
    table::{Answers, Row, judge, properties, render},
};
use anyhow::{Context, Result};
use build::{
    deps::{self, Qemu},
    kernel::{Kernel, Source, Spec, Variant, obtain},
};

/// What to crash.
#[derive(Clone, Debug)]
pub struct CrashOptions {
    /// The tree that the kernels are built from.
    pub source: Source,
    /// Whether ACPI memory is mapped as in 2017.
    pub reproduce_2017: bool,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How many properties are as expected.
    pub counts: Counts,
    /// What is not as expected, one line each.
    pub complaints: Vec<String>,
    /// The table.
    pub table: String,
    /// Which machine and which kernels: one line each.
    pub described: Vec<String>,
    /// The same for a mail.
    pub letter: Letter,
}

/// What a mail says of it.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The table, in plain characters.
    pub table: String,
    /// Memory in /proc/iomem.
    pub iomem: String,
    /// The machine.
    pub machine: String,
    /// The kernel without the series.
    pub stock: Kernel,
    /// The kernel with the series.
    pub series: Kernel,
}

impl Outcome {
    /// The line that says it all.
    pub fn verdict(&self) -> String {
        let Counts { passed, failed } = self.counts;
        match failed {
            0 => format!("PASSED: {passed} properties are as expected"),
            _ => format!("FAILED: {failed} of {} properties are not as expected", passed + failed),
        }
    }
}

/// Crashes, prints the table and the verdict.
pub fn run(options: &CrashOptions) -> Result<Outcome> {
    let outcome = measure(options)?;
    for line in &outcome.described {
        println!("{line}");
    }
    println!("{}", outcome.table);
    for complaint in &outcome.complaints {
        println!("not as expected: {complaint}");
    }
    println!("{}", outcome.verdict());
    Ok(outcome)
}

/// Crashes and measures.
pub fn measure(options: &CrashOptions) -> Result<Outcome> {
    let qemu = deps::qemu()?;
    let guest = Guest::find()?;
    let mapping_2017 = options.reproduce_2017;
    let stock = kernel(&options.source, Variant { series: false, mapping_2017 })?;
    let series = kernel(&options.source, Variant { series: true, mapping_2017 })?;
    let crashes = Loader::ALL.map(|loader| {
        [(COLUMNS[0], &stock), (COLUMNS[1], &series)].map(|(column, kernel)| {
            CrashCase::new(directory(mapping_2017, column, loader), kernel, kernel, loader)
        })
    });
    let cases: Vec<_> = crashes.into_iter().flatten().collect();
    let crashes = run_all(&cases, &qemu, &guest)?;
    let rows = rows(&crashes, mapping_2017);
    let (counts, complaints) = judge(&rows);
    let shown = crashes.first().context("no loader crashed anything")?;
    Ok(Outcome {
        letter: Letter {
            table: letter::table(&rows),
            iomem: letter::iomem(&shown.stock, &shown.series),
            machine: machine::version(&qemu),
            stock: stock.clone(),
            series: series.clone(),
        },
        counts,
        complaints,
        table: render(&rows),
        described: described(&qemu, &stock, &series, &crashes),
    })
}

/// Removes the dumps, once nobody is going to read them: they are what is large of it.
pub fn clean(mapping_2017: bool) -> Result<()> {
    for loader in Loader::ALL {
        for column in COLUMNS {
            machine::clean(&boots::dir(&directory(mapping_2017, column, loader))?)?;
        }
    }
    Ok(())
}

/// The columns of the table.
pub(crate) const COLUMNS: [&str; 2] = ["stock", "series"];

/// The name of a crash, and that of its directory below out/boots.
pub(crate) fn directory(mapping_2017: bool, column: &str, loader: Loader) -> String {
    let prefix = if mapping_2017 { "2017" } else { "crash" };
    format!("{prefix}-{column}-{}", loader.name())
}

fn kernel(source: &Source, variant: Variant) -> Result<Kernel> {
    obtain(&Spec { source: source.clone(), variant, flavour: "minimal".into() })
}

/// Stock and series, by one loader.
struct Pair {
    loader: Loader,
    stock: Crash,
    series: Crash,
}

fn run_all(cases: &[CrashCase<'_>], qemu: &Qemu, guest: &Guest) -> Result<Vec<Pair>> {
    let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
    let done = parallel::run(&names, |at, progress| cases[at].run(qemu, guest, progress))?;
    let mut done = done.into_iter();
    let mut pairs = Vec::new();
    for loader in Loader::ALL {
        let stock = done.next().context("a crash of stock is missing")?;
        let series = done.next().context("a crash of the series is missing")?;
        pairs.push(Pair { loader, stock, series });
    }
    Ok(pairs)
}

fn rows(pairs: &[Pair], mapping_2017: bool) -> Vec<Row> {
    properties(mapping_2017)
        .map(|property| {
            let answers = |ask: &dyn Fn(&Pair) -> Option<Answer>| -> Answers {
                pairs.iter().map(|pair| (pair.loader, ask(pair))).collect()
            };
            let series = answers(&|Pair { loader, stock, series: crash }| {
                (property.ask)(Look { crash, stock: Some(stock), loader: *loader })
            });
            let stock = answers(&|Pair { loader, stock: crash, .. }| {
                // What compares with stock shows its figures, and is not judged.
                let stock = property.is_beside_stock().then_some(crash);
                (property.ask)(Look { crash, stock, loader: *loader })
            });
            Row::new(property, mapping_2017, stock, series)
        })
        .collect()
}

fn described(qemu: &Qemu, stock: &Kernel, series: &Kernel, pairs: &[Pair]) -> Vec<String> {
    let mut lines = vec![
        format!("machine  {}", machine::describe(qemu)),
        format!("stock    {}", stock.described),
        format!("series   {}", series.described),
    ];
    for crash in pairs.iter().flat_map(|pair| [&pair.stock, &pair.series]) {
        let phases: Vec<_> = crash
            .run
            .phases
            .iter()
            .map(|(name, took)| format!("{name} {:.1}", took.as_secs_f64()))
            .collect();
        lines.push(format!(
            "out/boots/{}: {:.1} s ({})",
            crash.dir.file_name().unwrap_or_default().to_string_lossy(),
            crash.run.took.as_secs_f64(),
            phases.join(", ")
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crash_case::CRASH_KERNEL_PHASE, facts::Facts, log::Log, made_up, properties::Expected,
        run::End, span::Span,
    };
    use anyhow::anyhow;
    use std::{fs, process::ExitStatus};

    /// What is not as expected, and in how many rows, where each column has the series or has not, and
    /// something was changed in each crash of stock and of the series.
    fn wrong(
        columns: [bool; 2],
        mapping_2017: bool,
        change: impl Fn(&mut Crash, &mut Crash),
    ) -> (usize, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let pairs = Loader::ALL.map(|loader| {
            let [mut stock, mut series] = [0, 1].map(|column| {
                let dir = dir.path().join(format!("{column}-{}", loader.name()));
                fs::create_dir(&dir).unwrap();
                made_up::crash(&dir, columns[column], loader)
            });
            change(&mut stock, &mut series);
            Pair { loader, stock, series }
        });
        let (counts, complaints) = judge(&rows(&pairs, mapping_2017));
        assert_eq!(counts.passed + counts.failed, properties(mapping_2017).count());
        (counts.failed, complaints)
    }

    const BESIDE: [bool; 2] = [false, true];

    #[test]
    fn stock_beside_the_series_is_as_expected() {
        assert_eq!(wrong(BESIDE, false, |_, _| ()), (0, vec![]));
        let fails = properties(false).filter(|property| property.stock != Expected::Holds).count();
        assert_eq!(wrong([false, false], false, |_, _| ()).0, fails);
        let (failed, complaints) = wrong([true, true], false, |_, _| ());
        // The tables are not System RAM in either, and there is less of it than there should be.
        assert_eq!(failed, fails + 1);
        assert!(complaints[0].ends_with("(stock should fail it, or the check proves nothing)"));
    }

    #[test]
    fn with_the_mapping_of_2017_stock_has_to_die() {
        let dies = |stock: &mut Crash, _: &mut Crash| {
            let fault = "FSC = 0x21: alignment fault";
            stock.run.end = End::Stopped(CRASH_KERNEL_PHASE, ExitStatus::default());
            stock.second = Err(anyhow!("no iomem"));
            stock.second_log = Log::new(fault);
            stock.trouble.push("Unable to handle kernel paging request".into());
        };
        assert_eq!(wrong(BESIDE, true, dies), (0, vec![]));
        assert_eq!(wrong(BESIDE, true, |_, _| ()).0, properties(true).count());
        let both = |stock: &mut Crash, series: &mut Crash| {
            dies(stock, series);
            dies(series, stock);
        };
        assert_eq!(wrong(BESIDE, true, both).0, properties(true).count());
    }

    #[test]
    fn each_comparison_with_stock_is_seen_to_fail() {
        let first = |change: fn(&mut Facts)| {
            wrong(BESIDE, false, |_, crash| change(crash.first.as_mut().unwrap()))
        };
        let second = |change: fn(&mut Facts)| {
            wrong(BESIDE, false, |_, crash| change(crash.second.as_mut().unwrap()))
        };
        let dump = |_: &mut Crash, crash: &mut Crash| {
            let below = Span { end: made_up::GIVEN.start, ..made_up::RAM };
            crash.dump = Ok(made_up::write_dump(&crash.dir, &[below]));
        };
        let mut seen = Vec::new();
        for ((failed, complaints), key) in [
            (first(|facts| facts.iomem[0].span.start += 0x1000), "first-system-ram"),
            (second(|facts| facts.iomem[0].span.start += 0x1000), "crash-system-ram"),
            (first(|facts| facts.mem_total -= 2 << 20), "first-mem-budget"),
            (second(|facts| facts.mem_total -= 2 << 20), "crash-mem-budget"),
            (second(|facts| facts.zones[0].span.end += 0x1000), "zones"),
            (first(|facts| facts.swiotlb = 64 << 20), "swiotlb"),
            (second(|facts| facts.dev_mem_beside[0].outcome = "open".into()), "dev-mem-beside"),
            (first(|facts| facts.kcore.as_mut().unwrap().pages.clear()), "kcore"),
            (wrong(BESIDE, false, dump), "dump-memory"),
        ] {
            let property = properties(false).find(|property| property.key == key).unwrap();
            let name = property.name.trim();
            assert!(failed > 0);
            assert!(complaints.iter().any(|line| line.contains(name)), "{complaints:#?}");
            seen.push(key);
        }
        for property in properties(false).filter(|property| property.is_beside_stock()) {
            assert!(seen.contains(&property.key), "{} is not seen to fail", property.key);
        }
    }
}
