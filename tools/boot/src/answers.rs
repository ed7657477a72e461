// SPDX-License-Identifier: GPL-2.0

//! How each property of a crash is measured.

use crate::{
    case_boot::{set, spans},
    crash_case::{Crash, Loader},
    facts::{Access, Facts},
    iomem::{ACPI_TABLES, CRASH_KERNEL, SYSTEM_RAM, anywhere, top_level},
    iomem_readers,
    kexec_tools::KexecTools,
    ktap::Ending,
    log::{Log, number},
    properties::{Answer, Look},
    run::End,
    span::{Span, bytes, covers, list},
    vmcore::Vmcore,
};
use anyhow::{Context, anyhow};
use oracle::Set;
use regex::Regex;
use std::{collections::BTreeMap, sync::LazyLock};
use util::hash::sha256;

/// What the first kernel said.
pub fn first(look: Look<'_>) -> Option<&Facts> {
    look.crash.first.as_ref().ok()
}

/// What the crash kernel said.
pub fn second(look: Look<'_>) -> Option<&Facts> {
    look.crash.second.as_ref().ok()
}

/// Each kernel with that of a stock crash.
pub fn beside_stock(look: Look<'_>) -> Option<[(&Facts, &Facts); 2]> {
    let stock = look.stock?;
    Some([(first(look)?, stock.first.as_ref().ok()?), (second(look)?, stock.second.as_ref().ok()?)])
}

/// The machine went through all phases and was switched off.
pub fn complete(look: Look<'_>) -> Option<Answer> {
    let run = &look.crash.run;
    let seconds = format!("{:.1} s", run.took.as_secs_f64());
    Some(match run.end {
        End::Complete => Answer::new(true, seconds),
        end => Answer::new(false, end.to_string()),
    })
}

/// No line of the console tells of trouble.
pub fn untroubled(look: Look<'_>) -> Option<Answer> {
    let trouble = &look.crash.trouble;
    Some(Answer::yes_or(trouble.is_empty(), trouble.first().cloned().unwrap_or_default()))
}

/// The first kernel crashed in the way that was asked for.
pub fn caused(look: Look<'_>) -> Option<Answer> {
    let cause = look.crash.asked.cause;
    let missing = cause.missing(&look.crash.first_log);
    Some(match missing {
        None => Answer::new(true, cause.name()),
        Some(line) => Answer::new(false, format!("no line '{line}'")),
    })
}

/// How an unaligned access to Device memory shows on arm64.
const ALIGNMENT_FAULT: &str = "FSC = 0x21: alignment fault";

/// The crash kernel does not die of an unaligned access to Device memory while it comes up.
pub fn no_alignment_fault(look: Look<'_>) -> Option<Answer> {
    let faulted = look.crash.second_log.lines().any(|line| line.trim() == ALIGNMENT_FAULT);
    if faulted {
        return Some(Answer::new(false, ALIGNMENT_FAULT));
    }
    // A crash kernel that did not start at all has not come past the fault.
    match look.crash.run.end {
        End::Complete | End::Status(_) => Some(Answer::new(true, "none")),
        _ => None,
    }
}

/// The checks that the guest makes itself have passed: ACPI is in use, there is no device tree.
pub fn checks(facts: &Facts) -> Option<Answer> {
    let failed: Vec<_> = facts
        .checks
        .iter()
        .filter(|test| test.ending != Ending::Passed)
        .map(|test| format!("{}: {}", test.name, test.why.join(" ")))
        .collect();
    let described = facts.checks.iter().any(|test| test.name == "device-tree");
    let nodes = facts.nodes.iter().filter(|node| *node != "chosen" && !described);
    let nodes: Vec<_> = nodes.collect();
    Some(if !failed.is_empty() {
        Answer::new(false, failed.join("\n"))
    } else if !nodes.is_empty() {
        Answer::new(false, format!("the device tree has {nodes:?}"))
    } else {
        Answer::new(!facts.checks.is_empty(), format!("{} passed", facts.checks.len()))
    })
}

/// The log names each ACPI range, and that it is reserved, in both kernels.
pub fn announced(look: Look<'_>) -> Option<Answer> {
    let kernels = [(first(look)?, &look.crash.first_log), (second(look)?, &look.crash.second_log)];
    let silent = kernels.iter().any(|(facts, log)| {
        let acpi = facts.acpi_reclaim();
        acpi.is_empty() || acpi.iter().any(|span| !announces(log, *span))
    });
    Some(Answer::yes_or(!silent, "no"))
}

