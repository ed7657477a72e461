// SPDX-License-Identifier: GPL-2.0

//! What is counted: lines of text.
//!
//!   symbol ADDRESS            begins here and ends with the next one; in rising order
//!   mark ADDRESS NAME         has the counts written down
//!   end ADDRESS TIMES NAME    the same, and ends the machine when it has come there so often
//!   entry ADDRESS WORD NAME   the same as a mark, before the MMU is on: wherever the last 16 bits
//!                             of the address are those of ADDRESS, and the instruction is WORD
//!
//! Numbers are hexadecimal. A name has no blanks.

use std::{collections::BTreeMap, str::FromStr};

/// Where the counts are written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its name.
    pub name: String,
    /// At the how many-th time the machine ends there, if it does.
    pub ends_at: Option<u64>,
}

/// The plan.
#[derive(Debug, Default)]
pub struct Plan {
    symbols: Vec<u64>,
    marks: BTreeMap<u64, Mark>,
    /// By the last 16 bits of the address: the instruction, and the mark.
    entries: BTreeMap<u64, (u32, Mark)>,
}

/// A kernel is loaded at a multiple of this, or of more.
const LOAD_ALIGN: u64 = 1 << 16;

/// Virtual addresses of the kernel begin here, and physical ones are below.
const KERNEL_HALF: u64 = 1 << 63;

impl Plan {
    /// How many symbols there are.
    pub fn symbols(&self) -> usize {
        self.symbols.len()
    }

    /// The number of the symbol that `address` is in.
    pub fn symbol_at(&self, address: u64) -> Option<usize> {
        self.symbols.partition_point(|start| *start <= address).checked_sub(1)
    }

    /// The mark at `address`; `data` are the bytes of the instruction there.
    pub fn mark_at(&self, address: u64, data: impl Fn() -> Vec<u8>) -> Option<&Mark> {
        if address >= KERNEL_HALF {
            return self.marks.get(&address);
        }
        let (word, mark) = self.entries.get(&(address % LOAD_ALIGN))?;
        (data() == word.to_le_bytes()).then_some(mark)
    }
}

impl FromStr for Plan {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut plan = Self::default();
        for line in text.lines() {
            plan.take(line).ok_or_else(|| format!("mistake in '{line}'"))?;
        }
        if !plan.symbols.is_sorted() {
            return Err("the symbols are not in rising order".into());
        }
        Ok(plan)
    }
}

impl Plan {
    fn take(&mut self, line: &str) -> Option<()> {
        let words: Vec<_> = line.split(' ').collect();
        let number = |text| u64::from_str_radix(text, 16).ok();
        let mark = |name: &str, ends_at| Mark { name: name.into(), ends_at };
        match words[..] {
            ["symbol", address] => self.symbols.push(number(address)?),
            ["mark", address, name] => {
                self.marks.insert(number(address)?, mark(name, None));
            }
            ["end", address, times, name] => {
                self.marks.insert(number(address)?, mark(name, Some(number(times)?)));
            }
            ["entry", address, word, name] => {
                let word = u32::try_from(number(word)?).ok()?;
                self.entries.insert(number(address)? % LOAD_ALIGN, (word, mark(name, None)));
            }
            _ => return None,
        }
        Some(())
    }
}
