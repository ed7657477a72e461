// SPDX-License-Identifier: GPL-2.0

//! What one kernel said about itself on the console.

use crate::{
    budget::{self, Zone},
    case_boot::spans,
    efi_map,
    iomem::{self, Resource},
    kcore::Kcore,
    ktap,
    log::Log,
    memblock, processors,
    span::{Span, bytes},
    usable_memory,
};
use anyhow::{Context, Result, bail};
use oracle::{Before, Boot, Descriptor};
use regex::Regex;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

/// The facts of one kernel.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// /proc/iomem.
    pub iomem: Vec<Resource>,
    /// The EFI memory map.
    pub efi_map: Vec<Descriptor>,
    /// memblock's lists when they were complete.
    pub memblock: memblock::Dump,
    /// The physical addresses that are ioremapped, from /proc/vmallocinfo.
    pub ioremaps: Vec<Span>,
    /// MemTotal, in bytes.
    pub mem_total: u64,
    /// The size of a native page, in bytes.
    pub page: u64,
    /// The zones that have memory.
    pub zones: Vec<Zone>,
    /// How large the bounce buffers are.
    pub swiotlb: u64,
    /// The command line.
    pub command_line: String,
    /// How many processors there are.
    pub processors_present: usize,
    /// How many of them run.
    pub processors_online: usize,
    /// SHA-256 of each file below /sys/firmware/acpi/tables.
    pub tables: BTreeMap<String, String>,
    /// SHA-256 of each EFI variable, when they were asked for.
    pub efi_variables: Option<BTreeMap<String, String>>,
    /// What came of each access to the tables through /dev/mem.
    pub dev_mem: Vec<Access>,
    /// What came of each access beside them.
    pub dev_mem_beside: Vec<Access>,
    /// What /proc/kcore shows of memory, where there is one.
    pub kcore: Option<Kcore>,
    /// The bytes of `linux,usable-memory-range` in the flat device tree, where there is one.
    pub usable_property: Option<Vec<u8>>,
    /// The ranges in it; empty where there is none.
    pub usable: Vec<Span>,
    /// The nodes of the flat device tree.
    pub nodes: Vec<String>,
    /// The checks that the guest made itself.
    pub checks: Vec<ktap::Test>,
    /// What programs that read dumps made of this one: `yes`, or what they said; when they were asked.
    pub readers: BTreeMap<String, String>,
    /// What came of the kernel's own selftests of kexec, likewise.
    pub selftests: BTreeMap<String, String>,
    /// How the dump was saved; only a crash kernel saves one.
    pub saved: Option<Saved>,
}

/// One access to memory through /dev/mem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// `read`, `write` or `mmap`.
    pub kind: String,
    /// The page.
    pub page: u64,
    /// `open`, or the error.
    pub outcome: String,
}

/// How the dump was saved.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Saved {
    /// What /proc/vmcore says that it has.
    pub size: u64,
    /// What was read from it.
    pub read: u64,
    /// What was written to the disk.
    pub written: u64,
    /// How long that took.
    pub seconds: f64,
}

impl Facts {
    /// Reads the facts from the log of one kernel.
    pub fn parse(log: &Log) -> Result<Self> {
        let sections = log.sections()?;
        let section = |name: &str| {
            sections.get(name).with_context(|| format!("the guest did not come to write '{name}'"))
        };
        let page = budget::page(section("auxv")?)?;
        let [present, online] = &section("processors")?[..] else {
            bail!("the guest told no two lists of processors");
        };
        let fdt = hex_bytes(section("fdt")?)?;
        let usable_property = usable_memory::property(&fdt)?;
        Ok(Self {
            release: section("uname")?.concat(),
            iomem: iomem::parse(section("iomem")?)?,
            efi_map: efi_map::parse(log)?,
            memblock: memblock::parse(log)?
                .pop()
                .context("memblock=debug printed no 'MEMBLOCK configuration:'")?,
            ioremaps: section("ioremap")?.iter().filter_map(|line| ioremap(line)).collect(),
            mem_total: mem_total(section("meminfo")?)?,
            page,
            zones: budget::zones(section("zones")?, page)?,
            swiotlb: budget::swiotlb(log)?,
            command_line: section("cmdline")?.concat(),
            processors_present: processors::count(present)?,
            processors_online: processors::count(online)?,
            tables: section("tables")?.iter().map(|line| table(line)).collect::<Result<_>>()?,
            efi_variables: sections
                .get("efivars")
                .map(|lines| lines.iter().map(|line| table(line)).collect())
                .transpose()?,
            dev_mem: section("devmem")?.iter().map(|line| access(line)).collect::<Result<_>>()?,
            dev_mem_beside: section("beside")?
                .iter()
                .map(|line| access(line))
                .collect::<Result<_>>()?,
            kcore: kcore(section("kcore")?, section("kcoreinfo")?)?,
            usable: usable_property.as_deref().map(usable_memory::ranges).unwrap_or_default(),
            usable_property,
            nodes: usable_memory::nodes(&fdt)?,
            checks: ktap::parse(log)?,
            readers: sections.get("readers").map(|lines| said(lines)).unwrap_or_default(),
            selftests: sections.get("selftests").map(|lines| said(lines)).unwrap_or_default(),
            saved: sections.get("dump").map(|lines| saved(lines)).transpose()?,
        })
    }