fn announces(log: &Log, span: Span) -> bool {
    let range =
        format!("ACPI Reclaim memory {:#014x}-{:#014x}: reserved", span.start, span.end - 1);
    log.lines().any(|line| line.contains(&range))
}

/// There are top-level resources called `ACPI Tables`.
pub fn published(facts: &Facts) -> Option<Answer> {
    let spans = top_level(&facts.iomem, ACPI_TABLES);
    Some(Answer::new(!spans.is_empty(), list(&spans)))
}

/// They are the EFI map's ACPI Reclaim memory, to the byte, and there is no other of that name.
pub fn bounds(facts: &Facts) -> Option<Answer> {
    let (top, all) = (top_level(&facts.iomem, ACPI_TABLES), anywhere(&facts.iomem, ACPI_TABLES));
    let wanted = facts.acpi_reclaim();
    let holds = !wanted.is_empty() && top == wanted && all.len() == top.len();
    Some(Answer::yes_or(holds, format!("EFI map: {}", list(&wanted))))
}

/// Nothing hangs below them.
pub fn childless(facts: &Facts) -> Option<Answer> {
    let tables: Vec<_> =
        facts.iomem.iter().filter(|resource| resource.name == ACPI_TABLES).collect();
    let Some(with_child) = tables.iter().find(|resource| !resource.children.is_empty()) else {
        return Some(Answer::yes_or(!tables.is_empty(), "no such entry"));
    };
    let child = &with_child.children[0];
    Some(Answer::new(false, format!("{} : {}", child.span, child.name)))
}

/// u-root, which takes the name of a line for its type and lets a line hide what it is below, finds
/// ACPI where the EFI map has it.
pub fn u_root(facts: &Facts) -> Option<Answer> {
    let (found, wanted) = (iomem_readers::u_root(&facts.iomem, ACPI_TABLES), facts.acpi_reclaim());
    Some(Answer::yes_or(!wanted.is_empty() && found == wanted, list(&found)))
}

/// kexec-tools load a kernel somewhere, and not to ACPI.
pub fn kept_off(facts: &Facts) -> Option<Answer> {
    let acpi = facts.acpi_reclaim();
    let free = iomem_readers::kexec_tools(&facts.iomem);
    let over = free.iter().any(|span| acpi.iter().any(|acpi| acpi.overlaps(*span)));
    Some(Answer::yes_or(!free.is_empty() && !over, list(&free)))
}

/// What left `System RAM` is `ACPI Tables` now, to the byte.
pub fn same_sum(look: Look<'_>) -> Option<Answer> {
    let facts = first(look)?;
    let sum =
        bytes(top_level(&facts.iomem, SYSTEM_RAM)) + bytes(top_level(&facts.iomem, ACPI_TABLES));
    let wanted = match look.stock {
        Some(stock) => bytes(top_level(&stock.first.as_ref().ok()?.iomem, SYSTEM_RAM)),
        None => facts.mapped_bytes(),
    };
    Some(Answer::new(sum == wanted, kilobytes(sum)))
}

/// The crash kernel has no more and no less `System RAM` than stock's.
pub fn same_ram(look: Look<'_>) -> Option<Answer> {
    let ram = bytes(top_level(&second(look)?.iomem, SYSTEM_RAM));
    // On the mapping of 2017 there is no crash kernel of stock to compare with.
    let wanted = match look.stock.map(|stock| &stock.second) {
        Some(Ok(stock)) => bytes(top_level(&stock.iomem, SYSTEM_RAM)),
        Some(Err(_)) | None => crash_memory(first(look)?),
    };
    Some(Answer::new(ram == wanted, kilobytes(ram)))
}

/// memblock.memory has all of ACPI, mapped.
pub fn in_memory(facts: &Facts) -> Option<Answer> {
    Some(has_acpi(facts, facts.memblock.mapped().collect()))
}

/// memblock.reserved has all of ACPI.
pub fn reserved(facts: &Facts) -> Option<Answer> {
    Some(has_acpi(facts, facts.memblock.reserved().collect()))
}

fn has_acpi(facts: &Facts, spans: Vec<Span>) -> Answer {
    let acpi = facts.acpi_reclaim();
    Answer::yes_or(!acpi.is_empty() && covers(spans, acpi), "no")
}

