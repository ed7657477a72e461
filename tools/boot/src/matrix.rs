// SPDX-License-Identifier: GPL-2.0

//! The long list of boots: every case of `cases.toml`, the crashes of the evidence, and every machine
//! of `machines.toml`.

use crate::{
    Counts,
    case_boot::{CaseBoot, Configured},
    case_crash,
    case_verdict::{self, Said},
    crash_case::{CrashCase, Loader},
    directories, evidence_cases,
    firmware_boot::{Firmware, FirmwareBoot},
    guest::Guest,
    machine, machine_cases,
    machine_units::{self, Unit},
    parallel::{self, Room, taken_by},
    report::Report,
};
use anyhow::{Context, Result};
use build::{
    deps::{self, Qemu},
    kernel::{Kernel, Source, Spec, Variant, obtain},
};
use cases::Case;
use std::{path::Path, time::Duration};

/// A run of a case.
struct CaseRun<'a> {
    name: String,
    case: &'a Case,
    series: bool,
    crash: bool,
}

impl CaseRun<'_> {
    /// What its machine takes of the host's memory, in bytes, with the dump where there is one.
    fn memory(&self) -> u64 {
        taken_by(self.case.memory, self.crash.into())
    }
}

/// All runs of each case: by kernels without the series and with it.
fn runs(cases: &[Case]) -> Vec<CaseRun<'_>> {
    let mut runs = Vec::new();
    for case in cases {
        for crash in [false, true].into_iter().filter(|crash| !crash || case.crash) {
            for (column, series) in [("stock", false), ("series", true)] {
                let crashes = if crash { "-crash" } else { "" };
                let name = format!("{}{crashes}-{column}", case.name);
                runs.push(CaseRun { name, case, series, crash });
            }
        }
    }
    runs
}

/// The directories of all runs of each case.
pub(crate) fn directories(cases: &[Case]) -> impl Iterator<Item = (String, &Case)> {
    runs(cases).into_iter().map(|run| (run.name, run.case))
}

/// The names of all runs that have `pattern` in their names.
pub fn names(pattern: Option<&str>) -> Result<Vec<String>> {
    let cases = cases::load()?;
    directories::check(&cases, &machines::load()?)?;
    let (runs, evidence) = asked_for(&cases, pattern);
    let mut names: Vec<_> = runs.into_iter().map(|run| run.name).collect();
    names.extend(evidence.into_iter().map(|case| case.name));
    names.extend(machines(pattern)?.into_iter().map(|unit| unit.name));
    Ok(names)
}

/// Does the runs that have `pattern` in their names; all of them without one.
///
/// The cases are booted by kernels of this flavour, the crashes of the evidence by `minimal` ones, and a
/// machine by what it says.
pub fn run(
    source: &Source,
    flavour: &str,
    pattern: Option<&str>,
    report: &Report,
) -> Result<Counts> {
    let cases = cases::load()?;
    let (runs, evidence) = asked_for(&cases, pattern);
    let mut counts = Counts::default();
    if !runs.is_empty() {
        counts += run_cases(source, flavour, &runs, report)?;
    }
    if !evidence.is_empty() {
        counts += evidence_cases::run(source, &evidence, report)?;
    }
    let machines = machines(pattern)?;
    if !machines.is_empty() {
        counts += machine_cases::run(source, &machines, report)?;
    }
    Ok(counts)
}

/// Runs the boots of the cases that are quick: what `make test` has of them.
pub fn run_quick(source: &Source) -> Result<Counts> {
    let mut cases = cases::load()?;
    cases.retain(|case| case.quick);
    let runs = runs(&cases);
    run_cases(source, "minimal", &runs, &Report::begin(runs.len()))
}

/// The runs of `cases`, and those of the evidence, that have `pattern` in their names.
fn asked_for<'a>(
    cases: &'a [Case],
    pattern: Option<&str>,
) -> (Vec<CaseRun<'a>>, Vec<evidence_cases::Case>) {
    let (mut runs, mut evidence) = (runs(cases), evidence_cases::cases());
    if let Some(pattern) = pattern {
        runs.retain(|run| run.name.contains(pattern));
        evidence.retain(|case| case.name.contains(pattern));
    }
    (runs, evidence)
}

/// The machines that have `pattern` in their names.
fn machines(pattern: Option<&str>) -> Result<Vec<Unit>> {
    let mut units = machine_units::units()?;
    units.retain(|unit| pattern.is_none_or(|pattern| unit.name.contains(pattern)));
    Ok(units)
}

/// What came of all boots of one column.
#[derive(Debug, Default)]
struct Tally {
    boots: usize,
    taken: usize,
    guarded: u128,
    lost: u64,
}

impl Tally {
    fn add(&mut self, said: &Said) {
        self.boots += 1;
        self.taken += usize::from(said.taken);
        self.guarded += said.guarded;
        self.lost += said.lost;
    }

    fn shown(&self, column: &str) -> String {
        format!(
            "{column}: {} boots; {} take memory that was not given; {} bytes of {} lost behind the fence",
            self.boots, self.taken, self.lost, self.guarded
        )
    }
}