    /// The EFI map's ACPI Reclaim memory that can be mapped write-back, in whole native pages: what the
    /// series calls ACPI.
    pub fn acpi_reclaim(&self) -> Vec<Span> {
        spans(&self.before().acpi)
    }

    /// What the machine has of mapped memory, in bytes.
    pub fn mapped_bytes(&self) -> u64 {
        bytes(spans(&self.before().mapped))
    }

    fn before(&self) -> Before {
        let boot = Boot { map: self.efi_map.clone(), page: self.page, ..Boot::default() };
        oracle::before(&boot)
    }

    /// Whether the kernel was told `iomem=relaxed`.
    pub fn iomem_relaxed(&self) -> bool {
        self.command_line.split_whitespace().any(|word| word == "iomem=relaxed")
    }

    /// How /dev/mem answers to one kind of access: all the different outcomes.
    pub fn dev_mem_outcomes(&self, kind: &str) -> BTreeSet<&str> {
        self.dev_mem
            .iter()
            .filter(|access| access.kind == kind)
            .map(|access| access.outcome.as_str())
            .collect()
    }
}

#[cfg(test)]
use crate::{
    guest_memory::START,
    iomem::{ACPI_TABLES, SYSTEM_RAM},
};

#[cfg(test)]
impl Facts {
    /// The facts of a crash kernel of the series, made up.
    pub(crate) fn made_up() -> Self {
        let acpi = Span { start: 0x5c43_0000, end: 0x5c44_0000 };
        let given = Span { start: 0x4a60_0000, end: 0x5a60_0000 };
        /// The number of EfiConventionalMemory.
        const CONVENTIONAL: u32 = 7;
        let region = |span| memblock::Region { span, flags: 0 };
        let resource = |span, name: &str| Resource { span, name: name.into(), children: vec![] };
        let descriptor = |kind, span: Span| Descriptor {
            kind,
            start: span.start,
            pages: span.bytes() >> 12,
            attributes: oracle::attribute::WRITE_BACK,
        };
        Self {
            release: "7.3.4".into(),
            iomem: vec![resource(given, SYSTEM_RAM), resource(acpi, ACPI_TABLES)],
            efi_map: vec![
                descriptor(CONVENTIONAL, Span { start: START, end: acpi.start }),
                descriptor(orders::ACPI_RECLAIM, acpi),
                descriptor(CONVENTIONAL, Span { start: acpi.end, end: START + (512 << 20) }),
            ],
            memblock: memblock::Dump {
                memory: [given, acpi].map(region).into(),
                reserved: vec![region(acpi)],
            },
            ioremaps: Vec::new(),
            mem_total: 240 << 20,
            page: 4096,
            zones: vec![Zone { name: (0, "DMA".into()), span: given, managed: 240 << 20 }],
            swiotlb: 512 << 10,
            command_line: "console=ttyAMA0 nr_cpus=1".into(),
            processors_present: 1,
            processors_online: 1,
            tables: [("DSDT".into(), "0123".into())].into(),
            efi_variables: None,
            dev_mem: Vec::new(),
            dev_mem_beside: Vec::new(),
            kcore: None,
            usable_property: None,
            usable: vec![given],
            nodes: Vec::new(),
            checks: Vec::new(),
            readers: BTreeMap::new(),
            selftests: BTreeMap::new(),
            saved: None,
        }
    }
}

static IOREMAP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^0x\S+-0x\S+ +(\d+) .*phys=0x([0-9a-f]+) ioremap").unwrap());

