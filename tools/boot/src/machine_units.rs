// SPDX-License-Identifier: GPL-2.0

//! What `machines.toml` has to be crashed, and that all that it names is there.

use crate::{cause::Cause, crash_case::Loader, kexec_tools::KexecTools, properties::PROPERTIES};
use anyhow::{Context, Result};
use build::config;
use cases::Case;
use machines::Entry;
use util::{place, setup};

/// A machine and one of its loaders: all its columns are crashed, one after another.
#[derive(Clone, Debug)]
pub struct Unit {
    /// The name.
    pub name: String,
    pub(crate) entry: Entry,
    pub(crate) loader: Loader,
    pub(crate) kexec_tools: KexecTools,
    pub(crate) cause: Cause,
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
        let loaders = Loader::ALL.map(Loader::name);
        let flavours: Vec<_> = self.flavours.iter().map(String::as_str).collect();
        let cases: Vec<_> = self.cases.iter().map(|case| case.name.as_str()).collect();
        let properties: Vec<_> = PROPERTIES.iter().map(|property| property.key).collect();
        all("configuration", [&entry.first, &entry.crash], &flavours)?;
        all("loader", &entry.loaders, &loaders)?;
        all("case", &entry.case, &cases)?;
        let of_case = self.cases.iter().find(|case| Some(&case.name) == entry.case.as_ref());
        if let Some(Case { name, memory, .. }) =
            of_case.filter(|case| case.memory != entry.hardware.memory)
        {
            return Err(setup!("the case '{name}' needs hardware = {{ memory = {memory} }}"));
        }
        all("property", entry.unlike.iter().map(|unlike| &unlike.property), &properties)
    }
}

/// The one of `known` that has this name.
fn named<T: Copy>(
    what: &str,
    known: &[T],
    name_of: fn(T) -> &'static str,
    name: &String,
) -> Result<T> {
    let names: Vec<_> = known.iter().map(|one| name_of(*one)).collect();
    all(what, [name], &names)?;
    let found = known.iter().find(|one| name_of(**one) == name);
    found.copied().with_context(|| format!("there is no {what} '{name}'"))
}

/// All that is named is known; the error lists what is.
fn all<'a>(what: &str, names: impl IntoIterator<Item = &'a String>, known: &[&str]) -> Result<()> {
    match names.into_iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(setup!("there is no {what} '{name}'; these are: {}", known.join(", "))),
        None => Ok(()),
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
        assert_eq!(listed, (1..=listed.len() as u32).collect(), "the list has a gap");
        assert!(listed.contains(&COMPILED), "it is no list of hazards: {listed:?}");
        for hazard in &listed {
            assert!(*hazard == COMPILED || guarded.contains(hazard), "nothing guards {hazard}");
        }
        let unknown: Vec<_> = guarded.iter().filter(|hazard| !listed.contains(hazard)).collect();
        assert!(unknown.is_empty(), "these are in no list: {unknown:?}");
    }

    #[test]
    fn what_is_not_there_is_told() {
        for (field, said) in [
            ("first = \"12k\"", "no configuration '12k'"),
            ("loaders = [\"grub\"]", "no loader 'grub'"),
            ("case = \"b\"", "no case 'b'"),
            ("case = \"map-above-4g\"", "needs hardware = { memory = 4096 }"),
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
