// SPDX-License-Identifier: GPL-2.0

//! Every judgement of a case is seen to fail: a boot with which nothing is wrong, and one change.

use super::*;
use crate::{
    case_boot::Configured,
    firmware_boot::Booted,
    guest_memory::GuestMemory,
    iomem::{ACPI_TABLES, Resource},
    ktap::Ending,
    log::Log,
    made_up,
    run::Run,
    span,
};
use cases::Case;
use orders::pattern;
use std::{path::Path, process::ExitStatus, time::Duration};

/// The property has a good entry, one with no memory in it, and three bytes more.
const BOOTS: &str = r#"
[[case]]
name = "boots"
what = "boots"
property = ["good", "0x10000000+0x1000", "good"]
lengths = [35]
acpi = ["0x50001000+0x1000"]
tables = true
series = "boots"
stock = "given"
"#;

/// The property has an entry, and no memory is in it.
const STOPS: &str = r#"
[[case]]
name = "stops"
what = "stops"
property = ["0x10000000+0x1000"]
acpi = ["0x50001000+0x1000"]
tables = true
series = "stops"
stock = "nothing"
"#;

const EFI_MAP: &str = "
efi:   0x000040000000-0x000050000fff [Conventional|   |  |  |  |  |  |  |  |  |  |   |WB|  |  |  ]
efi:   0x000050001000-0x000050001fff [ACPI Reclaim|   |  |  |  |  |  |  |  |  |  |   |WB|  |  |  ]
efi:   0x000050002000-0x00005fffffff [Conventional|   |  |  |  |  |  |  |  |  |  |   |WB|  |  |  ]
MEMBLOCK configuration:
";
const COMPLETE: &str = "MEMBLOCK configuration:\n";
const GOOD_MEMORY: &str = " memory[0x0]\t[0x48000000-0x4fffffff], 0x8000000 bytes flags: 0x0\n";
const TABLES: &str = "\
 memory[0x1]\t[0x50001000-0x50001fff], 0x1000 bytes flags: 0x0
 reserved[0x0]\t[0x50001000-0x50001fff], 0x1000 bytes flags: 0x0
";
const IGNORED: &str = "\
linux,usable-memory-range: entry 1 (0x10000000, 0x1000 bytes) has no memory: ignored
linux,usable-memory-range: the last 3 bytes are no whole entry: ignored
";
const PANICS: &str = "Kernel panic - not syncing: linux,usable-memory-range gives no usable memory";

/// Where the fence is, where a table has moved to, and what it is.
const FENCE: u64 = 0x5000_2000;
const MOVED: u64 = 0x5000_1010;
const TABLE: &[u8] = b"DSDT, a table of";

fn memory(dir: &Path) -> GuestMemory {
    let memory = GuestMemory::new(512, dir).unwrap();
    for address in (0x5000_1000..FENCE + 0x1000).step_by(8) {
        memory.write(address, &pattern(address).to_le_bytes()).unwrap();
    }
    memory.write(MOVED, TABLE).unwrap();
    memory
}

fn firmware() -> String {
    let (last, sum) = (MOVED + TABLE.len() as u64 - 1, crc32fast::hash(TABLE));
    format!(
        "{LINE}fence {FENCE:#x}-{:#x}\r\n{LINE}table {MOVED:#x}-{last:#x} crc32 {sum:#x}\r\n",
        FENCE + 0xfff
    )
}

fn resource(start: u64, end: u64, name: &str) -> Resource {
    Resource { span: span::Span { start, end }, name: name.into(), children: Vec::new() }
}

fn ram() -> Resource {
    resource(GOOD.start, GOOD.end(), SYSTEM_RAM)
}

/// A boot of `case` with this log that came to its end.
fn booted(dir: &Path, case: &Case, log: &str, iomem: Vec<Resource>) -> Booted {
    Booted {
        run: Run {
            console: String::new(),
            phases: Vec::new(),
            took: Duration::from_secs(2),
            end: End::Complete,
        },
        dir: dir.into(),
        firmware: firmware(),
        log: Log::new(log),
        seen: Ok(Seen {
            iomem,
            mem_total: 120 << 20,
            property: Ok(case.property.clone()),
            tables: 9,
            checks: vec![made_up::check(Ending::Passed)],
        }),
        trouble: Vec::new(),
        memory: memory(dir),
    }
}

/// A boot of `case`, of a kernel that stopped.
fn stopped(dir: &Path, case: &Case) -> Booted {
    let mut booted = booted(dir, case, &format!("{EFI_MAP}{PANICS}\n"), Vec::new());
    booted.run.end = End::Stopped(KERNEL_PHASE, ExitStatus::default());
    booted.seen = Err(anyhow!("no iomem"));
    booted.trouble = vec![PANICS.into(), format!("---[ end {PANICS} ]---")];
    booted
}