/// One line of /proc/vmallocinfo. The kernel counts the guard page that follows each mapping.
fn ioremap(line: &str) -> Option<Span> {
    const GUARD_PAGE: u64 = 4096;
    let parts = IOREMAP.captures(line)?;
    let size: u64 = parts[1].parse().ok()?;
    let start = u64::from_str_radix(&parts[2], 16).ok()?;
    Some(Span { start, end: start + size.saturating_sub(GUARD_PAGE) })
}

pub(crate) fn mem_total(meminfo: &[String]) -> Result<u64> {
    let kilobytes: u64 = meminfo
        .iter()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"))
        .context("/proc/meminfo has no MemTotal")?
        .parse()?;
    Ok(kilobytes * 1024)
}

pub(crate) fn table(line: &str) -> Result<(String, String)> {
    let (hash, path) =
        line.split_once("  ").with_context(|| format!("not a line of sha256sum: '{line}'"))?;
    let name = path.rsplit_once("/tables/").map_or(path, |(_, name)| name);
    Ok((name.into(), hash.into()))
}

/// Each line is a name and what was said of it.
fn said(lines: &[String]) -> BTreeMap<String, String> {
    let line = |line: &String| line.split_once(' ').map(|(name, said)| (name.into(), said.into()));
    lines.iter().filter_map(line).collect()
}

fn kcore(headers: &[String], info: &[String]) -> Result<Option<Kcore>> {
    let headers = hex_bytes(headers)?;
    (!headers.is_empty()).then(|| Kcore::parse(&headers, info)).transpose()
}

fn access(line: &str) -> Result<Access> {
    let mut words = line.splitn(3, ' ');
    let (Some(kind), Some(page), Some(outcome)) = (words.next(), words.next(), words.next()) else {
        bail!("not an access to /dev/mem: '{line}'");
    };
    let page = u64::from_str_radix(page.trim_start_matches("0x"), 16)
        .with_context(|| format!("not an address: '{line}'"))?;
    Ok(Access { kind: kind.into(), page, outcome: outcome.into() })
}

fn saved(lines: &[String]) -> Result<Saved> {
    let value = |name: &str| {
        lines
            .iter()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))
            .filter(|value| !value.is_empty())
            .with_context(|| format!("the guest did not say the '{name}' of the dump"))
    };
    Ok(Saved {
        size: value("size")?.parse()?,
        read: value("read")?.parse()?,
        written: value("written")?.parse()?,
        seconds: value("ended")?.parse::<f64>()? - value("began")?.parse::<f64>()?,
    })
}

pub(crate) fn hex_bytes(lines: &[String]) -> Result<Vec<u8>> {
    let digits = lines.concat();
    (0..digits.len())
        .step_by(2)
        .map(|at| {
            digits
                .get(at..at + 2)
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .context("not in hexadecimal digits")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_ioremap_is_without_its_guard_page() {
        let line = "0xffff800080005000-0xffff800080007000    8192 __ioremap_prot+0x8c/0x11c phys=0x000000007c437000 ioremap";
        assert_eq!(ioremap(line), Some(Span { start: 0x7c43_7000, end: 0x7c43_8000 }));
        assert_eq!(ioremap("0x1-0x2 8192 load_elf+0x1/0x2 pages=1 vmalloc"), None);
    }

    #[test]
    fn mem_total_is_in_bytes() {
        let text = "MemTotal:         246032 kB\nMemFree:          200000 kB\n";
        assert_eq!(mem_total(&lines(text)).unwrap(), 246_032 * 1024);
        assert!(mem_total(&lines("MemFree: 1 kB")).is_err());
    }

    #[test]
    fn tables_go_by_their_path_below_tables() {
        let (name, hash) = table("0123abcd  /sys/firmware/acpi/tables/data/BERT").unwrap();
        assert_eq!((name.as_str(), hash.as_str()), ("data/BERT", "0123abcd"));
    }

    #[test]
    fn an_outcome_may_have_blanks() {
        let access = access("mmap 0x7c430000 devmem: something else").unwrap();
        assert_eq!(access.page, 0x7c43_0000);
        assert_eq!(access.outcome, "devmem: something else");
    }

    #[test]
    fn a_dump_that_was_not_saved_has_no_size() {
        assert!(saved(&lines("size 100\nread 100\nwritten \nbegan 1.0\nended 2.5")).is_err());
        let saved = saved(&lines("size 100\nread 99\nwritten 98\nbegan 1.0\nended 2.5")).unwrap();
        assert_eq!(saved, Saved { size: 100, read: 99, written: 98, seconds: 1.5 });
    }
}
