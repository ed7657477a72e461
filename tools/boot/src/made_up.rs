// SPDX-License-Identifier: GPL-2.0

//! Crashes that were not, for the tests of what judges them: nothing is wrong with them, and a test
//! changes one thing.

use crate::{
    asked::Asked,
    crash_case::{Crash, Loader},
    evidence::Evidence,
    facts::{Access, Facts, Saved},
    guest_memory::START,
    iomem::{ACPI_TABLES, CRASH_KERNEL, Resource, SYSTEM_RAM, top_level},
    kcore::Kcore,
    kexec_tools::KexecTools,
    ktap::{Ending, Test},
    log::Log,
    memblock::{Dump, Region},
    run::{End, Run},
    span::Span,
    vmcore::{Vmcore, headers},
};
use orders::pattern;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};
use util::hash::sha256;

/// The memory of the machine.
pub const RAM: Span = Span { start: START, end: START + (512 << 20) };
/// The ACPI Reclaim memory in it.
pub const ACPI: Span = Span { start: 0x5c43_0000, end: 0x5c44_0000 };
/// The memory of the crash kernel.
pub const GIVEN: Span = Span { start: 0x4a60_0000, end: 0x5a60_0000 };
/// The one table.
pub const TABLE: (u64, &[u8]) = (0x5c43_7118, b"DSDT, a table of");

/// The flash, which is ioremapped always.
const FLASH: Span = Span { start: 0, end: 0x1000 };

/// A crash of a small machine, with its files in `dir`: of two kernels with the series, or of two
/// without.
pub fn crash(dir: &Path, series: bool, loader: Loader) -> Crash {
    let announced = match series {
        true => "efi: ACPI Reclaim memory 0x00005c430000-0x00005c43ffff: reserved\n",
        false => "",
    };
    let (table, table_size) = (TABLE.0, TABLE.1.len());
    let log = format!("{announced}ACPI: DSDT {table:#018X} {table_size:06X} (v02 BOCHS)\n")
        .replace("0X", "0x");
    let asked = "@phase| crash\nKernel panic - not syncing: sysrq triggered crash\n";
    let dump = dump(dir, series, loader);
    let evidence = Evidence::new("made-up", 1);
    Crash {
        run: Run {
            console: log.clone(),
            phases: Vec::new(),
            took: Duration::from_secs(9),
            end: End::Complete,
        },
        dir: dir.into(),
        kexec_tools: KexecTools::default(),
        earlier: Vec::new(),
        first: Ok(first(series)),
        second: Ok(Facts { saved: Some(saved(dump.end)), ..second(series) }),
        first_log: Log::new(&format!("{log}{asked}")),
        second_log: Log::new(&log),
        dump: Ok(dump),
        evidence_found: evidence.pages,
        evidence,
        trouble: Vec::new(),
        asked: Asked::default(),
    }
}

/// A whole dump of so many bytes.
fn saved(size: u64) -> Saved {
    Saved { size, read: size, written: size, seconds: 1.5 }
}

fn first(series: bool) -> Facts {
    let region = |span| Region { span, flags: 0 };
    let (below, above) =
        (Span { start: RAM.start, end: ACPI.start }, Span { start: ACPI.end, end: RAM.end });
    let crash_kernel = resource(GIVEN, CRASH_KERNEL, vec![]);
    let iomem = match series {
        true => vec![
            resource(below, SYSTEM_RAM, vec![crash_kernel]),
            resource(ACPI, ACPI_TABLES, vec![]),
            resource(above, SYSTEM_RAM, vec![]),
        ],
        false => {
            let reserved = resource(ACPI, "reserved", vec![]);
            vec![resource(RAM, SYSTEM_RAM, vec![crash_kernel, reserved])]
        }
    };
    let mut facts = Facts {
        iomem,
        memblock: Dump { memory: vec![region(RAM)], reserved: vec![region(ACPI)] },
        mem_total: 480 << 20,
        command_line: "console=ttyAMA0".into(),
        processors_present: 2,
        processors_online: 2,
        usable_property: None,
        usable: Vec::new(),
        dev_mem: accesses("EPERM"),
        kcore: Some(Kcore { memory: vec![RAM], pages: vec![RAM] }),
        ..common()
    };
    facts.zones[0].span = RAM;
    facts
}

