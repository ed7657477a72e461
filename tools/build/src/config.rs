// SPDX-License-Identifier: GPL-2.0

//! The kernel's configuration: what is asked for, and whether that is what comes out.
//!
//! Kconfig drops an option whose dependencies are not met without a word. Here that is an error.

use crate::{kernel::Variant, toolchain::Toolchain};
use anyhow::{Context, Result, bail};
use regex::Regex;
use std::{collections::BTreeMap, fs, path::Path};
use util::{place, setup};
use walkdir::WalkDir;

/// A fragment names the one that it adds to with this line.
const BASED_ON: &str = "# Based on: ";

/// Options and their values; `n` is kept as a value, because it can be asked for.
pub type Options = BTreeMap<String, String>;

/// The options that `flavour` asks for in a kernel that is `variant`.
pub fn wanted(checkout: &Path, flavour: &str, variant: &Variant) -> Result<Options> {
    let dir = checkout.join("configs");
    let mut options = Options::new();
    add(&dir, flavour, variant, &mut options)?;
    if variant.series {
        options.extend(parse(&read(&dir.join("series.config"))?));
    }
    Ok(options)
}

fn add(dir: &Path, flavour: &str, variant: &Variant, options: &mut Options) -> Result<()> {
    let text = read(&dir.join(format!("{flavour}.config")))?;
    if let Some(other) = text.lines().find_map(|line| line.strip_prefix(BASED_ON)) {
        add(dir, other.trim(), variant, options)?;
    }
    options.extend(parse(&text));
    let with_series = dir.join(format!("{flavour}.series.config"));
    if variant.series && with_series.exists() {
        options.extend(parse(&read(&with_series)?));
    }
    Ok(())
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Whether there is such a flavour; the error lists them.
pub fn check_flavour(flavour: &str) -> Result<()> {
    is_flavour(&place::checkout()?.join("configs"), flavour)
}

fn is_flavour(dir: &Path, flavour: &str) -> Result<()> {
    let flavours = flavours(dir);
    if flavours.iter().any(|one| one == flavour) {
        return Ok(());
    }
    Err(setup!("there is no FLAVOUR={flavour}; these are: {}", flavours.join(", ")))
}

/// The flavours that have a file in `dir`.
pub fn flavours(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name().into_string().ok()?;
        let flavour = name.strip_suffix(".config")?;
        (!flavour.ends_with("series")).then(|| flavour.to_string())
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Parses a .config or a part of one.
pub fn parse(text: &str) -> Options {
    text.lines()
        .filter_map(|line| {
            let line = line.trim();
            if let Some(off) = line.strip_prefix("# CONFIG_") {
                return Some((off.strip_suffix(" is not set")?.into(), "n".into()));
            }
            let (name, value) = line.strip_prefix("CONFIG_")?.split_once('=')?;
            Some((name.into(), value.into()))
        })
        .collect()
}

/// The options in the form that `KCONFIG_ALLCONFIG` takes.
pub fn text(options: &Options) -> String {
    let line = |(name, value): (&String, &String)| match value.as_str() {
        "n" => format!("# CONFIG_{name} is not set\n"),
        value => format!("CONFIG_{name}={value}\n"),
    };
    options.iter().map(line).collect()
}

/// An option that did not come out as it was asked for.
#[derive(Debug, PartialEq)]
pub struct Dropped {
    /// Without `CONFIG_`.
    pub name: String,
    /// What was asked for.
    pub wanted: String,
    /// What there is; an option that is not mentioned is off.
    pub got: String,
}

/// The options of `wanted` that `got` does not have.
pub fn dropped(wanted: &Options, got: &Options) -> Vec<Dropped> {
    wanted
        .iter()
        .filter_map(|(name, wanted)| {
            let got = got.get(name).map_or("n", String::as_str);
            (got != wanted).then(|| Dropped {
                name: name.clone(),
                wanted: wanted.clone(),
                got: got.into(),
            })
        })
        .collect()
}

/// Writes the .config of `tree` and checks it against what was asked for.
pub fn configure(tree: &Path, toolchain: &Toolchain, wanted: &Options) -> Result<()> {
    let asked = tree.with_file_name("asked.config");
    fs::write(&asked, text(wanted)).with_context(|| format!("cannot write {}", asked.display()))?;
    toolchain
        .make(tree)
        .env("KCONFIG_ALLCONFIG", &asked)
        .arg("allnoconfig")
        .run_logged(&tree.with_file_name("config.log"))?;
    let got = parse(&read(&tree.join(".config"))?);
    let dropped = dropped(wanted, &got);
    if dropped.is_empty() {
        return Ok(());
    }
    let mut reasons = Vec::new();
    for option in &dropped {
        reasons.push(format!(
            "CONFIG_{}={} was asked for, and it is {}: {}",
            option.name,
            option.wanted,
            option.got,
            reason(tree, toolchain, &option.name)?
        ));
    }
    bail!("the configuration is not what was asked for:\n{}", reasons.join("\n"))
}

/// Why Kconfig may have dropped the option `name`.
fn reason(tree: &Path, toolchain: &Toolchain, name: &str) -> Result<String> {
    if name == "RUST"
        && let Err(error) = toolchain.make(tree).arg("rustavailable").read()
    {
        return Ok(format!("{error:#}"));
    }
    let entries = entries(tree, name)?;
    if entries.is_empty() {
        return Ok("this kernel has no such option".into());
    }
    Ok(entries.join("; "))
}

/// Where the option `name` is defined, and what each definition depends on.
fn entries(tree: &Path, name: &str) -> Result<Vec<String>> {
    let skipped = |path: &Path| {
        ["Documentation", "tools", ".git"].iter().any(|dir| path == tree.join(dir))
            || (path.parent() == Some(&tree.join("arch")) && !path.ends_with("arm64"))
    };
    let mut found = Vec::new();
    let walk = WalkDir::new(tree).sort_by_file_name().into_iter();
    for entry in walk.filter_entry(|entry| !skipped(entry.path())).flatten() {
        if !entry.file_name().to_string_lossy().starts_with("Kconfig") {
            continue;
        }
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let shown = entry.path().strip_prefix(tree).unwrap_or(entry.path());
        found.extend(
            definitions(&text, name)?
                .into_iter()
                .map(|(line, depends)| format!("{}:{line} {depends}", shown.display())),
        );
    }
    Ok(found)
}

/// The definitions of `name` in one Kconfig file: line number, dependencies.
fn definitions(text: &str, name: &str) -> Result<Vec<(usize, String)>> {
    let start = Regex::new(&format!(r"^\s*(?:menu)?config\s+{}\s*$", regex::escape(name)))?;
    let end =
        Regex::new(r"^\s*(?:(?:menu)?config|menu|endmenu|if|endif|choice|endchoice|source)\b")?;
    let lines: Vec<_> = text.lines().collect();
    let mut found = Vec::new();
    for (at, _) in lines.iter().enumerate().filter(|(_, line)| start.is_match(line)) {
        let depends: Vec<_> = lines[at + 1..]
            .iter()
            .take_while(|line| !end.is_match(line))
            .map(|line| line.trim())
            .filter(|line| line.starts_with("depends on"))
            .collect();
        let depends = if depends.is_empty() {
            "has no dependency of its own".into()
        } else {
            depends.join(", ")
        };
        found.push((at + 1, depends));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STOCK: Variant = Variant { series: false, mapping_2017: false };
    const SERIES: Variant = Variant { series: true, mapping_2017: false };

    #[test]
    fn a_dropped_option_is_noticed_in_all_forms() {
        let wanted = parse(
            "CONFIG_RUST=y\nCONFIG_EFI=y\n# CONFIG_PCI is not set\n# CONFIG_X is not set\n\
             CONFIG_NR_CPUS=8\n",
        );
        let got = parse("CONFIG_EFI=y\nCONFIG_PCI=y\nCONFIG_NR_CPUS=512\n# CONFIG_RUST is not set");
        let names: Vec<_> =
            dropped(&wanted, &got).into_iter().map(|one| (one.name, one.got)).collect();
        let expected = [("NR_CPUS", "512"), ("PCI", "y"), ("RUST", "n")];
        assert_eq!(names, expected.map(|(name, got)| (name.to_string(), got.to_string())));
    }

    #[test]
    fn what_is_parsed_is_written_again() {
        let text_in = "CONFIG_CMDLINE=\"a=b c\"\nCONFIG_EFI=y\n# CONFIG_PCI is not set\n";
        assert_eq!(text(&parse(text_in)), text_in);
        assert!(parse("# a comment\n\nnothing").is_empty());
    }

    #[test]
    fn the_series_option_is_asked_for_with_the_series_only() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let with = wanted(&checkout, "minimal", &SERIES).unwrap();
        let without = wanted(&checkout, "minimal", &STOCK).unwrap();
        assert_eq!(with["EFI_ACPI_TABLES"], "y");
        assert!(!without.contains_key("EFI_ACPI_TABLES"));
        assert_eq!(without["RUST"], "y");
    }

    #[test]
    fn a_flavour_adds_to_the_one_that_it_is_based_on() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let kunit = wanted(&checkout, "kunit", &STOCK).unwrap();
        let minimal = wanted(&checkout, "minimal", &STOCK).unwrap();
        assert!(minimal.keys().all(|name| kunit.contains_key(name)));
        assert_eq!(kunit["KUNIT"], "y");
    }

    #[test]
    fn an_unknown_flavour_is_answered_with_the_known() {
        let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
        assert!(is_flavour(&configs, "minimal").is_ok());
        for name in ["nosuch", "series", "kunit.series", "../configs/minimal"] {
            let error = is_flavour(&configs, name).unwrap_err();
            assert!(error.to_string().contains("kunit, minimal"), "{error}");
        }
    }

    #[test]
    fn definitions_tell_their_dependencies() {
        let text = "config A\n\tbool \"a\"\n\tdepends on B\n\tdepends on C || D\n\nconfig AB\n\
                    \tbool\n\tdepends on E\nmenuconfig Z\n\tbool\n";
        assert_eq!(
            definitions(text, "A").unwrap(),
            [(1, "depends on B, depends on C || D".to_string())]
        );
        assert_eq!(definitions(text, "Z").unwrap()[0].1, "has no dependency of its own");
        assert!(definitions(text, "Q").unwrap().is_empty());
    }
}
