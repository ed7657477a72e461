// SPDX-License-Identifier: GPL-2.0

//! A case of firmware crashed for real: its ranges are in the dump as they were.

use crate::{
    answers::different_tables,
    case_boot::set,
    case_verdict::Said,
    crash_case::Crash,
    facts::Facts,
    fence::{Laid, lost_in},
    iomem::{ACPI_TABLES, CRASH_KERNEL, anywhere, top_level},
    ktap,
    run::End,
    span::{Span, covers, list},
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use cases::Case;
use orders::ACPI_RECLAIM;
use std::fs;

/// What came of a crash by `case`, which is loaded by kexec_file_load(): that has the crashed kernel
/// list its memory, and ACPI Reclaim memory is some.
pub fn judge(case: &Case, crash: &Crash, series: bool) -> Result<Said> {
    ensure!(crash.run.end == End::Complete, "{}", crash.run.end);
    if let Some(line) = crash.trouble.first() {
        bail!("the console says '{line}'");
    }
    let (first, second) = (passed(&crash.first)?, passed(&crash.second)?);
    let different = different_tables(first, second);
    ensure!(different.is_empty(), "the tables {} are not intact", different.join(", "));

    let acpi = first.acpi_reclaim();
    for (which, facts) in [("first", first), ("crash", second)] {
        let shown = top_level(&facts.iomem, ACPI_TABLES);
        let wanted = if series { acpi.as_slice() } else { &[] };
        ensure!(shown == wanted, "ACPI Tables of the {which} kernel: {}", list(&shown));
    }
    let own = anywhere(&first.iomem, CRASH_KERNEL);
    let mapped: Vec<_> = second.memblock.mapped().collect();
    let allowed = own.iter().chain(&acpi).copied();
    ensure!(covers(allowed, mapped.iter().copied()), "memblock has {}", list(&mapped));

    let bytes = intact_in_dump(case, crash)?;
    let text = format!("dump has {} ranges intact, {bytes} bytes", case.map.ranges.len());
    Ok(Said { text, ..Said::default() })
}

fn passed(facts: &Result<Facts>) -> Result<&Facts> {
    let facts = facts.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    match ktap::failed(&facts.checks) {
        Some(failed) => bail!("{failed}"),
        None => Ok(facts),
    }
}

/// How many bytes of the case's ACPI Reclaim memory are in the dump, each as it was laid there.
fn intact_in_dump(case: &Case, crash: &Crash) -> Result<u64> {
    let dump = crash.dump.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    let console = fs::read(crash.dir.join(crate::run::CONSOLE))?;
    let laid = Laid::parse(&String::from_utf8_lossy(&console))?;
    ensure!(laid.tables.is_empty() != case.move_tables, "no table was moved");
    let read = |span: Span| dump.bytes(span)?.with_context(|| format!("the dump lacks {span}"));
    let damaged = laid.damaged_tables(read)?;
    ensure!(damaged.is_empty(), "the tables at {damaged:x?} are not what they were");

    let acpi = case
        .map
        .ranges
        .iter()
        .filter(|range| range.described.is_some_and(|kind| kind.memory_type == ACPI_RECLAIM));
    let acpi = set(acpi.map(|range| Span { start: range.pages.start, end: range.pages.end() }));
    ensure!(!acpi.is_empty(), "the case has no ACPI Reclaim memory");
    let (lost, first) = lost_in(read, &acpi.without(&laid.table_set()))?;
    ensure!(lost == 0, "{lost} bytes are lost, the first at {:#x}", first.unwrap_or_default());
    Ok(u64::try_from(acpi.bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crash_case::Loader,
        ktap::Ending,
        made_up::{self, ACPI, RAM, TABLE},
    };
    use orders::LINE;

    const CASE: &str = r#"
[[case]]
name = "moved"
what = "tables that have moved"
acpi = ["0x5c430000+0x10000"]
tables = true
series = "boots"
stock = "given"
"#;

    /// The lines of the firmware.
    fn console() -> String {
        let (start, bytes) = TABLE;
        let (last, sum) = (start + bytes.len() as u64 - 1, crc32fast::hash(bytes));
        format!("{LINE}table {start:#x}-{last:#x} crc32 {sum:#x}\r\n")
    }

    /// What came of a crash in which something was changed.
    fn judged(case: &str, series: bool, change: impl FnOnce(&mut Crash)) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("console.log"), console()).unwrap();
        let mut crash = made_up::crash(dir.path(), series, Loader::File);
        change(&mut crash);
        let said = judge(&cases::parse(case).unwrap()[0], &crash, series);
        said.map(|said| said.text).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_was_laid_is_in_the_dump() {
        for series in [true, false] {
            let text = judged(CASE, series, |_| ()).unwrap();
            assert_eq!(text, "dump has 1 ranges intact, 65536 bytes");
            assert!(
                judged(CASE, series, |crash| {
                    *crash = made_up::crash(&crash.dir, !series, Loader::File)
                })
                .unwrap_err()
                .starts_with("ACPI Tables of the first kernel: ")
            );
        }
    }

    #[test]
    fn each_complaint_is_made() {
        let wrong = |change: fn(&mut Crash)| judged(CASE, true, change).unwrap_err();
        let first = |change: fn(&mut Facts)| {
            judged(CASE, true, |crash| change(crash.first.as_mut().unwrap())).unwrap_err()
        };
        let second = |change: fn(&mut Facts)| {
            judged(CASE, true, |crash| change(crash.second.as_mut().unwrap())).unwrap_err()
        };
        let failed = |facts: &mut Facts| facts.checks.push(made_up::check(Ending::Failed));
        let no_console = |crash: &mut Crash| fs::write(crash.dir.join("console.log"), "").unwrap();
        for (found, wanted) in [
            (wrong(|crash| crash.run.end = End::Halted("dump")), "halted in phase 'dump'"),
            (wrong(|crash| crash.trouble.push("BUG: a".into())), "the console says 'BUG: a'"),
            (wrong(|crash| crash.first = Err(anyhow!("no iomem"))), "no iomem"),
            (wrong(|crash| crash.second = Err(anyhow!("no cmdline"))), "no cmdline"),
            (first(failed), "the guest's check acpi failed: no tables"),
            (second(failed), "the guest's check acpi failed: no tables"),
            (second(|facts| facts.tables.clear()), "the tables DSDT are not intact"),
            (first(|facts| facts.iomem.truncate(1)), "ACPI Tables of the first kernel: none"),
            (second(|facts| facts.iomem.truncate(1)), "ACPI Tables of the crash kernel: none"),
            (
                second(|facts| facts.memblock.memory[0].span.end += 0x1000),
                "memblock has 4a600000-5a600fff",
            ),
            (wrong(|crash| crash.dump = Err(anyhow!("no ELF file"))), "no ELF file"),
            (wrong(no_console), "no table was moved"),
            (
                wrong(|crash| {
                    let below = Span { end: ACPI.start, ..RAM };
                    crash.dump = Ok(made_up::write_dump(&crash.dir, &[below]));
                }),
                "the dump lacks 5c437118-",
            ),
            (
                wrong(|crash| made_up::spoil(crash, TABLE.0)),
                "the tables at [5c437118-5c437127] are not what they were",
            ),
            (
                wrong(|crash| made_up::spoil(crash, ACPI.start + 3)),
                "1 bytes are lost, the first at 0x5c430003",
            ),
        ] {
            assert!(found.contains(wanted), "{found}");
        }
        let error = judged(&CASE.replace("acpi = ", "nomap = "), true, |_| ()).unwrap_err();
        assert!(error.contains("the case has no ACPI Reclaim memory"), "{error}");
    }
}