fn second(series: bool) -> Facts {
    let mut facts = Facts {
        usable_property: Some([GIVEN.start, GIVEN.bytes()].map(u64::to_be_bytes).concat()),
        dev_mem: accesses(if series { "EPERM" } else { "EFAULT" }),
        kcore: Some(Kcore { memory: vec![GIVEN], pages: vec![GIVEN] }),
        ..common()
    };
    if !series {
        facts.iomem.retain(|resource| resource.name != ACPI_TABLES);
        facts.memblock.memory.retain(|region| region.span != ACPI);
        facts.memblock.reserved.clear();
        facts.ioremaps.push(Span { start: ACPI.start, end: ACPI.start + 0x1000 });
    }
    facts
}

/// What both kernels say.
fn common() -> Facts {
    Facts {
        tables: [("DSDT".into(), sha256(TABLE.1))].into(),
        ioremaps: vec![FLASH],
        dev_mem_beside: vec![access("read", GIVEN.start, "EPERM")],
        nodes: vec!["chosen".into()],
        checks: vec![check(Ending::Passed)],
        ..Facts::made_up()
    }
}

fn resource(span: Span, name: &str, children: Vec<Resource>) -> Resource {
    Resource { span, name: name.into(), children }
}

fn access(kind: &str, page: u64, outcome: &str) -> Access {
    Access { kind: kind.into(), page, outcome: outcome.into() }
}

fn accesses(outcome: &str) -> Vec<Access> {
    ["read", "write", "mmap"].map(|kind| access(kind, ACPI.start, outcome)).into()
}

/// A check of the guest that ended like this.
pub fn check(ending: Ending) -> Test {
    Test { name: "acpi".into(), ending, why: vec!["no tables".into()] }
}

/// A dump of the memory that is listed as System RAM by kexec_load(), and of that and the tables by
/// kexec_file_load(). ACPI Reclaim memory has the pattern in it, and the table.
fn dump(dir: &Path, series: bool, loader: Loader) -> Vmcore {
    let mut ram = top_level(&first(series).iomem, SYSTEM_RAM);
    if loader == Loader::File {
        ram = vec![RAM];
    }
    let without_own = |span: Span| match span.contains(GIVEN) {
        true => vec![Span { end: GIVEN.start, ..span }, Span { start: GIVEN.end, ..span }],
        false => vec![span],
    };
    write_dump(dir, &ram.into_iter().flat_map(without_own).collect::<Vec<_>>())
}

/// Writes a dump of these spans, and opens it.
pub fn write_dump(dir: &Path, spans: &[Span]) -> Vmcore {
    let path = dir.join("dump");
    fs::write(&path, headers(spans)).unwrap();
    // Nothing is read of the rest, and it takes no room.
    let file = File::options().write(true).open(&path).unwrap();
    let dump = Vmcore::open(&path).unwrap();
    file.set_len(dump.end).unwrap();
    for address in (ACPI.start..ACPI.end).step_by(8) {
        write(&dump, &file, address, &pattern(address).to_le_bytes());
    }
    write(&dump, &file, TABLE.0, TABLE.1);
    dump
}

/// Puts `bytes` at `address` of `dump`, if that is in it.
fn write(dump: &Vmcore, file: &File, address: u64, bytes: &[u8]) {
    let there = dump.segments.iter().find(|segment| segment.span.contains_address(address));
    if let Some(segment) = there {
        file.write_all_at(bytes, segment.offset + address - segment.span.start).unwrap();
    }
}

/// Puts another byte at `address` of the dump of `crash`.
pub fn spoil(crash: &Crash, address: u64) {
    let file = File::options().write(true).open(crash.dir.join("dump")).unwrap();
    let dump = crash.dump.as_ref().unwrap();
    let old = dump.bytes(Span { start: address, end: address + 1 }).unwrap().unwrap();
    write(dump, &file, address, &[!old[0]]);
}
