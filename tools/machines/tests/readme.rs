// SPDX-License-Identifier: GPL-2.0

//! README has every machine of `machines.toml`, and as many crashes as the entries make.

use machines::Entry;
use std::collections::BTreeMap;

const README: &str = include_str!("../../../README.md");
const MACHINES: &str = include_str!("../../../machines.toml");

/// How the table begins.
const HEAD: &str = "| what | machines | crashes |";

/// A row of the table.
struct Row {
    /// The names in backquotes.
    names: Vec<&'static str>,
    crashes: usize,
}

fn rows() -> Vec<Row> {
    let table = README.lines().skip_while(|line| !line.starts_with(HEAD));
    let rows = table.skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|line| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let crashes = cells[3].trim_matches('*').parse();
        let names = cells[2].split('`').skip(1).step_by(2).collect();
        Row { names, crashes: crashes.unwrap_or_else(|error| panic!("{line}: {error}")) }
    })
    .collect()
}

/// How many crashes each entry of the file makes, with all of its seeds.
fn crashes() -> BTreeMap<&'static str, usize> {
    let names =
        MACHINES.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let entries = machines::parse(MACHINES).unwrap();
    let of = |name: &'static str| {
        let is_it = |entry: &&Entry| {
            let seed = entry.hardware.seed.map(|seed| format!("{name}-{seed}"));
            entry.name == name || Some(&entry.name) == seed.as_ref()
        };
        let crashes = |entry: &Entry| entry.columns.len() * entry.loaders.len();
        (name, entries.iter().filter(is_it).map(crashes).sum())
    };
    let crashes: BTreeMap<_, _> = names.map(of).collect();
    let all: usize = entries.iter().map(|entry| entry.columns.len() * entry.loaders.len()).sum();
    assert_eq!(crashes.values().sum::<usize>(), all, "an entry belongs to one name");
    crashes
}

#[test]
fn readme_has_each_machine_once_and_no_other() {
    let wanted = crashes();
    let mut found: Vec<_> = rows().into_iter().flat_map(|row| row.names).collect();
    found.sort_unstable();
    let missing: Vec<_> = wanted.keys().filter(|name| !found.contains(name)).collect();
    let unknown: Vec<_> = found.iter().filter(|name| !wanted.contains_key(*name)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:?}; unknown: {unknown:?}");
    assert!(found.windows(2).all(|pair| pair[0] != pair[1]), "one is there twice");
}

#[test]
fn readme_counts_the_crashes_of_each_row_and_of_all() {
    let wanted = crashes();
    let mut rows = rows();
    let all = rows.pop().expect("the last row is of all");
    for Row { names, crashes } in &rows {
        let sum: usize = names.iter().filter_map(|name| wanted.get(name)).sum();
        assert_eq!(*crashes, sum, "the crashes of {names:?}");
    }
    assert_eq!(all.crashes, wanted.values().sum::<usize>(), "the crashes of all");
}
