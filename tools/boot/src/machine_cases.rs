// SPDX-License-Identifier: GPL-2.0

//! The machines of `machines.toml`, crashed by each of their loaders.

use crate::{
    Counts,
    asked::Asked,
    case_boot::Configured,
    cause::Cause,
    crash_case::{Crash, CrashCase, Loader},
    firmware_boot::Firmware,
    guest::Guest,
    kexec_tools::KexecTools,
    machine::DISK,
    machine_verdict::{Crashed, Verdict, judge},
    parallel,
    properties::PROPERTIES,
    report::Report,
};
use anyhow::{Context, Result};
use build::{
    config,
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
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};
use util::{place, setup};

/// A machine and one of its loaders: all its columns are crashed, side by side.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The name.
    pub name: String,
    entry: Entry,
    loader: Loader,
    kexec_tools: KexecTools,
    cause: Cause,
}

/// Every machine with each of its loaders.
pub fn units() -> Result<Vec<Unit>> {
    let known = Known {
        flavours: config::flavours(&place::checkout()?.join("configs")),
        cases: cases::load()?,
    };
    units_of(machines::load()?, &known)
}

/// What an entry can name.
struct Known {
    flavours: Vec<String>,
    cases: Vec<Case>,
}

fn units_of(entries: Vec<Entry>, known: &Known) -> Result<Vec<Unit>> {
    let mut units = Vec::new();
    for entry in entries {
        let context = || format!("machines.toml, '{}'", entry.name);
        known.check(&entry).with_context(context)?;
        let kexec_tools =
            named("kexec-tools", &KexecTools::ALL, KexecTools::name, &entry.kexec_tools);
        let kexec_tools = kexec_tools.with_context(context)?;
        let cause = named("cause", &Cause::ALL, Cause::name, &entry.cause).with_context(context)?;
        for loader in Loader::ALL {
            if entry.loaders.iter().any(|name| name == loader.name()) {
                let name = format!("{}-{}", entry.name, loader.name());
                units.push(Unit { name, entry: entry.clone(), loader, kexec_tools, cause });
            }
        }
    }
    Ok(units)
}

impl Known {
    /// What an entry names is there.
    fn check(&self, entry: &Entry) -> Result<()> {
        let loader = |name: &str| Loader::ALL.iter().any(|loader| loader.name() == name);
        let flavour = |name: &str| self.flavours.iter().any(|flavour| flavour == name);
        let case = |name: &str| self.cases.iter().any(|case| case.name == name);
        let property = |key: &str| PROPERTIES.iter().any(|property| property.key == key);
        let properties = entry.unlike.iter().map(|unlike| &unlike.property);
        all("configuration", [&entry.first, &entry.crash], flavour)?;
        all("loader", &entry.loaders, loader)?;
        all("case", &entry.case, case)?;
        let of_case = self.cases.iter().find(|case| Some(&case.name) == entry.case.as_ref());
        if let Some(case) = of_case.filter(|case| case.memory != entry.hardware.memory) {
            return Err(setup!("the case '{}' has {} MiB of memory", case.name, case.memory));
        }
        all("property", properties, property)
    }
}

/// The one of `all` that has this name.
fn named<T: Copy>(what: &str, all: &[T], name_of: fn(T) -> &'static str, name: &str) -> Result<T> {
    let found = all.iter().find(|one| name_of(**one) == name);
    found.copied().ok_or_else(|| setup!("there is no {what} '{name}'"))
}

/// All that is named is known.
fn all<'a>(
    what: &str,
    names: impl IntoIterator<Item = &'a String>,
    known: impl Fn(&str) -> bool,
) -> Result<()> {
    match names.into_iter().find(|name| !known(name)) {
        Some(name) => Err(setup!("there is no {what} '{name}'")),
        None => Ok(()),
    }
}

/// Those for `make test`.
pub fn quick(source: &Source) -> Result<Counts> {
    run(source, &units()?.into_iter().filter(|unit| unit.entry.quick).collect::<Vec<_>>())
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
    cases: Vec<Case>,
}

/// What came of one unit.
struct Outcome {
    crashes: usize,
    took: Duration,
    verdict: Verdict,
}

impl Outcome {
    fn said(&self) -> String {
        let Verdict { as_expected, complaints } = &self.verdict;
        let seconds = self.took.as_secs_f64();
        let (crashes, not) = (self.crashes, complaints.len());
        let counts = format!(
            "{crashes} crashes, {as_expected} properties as expected, {not} not ({seconds:.1} s)"
        );
        [complaints.as_slice(), &[counts]].concat().join("\n")
    }
}

