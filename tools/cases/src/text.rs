// SPDX-License-Identifier: GPL-2.0

//! The case file as it is written.

use crate::{
    Case, GOOD, Series, Stock,
    entries::{self, Entry, entries},
};
use anyhow::{Context, Result, ensure};
use orders::{ACPI_RECLAIM, Descriptor, EFI_PAGE, Kind, Map, MapOrder, Pages, Range};
use serde::Deserialize;
use util::name;

/// What memory is when it can be mapped write-back.
const WRITE_BACK: u64 = 8;
/// What memory is that can be mapped, but not write-back.
const WRITE_COMBINING: u64 = 2;
/// The number of EfiReservedMemoryType.
const RESERVED: u32 = 0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Text>,
}

/// One case; `cases.toml` says what each field means.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Text {
    name: String,
    what: String,
    #[serde(default = "memory")]
    memory: u64,
    #[serde(default)]
    quick: bool,
    #[serde(default)]
    crash: bool,
    #[serde(default = "yes")]
    fence: bool,
    #[serde(default)]
    acpi: Vec<String>,
    #[serde(default)]
    acpi_uncached: Vec<String>,
    #[serde(default)]
    nomap: Vec<String>,
    #[serde(default)]
    hole: Vec<String>,
    #[serde(default)]
    tables: bool,
    #[serde(default)]
    lies: Vec<Lie>,
    #[serde(default)]
    order: MapOrder,
    property: Option<Vec<String>>,
    #[serde(default)]
    lengths: Vec<usize>,
    #[serde(default = "two_and_two")]
    cells: (u32, u32),
    series: Series,
    stock: Stock,
    #[serde(rename = "stock-64k")]
    stock_64k: Option<Stock>,
}

/// A descriptor of its own.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Lie {
    #[serde(rename = "type")]
    memory_type: u32,
    start: String,
    pages: String,
    #[serde(default = "write_back")]
    attributes: u64,
}

fn memory() -> u64 {
    512
}

fn yes() -> bool {
    true
}

fn two_and_two() -> (u32, u32) {
    (2, 2)
}

fn write_back() -> u64 {
    WRITE_BACK
}

/// The cases of a file; one that has several lengths is several cases.
pub fn parse(text: &str) -> Result<Vec<Case>> {
    let file: File = toml::from_str(text)?;
    let mut cases = Vec::new();
    for text in &file.case {
        let case = text.case().with_context(|| format!("the case '{}'", text.name))?;
        if text.lengths.is_empty() {
            cases.push(case);
            continue;
        }
        for &length in &text.lengths {
            let mut property = case.property.clone().context("a length, and no property")?;
            ensure!(length <= property.len(), "it has no {length} bytes");
            property.truncate(length);
            cases.push(Case {
                name: format!("{}-{length}", case.name),
                what: case.what.replace("{length}", &length.to_string()),
                property: Some(property),
                ..case.clone()
            });
        }
    }
    name::check("cases", cases.iter().map(|case| &case.name))?;
    Ok(cases)
}

impl Text {
    fn case(&self) -> Result<Case> {
        let kind = |memory_type, attributes| Some(Kind { memory_type, attributes });
        let acpi = all(&self.acpi)?;
        let mut ranges = Vec::new();
        for (entries, described) in [
            (acpi.clone(), kind(ACPI_RECLAIM, WRITE_BACK)),
            (all(&self.acpi_uncached)?, kind(ACPI_RECLAIM, WRITE_COMBINING)),
            (all(&self.nomap)?, kind(RESERVED, WRITE_BACK)),
            (all(&self.hole)?, None),
        ] {
            for entry in entries {
                ranges.push(Range { pages: entries::pages(entry)?, described });
            }
        }
        ranges.sort_by_key(|range| range.pages);
        let apart = |pair: &[Range]| pair[0].pages.end() <= pair[1].pages.start;
        ensure!(ranges.windows(2).all(apart), "two of its ranges overlap");
        Ok(Case {
            name: self.name.clone(),
            what: self.what.clone(),
            memory: self.memory,
            quick: self.quick,
            crash: self.crash,
            fence: self.fence,
            map: Map {
                ranges,
                descriptors: self.lies.iter().map(Lie::descriptor).collect::<Result<_>>()?,
                order: self.order,
            },
            move_tables: self.tables,
            property: self.property.as_ref().map(|terms| property(terms, &acpi)).transpose()?,
            cells: self.cells,
            series: self.series,
            stock: self.stock,
            stock_64k: self.stock_64k,
        })
    }
}

impl Lie {
    fn descriptor(&self) -> Result<Descriptor> {
        Ok(Descriptor {
            pages: Pages {
                start: entries::number(&self.start)?,
                count: entries::number(&self.pages)?,
            },
            kind: Kind { memory_type: self.memory_type, attributes: self.attributes },
        })
    }
}

fn all(terms: &[String]) -> Result<Vec<Entry>> {
    let lists: Vec<_> = terms.iter().map(|term| entries(term)).collect::<Result<_>>()?;
    Ok(lists.concat())
}

/// The bytes of a property; `good` and `acpi` stand for what is called so.
fn property(terms: &[String], acpi: &[Entry]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for term in terms {
        let entries = match term.as_str() {
            "good" => vec![(GOOD.start, GOOD.count * EFI_PAGE)],
            "acpi" => acpi.to_vec(),
            term => entries(term)?,
        };
        bytes.extend(entries.into_iter().flat_map(entries::bytes));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
[[case]]
name = "cut"
what = "{length} bytes"
property = ["good", "acpi"]
lengths = [15, 31]
acpi = ["2 * 0x50001000+0x1000 / 0x10000"]
nomap = ["0x50000000+0x1000"]
series = "boots"
stock = "all"
"#;

    #[test]
    fn each_length_is_a_case() {
        let cases = parse(FILE).unwrap();
        assert_eq!((cases[0].name.as_str(), cases[1].what.as_str()), ("cut-15", "31 bytes"));
        let lengths: Vec<_> =
            cases.iter().map(|case| case.property.as_ref().unwrap().len()).collect();
        assert_eq!(lengths, [15, 31]);
        assert_eq!(cases[1].property.as_ref().unwrap()[16..24], 0x5000_1000u64.to_be_bytes());
        let first = cases[0].map.ranges[0];
        assert_eq!(first.described.unwrap().memory_type, RESERVED, "ranges are sorted");
    }

    #[test]
    fn pages_of_64_kib_may_make_a_difference() {
        let with = |file: &str, page| parse(file).unwrap()[0].stock_with(page);
        assert_eq!(with(FILE, 64 << 10), Stock::All);
        let file = format!("{FILE}stock-64k = \"nothing\"\n");
        assert_eq!((with(&file, 4 << 10), with(&file, 64 << 10)), (Stock::All, Stock::Nothing));
    }

    #[test]
    fn mistakes_are_told() {
        for (right, wrong, said) in [
            ("stock =", "stocks =", "unknown field `stocks`"),
            ("[15, 31]", "[15, 49]", "no 49 bytes"),
            ("[15, 31]", "[15, 15]", "same name, '"),
            ("name = \"", "name = \"../", "is no name"),
            ("0x50000000+0x1000", "0x50000000+0x2000", "overlap"),
            ("0x50000000+0x1000", "0x50000000+0x100", "whole pages"),
        ] {
            let error = format!("{:#}", parse(&FILE.replace(right, wrong)).unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
