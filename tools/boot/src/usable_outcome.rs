// SPDX-License-Identifier: GPL-2.0

//! What came of a `linux,usable-memory-range`, and whether that is what was expected.

use crate::{
    answers::{different_tables, in_memory, reserved},
    facts::Facts,
    kexec_case::{GOOD, Kexec, KexecCase, SECOND_KERNEL_PHASE},
    ktap::Ending,
    memblock,
    run::End,
    span::{Span, covers, list},
    trouble,
    usable_memory::PROPERTY,
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::slice;

/// What is to come of a property.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// The kernel takes all memory of the machine for its own.
    AllMemory,
    /// The kernel boots within [`GOOD`], with the tables intact and in memory, and warns with a
    /// line that has this in it.
    GoodMemory(Option<&'static str>),
    /// The kernel takes [`NOTHING`] for memory. How far it comes depends on what it puts there.
    NothingAsMemory,
    /// The kernel restarts the machine before the first process, with a panic that names the
    /// property.
    Stop,
    /// The kernel halts before the first process, with a panic that says this.
    Panic(&'static str),
    /// The kernel does not come up, or it finds other tables than the first one has left.
    TablesLost,
}

/// Addresses that nothing answers to: they are left free for devices on PCI.
pub const NOTHING: Span = Span { start: 0x3000_0000, end: 0x3010_0000 };
/// How a panic begins.
const PANIC: &str = "Kernel panic - not syncing: ";

/// What came of it, when that is what was expected; the error says what is otherwise.
pub fn judge(start: &KexecCase<'_>, kexec: &Kexec, expected: Expected) -> Result<String> {
    let judged = judge_run(start, kexec, expected);
    judged.with_context(|| format!("expected {expected:?}; see {}", kexec.dir.display()))
}

fn judge_run(start: &KexecCase<'_>, kexec: &Kexec, expected: Expected) -> Result<String> {
    let first = kexec.first.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    passed_checks(first)?;
    match expected {
        Expected::AllMemory => {
            let second = healthy(start, kexec)?;
            // The two kernels need not take the same for themselves before they count.
            let least = first.mem_total - first.mem_total / 20;
            ensure!(second.mem_total >= least, "{} kB of memory", second.mem_total >> 10);
            Ok(format!("boots with all memory, {} kB", second.mem_total >> 10))
        }
        Expected::GoodMemory(warning) => {
            let second = healthy(start, kexec)?;
            within_good(first, second)?;
            let warned = |text| {
                let mut lines = kexec.second_log.lines();
                lines.any(|line| line.contains(PROPERTY) && line.contains(text))
            };
            if let Some(text) = warning {
                ensure!(warned(text), "no line about {PROPERTY} says '{text}'");
            }
            Ok(format!("boots with {} kB, tables intact", second.mem_total >> 10))
        }
        Expected::NothingAsMemory => {
            let dump = memblock::parse(&kexec.second_log).pop();
            let dump = dump.context("memblock=debug printed no 'MEMBLOCK configuration:'")?;
            ensure!(covers(dump.mapped(), [NOTHING]), "memblock has no {NOTHING}");
            Ok(format!("takes {NOTHING} for memory; {}", kexec.run.end))
        }
        Expected::Stop => {
            // QEMU, told not to boot again, ends where the machine would.
            let restarted = matches!(kexec.run.end,
                End::Stopped(SECOND_KERNEL_PHASE, status) if status.success());
            ensure!(restarted, "{}", kexec.run.end);
            let line = only_panic(kexec, PROPERTY)?;
            Ok(format!("stops, and restarts the machine: {line}"))
        }
        Expected::Panic(text) => {
            ensure!(kexec.run.end == End::Halted(SECOND_KERNEL_PHASE), "{}", kexec.run.end);
            Ok(format!("halts: {}", only_panic(kexec, text)?))
        }
        Expected::TablesLost => match &kexec.second {
            Ok(second) => {
                let different = different_tables(first, second);
                ensure!(!different.is_empty(), "all tables are intact");
                Ok(format!("boots with {} tables that are different", different.len()))
            }
            Err(_) => {
                let trouble = trouble::scan("", slice::from_ref(&kexec.second_log));
                let said = trouble.first().context("it did not come up, and said nothing")?;
                Ok(format!("does not come up: {said}"))
            }
        },
    }
}

/// The second kernel, when it has come up without trouble and with the property as it was given.
fn healthy<'a>(start: &KexecCase<'_>, kexec: &'a Kexec) -> Result<&'a Facts> {
    ensure!(kexec.run.end == End::Complete, "{}", kexec.run.end);
    if let Some(line) = kexec.trouble.first() {
        bail!("the console says '{line}'");
    }
    let second = kexec.second.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    passed_checks(second)?;
    let property = second.usable_property.as_ref().context("it was given no property")?;
    ensure!(property.starts_with(&start.usable), "it was given the property {property:02x?}");
    let whole = start.tables_usable || property.len() == start.usable.len();
    ensure!(whole, "it was given {} bytes", property.len());
    let has_tables = covers(second.usable.iter().copied(), second.acpi_reclaim());
    ensure!(has_tables == start.tables_usable, "it was given {}", list(&second.usable));
    Ok(second)
}

fn passed_checks(facts: &Facts) -> Result<()> {
    match facts.checks.iter().find(|check| check.ending != Ending::Passed) {
        Some(check) => bail!("the guest's check {} failed: {}", check.name, check.why.join(" ")),
        None => Ok(()),
    }
}

fn within_good(first: &Facts, second: &Facts) -> Result<()> {
    ensure!(second.mem_total <= GOOD.bytes(), "{} kB of memory", second.mem_total >> 10);
    let mapped: Vec<_> = second.memblock.mapped().collect();
    let allowed = second.acpi_reclaim().into_iter().chain([GOOD]);
    ensure!(covers(allowed, mapped.iter().copied()), "memblock has {}", list(&mapped));
    let different = different_tables(first, second);
    ensure!(different.is_empty(), "the tables {} are not intact", different.join(", "));
    for (what, answer) in [("memory", in_memory(second)), ("reserved", reserved(second))] {
        ensure!(answer.is_some_and(|answer| answer.holds), "memblock.{what} lacks the ACPI tables");
    }
    Ok(())
}

/// The line of the one panic, which says `text` and came before the first process was started.
fn only_panic<'a>(kexec: &'a Kexec, text: &str) -> Result<&'a str> {
    let panic = kexec.trouble.first().context("it says nothing")?;
    // The panic ends with a line that says the same.
    let others: Vec<_> = kexec.trouble.iter().filter(|line| !line.contains(PANIC)).collect();
    ensure!(others.is_empty(), "it says {others:?}");
    ensure!(kexec.trouble.iter().all(|line| line.contains(text)), "'{panic}'");
    let started = kexec.second_log.lines().any(|line| line.contains("Run /init"));
    ensure!(!started, "the first process was started");
    Ok(panic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{efi_map, iomem, log::Log, run::Run, usable_memory};
    use build::kernel::Kernel;
    use std::{
        collections::BTreeMap, os::unix::process::ExitStatusExt, process::ExitStatus,
        time::Duration,
    };

    const TABLES: Span = Span { start: 0x5c43_0000, end: 0x5c44_0000 };
    const WARNING: &str = "arm64/mm: linux,usable-memory-range: entry 1: ignored";
    const PANIC_OF_SERIES: &str =
        "Kernel panic - not syncing: linux,usable-memory-range gives no usable memory";

    fn region(span: Span) -> memblock::Region {
        memblock::Region { span, flags: 0 }
    }

    /// A kernel that has this memory and the tables.
    fn facts(memory: Span, usable: Option<Vec<u8>>) -> Facts {
        Facts {
            release: "7.3.4".into(),
            iomem: iomem::parse::<&str>(&[]).unwrap(),
            efi_map: vec![efi_map::Descriptor {
                span: TABLES,
                kind: efi_map::ACPI_RECLAIM.into(),
                write_back: true,
            }],
            memblock: memblock::Dump {
                memory: vec![region(memory), region(TABLES)],
                reserved: vec![region(TABLES)],
            },
            ioremaps: Vec::new(),
            mem_total: memory.bytes(),
            tables: BTreeMap::from([("DSDT".into(), "0123".into())]),
            dev_mem: Vec::new(),
            usable: usable.as_deref().map(usable_memory::ranges).unwrap_or_default(),
            usable_property: usable,
            nodes: vec!["chosen".into()],
            checks: Vec::new(),
            saved: None,
        }
    }

    fn all() -> Span {
        Span { start: 0x4000_0000, end: 0x6000_0000 }
    }

    /// The second kernel ended in this way, after it said this.
    fn ended(end: End, log: &str, second: Option<Facts>) -> Kexec {
        let second_log = Log::new(log);
        Kexec {
            run: Run { console: String::new(), phases: Vec::new(), took: Duration::ZERO, end },
            dir: "usable".into(),
            first: Ok(facts(all(), None)),
            second: second.context("no facts"),
            trouble: trouble::scan("", slice::from_ref(&second_log)),
            second_log,
        }
    }

    fn booted(memory: Span, usable: &[u8], log: &str) -> Kexec {
        ended(End::Complete, log, Some(facts(memory, Some(usable.to_vec()))))
    }

    fn holds(usable: &[u8], kexec: &Kexec, expected: Expected) -> bool {
        let kernel = Kernel {
            image: "Image".into(),
            vmlinux: "vmlinux".into(),
            config: "config".into(),
            release: "7.3.4".into(),
            described: "Linux".into(),
        };
        let start = KexecCase {
            name: "usable".into(),
            kernel: &kernel,
            usable: usable.to_vec(),
            tables_usable: false,
        };
        judge(&start, kexec, expected).is_ok()
    }

    #[test]
    fn all_memory_is_not_good_memory() {
        let (everything, good) = (booted(all(), &[1], WARNING), booted(GOOD, &[1], WARNING));
        let good_memory = Expected::GoodMemory(Some("entry 1"));
        assert!(holds(&[1], &everything, Expected::AllMemory));
        assert!(!holds(&[1], &everything, good_memory));
        assert!(holds(&[1], &good, good_memory));
        assert!(!holds(&[1], &good, Expected::AllMemory));
    }

    #[test]
    fn good_memory_needs_its_warning() {
        let kexec = booted(GOOD, &[1], "");
        assert!(!holds(&[1], &kexec, Expected::GoodMemory(Some("entry 1"))));
        assert!(holds(&[1], &kexec, Expected::GoodMemory(None)));
    }

    #[test]
    fn good_memory_needs_the_tables() {
        let mut kexec = booted(GOOD, &[1], "");
        kexec.second.as_mut().unwrap().tables.insert("DSDT".into(), "4567".into());
        assert!(!holds(&[1], &kexec, Expected::GoodMemory(None)));
        assert!(holds(&[1], &kexec, Expected::TablesLost));
        let mut kexec = booted(GOOD, &[1], "");
        kexec.second.as_mut().unwrap().memblock.reserved.clear();
        assert!(!holds(&[1], &kexec, Expected::GoodMemory(None)));
    }

    #[test]
    fn another_property_tells_nothing() {
        let kexec = booted(all(), &[1, 2], "");
        assert!(!holds(&[1], &kexec, Expected::AllMemory));
        assert!(!holds(&[2], &kexec, Expected::AllMemory));
        let without = ended(End::Complete, "", Some(facts(all(), None)));
        assert!(!holds(&[], &without, Expected::AllMemory));
    }

    #[test]
    fn a_stop_is_a_panic_that_names_the_property() {
        let restarted = End::Stopped(SECOND_KERNEL_PHASE, ExitStatus::default());
        let other = "Kernel panic - not syncing: Failed to allocate page table page";
        assert!(holds(&[], &ended(restarted, PANIC_OF_SERIES, None), Expected::Stop));
        assert!(!holds(&[], &ended(restarted, other, None), Expected::Stop));
        assert!(!holds(&[], &ended(restarted, "", None), Expected::Stop), "it is silent");
    }

    #[test]
    fn a_panic_of_stock_halts() {
        let halted = End::Halted(SECOND_KERNEL_PHASE);
        let said = "Kernel panic - not syncing: Failed to allocate page table page";
        let last = format!("{said}\n---[ end {said} ]---");
        assert!(holds(&[], &ended(halted, &last, None), Expected::Panic("page table")));
        assert!(!holds(&[], &ended(halted, &last, None), Expected::Panic("no timer")));
        let restarted = End::Stopped(SECOND_KERNEL_PHASE, ExitStatus::default());
        assert!(!holds(&[], &ended(restarted, said, None), Expected::Panic("page table")));
    }

    #[test]
    fn a_stop_is_nothing_else() {
        let phase = SECOND_KERNEL_PHASE;
        let (success, failure) = (ExitStatus::default(), ExitStatus::from_raw(0x100));
        let restarted = End::Stopped(phase, success);
        for (end, log) in [
            (End::Halted(phase), PANIC_OF_SERIES.to_owned()),
            (End::WentOn(phase), PANIC_OF_SERIES.to_owned()),
            (End::Stopped("first kernel", success), PANIC_OF_SERIES.to_owned()),
            (End::Stopped(phase, failure), PANIC_OF_SERIES.to_owned()),
            (End::TimedOut(phase, Duration::ZERO), PANIC_OF_SERIES.to_owned()),
            (restarted, format!("Run /init as init process\n{PANIC_OF_SERIES}")),
            (restarted, format!("BUG: something\n{PANIC_OF_SERIES}")),
        ] {
            assert!(!holds(&[], &ended(end, &log, None), Expected::Stop), "{end:?}, {log}");
        }
    }

    #[test]
    fn a_kernel_that_does_not_come_up_says_why() {
        let timer = "Kernel panic - not syncing: Unable to initialise architected timer.";
        let halted = End::Halted(SECOND_KERNEL_PHASE);
        assert!(holds(&[], &ended(halted, timer, None), Expected::TablesLost));
        assert!(!holds(&[], &ended(halted, "", None), Expected::TablesLost));
        assert!(!holds(&[1], &booted(GOOD, &[1], ""), Expected::TablesLost));
    }
}
