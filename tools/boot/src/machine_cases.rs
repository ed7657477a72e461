// SPDX-License-Identifier: GPL-2.0

//! The machines of `machines.toml`, crashed by each of their loaders.

use crate::{
    Counts,
    asked::Asked,
    case_boot::Configured,
    crash_case::{Crash, CrashCase},
    directories,
    firmware_boot::Firmware,
    guest::Guest,
    machine,
    machine_units::{Unit, units},
    machine_verdict::{Crashed, Verdict, judge},
    parallel::{self, Room, taken_by},
    report::Report,
    selftests::Selftests,
};
use anyhow::{Context, Result};
use build::{
    deps::{self, Qemu},
    kernel::{Kernel, Source, Spec, Variant, obtain},
    secure_boot,
};
use cases::Case;
use machines::{
    Column, Entry,
    Firmware::{Host, Newest, SecureBoot},
};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};
use util::disk;

/// Those for `make test`.
pub fn quick(source: &Source) -> Result<Counts> {
    let quick: Vec<_> = units()?.into_iter().filter(|unit| unit.entry.quick).collect();
    run(source, &quick, &Report::begin(quick.len()))
}

/// What the units have in common.
struct Parts {
    qemu: Qemu,
    /// The same with the newest firmware, where a machine has that.
    newest: Option<Qemu>,
    /// The same with Secure Boot.
    secure_boot: Option<Qemu>,
    guest: Guest,
    /// By their configuration, whether they have the series, and whether they are signed.
    kernels: BTreeMap<(String, bool, bool), Kernel>,
    application: Option<PathBuf>,
    selftests: Option<Selftests>,
    cases: Vec<Case>,
}

/// What came of one unit.
struct Outcome {
    crashes: usize,
    /// The version of what loaded the crash kernels.
    kexec_tools: String,
    took: Duration,
    verdict: Verdict,
}

impl Outcome {
    /// What is said of a machine, and `what` is special about it.
    fn said(&self, what: &str) -> String {
        let Verdict { as_expected, complaints } = &self.verdict;
        let seconds = self.took.as_secs_f64();
        let (crashes, not) = (self.crashes, complaints.len());
        let counts = format!(
            "{crashes} crashes, {as_expected} properties as expected, {not} not ({seconds:.1} s, \
             kexec-tools {})",
            self.kexec_tools
        );
        [&[what.to_owned()], complaints.as_slice(), &[counts]].concat().join("\n")
    }
}

/// Crashes these; each unit is one test.
pub fn run(source: &Source, units: &[Unit], report: &Report) -> Result<Counts> {
    let parts = Parts::of(source, units)?;
    let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
    let began = Instant::now();
    let takes = |at: usize| units[at].memory();
    let outcomes = parallel::run_within(&Room::of_host(), &names, takes, |at, progress| {
        let outcome = units[at].run(&parts, progress);
        let name = &units[at].name;
        match outcome {
            Ok(outcome) => {
                let failed = !outcome.verdict.complaints.is_empty();
                report.result(name, &outcome.said(&units[at].entry.what), !failed);
                Ok((failed, Some(outcome)))
            }
            Err(error) => report.failed(name, error).map(|()| (true, None)),
        }
    })?;
    let mut counts = Counts::default();
    let (mut crashes, mut properties) = (0, 0);
    for (failed, outcome) in outcomes {
        if failed {
            counts.failed += 1
        } else {
            counts.passed += 1
        }
        if let Some(outcome) = outcome {
            crashes += outcome.crashes;
            properties += outcome.verdict.as_expected;
        }
    }
    report.comment(&format!(
        "machines: {crashes} crashes in {:.0} s, {properties} properties as expected",
        began.elapsed().as_secs_f64()
    ));
    Ok(counts)
}

/// Whether the firmware starts signed kernels only.
fn is_signed(entry: &Entry) -> bool {
    entry.hardware.firmware == SecureBoot
}

impl Parts {
    fn of(source: &Source, units: &[Unit]) -> Result<Self> {
        let mut kernels = BTreeMap::new();
        for Unit { entry, .. } in units {
            for column in &entry.columns {
                let pair = [(&entry.first, column.first()), (&entry.crash, column.crash())];
                let other = entry.alternates.then_some((&entry.first, !column.first()));
                for (flavour, series) in pair.into_iter().chain(other) {
                    let key = (flavour.clone(), series, is_signed(entry));
                    if kernels.contains_key(&key) {
                        continue;
                    }
                    let variant = Variant { series, mapping_2017: false };
                    let flavour = flavour.clone();
                    let kernel = obtain(&Spec { source: source.clone(), variant, flavour })?;
                    let kernel = if key.2 { secure_boot::signed(&kernel)? } else { kernel };
                    kernels.insert(key, kernel);
                }
            }
        }
        let firmware = units.iter().any(|unit| unit.entry.case.is_some());
        let selftests = units.iter().any(|unit| unit.entry.selftests);
        let qemu = deps::qemu()?;
        let with = |firmware: machines::Firmware| {
            units.iter().any(|unit| unit.entry.hardware.firmware == firmware)
        };
        let newest = with(Newest).then(|| qemu.clone().with_newest_firmware()).transpose()?;
        let secure_boot = with(SecureBoot).then(|| secure_boot::machine(&qemu)).transpose()?;
        Ok(Self {
            qemu,
            newest,
            secure_boot,
            guest: Guest::find()?,
            kernels,
            application: firmware.then(build::firmware::obtain).transpose()?,
            selftests: selftests.then(|| Selftests::of(source)).transpose()?,
            cases: cases::load()?,
        })
    }