fn run_cases(
    source: &Source,
    flavour: &str,
    runs: &[CaseRun<'_>],
    report: &Report,
) -> Result<Counts> {
    let kernel = |series| {
        let variant = Variant { series, mapping_2017: false };
        obtain(&Spec { source: source.clone(), variant, flavour: flavour.into() })
    };
    // A column that was not asked for needs no kernel.
    let column = |series| {
        let asked_for = runs.iter().any(|run| run.series == series);
        asked_for.then(|| kernel(series)).transpose()
    };
    let (stock, series) = (column(false)?, column(true)?);
    let (qemu, guest) = (deps::qemu()?, Guest::find()?);
    let application = build::firmware::obtain()?;
    let names: Vec<_> = runs.iter().map(|run| run.name.as_str()).collect();
    let takes = |at: usize| runs[at].memory();
    let outcomes = parallel::run_within(&Room::of_host(), &names, takes, |at, progress| {
        let run = &runs[at];
        let kernel = if run.series { &series } else { &stock };
        let kernel = kernel.as_ref().expect("there is one for each column");
        let firmware = Firmware { application: &application, case: run.case };
        let once = if run.crash { crash_once } else { boot_once };
        let said = once(run, kernel, firmware, &Parts { qemu: &qemu, guest: &guest, progress });
        match said {
            Ok(said) => {
                report.result(&run.name, &said.text, true);
                Ok(Some(said))
            }
            Err(error) => report.failed(&run.name, error).map(|()| None),
        }
    })?;
    let mut counts = Counts::default();
    let (mut stock, mut series) = (Tally::default(), Tally::default());
    for (run, outcome) in runs.iter().zip(outcomes) {
        let Some(said) = outcome else {
            counts.failed += 1;
            continue;
        };
        counts.passed += 1;
        if run.series { series.add(&said) } else { stock.add(&said) }
    }
    for (column, tally) in [("stock", stock), ("series", series)] {
        if tally.boots > 0 {
            report.comment(&tally.shown(column));
        }
    }
    Ok(counts)
}

/// What every run needs.
struct Parts<'a> {
    qemu: &'a Qemu,
    guest: &'a Guest,
    progress: &'a dyn Fn(&str),
}

fn boot_once(
    run: &CaseRun<'_>,
    kernel: &Kernel,
    firmware: Firmware<'_>,
    parts: &Parts<'_>,
) -> Result<Said> {
    let boot = FirmwareBoot { name: run.name.clone(), kernel, firmware };
    let booted = boot.run(parts.qemu, parts.guest, parts.progress)?;
    let judge = if run.series { case_verdict::series } else { case_verdict::stock };
    let configured = Configured::of(kernel)?;
    let said = CaseBoot::new(run.case, &booted, configured).and_then(|boot| judge(&boot));
    timed(said, booted.run.took, &booted.dir)
}

fn crash_once(
    run: &CaseRun<'_>,
    kernel: &Kernel,
    firmware: Firmware<'_>,
    parts: &Parts<'_>,
) -> Result<Said> {
    let crash = CrashCase {
        firmware: Some(firmware),
        ..CrashCase::new(run.name.clone(), kernel, kernel, Loader::File)
    };
    let crash = crash.run(parts.qemu, parts.guest, parts.progress)?;
    let said = case_crash::judge(run.case, &crash, run.series);
    let said = timed(said, crash.run.took, &crash.dir)?;
    machine::clean_but_console(&crash.dir)?;
    Ok(said)
}

/// What was said, with how long it took, or with where to look.
fn timed(said: Result<Said>, took: Duration, dir: &Path) -> Result<Said> {
    let said = said.with_context(|| format!("see {}", dir.display()))?;
    Ok(Said { text: format!("{} ({:.1} s)", said.text, took.as_secs_f64()), ..said })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASES: &str = r#"
[[case]]
name = "one"
what = "one"
series = "boots"
stock = "given"

[[case]]
name = "two"
what = "two"
crash = true
series = "boots"
stock = "given"
"#;

    #[test]
    fn each_case_is_run_in_both_columns() {
        let cases = cases::parse(CASES).unwrap();
        let names = |pattern| {
            let (runs, evidence) = asked_for(&cases, pattern);
            (runs.into_iter().map(|run| run.name).collect::<Vec<_>>(), evidence.len())
        };
        let all = ["one-stock", "one-series", "two-stock", "two-series"];
        let all = [&all[..], &["two-crash-stock", "two-crash-series"]].concat();
        let (found, evidence) = names(None);
        assert_eq!(found, all);
        assert!(evidence > 0);
        assert_eq!(names(Some("one-se")), (vec!["one-series".into()], 0));
        assert_eq!(names(Some("three")), (vec![], 0));
    }

    #[test]
    fn a_tally_adds_up() {
        let mut tally = Tally::default();
        tally.add(&Said { guarded: 8, lost: 3, taken: true, ..Said::default() });
        tally.add(&Said { guarded: 8, ..Said::default() });
        assert_eq!(
            tally.shown("stock"),
            "stock: 2 boots; 1 take memory that was not given; 3 bytes of 16 lost behind the fence"
        );
    }
}
