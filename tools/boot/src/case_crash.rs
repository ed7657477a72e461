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
    ktap::Ending,
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
    match facts.checks.iter().find(|check| check.ending != Ending::Passed) {
        Some(check) => bail!("the guest's check {} failed: {}", check.name, check.why.join(" ")),
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
