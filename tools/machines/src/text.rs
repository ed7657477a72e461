// SPDX-License-Identifier: GPL-2.0

//! The file of machines as it is written.

use crate::{Column, Entry, Hardware, Tables, Unlike};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    machine: Vec<Text>,
}

/// One machine; `machines.toml` says what each field means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Text {
    name: String,
    what: String,
    #[serde(default)]
    hazards: Vec<u32>,
    #[serde(default)]
    hardware: Hardware,
    #[serde(default)]
    seeds: Vec<u64>,
    #[serde(default = "minimal")]
    first: String,
    crash: Option<String>,
    #[serde(default = "columns")]
    columns: Vec<Column>,
    #[serde(default = "loaders")]
    loaders: Vec<String>,
    #[serde(default = "stable")]
    kexec_tools: String,
    #[serde(default = "reservation")]
    reservation: String,
    #[serde(default)]
    options: String,
    #[serde(default)]
    crash_options: Option<String>,
    #[serde(default = "sysrq")]
    cause: String,
    case: Option<String>,
    #[serde(default)]
    hops: usize,
    #[serde(default)]
    alternates: bool,
    #[serde(default)]
    reads_dump: bool,
    #[serde(default)]
    efi_runtime: bool,
    #[serde(default)]
    headers_only: bool,
    #[serde(default = "once")]
    patience: u32,
    #[serde(default)]
    says: Vec<String>,
    #[serde(default)]
    tables: Tables,
    #[serde(default)]
    dies: Vec<Column>,
    #[serde(default)]
    unlike: Vec<Unlike>,
    #[serde(default)]
    quick: bool,
}

fn minimal() -> String {
    "minimal".into()
}

fn columns() -> Vec<Column> {
    vec![Column::Stock, Column::Series]
}

fn loaders() -> Vec<String> {
    vec!["file".into(), "load".into()]
}

fn stable() -> String {
    "stable".into()
}

fn reservation() -> String {
    "crashkernel=256M".into()
}

fn sysrq() -> String {
    "sysrq".into()
}

fn once() -> u32 {
    1
}

/// What a crash kernel is told on most servers.
const CRASH_OPTIONS: &str = "nr_cpus=1 reset_devices";

/// The machines of a file; one that has several seeds is several machines.
pub fn parse(text: &str) -> Result<Vec<Entry>> {
    let file: File = toml::from_str(text)?;
    let mut entries = Vec::new();
    for text in file.machine {
        let name = text.name.clone();
        let seeds = text.seeds.clone();
        let entry = text.entry().with_context(|| format!("the machine '{name}'"))?;
        if seeds.is_empty() {
            entries.push(entry);
            continue;
        }
        for seed in seeds {
            entries.push(Entry {
                name: format!("{name}-{seed}"),
                hardware: Hardware { seed: Some(seed), ..entry.hardware.clone() },
                ..entry.clone()
            });
        }
    }
    let mut names = BTreeSet::new();
    for Entry { name, .. } in &entries {
        // It is that of a directory, too.
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = !name.is_empty() && name.chars().all(fits);
        ensure!(is_name, "'{name}' is no name: it may have a to z, 0 to 9 and '-'");
        ensure!(names.insert(name), "two machines have the same name, '{name}'");
    }
    Ok(entries)
}

