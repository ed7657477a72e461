// SPDX-License-Identifier: GPL-2.0

//! The lists of memblock, as `memblock=debug` dumps them.

use crate::{
    log::{Log, number},
    span::Span,
};
use anyhow::Result;
use regex::Regex;
use std::sync::LazyLock;

/// One dump of both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// memblock.memory.
    pub memory: Vec<Region>,
    /// memblock.reserved.
    pub reserved: Vec<Region>,
}

/// One region of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// The addresses.
    pub span: Span,
    /// `enum memblock_flags`.
    pub flags: u64,
}

impl Region {
    /// Whether the kernel leaves it out of its linear map (MEMBLOCK_NOMAP).
    pub fn nomap(self) -> bool {
        self.flags & 0x4 != 0
    }
}

impl Dump {
    /// The memory that is mapped.
    pub fn mapped(&self) -> impl Iterator<Item = Span> + '_ {
        self.memory.iter().filter(|region| !region.nomap()).map(|region| region.span)
    }

    /// The reserved spans.
    pub fn reserved(&self) -> impl Iterator<Item = Span> + '_ {
        self.reserved.iter().map(|region| region.span)
    }
}

static REGION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"^ ?(memory|reserved)\[0x[0-9a-f]+\]\s+\[0x([0-9a-f]+)-0x([0-9a-f]+)\].* flags: (?:0x)?([0-9a-f]+)",
    )
    .unwrap()
});

/// All dumps in the order of the log: arm64 makes one before the EFI map is read, and one when
/// its lists are complete.
pub fn parse(log: &Log) -> Result<Vec<Dump>> {
    let mut dumps: Vec<Dump> = Vec::new();
    for line in log.lines() {
        if line.contains("MEMBLOCK configuration:") {
            dumps.push(Dump::default());
        }
        let (Some(dump), Some(parts)) = (dumps.last_mut(), REGION.captures(line)) else { continue };
        let list = if &parts[1] == "memory" { &mut dump.memory } else { &mut dump.reserved };
        list.push(Region {
            span: Span::inclusive(number(&parts[2])?, number(&parts[3])?),
            flags: number(&parts[4])?,
        });
    }
    Ok(dumps)
}

/// The dump of the lists when they were complete: the first one is of no memory at all.
pub fn complete(log: &Log) -> Result<Option<Dump>> {
    let mut dumps = parse(log)?;
    Ok(if dumps.len() < 2 { None } else { dumps.pop() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_lists_of_each_dump() {
        let log = Log::new(
            "[    0.000000] MEMBLOCK configuration:\n\
             [    0.000000]  memory size = 0x0000000000000000 reserved size = 0x0000000000000000\n\
             [    0.000000]  memory.cnt  = 0x1\n\
             [    0.000000] MEMBLOCK configuration:\n\
             [    0.000000]  memory size = 0x0000000040000000 reserved size = 0x0000000001000000\n\
             [    0.000000]  memory.cnt  = 0x2\n\
             [    0.000000]  memory[0x0]\t[0x0000000004000000-0x0000000007ffffff], 0x0000000004000000 bytes flags: 0x4\n\
             [    0.000000]  memory[0x1]\t[0x0000000040000000-0x000000007fffffff], 0x0000000040000000 bytes on node 0 flags: 0\n\
             [    0.000000]  reserved.cnt  = 0x1\n\
             [    0.000000]  reserved[0x0]\t[0x000000007c430000-0x000000007c43ffff], 0x0000000000010000 bytes flags: 0x20\n",
        );
        let dumps = parse(&log).unwrap();
        assert_eq!(dumps.len(), 2);
        assert_eq!(dumps[0], Dump::default());
        assert_eq!(complete(&log).unwrap().as_ref(), dumps.last());
        let first = Log::new("MEMBLOCK configuration:\n");
        assert_eq!(complete(&first).unwrap(), None);
        assert!(dumps[1].memory[0].nomap());
        assert_eq!(
            dumps[1].mapped().collect::<Vec<_>>(),
            [Span { start: 0x4000_0000, end: 0x8000_0000 }]
        );
        assert_eq!(
            dumps[1].reserved().collect::<Vec<_>>(),
            [Span { start: 0x7c43_0000, end: 0x7c44_0000 }]
        );
    }

    #[test]
    fn a_region_that_two_lines_have_run_into_is_an_error() {
        let reads = |start: &str| {
            let region = format!("memory[0x0]\t[{start}-0x7fffffff], 0x1 bytes flags: 0");
            parse(&Log::new(&format!("MEMBLOCK configuration:\n {region}\n"))).is_ok()
        };
        assert!(reads("0x0000000040000000"));
        assert!(!reads("0x00000000400000000000000040000000"));
    }
}
