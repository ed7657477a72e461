// SPDX-License-Identifier: GPL-2.0

//! What is left of what the firmware has put into memory.

use crate::{guest_memory::GuestMemory, log::number, span};
use anyhow::{Context, Result};
use oracle::{Set, Span};
use orders::{LINE, pattern};
use regex::Regex;
use std::sync::LazyLock;

static FENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!("(?m)^{LINE}fence 0x([0-9a-f]+)-0x([0-9a-f]+)\r?$")).unwrap()
});
static TABLE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(&format!("(?m)^{LINE}table 0x([0-9a-f]+)-0x([0-9a-f]+) crc32 0x([0-9a-f]+)\r?$"))
        .unwrap()
});

/// How much memory is looked at in one piece.
const CHUNK: u64 = 1 << 20;

/// What the firmware has put into memory, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Laid {
    /// The fence.
    pub fence: Vec<Span>,
    /// The ACPI tables that it has moved, and the sum of each (CRC-32).
    pub tables: Vec<(Span, u32)>,
}

impl Laid {
    /// What `firmware` says, which is the console before the kernel.
    pub fn parse(firmware: &str) -> Result<Self> {
        let span = |parts: &regex::Captures<'_>| {
            anyhow::Ok(Span { first: number(&parts[1])?, last: number(&parts[2])? })
        };
        let tables = TABLE
            .captures_iter(firmware)
            .map(|parts| Ok((span(&parts)?, u32::try_from(number(&parts[3])?)?)));
        Ok(Self {
            fence: FENCE
                .captures_iter(firmware)
                .map(|parts| span(&parts))
                .collect::<Result<_>>()?,
            tables: tables.collect::<Result<_>>()?,
        })
    }

    /// The tables that are not what they were, where `read` has the bytes of memory.
    pub fn damaged_tables(
        &self,
        read: impl Fn(span::Span) -> Result<Vec<u8>>,
    ) -> Result<Vec<Span>> {
        let mut damaged = Vec::new();
        for (table, sum) in &self.tables {
            let whole = span::Span::inclusive(table.first, table.last);
            if crc32fast::hash(&read(whole)?) != *sum {
                damaged.push(*table);
            }
        }
        Ok(damaged)
    }

    /// Where the tables are.
    pub fn table_set(&self) -> Set {
        Set::of(&self.tables.iter().map(|(span, _)| *span).collect::<Vec<_>>())
    }
}

/// How many bytes of `set` have not the pattern any more, and the first of them.
pub fn lost(memory: &GuestMemory, set: &Set) -> Result<(u64, Option<u64>)> {
    lost_in(|span| memory.read(span), set)
}

/// The same, where `read` has the bytes of memory.
pub fn lost_in(
    read: impl Fn(span::Span) -> Result<Vec<u8>>,
    set: &Set,
) -> Result<(u64, Option<u64>)> {
    let (mut count, mut first) = (0, None);
    for span in set.spans() {
        for start in (span.first & !7..=span.last).step_by(CHUNK as usize) {
            let end = (start + CHUNK).min((span.last | 7) + 1);
            let bytes = read(span::Span { start, end })?;
            for (at, word) in (start..).step_by(8).zip(bytes.chunks_exact(8)) {
                let word = u64::from_le_bytes(word.try_into().context("a word has 8 bytes")?);
                let different = word ^ pattern(at);
                if different == 0 {
                    continue;
                }
                let changed = (0..8).filter(|byte| different >> (8 * byte) & 0xff != 0);
                for byte in changed.map(|byte| at + byte).filter(|byte| span.has(*byte)) {
                    count += 1;
                    first = first.or(Some(byte));
                }
            }
        }
    }
    Ok((count, first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest_memory::START;
    use orders::fill;

    fn filled() -> (tempfile::TempDir, GuestMemory) {
        let dir = tempfile::tempdir().unwrap();
        let memory = GuestMemory::new(2, dir.path()).unwrap();
        let mut words = vec![0; 1 << 18];
        fill(&mut words, START);
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        memory.write(START, &bytes).unwrap();
        (dir, memory)
    }

    #[test]
    fn each_byte_that_was_written_is_counted() {
        let (_dir, memory) = filled();
        let all = Set::of(&[Span { first: START, last: START + 0x1f_ffff }]);
        assert_eq!(lost(&memory, &all).unwrap(), (0, None));
        // Across the end of a piece, and across the end of a word.
        let written = span::Span { start: START + 0xf_fffd, end: START + 0x10_0003 };
        let opposite: Vec<u8> = memory.read(written).unwrap().iter().map(|byte| !byte).collect();
        memory.write(written.start, &opposite).unwrap();
        assert_eq!(lost(&memory, &all).unwrap(), (6, Some(START + 0xf_fffd)));
        // What is not in the set is not counted, to the byte.
        let rest = Set::of(&[
            Span { first: START, last: START + 0xf_fffd },
            Span { first: START + 0x10_0003, last: START + 0x1f_ffff },
        ]);
        assert_eq!(lost(&memory, &rest).unwrap(), (1, Some(START + 0xf_fffd)));
    }

    #[test]
    fn a_table_is_what_its_sum_says() {
        let (_dir, memory) = filled();
        memory.write(START + 0x1001, b"DSDT").unwrap();
        let said = format!(
            "{LINE}fence 0x40000000-0x40000fff\r\n{LINE}table 0x40001001-0x40001004 crc32 {:#x}\r\n",
            crc32fast::hash(b"DSDT")
        );
        let laid = Laid::parse(&said).unwrap();
        assert_eq!(laid.fence, [Span { first: START, last: START + 0xfff }]);
        assert_eq!(laid.damaged_tables(|span| memory.read(span)).unwrap(), []);
        memory.write(START + 0x1004, b"t").unwrap();
        assert_eq!(laid.damaged_tables(|span| memory.read(span)).unwrap(), [laid.tables[0].0]);
        assert!(laid.table_set().has(START + 0x1001));
    }
}