impl Text {
    fn entry(self) -> Result<Entry> {
        ensure!(!self.columns.is_empty(), "it has no column");
        ensure!(!self.loaders.is_empty(), "it has no loader");
        ensure!(is_set(&self.columns), "a column is there twice");
        ensure!(is_set(&self.loaders), "a loader is there twice");
        let Hardware { cpus, memory, nodes, .. } = self.hardware;
        ensure!(cpus > 0 && memory > 0 && nodes > 0, "it has none of cpus, memory or nodes");
        ensure!(self.patience > 0, "patience = 0 waits for nothing");
        ensure!(self.hops > 0 || !self.alternates, "alternates, and no hops");
        let is_column = |column: &Column| self.columns.contains(column);
        ensure!(self.dies.iter().all(is_column), "dies: a column that it has not");
        for unlike in &self.unlike {
            let Unlike { property, columns, loader, why, .. } = unlike;
            ensure!(columns.iter().all(is_column), "unlike, {property}: a column that it has not");
            let is_loader = loader.iter().all(|loader| self.loaders.contains(loader));
            ensure!(is_loader, "unlike, {property}: a loader that it has not");
            ensure!(!why.is_empty(), "unlike, {property}: no why");
        }
        ensure!(self.hardware.cpus >= self.hardware.nodes, "it has more nodes than processors");
        ensure!(
            self.hardware.memory.is_multiple_of(self.hardware.nodes.into()),
            "its nodes differ"
        );
        Ok(Entry {
            name: self.name,
            what: self.what,
            hazards: self.hazards,
            hardware: self.hardware,
            crash: self.crash.unwrap_or_else(|| self.first.clone()),
            first: self.first,
            columns: self.columns,
            loaders: self.loaders,
            kexec_tools: self.kexec_tools,
            reservation: self.reservation,
            options: self.options,
            crash_options: self.crash_options.unwrap_or_else(|| CRASH_OPTIONS.into()),
            cause: self.cause,
            case: self.case,
            hops: self.hops,
            alternates: self.alternates,
            reads_dump: self.reads_dump,
            efi_runtime: self.efi_runtime,
            headers_only: self.headers_only,
            patience: self.patience,
            says: self.says,
            tables: self.tables,
            dies: self.dies,
            unlike: self.unlike,
            quick: self.quick,
        })
    }
}

/// Whether nothing is there twice.
fn is_set<T: Ord>(list: &[T]) -> bool {
    list.iter().collect::<BTreeSet<_>>().len() == list.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Expected;

    const FILE: &str = r#"
[[machine]]
name = "place"
what = "a kernel at a random place"
seeds = [1, 2]
hardware = { cpu = "max", memory = 1024, nodes = 2 }
first = "64k"
columns = ["series"]
unlike = [{ property = "a", loader = "load", expected = "fails", why = "b" }]
"#;

    #[test]
    fn each_seed_is_a_machine() {
        let entries = parse(FILE).unwrap();
        assert_eq!((entries[0].name.as_str(), entries[1].hardware.seed), ("place-1", Some(2)));
        assert_eq!(entries[0].crash, "64k", "both kernels are the same");
        assert_eq!(entries[0].hardware.cpus, 2);
        assert_eq!(entries[0].loaders, ["file", "load"]);
    }

    #[test]
    fn what_is_unlike_is_so_for_one_loader() {
        let unlike = &parse(FILE).unwrap()[0].unlike[0];
        assert_eq!(unlike.expected, Expected::Fails);
        assert!(unlike.concerns(Column::Series, "load"));
        assert!(!unlike.concerns(Column::Series, "file"));
    }

    #[test]
    fn mistakes_are_told() {
        for (right, wrong, said) in [
            ("what =", "whats =", "unknown field `whats`"),
            ("\"series\"", "\"serious\"", "unknown variant `serious`"),
            ("[1, 2]", "[1, 1]", "same name, '"),
            ("name = \"", "name = \"../", "is no name"),
            ("nodes = 2", "nodes = 3", "more nodes than processors"),
            ("memory = 1024", "memory = 1023", "nodes differ"),
            ("columns = [\"series\"]", "columns = []", "no column"),
            ("columns = [\"series\"]", "columns = [\"series\", \"series\"]", "twice"),
            ("columns = [\"series\"]", "dies = [\"series-stock\"]", "that it has not"),
            ("loader = \"load\"", "loader = \"lead\"", "a loader that it has not"),
            ("why = \"b\"", "why = \"\"", "no why"),
            ("memory = 1024", "memory = 0", "none of"),
            ("what =", "patience = 0\nwhat =", "waits for nothing"),
        ] {
            let error = format!("{:#}", parse(&FILE.replace(right, wrong)).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
