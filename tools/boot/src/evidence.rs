// SPDX-License-Identifier: GPL-2.0

//! What the first kernel leaves in its memory for the dump to hold: pages of which each is different
//! from all others, and from what any other run has left.

use anyhow::{Context, Result};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process,
    time::SystemTime,
};
use util::hash::Key;

/// The size of a page of evidence.
pub const PAGE: usize = 4096;

/// The guest takes evidence from its disk in pieces of so many pages.
pub const PIECE: usize = 256;

/// The evidence of one run.
#[derive(Clone, Debug)]
pub struct Evidence {
    id: String,
    seed: u64,
    /// How many pages it has: whole pieces.
    pub pages: usize,
}

impl Evidence {
    /// Evidence of `pages` pages that no memory has had in it before.
    pub fn new(case: &str, pages: usize) -> Self {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let key = Key::new()
            .part("case", case)
            .part("process", process::id().to_le_bytes())
            .part("time", now.as_nanos().to_le_bytes())
            .short();
        let seed = u64::from_str_radix(&key, 16).unwrap_or_default();
        Self { id: format!("evidence-{key}"), seed, pages: pages.next_multiple_of(PIECE) }
    }

    /// The page with this number: the name of the evidence and the number, for people, and then
    /// numbers that follow from both.
    fn page(&self, number: usize) -> Vec<u8> {
        let mut page = self.head(number).into_bytes();
        page.resize(page.len().next_multiple_of(8), b'\n');
        // Marsaglia's xorshift; it never comes to zero when it does not begin there.
        let mut word = (self.seed ^ (number as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1;
        while page.len() < PAGE {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            page.extend_from_slice(&word.to_le_bytes());
        }
        page
    }

    fn head(&self, number: usize) -> String {
        format!("{} {number:07}", self.id)
    }

    /// How many pieces it has.
    pub fn pieces(&self) -> usize {
        self.pages / PIECE
    }

    /// Puts all of it at the beginning of the file `disk`, from where the guest takes it.
    pub fn write(&self, disk: &Path) -> Result<()> {
        let write = || {
            let mut file = BufWriter::new(File::options().write(true).open(disk)?);
            for number in 0..self.pages {
                file.write_all(&self.page(number))?;
            }
            file.flush()
        };
        write().with_context(|| format!("cannot put evidence on {}", disk.display()))
    }

    /// The number of a page of evidence, of which not a byte has changed.
    fn number(&self, page: &[u8]) -> Option<usize> {
        let digits = page.strip_prefix(self.id.as_bytes())?.get(1..8)?;
        let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
        (number < self.pages && page == self.page(number)).then_some(number)
    }
}

/// The pages of evidence that were found somewhere; each counts once.
pub struct Found<'a> {
    evidence: &'a Evidence,
    numbers: BTreeSet<usize>,
}

impl<'a> Found<'a> {
    /// None so far.
    pub fn none_of(evidence: &'a Evidence) -> Self {
        Self { evidence, numbers: BTreeSet::new() }
    }

    /// Looks through whole pages.
    pub fn look_through(&mut self, bytes: &[u8]) {
        self.numbers.extend(bytes.chunks(PAGE).filter_map(|page| self.evidence.number(page)));
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.numbers.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_runs_leave_the_same_evidence() {
        assert_ne!(Evidence::new("a", 1).page(0), Evidence::new("b", 1).page(0));
        assert_ne!(Evidence::new("a", 1).page(0), Evidence::new("a", 1).page(0));
    }

    #[test]
    fn each_page_counts_once_and_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        File::create(&disk).unwrap();
        let evidence = Evidence::new("a", 1);
        evidence.write(&disk).unwrap();
        let bytes = std::fs::read(&disk).unwrap();
        assert_eq!(bytes.len(), PIECE * PAGE);
        let mut found = Found::none_of(&evidence);
        found.look_through(&bytes);
        found.look_through(&bytes[PAGE..]);
        assert_eq!(found.count(), PIECE);
        for at in [0, 9, PAGE / 2, PAGE - 1] {
            let mut page = bytes[..PAGE].to_vec();
            page[at] ^= 1;
            let mut found = Found::none_of(&evidence);
            found.look_through(&page);
            assert_eq!(found.count(), 0, "byte {at}");
        }
    }

    #[test]
    fn evidence_is_found_at_the_start_of_a_page_alone() {
        let evidence = Evidence::new("a", PIECE);
        let mut memory = vec![0; 2 * PAGE];
        memory[64..][..PAGE].copy_from_slice(&evidence.page(3));
        let mut found = Found::none_of(&evidence);
        found.look_through(&memory);
        assert_eq!(found.count(), 0);
        found.look_through(&memory[64..][..PAGE]);
        assert_eq!(found.count(), 1);
    }

    #[test]
    fn pages_are_different_all_over() {
        let evidence = Evidence::new("a", PIECE);
        let (one, other) = (evidence.page(6), evidence.page(7));
        let same = one.iter().zip(&other).filter(|(one, other)| one == other).count();
        assert!(same < 100, "{same} bytes are the same");
    }
}