/// What the crash kernel maps is what it was given, and ACPI.
pub fn confined(facts: &Facts) -> Option<Answer> {
    if facts.usable.is_empty() {
        return Some(Answer::new(false, "no linux,usable-memory-range"));
    }
    let given: Vec<_> = facts.usable.iter().copied().chain(facts.acpi_reclaim()).collect();
    let stray: Vec<_> =
        facts.memblock.mapped().filter(|span| !covers(given.clone(), [*span])).collect();
    Some(Answer::yes_or(stray.is_empty(), list(&stray)))
}

/// `linux,usable-memory-range` has the ACPI tables where the loader lists what is `ACPI Tables`, and
/// has them nowhere else.
pub fn listed(look: Look<'_>) -> Option<Answer> {
    let (first, second) = (first(look)?, second(look)?);
    let listed: Vec<_> = second
        .usable
        .iter()
        .copied()
        .filter(|span| first.acpi_reclaim().iter().any(|acpi| acpi.overlaps(*span)))
        .collect();
    let lists = look.loader == Loader::Load && look.crash.kexec_tools == KexecTools::ListsTables;
    let wanted = if lists { top_level(&first.iomem, ACPI_TABLES) } else { Vec::new() };
    Some(Answer::new(listed == wanted, list(&listed)))
}

/// The crash kernel has not more memory than crashkernel= gave.
pub fn mem_total(look: Look<'_>) -> Option<Answer> {
    let total = second(look)?.mem_total;
    Some(Answer::new(total <= crash_memory(first(look)?), kilobytes(total)))
}

/// How many bytes the first kernel keeps for the crash kernel.
fn crash_memory(facts: &Facts) -> u64 {
    bytes(anywhere(&facts.iomem, CRASH_KERNEL))
}

/// Each file below /sys/firmware/acpi/tables is the same in both kernels.
pub fn same_tables(look: Look<'_>) -> Option<Answer> {
    let (first, second) = (first(look)?, second(look)?);
    let different = different_tables(first, second);
    Some(if different.is_empty() {
        Answer::new(!first.tables.is_empty(), format!("{} files", first.tables.len()))
    } else {
        Answer::new(false, format!("different: {}", different.join(", ")))
    })
}

/// The EFI variables can be read in both kernels, and are the same.
pub fn same_efi_variables(look: Look<'_>) -> Option<Answer> {
    let (first, second) = (&first(look)?.efi_variables, &second(look)?.efi_variables);
    let (Some(first), Some(second)) = (first, second) else {
        return Some(Answer::new(false, "not read"));
    };
    let different = different_files(first, second);
    Some(if different.is_empty() {
        Answer::new(!first.is_empty(), format!("{} variables", first.len()))
    } else {
        Answer::new(false, format!("different: {}", different.join(", ")))
    })
}

/// The names of the tables that one kernel has and the other has not, or has otherwise.
pub fn different_tables<'a>(first: &'a Facts, second: &'a Facts) -> Vec<&'a str> {
    different_files(&first.tables, &second.tables)
}

fn different_files<'a>(
    first: &'a BTreeMap<String, String>,
    second: &'a BTreeMap<String, String>,
) -> Vec<&'a str> {
    let mut different: Vec<_> = first
        .keys()
        .chain(second.keys())
        .filter(|name| first.get(*name) != second.get(*name))
        .map(String::as_str)
        .collect();
    different.sort_unstable();
    different.dedup();
    different
}

/// No page of ACPI is ioremapped. The flash and the interrupt controller are, always.
pub fn remapped(facts: &Facts) -> Option<Answer> {
    let acpi = facts.acpi_reclaim();
    let count = facts
        .ioremaps
        .iter()
        .filter(|mapping| acpi.iter().any(|span| span.overlaps(**mapping)))
        .count();
    if facts.ioremaps.is_empty() {
        return Some(Answer::new(false, "no mapping at all in /proc/vmallocinfo"));
    }
    Some(Answer::new(count == 0 && !acpi.is_empty(), count.to_string()))
}