    fn kernel(&self, entry: &Entry, flavour: &str, series: bool) -> Result<&Kernel> {
        self.kernels
            .get(&(flavour.to_string(), series, is_signed(entry)))
            .with_context(|| format!("there is no kernel {flavour}"))
    }

    fn qemu(&self, entry: &Entry) -> Result<&Qemu> {
        let qemu = match entry.hardware.firmware {
            Host => Some(&self.qemu),
            Newest => self.newest.as_ref(),
            SecureBoot => self.secure_boot.as_ref(),
        };
        qemu.context("the firmware was not looked for")
    }

    fn firmware(&self, entry: &Entry) -> Result<Option<Firmware<'_>>> {
        let Some(name) = &entry.case else { return Ok(None) };
        let case = self.cases.iter().find(|case| case.name == *name);
        let case = case.with_context(|| format!("there is no case {name}"))?;
        let application = self.application.as_ref().context("the firmware was not built")?;
        Ok(Some(Firmware { application, case }))
    }
}

impl Unit {
    /// What its machine and the dump take of the host's memory, in bytes. What nobody reads is hardly
    /// touched.
    fn memory(&self) -> u64 {
        let own = self.entry.hardware.memory;
        if self.entry.headers_only { ((own << 20) / 8).max(1 << 30) } else { taken_by(own, 1) }
    }

    fn run(&self, parts: &Parts, progress: &dyn Fn(&str)) -> Result<Outcome> {
        let began = Instant::now();
        let mut verdict = Verdict::default();
        let mut crashed: Vec<(Column, Crash)> = Vec::new();
        for column in &self.entry.columns {
            let doing = |what: &str| progress(&format!("{}: {what}", column.name()));
            let qemu = parts.qemu(&self.entry)?;
            // What the others came to is told in any case.
            match self.case(*column, parts).and_then(|case| case.run(qemu, &parts.guest, &doing)) {
                Ok(crash) => crashed.push((*column, crash)),
                Err(error) if disk::is_full(&error) => return Err(error),
                Err(error) => verdict.complaints.push(format!("{}: {error:#}", column.name())),
            }
        }
        let stock = crashed.iter().find(|(column, _)| *column == Column::Stock);
        for (column, crash) in &crashed {
            let kernel =
                |flavour, series| Configured::of(parts.kernel(&self.entry, flavour, series)?);
            let said = judge(Crashed {
                entry: &self.entry,
                column: *column,
                loader: self.loader,
                crash,
                stock: stock.filter(|stock| stock.0 != *column).map(|(_, stock)| stock),
                configured: [
                    kernel(&self.entry.first, column.first())?,
                    kernel(&self.entry.crash, column.crash())?,
                ],
            });
            verdict.as_expected += said.as_expected;
            if !said.complaints.is_empty() {
                verdict.complaints.push(format!("see {}", crash.dir.display()));
            }
            let which = |said: &String| format!("{}: {said}", column.name());
            verdict.complaints.extend(said.complaints.iter().map(which));
        }
        if verdict.complaints.is_empty() {
            // There is nothing in the dumps that is not known, and nobody boots it again.
            for (_, crash) in &crashed {
                machine::clean_but_console(&crash.dir)?;
            }
        }
        let kexec_tools = self.kexec_tools.version()?;
        Ok(Outcome { crashes: crashed.len(), kexec_tools, took: began.elapsed(), verdict })
    }

    fn case<'a>(&'a self, column: Column, parts: &'a Parts) -> Result<CrashCase<'a>> {
        let Entry { hardware, reservation, options, crash_options, .. } = &self.entry;
        let first = parts.kernel(&self.entry, &self.entry.first, column.first())?;
        let crash = parts.kernel(&self.entry, &self.entry.crash, column.crash())?;
        let trouble = self.entry.trouble.iter().filter(|trouble| trouble.concerns(column));
        let name = directories::of_machine(&self.entry, column, self.loader.name());
        Ok(CrashCase {
            hardware: hardware.clone(),
            reservation: reservation.clone(),
            first_options: options.clone(),
            kexec_tools: self.kexec_tools,
            asked: Asked {
                cause: self.cause,
                hops: self.entry.hops,
                efi_runtime: self.entry.efi_runtime,
                headers_only: self.entry.headers_only,
                device_tree: hardware.device_tree,
                reads_dump: self.entry.reads_dump,
                selftests: self.entry.selftests,
            },
            selftests: self.entry.selftests.then_some(parts.selftests.as_ref()).flatten(),
            through: self
                .entry
                .alternates
                .then(|| parts.kernel(&self.entry, &self.entry.first, !column.first()))
                .transpose()?,
            expected_trouble: trouble.map(|trouble| trouble.line.clone()).collect(),
            patience: self.entry.patience,
            firmware: parts.firmware(&self.entry)?,
            ..CrashCase::new(name, first, crash, self.loader).told(crash_options)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_says_what_is_special_and_what_is_wrong() {
        let outcome = Outcome {
            crashes: 2,
            kexec_tools: "2.0.29".into(),
            took: Duration::from_millis(8_700),
            verdict: Verdict { as_expected: 70, complaints: vec!["stock: BUG: a".into()] },
        };
        assert_eq!(
            outcome.said("pages of 64 KiB"),
            "pages of 64 KiB\nstock: BUG: a\n2 crashes, 70 properties as expected, 1 not (8.7 s, \
             kexec-tools 2.0.29)"
        );
    }
}
