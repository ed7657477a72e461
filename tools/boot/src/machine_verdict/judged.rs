// SPDX-License-Identifier: GPL-2.0

//! Every judgement of a crash is seen to fail: a crash with which nothing is wrong, and one change.

use super::*;
use crate::{
    ktap::Ending,
    log::Log,
    made_up::{self, ACPI, GIVEN, RAM, TABLE},
    properties::When,
    run::End,
    span::Span,
};
use anyhow::anyhow;
use std::{collections::BTreeSet, path::Path, process::ExitStatus};

/// What is not as expected of `crash`, by kexec_file_load(), on a machine with `fields`: the keys of
/// properties, and whole lines of what is none.
fn complaints(fields: &str, column: Column, crash: &Crash, stock: Option<&Crash>) -> Vec<String> {
    let entry = format!("[[machine]]\nname = \"a\"\nwhat = \"a\"\n{fields}");
    let verdict = judge(Crashed {
        entry: &machines::parse(&entry).unwrap()[0],
        column,
        loader: Loader::File,
        crash,
        stock,
        configured: [Configured::made_up(); 2],
    });
    assert!(verdict.as_expected > 0);
    let key = |line: String| match line.split_once(" (") {
        Some((key, _)) if !key.contains(' ') => key.to_owned(),
        _ => line,
    };
    verdict.complaints.into_iter().map(key).collect()
}

fn with_dir<T>(f: impl FnOnce(&Path) -> T) -> T {
    f(tempfile::tempdir().unwrap().path())
}

/// The same of one of the series in which something was changed.
fn wrong(change: impl FnOnce(&mut Crash)) -> Vec<String> {
    with_dir(|dir| {
        let mut crash = made_up::crash(dir, true, Loader::File);
        change(&mut crash);
        complaints("", Column::Series, &crash, None)
    })
}

fn wrong_in_first(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    wrong(|crash| change(crash.first.as_mut().unwrap()))
}

fn wrong_in_second(change: impl FnOnce(&mut Facts)) -> Vec<String> {
    wrong(|crash| change(crash.second.as_mut().unwrap()))
}

/// The same where the dump has these spans.
fn wrong_with_dump(spans: &[Span]) -> Vec<String> {
    wrong(|crash| {
        let dump = made_up::write_dump(&crash.dir, spans);
        let saved = crash.second.as_mut().unwrap().saved.as_mut().unwrap();
        (saved.size, saved.read, saved.written) = (dump.end, dump.end, dump.end);
        crash.dump = Ok(dump);
    })
}

#[test]
fn nothing_is_wrong_with_what_is_as_it_must_be() {
    assert_eq!(wrong(|_| ()), [""; 0]);
    with_dir(|dir| {
        let stock = made_up::crash(dir, false, Loader::File);
        assert_eq!(complaints("", Column::Stock, &stock, None), [""; 0]);
    });
}

#[test]
fn what_stock_should_fail_has_to_fail() {
    let fails = PROPERTIES.iter().filter(|property| property.stock == Expected::Fails);
    let fails: Vec<_> = fails.map(|property| property.key).collect();
    with_dir(|dir| {
        let series = made_up::crash(dir, true, Loader::File);
        let mut found = complaints("", Column::Stock, &series, None);
        let row = "Row { column: Stock, in_memory: false, by_file: true, by_load: true }, but in \
                   memory: true, in the dump: true";
        assert_eq!(found.remove(fails.len()), row);
        assert_eq!(found, fails);
        let stock = made_up::crash(dir, false, Loader::File);
        let mut found = complaints("", Column::Series, &stock, None);
        found.retain(|line| !line.contains(' '));
        assert_eq!(found, fails);
    });
}

