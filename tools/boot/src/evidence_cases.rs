// SPDX-License-Identifier: GPL-2.0

//! The evidence: what becomes of the crashed kernel's memory while the crash kernel runs, seen from
//! outside of the machine; and what a crash kernel does that was given no memory.

use crate::{
    Counts,
    crash_case::{CrashCase, Loader},
    evidence_outcome::{Expected, Then, judge},
    guest::Guest,
    machine::{self, EARLY_CONSOLE},
    parallel::{self, Room, taken_by},
    report::Report,
    witness::{FIXED_PLACE, Spoil, WitnessCase},
};
use anyhow::{Context, Result};
use build::{
    deps,
    kernel::{Kernel, Source, Spec, Variant, obtain},
};
use machines::Hardware;

/// One crash, and what comes of it.
#[derive(Clone)]
pub struct Case {
    /// The name, and that of its directory below out/boots.
    pub name: String,
    /// Whether it is quick enough for `make test`.
    pub quick: bool,
    series: bool,
    loader: Loader,
    scale: Scale,
    spoil: Option<Spoil>,
    told: Told,
    expected: Expected,
}

/// How large the machine is, and how much of its memory is evidence.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Scale {
    /// In MiB.
    memory: u64,
    /// In MiB.
    evidence: usize,
}

/// A machine most of whose memory is evidence.
const LARGE: Scale = Scale { memory: 1024, evidence: 632 };
/// A machine in which the rest of memory is, but not much more than the crash kernel's own.
const MEDIUM: Scale = Scale { memory: 512, evidence: 160 };
/// A machine that crashes as soon as any.
const SMALL: Scale = Scale { memory: 512, evidence: 1 };

/// What the crash kernel is told.
#[derive(Clone, Copy)]
struct Told {
    early_console: bool,
    panic: Option<&'static str>,
    more: &'static str,
    watchdog: bool,
}

const USUAL: Told =
    Told { early_console: true, panic: Some("-1"), more: "memblock=debug", watchdog: false };

impl Told {
    fn command_line(self) -> String {
        let mut words = vec!["console=ttyAMA0 efi=debug printk.devkmsg=on nr_cpus=1 reset_devices"];
        if self.early_console {
            words.push(EARLY_CONSOLE);
        }
        let panic = self.panic.map(|seconds| format!("panic={seconds}"));
        words.extend(panic.as_deref());
        words.push(self.more);
        words.join(" ")
    }
}

/// How a property is spoiled, and what a crash kernel with the series says of it.
struct Spoiled {
    name: &'static str,
    spoil: Spoil,
    says: &'static str,
    /// Whether a kernel without the series takes all memory then; otherwise it has none.
    stock_takes_all: bool,
}

/// Two cells for an address and two for a size.
const ENTRY: usize = 16;

const SPOILED: [Spoiled; 5] = [
    Spoiled {
        name: "cut",
        spoil: |usable| usable[..ENTRY - 1].to_vec(),
        says: "the last 15 bytes are no whole entry",
        stock_takes_all: true,
    },
    Spoiled {
        name: "empty",
        spoil: |_| Vec::new(),
        says: "gives no usable memory",
        stock_takes_all: true,
    },
    Spoiled {
        name: "size-zero",
        spoil: |usable| [&usable[..ENTRY / 2], &[0; ENTRY / 2]].concat(),
        says: "entry 0 ",
        stock_takes_all: true,
    },
    Spoiled {
        name: "wraps-around",
        spoil: |_| entry(0xffff_ffff_ffff_0000, 0x2_0000),
        says: "entry 0 ",
        stock_takes_all: false,
    },
    Spoiled {
        name: "device",
        spoil: |_| entry(0x0900_0000, 0x1000),
        says: "entry 0 ",
        stock_takes_all: false,
    },
];

fn entry(address: u64, size: u64) -> Vec<u8> {
    [address.to_be_bytes(), size.to_be_bytes()].concat()
}