/// What is said of a boot of `case`, made by `make`, in which something was changed.
fn judged(
    case: &str,
    make: impl FnOnce(&Path, &Case) -> Booted,
    judge: fn(&CaseBoot<'_>) -> Result<Said>,
    change: impl FnOnce(&mut Booted),
) -> Result<Said, String> {
    let dir = tempfile::tempdir().unwrap();
    let case = cases::parse(case).unwrap().remove(0);
    let mut booted = make(dir.path(), &case);
    change(&mut booted);
    let boot = CaseBoot::new(&case, &booted, Configured::made_up()).unwrap();
    judge(&boot).map_err(|error| format!("{error:#}"))
}

fn log_of_series() -> String {
    [EFI_MAP, COMPLETE, GOOD_MEMORY, TABLES, IGNORED].concat()
}

fn booted_series(dir: &Path, case: &Case) -> Booted {
    let tables = resource(0x5000_1000, FENCE, ACPI_TABLES);
    booted(dir, case, &log_of_series(), vec![ram(), tables])
}

fn spoil(booted: &mut Booted, address: u64) {
    booted.memory.write(address, b"x").unwrap();
}

fn seen(booted: &mut Booted) -> &mut Seen {
    booted.seen.as_mut().unwrap()
}

/// The log of the series with other words in it.
fn replace(booted: &mut Booted, old: &str, new: &str) {
    let log = log_of_series();
    assert!(log.contains(old));
    booted.log = Log::new(&log.replace(old, new));
}

#[test]
fn a_boot_of_the_series_is_judged() {
    let boot = |change: fn(&mut Booted)| judged(BOOTS, booted_series, series, change);
    let said = boot(|_| ()).unwrap();
    assert_eq!(said.text, "boots with 122880 kB, 1 ranges of tables intact");
    assert_eq!((said.guarded, said.lost, said.taken), (0x1000, 0, false));
    let wrong = |change| boot(change).unwrap_err();
    for (found, wanted) in [
        // The firmware.
        (wrong(|booted| booted.log = Log::default()), "came to its end: firmware: table 0x5000"),
        (
            wrong(|booted| booted.firmware = firmware().replace("fence", "fences")),
            "the firmware told of no fence",
        ),
        (
            wrong(|booted| booted.firmware = firmware().replace("table", "tables")),
            "no table was moved",
        ),
        // How it came up.
        (
            wrong(|booted| booted.run.end = End::Halted("checks")),
            "the kernel halted in phase 'checks'",
        ),
        (wrong(|booted| booted.trouble.push("BUG: a".into())), "the console says 'BUG: a'"),
        (wrong(|booted| booted.seen = Err(anyhow!("no iomem"))), "no iomem"),
        (
            wrong(|booted| seen(booted).checks.push(made_up::check(Ending::Skipped))),
            "the guest's check acpi failed: no tables",
        ),
        (wrong(|booted| seen(booted).property = Err(anyhow!("no tree"))), "no tree"),
        (wrong(|booted| seen(booted).property = Ok(None)), "it was given the property None"),
        (wrong(|booted| seen(booted).tables = 0), "it has no ACPI tables"),
        (
            wrong(|booted| booted.log = Log::new(EFI_MAP)),
            "printed no complete 'MEMBLOCK configuration:'",
        ),
        // R1 to R4.
        (
            wrong(|booted| replace(booted, "48000000-0x4fff", "47fff000-0x4fff")),
            "mapped memory has [47fff000-47ffffff] that it must not have",
        ),
        // What it says of the property.
        (
            wrong(|booted| replace(booted, "entry 1 (", "entry 2 (")),
            "no line says that entry 1 is ignored",
        ),
        (
            wrong(|booted| replace(booted, IGNORED, &IGNORED.replace("the last", "entry 0 (a)"))),
            "it ignores [",
        ),
        (
            wrong(|booted| replace(booted, "no whole entry", "too few")),
            "what is no whole entry: false",
        ),
        // R3.
        (wrong(|booted| spoil(booted, FENCE + 9)), "1 bytes are lost, the first at 0x50002009"),
        (wrong(|booted| spoil(booted, MOVED)), "the table at 50001010-5000101f is not what it was"),
        (
            wrong(|booted| spoil(booted, MOVED - 1)),
            "1 bytes of ACPI Reclaim memory are lost, the first at 0x5000100f",
        ),
    ] {
        assert!(found.contains(wanted), "{found}; wanted: {wanted}");
    }
    let stated = BOOTS.replace("series = \"boots\"", "series = \"stops\"");
    let error = judged(&stated, booted_series, series, |_| ()).unwrap_err();
    assert_eq!(error, "cases.toml says Stops, but the oracle says Boots");
}

#[test]
fn a_stop_of_the_series_is_judged() {
    let boot = |change: fn(&mut Booted)| judged(STOPS, stopped, series, change);
    assert_eq!(boot(|_| ()).unwrap().text, "stops, and restarts the machine");
    let wrong = |change| boot(change).unwrap_err();
    for (found, wanted) in [
        (wrong(|booted| booted.run.end = End::Halted(KERNEL_PHASE)), "the kernel halted"),
        (wrong(|booted| booted.run.end = End::Complete), "came to its end"),
        (
            wrong(|booted| booted.run.end = End::Stopped("checks", ExitStatus::default())),
            "the machine stopped in phase 'checks'",
        ),
        (wrong(|booted| booted.trouble.clear()), "there is no panic"),
        (
            wrong(|booted| booted.trouble = vec!["Kernel panic - not syncing: a".into()]),
            "'Kernel panic - not syncing: a'",
        ),
        (wrong(|booted| booted.trouble.push("BUG: a".into())), "it says [\"BUG: a\"]"),
        (
            wrong(|booted| booted.log = Log::new(&[EFI_MAP, COMPLETE].concat())),
            "it went on to fill memblock's lists",
        ),
        (wrong(|booted| spoil(booted, FENCE)), "1 bytes are lost, the first at 0x50002000"),
        (wrong(|booted| spoil(booted, MOVED)), "the table at 50001010-5000101f"),
    ] {
        assert!(found.contains(wanted), "{found}; wanted: {wanted}");
    }
}

#[test]
fn what_stock_takes_is_judged() {
    let log = |memory: &str| [EFI_MAP, COMPLETE, GOOD_MEMORY, memory].concat();
    let all = " memory[0x0]\t[0x40000000-0x5fffffff], 0x20000000 bytes flags: 0x0\n";
    let fence = " memory[0x1]\t[0x50002000-0x50002fff], 0x1000 bytes flags: 0x0\n";
    let boot = |memory: &str, stated: &str, change: fn(&mut Booted)| {
        let case = BOOTS.replace("stock = \"given\"", &format!("stock = \"{stated}\""));
        let make = |dir: &Path, case: &Case| booted(dir, case, &log(memory), vec![ram()]);
        judged(&case, make, stock, change)
    };
    let panics = |booted: &mut Booted| {
        booted.log = Log::new(EFI_MAP);
        booted.trouble.push("Kernel panic - not syncing: a".into());
    };
    let tree = |booted: &mut Booted| seen(booted).property = Err(anyhow!("no tree"));
    for (memory, change, stated, text) in [
        ("", (|_| ()) as fn(&mut Booted), "given", "boots with what it was given, 128 MiB"),
        (all, |_| (), "all", "boots with all memory, 512 MiB"),
        (all, |booted| spoil(booted, MOVED), "tables", "the table at 50001010-5000101f"),
        (fence, |_| (), "more", "takes [50002000-50002fff] for memory; came to its end"),
        ("", tree, "tree", "overwrites its own device tree: no tree"),
        ("", panics, "nothing", "Kernel panic - not syncing: a"),
    ] {
        let said = boot(memory, stated, change).unwrap();
        assert!(said.text.starts_with(text), "{}; wanted: {text}", said.text);
        assert_eq!(said.taken, ["all", "tables", "more"].contains(&stated), "{stated}");
        for other in ["given", "all", "tables", "more", "tree", "nothing"] {
            if other != stated {
                let error = boot(memory, other, change).unwrap_err();
                assert!(error.starts_with("cases.toml says "), "{error}");
            }
        }
    }
    let lost = boot(all, "all", |booted| spoil(booted, FENCE)).unwrap();
    assert_eq!((lost.lost, lost.text.ends_with(", 1 bytes lost")), (1, true));
    let wrong = |memory, change| boot(memory, "given", change).unwrap_err();
    for (found, wanted) in [
        (wrong("", |booted| booted.log = Log::default()), "came to its end"),
        (wrong("", |booted| booted.log = Log::new(EFI_MAP)), "came to its end"),
        (wrong(all, |booted| booted.run.end = End::Halted("checks")), "the kernel halted"),
        (wrong("", |booted| booted.trouble.push("BUG: a".into())), "the console says 'BUG: a'"),
        (
            wrong("", |booted| seen(booted).iomem[0].span.start += 0x1000),
            "System RAM lacks [48000000-48000fff]",
        ),
    ] {
        assert!(found.contains(wanted), "{found}; wanted: {wanted}");
    }
}