#[test]
fn each_property_is_seen_to_fail() {
    let failed = End::Status(ExitStatus::default());
    let below = Span { start: RAM.start, end: GIVEN.start };
    let above = Span { start: GIVEN.end, end: RAM.end };
    let before_tables = Span { end: ACPI.start, ..above };
    let behind_tables = Span { start: ACPI.end, ..above };
    let cases: &[(Vec<String>, &[&str])] = &[
        (wrong(|crash| crash.run.end = failed), &["run-complete"]),
        (wrong(|crash| crash.trouble.push("BUG: a".into())), &["console-clean"]),
        (wrong(|crash| crash.first_log = crash.second_log.clone()), &["crash-cause"]),
        (
            wrong(|crash| {
                let fault = format!("{}FSC = 0x21: alignment fault\n", crash.run.console);
                crash.second_log = Log::new(&fault);
            }),
            &["no-alignment-fault"],
        ),
        (wrong(|crash| crash.second_log = Log::default()), &["acpi-ranges-logged"]),
        // The guest's own checks.
        (
            wrong_in_first(|facts| facts.checks = vec![made_up::check(Ending::Failed)]),
            &["first-checks"],
        ),
        (wrong_in_first(|facts| facts.nodes.push("cpus".into())), &["first-checks"]),
        (wrong_in_second(|facts| facts.checks.clear()), &["crash-checks"]),
        // /proc/iomem.
        (
            wrong_in_first(|facts| facts.iomem.retain(|one| one.name != ACPI_TABLES)),
            &[
                "first-published",
                "first-published-bounds",
                "first-published-childless",
                "first-u-root",
                "first-system-ram",
                "dump-whole",
                "memory of the first kernel: ACPI Tables lacks [5c430000-5c43ffff]",
            ],
        ),
        (
            wrong_in_first(|facts| facts.iomem[1].children = vec![facts.iomem[2].clone()]),
            &[
                "first-published-childless",
                "memory of the first kernel: 1 ranges of ACPI Tables have something below",
            ],
        ),
        (
            wrong_in_first(|facts| facts.iomem[2].span.start = ACPI.start),
            &[
                "first-u-root",
                "first-kexec-tools",
                "first-system-ram",
                "memory of the first kernel: System RAM has [5c430000-5c43ffff] that it must not \
                 have",
            ],
        ),
        (
            wrong_in_second(|facts| facts.iomem.truncate(1)),
            &[
                "crash-published",
                "crash-published-bounds",
                "crash-published-childless",
                "memory of the crash kernel: ACPI Tables lacks [5c430000-5c43ffff]",
            ],
        ),
        (
            wrong_in_second(|facts| facts.iomem[1].span.end -= 0x1000),
            &[
                "crash-published-bounds",
                "memory of the crash kernel: ACPI Tables lacks [5c43f000-5c43ffff]",
            ],
        ),
        (
            wrong_in_second(|facts| facts.iomem[0].span.end -= 0x1000),
            &[
                "crash-system-ram",
                "memory of the crash kernel: System RAM lacks [5a5ff000-5a5fffff]",
            ],
        ),
        // memblock.
        (
            wrong_in_first(|facts| facts.memblock.memory[0].span.end = ACPI.start),
            &[
                "first-memblock-memory",
                "memory of the first kernel: mapped memory lacks [5c430000-5fffffff]",
            ],
        ),
        (
            wrong_in_first(|facts| facts.memblock.reserved.clear()),
            &[
                "first-memblock-reserved",
                "memory of the first kernel: [5c430000-5c43ffff] is not reserved",
            ],
        ),
        (
            wrong_in_second(|facts| facts.memblock.memory.truncate(1)),
            &[
                "crash-memblock-memory",
                "Row { column: Series, in_memory: true, by_file: true, by_load: false }, but in \
                 memory: false, in the dump: true",
                "memory of the crash kernel: mapped memory lacks [5c430000-5c43ffff]",
            ],
        ),
        (
            wrong_in_second(|facts| facts.memblock.reserved.clear()),
            &[
                "crash-memblock-reserved",
                "Row { column: Series, in_memory: true, by_file: true, by_load: false }, but in \
                 memory: false, in the dump: true",
                "memory of the crash kernel: [5c430000-5c43ffff] is not reserved",
            ],
        ),
        (
            wrong_in_second(|facts| facts.memblock.memory[0].span.end += 0x1000),
            &[
                "crash-memblock-confined",
                "memory of the crash kernel: mapped memory has [5a600000-5a600fff] that it must \
                 not have",
            ],
        ),
        (wrong_in_second(|facts| facts.usable.clear()), &["crash-memblock-confined"]),
        (wrong_in_second(|facts| facts.usable.push(ACPI)), &["tables-listed"]),
        (
            wrong_in_second(|facts| facts.usable_property = Some(Vec::new())),
            &["memory of the crash kernel: by the rules it must stop"],
        ),
        // What the kernels have.
        (
            wrong_in_second(|facts| facts.mem_total = GIVEN.bytes() + 1024),
            &["crash-mem-total", "memory of the crash kernel: 268436480 bytes of memory"],
        ),
        (wrong_in_second(|facts| facts.processors_online = 2), &["processors"]),
        (wrong_in_second(|facts| facts.tables.clear()), &["tables-same"]),
        (wrong_in_second(|facts| facts.ioremaps.push(ACPI)), &["crash-no-ioremap"]),
        (wrong_in_second(|facts| facts.ioremaps.clear()), &["crash-no-ioremap"]),
        (wrong_in_first(|facts| facts.dev_mem[2].outcome = "open".into()), &["first-dev-mem"]),
        (wrong_in_second(|facts| facts.dev_mem[0].outcome = "EFAULT".into()), &["crash-dev-mem"]),
        // What it is told to measure.
        (wrong(|crash| crash.asked.selftests = true), &["selftests"]),
        (wrong(|crash| crash.asked.hops = 1), &["hops"]),
        (wrong(|crash| crash.asked.efi_runtime = true), &["efi-runtime"]),
        (
            wrong(|crash| {
                crash.asked.reads_dump = true;
                let readers = &mut crash.second.as_mut().unwrap().readers;
                for reader in ["makedumpfile-log", "makedumpfile-filtered", "vmcore-dmesg"] {
                    readers.insert(reader.into(), "status 1".into());
                }
            }),
            &["makedumpfile-log", "makedumpfile-filtered", "vmcore-dmesg"],
        ),
        // The dump.
        (wrong_in_second(|facts| facts.saved.as_mut().unwrap().written -= 1), &["dump-saved"]),
        (wrong(|crash| crash.evidence_found -= 1), &["dump-whole"]),
        (wrong_in_first(|facts| facts.release = "6.12".into()), &["dump-whole"]),
        (wrong_with_dump(&[RAM]), &["dump-whole"]),
        (
            wrong_with_dump(&[before_tables, behind_tables]),
            &[
                "dump-whole",
                "dump-tables",
                "Row { column: Series, in_memory: true, by_file: true, by_load: false }, but in \
                 memory: true, in the dump: false",
            ],
        ),
        (
            wrong_with_dump(&[below, before_tables, behind_tables]),
            &[
                "dump-tables",
                "Row { column: Series, in_memory: true, by_file: true, by_load: false }, but in \
                 memory: true, in the dump: false",
            ],
        ),
        (
            wrong(|crash| made_up::spoil(crash, TABLE.0)),
            &["dump-tables", "DSDT in the dump is not what the first kernel saw"],
        ),
        (
            wrong(|crash| crash.dump = Err(anyhow!("no ELF file"))),
            &["dump-saved", "dump-whole", "dump-tables", "no ELF file"],
        ),
    ];
    for (number, (found, wanted)) in cases.iter().enumerate() {
        assert_eq!(found, wanted, "case {number}");
    }
    let seen: BTreeSet<_> = cases.iter().flat_map(|(_, wanted)| *wanted).copied().collect();
    for property in PROPERTIES.iter().filter(|one| !matches!(one.when, When::BesideStock)) {
        assert!(seen.contains(property.key), "{} is not seen to fail", property.key);
    }
}

