// SPDX-License-Identifier: GPL-2.0

//! The names of the directories below out/boots: no two machines of `make matrix` and `make test` have
//! one in common, or the console and the dump of one would be taken for those of the other.

use crate::{crash, crash_case::Loader, evidence_cases, kunit, matrix};
use anyhow::Result;
use cases::Case;
use machines::{Column, Entry};
use std::collections::BTreeMap;
use util::setup;

/// What those of `make bench` begin with, and no others.
const BENCH: &str = "bench-";

/// That of a machine of `make bench`.
pub fn of_bench(name: &str) -> String {
    format!("{BENCH}{name}")
}

/// That of a crash of `entry`.
pub fn of_machine(entry: &Entry, column: Column, loader: &str) -> String {
    format!("{}-{}-{loader}", entry.name, column.name())
}

/// No two runs have a directory in common; the error names them.
pub fn check(cases: &[Case], entries: &[Entry]) -> Result<()> {
    let mut of: BTreeMap<String, String> = BTreeMap::new();
    for (directory, what) in all(cases, entries) {
        if directory.starts_with(BENCH) {
            return Err(setup!(
                "{what} has a name that begins with '{BENCH}', as `make bench` has"
            ));
        }
        if let Some(other) = of.get(&directory) {
            return Err(setup!(
                "{what} has its files in out/boots/{directory}, where those of {other} are; give one of \
                 them another name"
            ));
        }
        of.insert(directory, what);
    }
    Ok(())
}

/// Each with what it belongs to.
fn all(cases: &[Case], entries: &[Entry]) -> Vec<(String, String)> {
    let mut all = vec![(kunit::NAME.to_owned(), "KUnit".to_owned())];
    for mapping_2017 in [false, true] {
        for loader in Loader::ALL {
            for column in crash::COLUMNS {
                let directory = crash::directory(mapping_2017, column, loader);
                all.push((directory, "`make crash`".to_owned()));
            }
        }
    }
    for (directory, case) in matrix::directories(cases) {
        all.push((directory, format!("the case '{}' (cases.toml)", case.name)));
    }
    for case in evidence_cases::cases() {
        all.push((case.name, "the evidence".to_owned()));
    }
    for entry in entries {
        for column in &entry.columns {
            for loader in &entry.loaders {
                let what = format!("the machine '{}' (machines.toml)", entry.name);
                all.push((of_machine(entry, *column, loader), what));
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const CASE: &str = "[[case]]\nname = \"a\"\nwhat = \"a\"\ncrash = true\n\
                        series = \"boots\"\nstock = \"given\"\n";

    fn checked(machine: &str, columns: &str) -> Result<()> {
        let more = "[[machine]]\nname = \"b\"\nwhat = \"b\"\n\
                    columns = [\"stock\", \"series\", \"stock-series\", \"series-stock\"]\n";
        let machine = format!(
            "{more}[[machine]]\nname = \"{machine}\"\nwhat = \"c\"\ncolumns = [{columns}]\n"
        );
        check(&cases::parse(CASE).unwrap(), &machines::parse(&machine).unwrap())
    }

    #[test]
    fn no_two_runs_of_the_checkout_share_a_directory() {
        let cases = cases::parse(include_str!("../../../cases.toml")).unwrap();
        let entries = machines::parse(include_str!("../../../machines.toml")).unwrap();
        check(&cases, &entries).unwrap();
    }

    #[test]
    fn two_that_share_one_are_told() {
        checked("c", "\"series\"").unwrap();
        for (machine, columns, said) in [
            // A column has two words.
            ("b-stock", "\"series\"", "b-stock-series-file, where those of the machine 'b'"),
            ("evidence", "\"stock\"", "evidence-stock-file, where those of the evidence are"),
            ("crash", "\"series\"", "crash-series-file, where those of `make crash` are"),
            ("2017", "\"stock\"", "2017-stock-file, where"),
            ("bench-boot", "\"stock\"", "begins with 'bench-'"),
        ] {
            let error = checked(machine, columns).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
            assert!(
                error.to_string().starts_with(&format!("the machine '{machine}' (")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_crash_of_a_case_is_no_boot_of_another() {
        let cases = format!("{CASE}{}", CASE.replace("\"a\"", "\"a-crash\""));
        let error = check(&cases::parse(&cases).unwrap(), &[]).unwrap_err();
        assert!(error.to_string().contains("the case 'a-crash' (cases.toml) has its"), "{error}");
    }
}