/// /dev/mem refuses each access, as not permitted. The resources are exclusive, and `iomem=relaxed`
/// lifts that; it does not for System RAM.
pub fn refused(facts: &Facts) -> Option<Answer> {
    let kinds = ["read", "write", "mmap"].map(|kind| facts.dev_mem_outcomes(kind));
    let published = !top_level(&facts.iomem, ACPI_TABLES).is_empty();
    let wanted = if facts.iomem_relaxed() && published { "open" } else { "EPERM" };
    let holds = kinds.iter().all(|outcomes| outcomes.iter().eq([&wanted]));
    let says = kinds.map(|outcomes| outcomes.into_iter().collect::<Vec<_>>().join("/"));
    Some(Answer::new(holds, says.join(", ")))
}

/// What /dev/mem answers beside the tables is what it answers in stock, and System RAM is refused.
pub fn beside_refused(look: Look<'_>) -> Option<Answer> {
    let mut says = Vec::new();
    for (facts, stock) in beside_stock(look)? {
        if let Err(problem) = beside_refused_in(facts, stock) {
            return Some(Answer::new(false, problem));
        }
        says.push(facts.dev_mem_beside.len().to_string());
    }
    Some(Answer::new(true, format!("{} accesses", says.join(", "))))
}

fn beside_refused_in(facts: &Facts, stock: &Facts) -> Result<(), String> {
    let ram = top_level(&facts.iomem, SYSTEM_RAM);
    let is_ram = |page: u64| ram.iter().any(|span| span.start <= page && page < span.end);
    for access in &facts.dev_mem_beside {
        if is_ram(access.page) && access.outcome != "EPERM" {
            let Access { kind, page, outcome } = access;
            return Err(format!("{kind} of RAM at {page:#x}: {outcome}"));
        }
        if !stock.dev_mem_beside.contains(access) {
            let Access { kind, page, outcome } = access;
            return Err(format!("{kind} at {page:#x}: {outcome}"));
        }
    }
    if facts.dev_mem_beside.is_empty() { Err("no access".into()) } else { Ok(()) }
}

/// All of /proc/vmcore was copied: what it says that it has, and what its headers say.
pub fn saved(look: Look<'_>) -> Option<Answer> {
    let saved = second(look)?.saved?;
    let dump = match &look.crash.dump {
        Ok(dump) => dump,
        Err(error) => return Some(Answer::new(false, format!("{error:#}"))),
    };
    const HEADERS: u64 = 1 << 20;
    let megabytes = saved.written >> 20;
    let wanted = if look.crash.asked.headers_only { HEADERS } else { saved.size };
    Some(if [saved.read, saved.written] != [wanted; 2] {
        let text = format!("{} bytes, {} read, {} written", saved.size, saved.read, saved.written);
        Answer::new(false, text)
    } else if dump.end != saved.size {
        Answer::new(false, format!("{} bytes, {} by its headers", saved.size, dump.end))
    } else {
        Answer::new(saved.size > 0, format!("{megabytes} MiB in {:.1} s", saved.seconds))
    })
}

/// What a program that reads dumps makes of this one.
pub fn reader(facts: &Facts, name: &str) -> Option<Answer> {
    let said = facts.readers.get(name)?;
    Some(Answer::new(said == "yes", said))
}

/// The dump has the memory of the kernel that crashed: all of its System RAM but the crash
/// kernel's, nothing else but ACPI Tables, and the pages that were left there to be found.
pub fn whole(look: Look<'_>) -> Option<Answer> {
    second(look)?.saved?;
    let facts = first(look)?;
    Some(match dump_problem(look.crash, facts) {
        Ok(None) => Answer::new(true, "yes"),
        Ok(Some(problem)) => Answer::new(false, problem),
        Err(error) => Answer::new(false, format!("{error:#}")),
    })
}

