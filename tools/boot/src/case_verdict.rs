// SPDX-License-Identifier: GPL-2.0

//! Whether what came of a case is what must come of it.

use crate::{
    case_boot::{CaseBoot, dump, set},
    firmware_boot::{KERNEL_PHASE, Seen},
    iomem::{SYSTEM_RAM, top_level},
    ktap,
    log::PANIC_LINE,
    rules::{self, Found, same},
    run::End,
    usable_memory::PROPERTY,
};
use anyhow::{Result, anyhow, bail, ensure};
use cases::{GOOD, Series, Stock};
use oracle::{Memory, Outcome, Set, Span};
use orders::LINE;

/// How many lines the series prints about entries that it ignores.
const MOST_LINES: usize = 16;

/// What was seen, in a few words and in numbers.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// For people.
    pub text: String,
    /// Bytes behind the fence that were not given.
    pub guarded: u128,
    /// How many of them are lost.
    pub lost: u64,
    /// Whether memory was taken that was not given.
    pub taken: bool,
}

/// With the series: R3, R5 and the rest exactly. The error says what is otherwise.
pub fn series(boot: &CaseBoot<'_>) -> Result<Said> {
    firmware_has_done_its_work(boot)?;
    let stated = match boot.outcome {
        Outcome::Stops => Series::Stops,
        Outcome::Boots(_) => Series::Boots,
    };
    ensure!(
        stated == boot.case.series,
        "cases.toml says {:?}, but the oracle says {stated:?}",
        boot.case.series
    );
    let text = match &boot.outcome {
        Outcome::Stops => stops(boot)?,
        Outcome::Boots(memory) => boots(boot, memory)?,
    };
    let (lost, first) = boot.lost()?;
    ensure!(lost == 0, "{lost} bytes are lost, the first at {:#x}", first.unwrap_or_default());
    if let Some(damage) = boot.damage()? {
        bail!("{damage}");
    }
    Ok(Said { text, guarded: boot.guarded(), lost, taken: false })
}

/// Without the series: what is stated.
pub fn stock(boot: &CaseBoot<'_>) -> Result<Said> {
    firmware_has_done_its_work(boot)?;
    let (what, text) = taken(boot)?;
    let stated = boot.case.stock_with(boot.boot.page);
    ensure!(what == stated, "cases.toml says {stated:?}, but it was {what:?}: {text}");
    let (lost, _) = boot.lost()?;
    let lost_text = if lost > 0 { format!(", {lost} bytes lost") } else { String::new() };
    Ok(Said {
        text: text + &lost_text,
        guarded: boot.guarded(),
        lost,
        taken: matches!(what, Stock::All | Stock::Tables | Stock::More),
    })
}

fn firmware_has_done_its_work(boot: &CaseBoot<'_>) -> Result<()> {
    let said = boot.booted.firmware.lines().rfind(|line| line.starts_with(LINE));
    let started = !boot.boot.map.is_empty();
    ensure!(started, "{}: {}", boot.booted.run.end, said.unwrap_or("the firmware is silent"));
    ensure!(boot.laid.fence.is_empty() != boot.case.fence, "the firmware told of no fence");
    ensure!(boot.laid.tables.is_empty() != boot.case.move_tables, "no table was moved");
    Ok(())
}

/// R5: the kernel restarted the machine before it started the first process, and its one panic names
/// the property.
fn stops(boot: &CaseBoot<'_>) -> Result<String> {
    let booted = boot.booted;
    match booted.run.end {
        End::Stopped(KERNEL_PHASE, status) if status.success() => {}
        other => bail!("{other}"),
    }
    let Some(panic) = booted.trouble.iter().find(|line| line.starts_with(PANIC_LINE)) else {
        bail!("there is no panic");
    };
    ensure!(panic.contains(PROPERTY), "'{panic}'");
    // The panic ends with a line that says the same.
    let others: Vec<_> = booted.trouble.iter().filter(|line| !line.contains(PROPERTY)).collect();
    ensure!(others.is_empty(), "it says {others:?}");
    ensure!(boot.dump.is_none(), "it went on to fill memblock's lists");
    Ok("stops, and restarts the machine".into())
}

/// R1 to R4: memory is what the oracle says, and nothing is wrong.
fn boots(boot: &CaseBoot<'_>, memory: &Memory) -> Result<String> {
    let seen = healthy(boot)?;
    let found = Found { dump: dump(boot)?, iomem: &seen.iomem, mem_total: seen.mem_total };
    rules::kept(&boot.boot, memory, &found)?;
    warns(boot)?;
    let left_out = memory.acpi.spans().len() - memory.kept.len();
    let left_out = if left_out > 0 { format!(", {left_out} left out") } else { String::new() };
    Ok(format!(
        "boots with {} kB, {} ranges of tables intact{left_out}",
        seen.mem_total >> 10,
        memory.acpi.spans().len()
    ))
}