/// Crashes these; each unit is one test.
pub fn run(source: &Source, units: &[Unit]) -> Result<Counts> {
    let parts = Parts::of(source, units)?;
    let report = Report::begin(units.len());
    let names: Vec<_> = units.iter().map(|unit| unit.name.as_str()).collect();
    let began = Instant::now();
    let outcomes = parallel::run(&names, |at, progress| {
        let outcome = units[at].run(&parts, progress);
        let (said, failed) = match &outcome {
            Ok(outcome) => (outcome.said(), !outcome.verdict.complaints.is_empty()),
            Err(error) => (format!("{error:#}"), true),
        };
        report.result(&units[at].name, &said, !failed);
        Ok((failed, outcome.ok()))
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
    println!(
        "machines: {crashes} crashes in {:.0} s, {properties} properties as expected",
        began.elapsed().as_secs_f64()
    );
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
    fn run(&self, parts: &Parts, progress: &dyn Fn(&str)) -> Result<Outcome> {
        let began = Instant::now();
        let crashed: Vec<(Column, Crash)> = self
            .entry
            .columns
            .iter()
            .map(|column| {
                let case = self.case(*column, parts)?;
                let doing = |what: &str| progress(&format!("{}: {what}", column.name()));
                Ok((*column, case.run(parts.qemu(&self.entry)?, &parts.guest, &doing)?))
            })
            .collect::<Result<_>>()?;
        let stock = crashed.iter().find(|(column, _)| *column == Column::Stock);
        let mut verdict = Verdict::default();
        for (column, crash) in &crashed {
            let kernel =
                |flavour, series| Configured::of(parts.kernel(&self.entry, flavour, series)?);
            let said = judge(Crashed {
                entry: &self.entry,
                column: *column,
                loader: self.loader,
                crash,
                stock: stock.map(|(_, stock)| stock),
                configured: [
                    kernel(&self.entry.first, column.first())?,
                    kernel(&self.entry.crash, column.crash())?,
                ],
            });
            verdict.as_expected += said.as_expected;
            let which = |said: &String| format!("{}: {said}", column.name());
            verdict.complaints.extend(said.complaints.iter().map(which));
        }
        if verdict.complaints.is_empty() {
            // The dumps are large, and there is nothing in them that is not known.
            for (_, crash) in &crashed {
                fs::remove_file(crash.dir.join(DISK))?;
            }
        }
        Ok(Outcome { crashes: crashed.len(), took: began.elapsed(), verdict })
    }

    fn case<'a>(&'a self, column: Column, parts: &'a Parts) -> Result<CrashCase<'a>> {
        let Entry { hardware, reservation, options, crash_options, .. } = &self.entry;
        let first = parts.kernel(&self.entry, &self.entry.first, column.first())?;
        let crash = parts.kernel(&self.entry, &self.entry.crash, column.crash())?;
        let name = format!("{}-{}-{}", self.entry.name, column.name(), self.loader.name());
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
            },
            through: self
                .entry
                .alternates
                .then(|| parts.kernel(&self.entry, &self.entry.first, !column.first()))
                .transpose()?,
            patience: self.entry.patience,
            firmware: parts.firmware(&self.entry)?,
            ..CrashCase::new(name, first, crash, self.loader).told(crash_options)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, path::Path};

    /// What there is in the checkout.
    fn known() -> Known {
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        let cases = cases::parse(include_str!("../../../cases.toml")).unwrap();
        Known { flavours: config::flavours(&configs), cases }
    }

    #[test]
    fn the_file_of_the_checkout_is_in_order() {
        let entries = machines::parse(include_str!("../../../machines.toml")).unwrap();
        let units = units_of(entries, &known()).unwrap();
        assert!(units.iter().any(|unit| unit.entry.quick));
    }

    #[test]
    fn each_hazard_has_a_machine() {
        /// The code that other architectures share is compiled for them (make check GATE=arches).
        const COMPILED: u32 = 13;
        let file = include_str!("../../../machines.toml");
        let entries = machines::parse(file).unwrap();
        let guarded: BTreeSet<_> = entries.iter().flat_map(|entry| &entry.hazards).collect();
        let listed = file.lines().filter_map(|line| {
            let (number, _) = line.strip_prefix("# ")?.trim_start().split_once("  ")?;
            number.parse::<u32>().ok()
        });
        let listed: BTreeSet<_> = listed.collect();
        assert_eq!(listed, (1..=17).collect());
        for hazard in listed {
            assert!(hazard == COMPILED || guarded.contains(&hazard), "nothing guards {hazard}");
        }
        assert!(guarded.iter().all(|hazard| **hazard <= 17));
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (field, said) in [
            ("first = \"12k\"", "no configuration '12k'"),
            ("loaders = [\"grub\"]", "no loader 'grub'"),
            ("case = \"b\"", "no case 'b'"),
            ("case = \"map-above-4g\"", "has 4096 MiB"),
            ("cause = \"b\"", "no cause 'b'"),
            ("kexec-tools = \"b\"", "no kexec-tools 'b'"),
            (
                "unlike = [{ property = \"b\", expected = \"holds\", why = \"c\" }]",
                "no property 'b'",
            ),
        ] {
            let text = format!("[[machine]]\nname = \"a\"\nwhat = \"a\"\n{field}");
            let error = units_of(machines::parse(&text).unwrap(), &known()).unwrap_err();
            assert!(format!("{error:#}").contains(said), "{error:#}");
        }
    }
}
