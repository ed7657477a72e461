// SPDX-License-Identifier: GPL-2.0

//! Whose memory it is that a panic writes to, before the crash kernel begins.

use crate::{
    guest_memory::{Difference, GuestMemory},
    iomem::{self, Resource},
    span::Span,
};
use anyhow::{Context, Result};
use object::{Object, ObjectSymbol};
use std::{collections::BTreeMap, fs, path::Path};

/// The symbols of a kernel, and where it is in memory.
pub struct Owners {
    symbols: BTreeMap<u64, String>,
    /// The difference between a symbol's address and a physical one.
    image: u64,
    /// The variables that each processor has of its own: where they are, and how far that is from
    /// their symbols.
    processors: Vec<(Span, u64)>,
    /// All of the image.
    span: Span,
}

/// What is in neither: stacks, what was allocated, and what describes pages.
const ALLOCATED: &str = "allocated memory";

impl Owners {
    /// Reads the symbols of `vmlinux`, which is in `memory` where its /proc/iomem says, and has not
    /// been moved to other virtual addresses.
    pub fn new(vmlinux: &Path, iomem: &[Resource], memory: &GuestMemory) -> Result<Self> {
        let context = || format!("cannot read the symbols of {}", vmlinux.display());
        let data = fs::read(vmlinux).with_context(context)?;
        let file = object::File::parse(data.as_slice()).with_context(context)?;
        let named: BTreeMap<&str, u64> = file
            .symbols()
            .filter_map(|symbol| Some((symbol.name().ok()?, symbol.address())))
            .collect();
        let address = |name: &str| named.get(name).with_context(|| format!("no symbol {name}"));
        let code = iomem::anywhere(iomem, "Kernel code");
        let code = code.first().context("/proc/iomem has no 'Kernel code'")?;
        let image = address("_text")?.wrapping_sub(code.start);
        let word = |address: u64| -> Result<u64> {
            let start = address.wrapping_sub(image);
            Ok(u64::from_le_bytes(memory.read(Span { start, end: start + 8 })?[..].try_into()?))
        };
        let own = Span { start: *address("__per_cpu_start")?, end: *address("__per_cpu_end")? };
        let (ram, offsets) = (word(*address("memstart_addr")?)?, *address("__per_cpu_offset")?);
        let mut processors = Vec::new();
        for processor in 0..word(*address("nr_cpu_ids")?)? & 0xffff_ffff {
            let start = own.start.wrapping_add(word(offsets + 8 * processor)?);
            // The linear map is where the virtual addresses of the kernel begin.
            let start = (start & ((1 << 47) - 1)) + ram;
            processors
                .push((Span { start, end: start + own.bytes() }, own.start.wrapping_sub(start)));
        }
        Ok(Self {
            // Marks that tell code from data are no names.
            symbols: named
                .iter()
                .filter(|(name, _)| !name.starts_with('$'))
                .map(|(name, address)| (*address, (*name).to_owned()))
                .collect(),
            image,
            processors,
            span: Span { start: code.start, end: address("_end")?.wrapping_sub(image) },
        })
    }

    /// Whose the byte at `address` is.
    fn owner(&self, address: u64) -> &str {
        let own = self.processors.iter().find(|(span, _)| span.contains_address(address));
        let offset = match own {
            Some((_, offset)) => *offset,
            None if self.span.contains_address(address) => self.image,
            None => return ALLOCATED,
        };
        let symbol = self.symbols.range(..=address.wrapping_add(offset)).next_back();
        symbol.map_or(ALLOCATED, |(_, name)| name)
    }

    /// How many bytes of each owner have changed, the most first.
    pub fn count(&self, changed: &[Difference]) -> Vec<(String, u64)> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for change in changed {
            *counts.entry(self.owner(change.span.start)).or_default() += change.bytes;
        }
        let mut counts: Vec<_> =
            counts.into_iter().map(|(owner, bytes)| (owner.to_owned(), bytes)).collect();
        counts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_counted_by_its_owner() {
        let symbols = [(0xff00, "_text"), (0xff80, "__log_buf"), (0xffc0, "runqueues")];
        let owners = Owners {
            symbols: symbols.map(|(address, name)| (address, name.to_owned())).into(),
            image: 0xfe00,
            processors: vec![(Span { start: 0x900, end: 0x940 }, 0xffc0 - 0x900)],
            span: Span { start: 0x100, end: 0x1d0 },
        };
        let change = |start, bytes| Difference { span: Span { start, end: start + 8 }, bytes };
        let changed = [change(0x180, 3), change(0x190, 4), change(0x910, 2), change(0x940, 1)];
        let expected = [("__log_buf", 7), ("runqueues", 2), (ALLOCATED, 1)];
        assert_eq!(owners.count(&changed), expected.map(|(name, bytes)| (name.to_owned(), bytes)));
    }
}