/// Every case.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for loader in Loader::ALL {
        for series in [true, false] {
            cases.push(Case {
                name: format!("evidence-{}-{}", column(series), loader.name()),
                quick: series,
                series,
                loader,
                scale: LARGE,
                spoil: None,
                told: Told { more: "memblock=debug memtest=4", ..USUAL },
                expected: Expected::Saves,
            });
            for spoiled in &SPOILED {
                if series || spoiled.stock_takes_all {
                    cases.push(spoiled.case(series, loader));
                }
            }
        }
    }
    cases.extend(stops());
    cases
}

impl Spoiled {
    fn case(&self, series: bool, loader: Loader) -> Case {
        let stop = Expected::Stops { says: Some(self.says), then: Then::Restarts(0) };
        Case {
            name: format!("evidence-{}-{}-{}", column(series), loader.name(), self.name),
            quick: loader == Loader::File && self.stock_takes_all && (series || self.name == "cut"),
            series,
            loader,
            scale: if series { SMALL } else { MEDIUM },
            spoil: Some(self.spoil),
            told: USUAL,
            expected: if series { stop } else { Expected::Loses },
        }
    }
}

fn column(series: bool) -> &'static str {
    if series { "series" } else { "stock" }
}

/// What is seen of a stop, and what becomes of the machine then.
fn stops() -> Vec<Case> {
    let seen = Some("gives no usable memory");
    let off = Told { more: "acpi=off", ..USUAL };
    [
        ("panic-absent", Told { panic: None, ..USUAL }, seen, Then::Stays),
        ("panic-5", Told { panic: Some("5"), ..USUAL }, seen, Then::Restarts(5)),
        ("spcr", Told { early_console: false, ..USUAL }, seen, Then::Restarts(0)),
        (
            "nospcr",
            Told { early_console: false, more: "acpi=nospcr", ..USUAL },
            None,
            Then::Restarts(0),
        ),
        ("acpi-off", off, seen, Then::Stays),
        ("acpi-off-unseen", Told { early_console: false, ..off }, None, Then::Stays),
        ("watchdog", Told { early_console: false, watchdog: true, ..off }, None, Then::Restarts(0)),
    ]
    .map(|(name, told, says, then)| Case {
        name: format!("stop-{name}"),
        quick: ["panic-absent", "panic-5", "spcr", "watchdog"].contains(&name),
        series: true,
        loader: Loader::File,
        scale: SMALL,
        spoil: Some(|_| Vec::new()),
        told,
        expected: Expected::Stops { says, then },
    })
    .to_vec()
}

impl Case {
    fn witness<'a>(&self, kernel: &'a Kernel) -> WitnessCase<'a> {
        let crash = CrashCase::new(self.name.clone(), kernel, kernel, self.loader);
        let unseen = matches!(self.expected, Expected::Stops { says: None, .. });
        WitnessCase {
            crash: CrashCase {
                hardware: Hardware {
                    watchdog: self.told.watchdog,
                    ..Hardware::of(self.scale.memory)
                },
                evidence_pages: self.scale.evidence << 8,
                first_options: FIXED_PLACE.into(),
                crash_command_line: self.told.command_line(),
                takes_all_memory: self.expected == Expected::Saves,
                ..crash
            },
            spoil: self.spoil,
            watches_panic: self.watches_panic(),
            patience: unseen.then_some(UNSEEN),
        }
    }

    /// What its machine takes of the host's memory, in bytes, with the dump and what the witness keeps.
    fn memory(&self) -> u64 {
        let snapshots = if self.watches_panic() { 2 } else { 1 };
        taken_by(self.scale.memory, 1 + snapshots)
    }

    /// Whether the witness keeps memory as it is when the first kernel panics, too.
    fn watches_panic(&self) -> bool {
        self.expected == Expected::Saves
    }
}

/// How long a crash kernel of which nothing is seen is waited for, in seconds: longer than the
/// watchdog waits.
const UNSEEN: u64 = 20;

/// Those for `make test`.
pub fn quick(source: &Source) -> Result<Counts> {
    let quick: Vec<_> = cases().into_iter().filter(|case| case.quick).collect();
    run(source, &quick, &Report::begin(quick.len()))
}