fn dump_problem(crash: &Crash, facts: &Facts) -> anyhow::Result<Option<String>> {
    let dump = match &crash.dump {
        Ok(dump) => dump,
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    let release = dump.info("OSRELEASE").unwrap_or("nothing");
    if release != facts.release {
        return Ok(Some(format!("VMCOREINFO names {release}, not {}", facts.release)));
    }
    let (found, left) = (crash.evidence_found, crash.evidence.pages);
    if found != left && !crash.asked.headers_only {
        return Ok(Some(format!("{found} of {left} pages of evidence")));
    }
    let memory = dump.memory()?;
    let ram = top_level(&facts.iomem, SYSTEM_RAM);
    let acpi = top_level(&facts.iomem, ACPI_TABLES);
    let crash_memory = anywhere(&facts.iomem, CRASH_KERNEL);
    if let Some(span) =
        memory.iter().find(|span| crash_memory.iter().any(|memory| memory.overlaps(**span)))
    {
        return Ok(Some(format!("{span} is the crash kernel's memory")));
    }
    if !covers(ram.iter().chain(&acpi).copied(), memory.iter().copied()) {
        return Ok(Some(format!("more than System RAM: {}", list(&memory))));
    }
    // Whether ACPI Tables belong to a dump is a property of its own.
    let all = memory.iter().chain(&crash_memory).chain(&acpi).copied();
    if !covers(all, ram) {
        return Ok(Some(format!("less than System RAM: {}", list(&memory))));
    }
    Ok(None)
}

/// The dump has the memory that stock's has; the tables are not in it with kexec_load().
pub fn memory_as_in_stock(look: Look<'_>) -> Option<Answer> {
    second(look)?.saved?;
    let tables = match look.loader {
        Loader::File => set([]),
        Loader::Load => set(first(look)?.acpi_reclaim()),
    };
    let memory = |crash: &Crash| match &crash.dump {
        Ok(dump) => Ok(set(dump.memory()?)),
        Err(error) => Err(anyhow!("{error:#}")),
    };
    let (here, stock) = match (memory(look.crash), memory(look.stock?)) {
        (Ok(here), Ok(stock)) => (here, stock),
        (Err(error), _) | (_, Err(error)) => return Some(Answer::new(false, format!("{error:#}"))),
    };
    Some(compared(&here, &stock, &tables))
}

/// What is in a dump and what is in stock's: the same, less `tables`.
fn compared(here: &Set, stock: &Set, tables: &Set) -> Answer {
    let (less, more) = (stock.without(here), here.without(stock));
    let says = match less.is_empty() && more.is_empty() {
        true => "the same".into(),
        false => format!("less: {}; more: {}", list(&spans(&less)), list(&spans(&more))),
    };
    Answer::new(less == *tables && more.is_empty(), says)
}

/// Whether the tables are in the dump.
pub fn tables_are_in_dump(look: Look<'_>) -> Option<anyhow::Result<bool>> {
    second(look)?.saved?;
    let facts = first(look)?;
    Some(match &look.crash.dump {
        Ok(dump) if look.crash.asked.headers_only => {
            dump.memory().map(|memory| covers(memory, facts.acpi_reclaim()))
        }
        Ok(dump) => tables_held(dump, facts, &look.crash.first_log),
        Err(error) => Err(anyhow!("{error:#}")),
    })
}

/// kexec_file_load() has the kernel list its memory, and that includes ACPI; kexec_load() has
/// kexec(8) list what is `System RAM`, and that does not.
pub fn tables_in_dump(look: Look<'_>) -> Option<Answer> {
    Some(match tables_are_in_dump(look)? {
        Ok(held) => {
            let wanted = look.loader == Loader::File;
            Answer::new(held == wanted, if held { "has them" } else { "has not" })
        }
        Err(error) => Answer::new(false, format!("{error:#}")),
    })
}

static TABLE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^ACPI: (\S{4}) 0x([0-9A-F]{16}) ([0-9A-F]{6})\b").unwrap());

/// Where the tables are, by their signature, as the log of a kernel says.
fn table_places(log: &Log) -> anyhow::Result<BTreeMap<String, Span>> {
    log.lines()
        .filter_map(|line| TABLE.captures(line))
        .map(|parts| {
            let (start, bytes) = (number(&parts[2])?, number(&parts[3])?);
            let end = start.checked_add(bytes).context("a table wraps around")?;
            Ok((parts[1].to_owned(), Span { start, end }))
        })
        .collect()
}

/// Whether the dump has every table, and each is what the first kernel saw; or has none.
fn tables_held(dump: &Vmcore, facts: &Facts, log: &Log) -> anyhow::Result<bool> {
    let (mut held, mut missing) = (0, 0);
    for (name, span) in table_places(log)? {
        let Some(hash) = facts.tables.get(&name) else { continue };
        match dump.bytes(span)? {
            None => missing += 1,
            Some(table) if sha256(&table) == *hash => held += 1,
            Some(_) => anyhow::bail!("{name} in the dump is not what the first kernel saw"),
        }
    }
    match (held, missing) {
        (0, 0) => anyhow::bail!("the log of the first kernel does not say where a table is"),
        (_, 0) => Ok(true),
        (0, _) => Ok(false),
        _ => anyhow::bail!("the dump has {held} tables and lacks {missing}"),
    }
}

fn kilobytes(bytes: u64) -> String {
    format!("{} kB", bytes / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(kind: &str, page: u64, outcome: &str) -> Access {
        Access { kind: kind.into(), page, outcome: outcome.into() }
    }

    #[test]
    fn dev_mem_beside_the_tables_is_as_in_stock() {
        let (ram, outside) = (0x4a60_0000, 0x5c44_0000);
        let with =
            |accesses: &[Access]| Facts { dev_mem_beside: accesses.to_vec(), ..Facts::made_up() };
        let stock = with(&[access("read", ram, "EPERM"), access("mmap", outside, "open")]);
        assert_eq!(beside_refused_in(&stock, &stock), Ok(()));
        let open = with(&[access("read", outside, "open")]);
        assert!(beside_refused_in(&open, &stock).unwrap_err().contains("0x5c440000: open"));
        let ram = with(&[access("mmap", ram, "open")]);
        assert!(beside_refused_in(&ram, &ram).is_err(), "RAM is refused, whatever stock does");
        assert!(beside_refused_in(&with(&[]), &stock).is_err());
    }

    #[test]
    fn a_relaxed_kernel_opens_the_tables_and_nothing_else() {
        let told = |command_line: &str, published, outcome| {
            let mut facts = Facts { command_line: command_line.into(), ..Facts::made_up() };
            facts.iomem.retain(|resource| published || resource.name != ACPI_TABLES);
            facts.dev_mem =
                ["read", "write", "mmap"].map(|kind| access(kind, 0x5c43_0000, outcome)).into();
            refused(&facts).unwrap().holds
        };
        assert!(told("", true, "EPERM") && !told("", true, "open"));
        assert!(told("a iomem=relaxed", true, "open") && !told("a iomem=relaxed", true, "EPERM"));
        assert!(told("iomem=relaxed", false, "EPERM") && !told("iomem=relaxed", false, "open"));
    }

    #[test]
    fn a_dump_is_compared_with_that_of_stock() {
        let set = |spans: &[(u64, u64)]| {
            set(spans.iter().map(|(start, end)| Span { start: *start, end: *end }))
        };
        let (stock, none) = (set(&[(0, 0x4000)]), set(&[]));
        let tables = set(&[(0x1000, 0x2000)]);
        let without = set(&[(0, 0x1000), (0x2000, 0x4000)]);
        assert!(compared(&stock, &stock, &none).holds);
        assert!(compared(&without, &stock, &tables).holds);
        for (here, tables) in [
            (&stock, &tables),
            (&without, &none),
            (&set(&[(0, 0x1000), (0x2000, 0x3000)]), &tables),
            (&set(&[(0, 0x5000)]), &none),
        ] {
            assert!(!compared(here, &stock, tables).holds);
        }
    }

    #[test]
    fn a_range_is_announced_with_both_its_ends() {
        let log = Log::new(
            "[    0.000000] efi: ACPI Reclaim memory 0x00007c430000-0x00007c43ffff: reserved, it has the ACPI tables\n\
             [    0.000000] efi:   0x00007d000000-0x00007d00ffff [ACPI Reclaim|   |  |  |  |  |  |  |  |  |  |   |WB|  |  |  ]\n",
        );
        assert!(announces(&log, Span::inclusive(0x7c43_0000, 0x7c43_ffff)));
        assert!(!announces(&log, Span::inclusive(0x7c43_0000, 0x7c44_ffff)));
        assert!(!announces(&log, Span::inclusive(0x7d00_0000, 0x7d00_ffff)));
    }

    #[test]
    fn the_log_says_where_a_table_is() {
        let log = Log::new(
            "[    0.000000] ACPI: Early table checksum verification disabled\n\
             [    0.000000] ACPI: RSDP 0x000000007C43F018 000024 (v02 BOCHS )\n\
             [    0.000000] ACPI: DSDT 0x000000007C437118 001468 (v02 BOCHS  BXPC     00000001 BXPC 00000001)\n",
        );
        let places = table_places(&log).unwrap();
        assert_eq!(places["DSDT"], Span { start: 0x7c43_7118, end: 0x7c43_8580 });
        assert_eq!(places.len(), 2);
    }
}
