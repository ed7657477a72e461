// SPDX-License-Identifier: GPL-2.0

//! What a boot of a case was given, what the rules make of that, and what the kernel made of it.

use crate::{
    efi_map,
    fence::{Laid, lost},
    firmware_boot::Booted,
    memblock::{self, Dump},
    span,
};
use anyhow::{Context, Result};
use build::{config, kernel::Kernel};
use cases::Case;
use oracle::{Before, Boot, Cells, Descriptor, Outcome, Set, Span};
use std::fs;

/// What arm64 has room for in memblock.memory before its lists can grow (`INIT_MEMBLOCK_MEMORY_REGIONS`
/// in `arch/arm64/include/asm/memory.h`), and what the series leaves of it to others.
const REGIONS: usize = 1024;
const SPARE_REGIONS: usize = 32;

/// What a kernel was configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Configured {
    /// The size of a native page in bytes.
    pub page: u64,
    /// The last physical address, inclusive.
    last: u64,
    /// The size of the linear map in bytes.
    linear_map: u64,
    /// The size of a section in bytes.
    section: u64,
}

impl Configured {
    /// Reads the .config of `kernel`.
    pub fn of(kernel: &Kernel) -> Result<Self> {
        let text = fs::read_to_string(&kernel.config)
            .with_context(|| format!("cannot read {}", kernel.config.display()))?;
        Self::parse(&text).with_context(|| format!("in {}", kernel.config.display()))
    }

    /// A boot of such a kernel with this EFI memory map, and with no property.
    pub fn boot(self, map: Vec<Descriptor>) -> Boot {
        let Self { page, last, linear_map, section } = self;
        let boot = Boot { map, page, last, linear_map, section, ..Boot::default() };
        let before = oracle::before(&boot);
        let regions = before.mapped.spans().len() + before.nomap.spans().len();
        Boot { room: REGIONS.saturating_sub(regions + SPARE_REGIONS), ..boot }
    }

    fn parse(text: &str) -> Result<Self> {
        let options = config::parse(text);
        let number = |name: &str| -> Result<u32> {
            let value = options.get(name).with_context(|| format!("no CONFIG_{name}"))?;
            value.parse().with_context(|| format!("CONFIG_{name}={value}"))
        };
        let page = 1 << number("PAGE_SHIFT")?;
        Ok(Self {
            page,
            last: (1 << number("ARM64_PA_BITS")?) - 1,
            linear_map: 1 << (number("ARM64_VA_BITS")? - 1),
            section: oracle::section(page),
        })
    }
}

/// A boot, and what is measured of it.
pub struct CaseBoot<'a> {
    /// The case.
    pub case: &'a Case,
    /// What came of it.
    pub booted: &'a Booted,
    /// What the kernel was given, as the oracle takes it.
    pub boot: Boot,
    /// The memory of the machine before anything is taken away.
    pub before: Before,
    /// What must come of it.
    pub outcome: Outcome,
    /// memblock's lists when they were complete.
    pub dump: Option<Dump>,
    /// What the firmware has put into memory.
    pub laid: Laid,
}

impl<'a> CaseBoot<'a> {
    /// Reads the EFI memory map and all else off the console.
    pub fn new(case: &'a Case, booted: &'a Booted, configured: Configured) -> Result<Self> {
        let boot = Boot {
            property: case.property.clone(),
            cells: Cells { address: case.cells.0 as usize, size: case.cells.1 as usize },
            ..configured.boot(efi_map::parse(&booted.log)?)
        };
        let before = oracle::before(&boot);
        Ok(Self {
            case,
            booted,
            outcome: oracle::outcome(&boot),
            before,
            boot,
            dump: memblock::complete(&booted.log)?,
            laid: Laid::parse(&booted.firmware)?,
        })
    }

    /// What the property gives, as far as it can be decoded; everything, if there is none.
    pub fn given(&self) -> Set {
        let Some(property) = &self.boot.property else {
            return Set::of(&[Span::ALL]);
        };
        let given = oracle::given(property, self.boot.cells).unwrap_or_default();
        Set::of(&given.into_iter().filter_map(Result::ok).collect::<Vec<_>>())
    }

    /// How many bytes of the fence that were not given are lost, and the first of them.
    pub fn lost(&self) -> Result<(u64, Option<u64>)> {
        let fence = Set::of(&self.laid.fence);
        lost(&self.booted.memory, &fence.without(&self.given()))
    }

    /// How many bytes the fence has that were not given.
    pub fn guarded(&self) -> u128 {
        Set::of(&self.laid.fence).without(&self.given()).bytes()
    }

    /// What is not intact of the ACPI Reclaim memory of the case, in words.
    pub fn damage(&self) -> Result<Option<String>> {
        if let Some(table) = self.damaged_tables()?.first() {
            return Ok(Some(format!("the table at {table:?} is not what it was")));
        }
        let acpi = self.acpi_ranges().without(&self.laid.table_set());
        Ok(match lost(&self.booted.memory, &acpi)? {
            (0, _) => None,
            (bytes, first) => Some(format!(
                "{bytes} bytes of ACPI Reclaim memory are lost, the first at {:#x}",
                first.unwrap_or_default()
            )),
        })
    }

    fn damaged_tables(&self) -> Result<Vec<Span>> {
        self.laid.damaged_tables(|span| self.booted.memory.read(span))
    }

    /// The ACPI Reclaim memory of the case that is mapped.
    fn acpi_ranges(&self) -> Set {
        let spans: Vec<_> = self
            .case
            .map
            .ranges
            .iter()
            .filter(|range| range.described.is_some())
            .map(|range| Span { first: range.pages.start, last: range.pages.end() - 1 })
            .collect();
        Set::of(&spans).and(&self.before.acpi)
    }
}

/// The set of the oracle.
pub fn set(spans: impl IntoIterator<Item = span::Span>) -> Set {
    let spans = spans.into_iter().filter(|span| span.bytes() > 0);
    Set::of(&spans.map(|span| Span { first: span.start, last: span.end - 1 }).collect::<Vec<_>>())
}

/// The spans of a set.
pub fn spans(set: &Set) -> Vec<span::Span> {
    let spans = set.spans().iter();
    spans.map(|span| span::Span::inclusive(span.first, span.last)).collect()
}

/// The dump, or that there is none.
pub fn dump<'a>(boot: &'a CaseBoot<'_>) -> Result<&'a Dump> {
    boot.dump.as_ref().context("memblock=debug printed no complete 'MEMBLOCK configuration:'")
}

#[cfg(test)]
impl Configured {
    /// A kernel with pages of 4 KiB and addresses of 48 bits.
    pub(crate) fn made_up() -> Self {
        let text = "CONFIG_PAGE_SHIFT=12\nCONFIG_ARM64_PA_BITS=48\nCONFIG_ARM64_VA_BITS=48\n";
        Self::parse(text).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_says_what_it_was_configured_for() {
        let text = "CONFIG_PAGE_SHIFT=16\nCONFIG_ARM64_PA_BITS=48\nCONFIG_ARM64_VA_BITS=42\n";
        let wanted =
            Configured { page: 65536, last: (1 << 48) - 1, linear_map: 1 << 41, section: 1 << 29 };
        assert_eq!(Configured::parse(text).unwrap(), wanted);
        let error = Configured::parse("CONFIG_PAGE_SHIFT=12").unwrap_err();
        assert!(error.to_string().contains("CONFIG_ARM64_PA_BITS"), "{error}");
    }
}