/// What the kernel saw, when it came up without trouble and with the property as it was given.
fn healthy<'a>(boot: &'a CaseBoot<'_>) -> Result<&'a Seen> {
    let booted = boot.booted;
    ensure!(booted.run.end == End::Complete, "{}", with_trouble(boot));
    if let Some(line) = booted.trouble.first() {
        bail!("the console says '{line}'");
    }
    let seen = booted.seen.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    if let Some(failed) = ktap::failed(&seen.checks) {
        bail!("{failed}");
    }
    let property = seen.property.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    ensure!(*property == boot.case.property, "it was given the property {property:02x?}");
    ensure!(seen.tables > 0, "it has no ACPI tables");
    Ok(seen)
}

fn with_trouble(boot: &CaseBoot<'_>) -> String {
    let end = boot.booted.run.end;
    match boot.booted.trouble.first() {
        Some(line) => format!("{end}: {line}"),
        None => end.to_string(),
    }
}

/// Each entry that gives nothing is named, and no other.
fn warns(boot: &CaseBoot<'_>) -> Result<()> {
    let Some(property) = &boot.boot.property else { return Ok(()) };
    let entries = oracle::judged(&boot.boot, property).unwrap_or_default();
    let useless = entries.iter().enumerate().filter(|(_, entry)| entry.is_err());
    let useless: Vec<_> = useless.map(|(at, _)| at).collect();
    let lines: Vec<_> = boot.booted.log.lines().filter(|line| line.contains(PROPERTY)).collect();
    let named = |at: &usize| lines.iter().any(|line| line.contains(&format!("entry {at} (")));
    for at in useless.iter().take(MOST_LINES) {
        ensure!(named(at), "no line says that entry {at} is ignored");
    }
    let ignored = lines.iter().filter(|line| line.contains(": ignored") && line.contains("entry "));
    let expected = useless.len().min(MOST_LINES);
    ensure!(ignored.clone().count() == expected, "it ignores {:?}", ignored.collect::<Vec<_>>());
    let whole = entries.len() * (boot.boot.cells.address + boot.boot.cells.size) * 4;
    let rest = lines.iter().any(|line| line.contains("no whole entry"));
    ensure!(rest == (whole < property.len()), "what is no whole entry: {rest}");
    Ok(())
}

/// What a stock kernel took, and how that showed.
fn taken(boot: &CaseBoot<'_>) -> Result<(Stock, String)> {
    // What it has done to tables shows however far it comes.
    if let Some(damage) = boot.damage()? {
        return Ok((Stock::Tables, format!("{damage}; {}", with_trouble(boot))));
    }
    let Some(dump) = &boot.dump else {
        let panic = boot.booted.trouble.iter().find(|line| line.starts_with(PANIC_LINE));
        let Some(panic) = panic else { bail!("{}", boot.booted.run.end) };
        return Ok((Stock::Nothing, panic.clone()));
    };
    let mapped = set(dump.mapped());
    let given = boot.given();
    let all = &boot.before.mapped;
    if !all.without(&given).is_empty() && all.without(&mapped).is_empty() {
        ensure!(boot.booted.run.end == End::Complete, "{}", with_trouble(boot));
        return Ok((Stock::All, format!("boots with all memory, {} MiB", all.bytes() >> 20)));
    }
    // The kernel is in good memory, and adds its own place to its memory.
    let good = Set::of(&[Span { first: GOOD.start, last: GOOD.end() - 1 }]);
    let more = mapped.without(&all.and(&given.or(&good)));
    if !more.is_empty() {
        return Ok((
            Stock::More,
            format!("takes {:?} for memory; {}", more.spans(), with_trouble(boot)),
        ));
    }
    if let Ok(Seen { property: Err(error), .. }) = &boot.booted.seen {
        return Ok((Stock::Tree, format!("overwrites its own device tree: {error:#}")));
    }
    let seen = healthy(boot)?;
    // R2: what the series shows as System RAM and as ACPI Tables is what is System RAM here.
    let ram = set(top_level(&seen.iomem, SYSTEM_RAM));
    same(SYSTEM_RAM, &ram, &mapped.whole_pages(boot.boot.page))?;
    Ok((Stock::Given, format!("boots with what it was given, {} MiB", mapped.bytes() >> 20)))
}

#[cfg(test)]
mod judged;