/// Runs these cases; each is one test.
pub fn run(source: &Source, cases: &[Case], report: &Report) -> Result<Counts> {
    let qemu = deps::qemu()?;
    let guest = Guest::find()?;
    let kernel = |series| {
        let variant = Variant { series, mapping_2017: false };
        obtain(&Spec { source: source.clone(), variant, flavour: "minimal".into() })
    };
    let (stock, series) = (kernel(false)?, kernel(true)?);
    run_each(cases, report, |case, progress| {
        let kernel = if case.series { &series } else { &stock };
        let seen = case.witness(kernel).run(&qemu, &guest, progress)?;
        progress("looking for evidence");
        let seconds = seen.crash.run.took.as_secs_f64();
        let said = judge(&seen, case.expected)
            .with_context(|| format!("not as expected ({seconds:.1} s)"))?;
        // The dump is large, and there is nothing in it that is not known.
        machine::clean_but_console(&seen.crash.dir)?;
        Ok(Said { compared: seen.compared, text: format!("{said} ({seconds:.1} s)") })
    })
}

/// What there is to say of a crash that came out as expected. What was in memory is large, and is not
/// kept.
struct Said {
    text: String,
    /// How many bytes of memory were compared.
    compared: u64,
}

/// Has `run` do each case. One that cannot be run has failed, and the others are run all the same.
fn run_each(
    cases: &[Case],
    report: &Report,
    run: impl Fn(&Case, &dyn Fn(&str)) -> Result<Said> + Sync,
) -> Result<Counts> {
    let names: Vec<_> = cases.iter().map(|case| case.name.as_str()).collect();
    let takes = |at: usize| cases[at].memory();
    let outcomes = parallel::run_within(&Room::of_host(), &names, takes, |at, progress| {
        let said = run(&cases[at], progress);
        match said {
            Ok(said) => {
                report.result(names[at], &said.text, true);
                Ok(Some(said))
            }
            Err(error) => report.failed(names[at], error).map(|()| None),
        }
    })?;
    let mut counts = Counts::default();
    let mut all = 0;
    for outcome in outcomes {
        let Some(said) = outcome else {
            counts.failed += 1;
            continue;
        };
        counts.passed += 1;
        all += said.compared;
    }
    report.comment(&format!(
        "{} MiB of memory compared byte for byte in {} crashes",
        all >> 20,
        counts.passed
    ));
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::PAGE;
    use anyhow::bail;
    use std::collections::BTreeSet;

    #[test]
    fn most_of_a_large_machine_is_evidence() {
        let evidence = (LARGE.evidence << 8) * PAGE;
        assert!(evidence as u64 * 10 >= (LARGE.memory << 20) * 6);
    }

    #[test]
    fn no_two_cases_have_a_name_in_common() {
        let cases = cases();
        let names: BTreeSet<_> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len());
        assert!(cases.iter().any(|case| case.quick) && cases.iter().any(|case| !case.quick));
    }

    #[test]
    fn a_crash_that_cannot_be_run_has_failed_and_the_others_are_run() {
        let cases = cases();
        let run = |case: &Case, _: &dyn Fn(&str)| {
            if case.name == cases[0].name {
                bail!("the debugger took too long");
            }
            Ok(Said { text: "as expected".into(), compared: 1 })
        };
        let counts = run_each(&cases, &Report::begin(cases.len()), run).unwrap();
        assert_eq!(counts, Counts { passed: cases.len() - 1, failed: 1 });
    }

    #[test]
    fn what_is_spoiled_is_no_longer_than_before() {
        let usable = entry(0x4a60_0000, 0x1000_0000);
        for spoiled in &SPOILED {
            let now = (spoiled.spoil)(&usable);
            assert!(now.len() <= usable.len() && now != usable, "{}", spoiled.name);
        }
    }

    #[test]
    fn a_command_line_has_what_is_told() {
        let told = Told { panic: None, early_console: false, more: "acpi=off", watchdog: false };
        let line = told.command_line();
        assert!(!line.contains("panic=") && !line.contains("earlycon"), "{line}");
        let line = USUAL.command_line();
        assert!(line.contains(" panic=-1 ") && line.contains(EARLY_CONSOLE), "{line}");
    }
}
