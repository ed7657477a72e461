// SPDX-License-Identifier: GPL-2.0

//! The file of machines as it is written.

use crate::{CRASH_MEMORY, CRASH_OPTIONS, Column, Entry, Hardware, Says, Tables, Trouble, Unlike};
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeSet;
use util::name;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    machine: Vec<Text>,
}

/// The same as it stands there.
#[derive(Deserialize)]
struct Raw {
    machine: Vec<toml::Table>,
}

/// One machine; `machines.toml` says what each field means.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Text {
    name: String,
    what: String,
    /// The entry above that it takes all other fields from; they are there when this is read.
    #[serde(default)]
    like: Option<String>,
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
    selftests: bool,
    #[serde(default)]
    efi_runtime: bool,
    #[serde(default)]
    headers_only: bool,
    #[serde(default = "once")]
    patience: u32,
    #[serde(default)]
    says: Vec<Says>,
    #[serde(default)]
    trouble: Vec<Trouble>,
    #[serde(default)]
    log_overflows: bool,
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
    crate::reservation(CRASH_MEMORY)
}

fn sysrq() -> String {
    "sysrq".into()
}

fn once() -> u32 {
    1
}

/// The machines of a file; one that has several seeds is several machines.
pub fn parse(text: &str) -> Result<Vec<Entry>> {
    let file: File = toml::from_str(text)?;
    let mut entries = Vec::new();
    for text in put_together(file, toml::from_str(text)?)? {
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
    name::check("machines", entries.iter().map(|entry| &entry.name))?;
    Ok(entries)
}

/// What an entry does not take from another one.
const ITS_OWN: [&str; 4] = ["name", "what", "hazards", "quick"];

/// The entries, each with what it takes from the one that it is like.
fn put_together(file: File, raw: Raw) -> Result<Vec<Text>> {
    let mut whole: Vec<toml::Table> = Vec::new();
    let mut texts = Vec::new();
    for (text, table) in file.machine.into_iter().zip(raw.machine) {
        let Some(like) = &text.like else {
            whole.push(table);
            texts.push(text);
            continue;
        };
        let context = || format!("the machine '{}'", text.name);
        let name =
            |other: &toml::Table| other.get("name").and_then(toml::Value::as_str) == Some(like);
        let other = whole.iter().find(|other| name(other));
        let other = other.with_context(|| format!("no machine above is called '{like}'"));
        let mut entry = other.with_context(context)?.clone();
        entry.retain(|field, _| !ITS_OWN.contains(&field));
        entry.extend(table);
        texts.push(toml::Value::from(entry.clone()).try_into().with_context(context)?);
        whole.push(entry);
    }
    Ok(texts)
}

impl Text {
    fn entry(self) -> Result<Entry> {
        ensure!(!self.columns.is_empty(), "it has no column");
        ensure!(!self.loaders.is_empty(), "it has no loader");
        ensure!(is_set(&self.columns), "a column is there twice");
        ensure!(is_set(&self.loaders), "a loader is there twice");
        let Hardware { cpus, memory, nodes, .. } = self.hardware;
        ensure!(cpus > 0 && memory > 0 && nodes > 0, "cpus, memory and nodes have to be above 0");
        ensure!(self.patience > 0, "patience = 0 waits for nothing");
        ensure!(self.hops > 0 || !self.alternates, "alternates, and no hops");
        let is_column = |column: &Column| self.columns.contains(column);
        ensure!(self.dies.iter().all(is_column), "dies: a column that it has not");
        let mut said = self.says.iter().flat_map(|says| &says.columns);
        ensure!(said.all(is_column), "says: a column that it has not");
        for Trouble { columns, why, .. } in &self.trouble {
            ensure!(columns.iter().all(is_column), "trouble: a column that it has not");
            ensure!(!why.is_empty(), "trouble: no why");
        }
        for unlike in &self.unlike {
            let Unlike { property, columns, loader, why, .. } = unlike;
            ensure!(columns.iter().all(is_column), "unlike, {property}: a column that it has not");
            let is_loader = loader.iter().all(|loader| self.loaders.contains(loader));
            ensure!(is_loader, "unlike, {property}: a loader that it has not");
            ensure!(!why.is_empty(), "unlike, {property}: no why");
        }
        ensure!(cpus >= nodes, "nodes = {nodes} is more than cpus = {cpus}");
        let equal = memory.is_multiple_of(nodes.into());
        ensure!(equal, "memory = {memory} is no multiple of nodes = {nodes}");
        let told = [
            ("reservation", Some(&self.reservation)),
            ("options", Some(&self.options)),
            ("crash-options", self.crash_options.as_ref()),
        ];
        for (field, options) in told {
            // The guest has them from a script, between quotes.
            let fits = options.is_none_or(|options| !options.contains(['\'', '\n', '\r']));
            ensure!(fits, "{field}: no quote (') and no end of a line can be told to a kernel");
        }
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
            selftests: self.selftests,
            efi_runtime: self.efi_runtime,
            headers_only: self.headers_only,
            patience: self.patience,
            says: self.says,
            trouble: self.trouble,
            log_overflows: self.log_overflows,
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
    fn an_entry_is_like_another_one() {
        let more = "[[machine]]\nname = \"b\"\nwhat = \"c\"\nlike = \"place\"\n\
                    seeds = []\nfirst = \"16k\"\n";
        let entries = parse(&format!("{FILE}{more}")).unwrap();
        let (other, entry) = (&entries[0], &entries[2]);
        assert_eq!((entry.name.as_str(), entry.first.as_str()), ("b", "16k"));
        assert_eq!((&entry.unlike, &entry.columns), (&other.unlike, &other.columns));
        let error = parse(&format!("{FILE}{}", more.replace("place", "peace"))).unwrap_err();
        let said = "the machine 'b': no machine above is called 'peace'";
        assert_eq!(format!("{error:#}"), said);
    }

    #[test]
    fn mistakes_are_told() {
        for (right, wrong, said) in [
            ("what =", "whats =", "unknown field `whats`"),
            ("\"series\"", "\"serious\"", "unknown variant `serious`"),
            ("[1, 2]", "[1, 1]", "same name, '"),
            ("name = \"", "name = \"../", "is no name"),
            ("nodes = 2", "nodes = 3", "machine 'place': nodes = 3 is more than cpus = 2"),
            ("memory = 1024", "memory = 1023", "memory = 1023 is no multiple of nodes = 2"),
            ("columns = [\"series\"]", "columns = []", "no column"),
            ("columns = [\"series\"]", "columns = [\"series\", \"series\"]", "twice"),
            ("columns = [\"series\"]", "dies = [\"series-stock\"]", "that it has not"),
            ("loader = \"load\"", "loader = \"lead\"", "a loader that it has not"),
            ("why = \"b\"", "why = \"\"", "no why"),
            ("memory = 1024", "memory = 0", "have to be above 0"),
            ("what =", "patience = 0\nwhat =", "waits for nothing"),
            ("what =", "options = \"a='b'\"\nwhat =", "options: no quote"),
            ("what =", "crash-options = \"a\\nb\"\nwhat =", "crash-options: no quote"),
            ("what =", "reservation = \"'\"\nwhat =", "reservation: no quote"),
        ] {
            let error = format!("{:#}", parse(&FILE.replace(right, wrong)).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