#[test]
fn what_was_not_reached_is_counted_behind_the_first_complaint() {
    let found = wrong(|crash| crash.second = Err(anyhow!("no iomem")));
    assert_eq!(found, ["crash-checks", "17 more properties were not reached"]);
    let found = wrong_in_second(|facts| facts.saved = None);
    assert_eq!(found, ["dump-saved", "2 more properties were not reached"]);
}

#[test]
fn what_an_entry_waits_for_has_to_be_said() {
    with_dir(|dir| {
        let crash = made_up::crash(dir, true, Loader::File);
        let found = |fields: &str| complaints(fields, Column::Series, &crash, None);
        for by in ["first", "crash"] {
            let said = |line| found(&format!("says = [{{ line = \"{line}\", by = \"{by}\" }}]"));
            assert_eq!(said("ACPI: DSDT"), [""; 0]);
            assert_eq!(said("KASLR"), [format!("the {by} kernel does not say 'KASLR'")]);
        }
        assert_eq!(found("says = [{ line = \"KASLR\", columns = [\"stock\"] }]"), [""; 0]);
        let trouble = |line| found(&format!("trouble = [{{ line = \"{line}\", why = \"a\" }}]"));
        assert_eq!(trouble("ACPI: DSDT"), [""; 0]);
        assert_eq!(trouble("BUG"), ["no 'BUG': it is trouble, and expected no more"]);
    });
}

#[test]
fn without_tables_memory_is_as_in_stock() {
    with_dir(|dir| {
        let stock = made_up::crash(dir, false, Loader::File);
        let mut crash = made_up::crash(dir, false, Loader::File);
        let complaint = "memory in /proc/iomem is not as in stock";
        let found = |crash: &Crash| {
            let found = complaints("tables = \"absent\"", Column::Series, crash, Some(&stock));
            found.iter().any(|line| line == complaint)
        };
        assert!(!found(&crash));
        crash.first.as_mut().unwrap().iomem[0].children.clear();
        assert!(!found(&crash), "a place of the kernel's is no memory");
        crash.second.as_mut().unwrap().iomem[0].span.end -= 0x1000;
        assert!(found(&crash));
    });
}
