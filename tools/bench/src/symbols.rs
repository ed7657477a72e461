// SPDX-License-Identifier: GPL-2.0

//! The symbols of a kernel's code, and who calls whom.

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SymbolKind, elf::SHF_EXECINSTR};
use std::{collections::BTreeMap, fs, path::Path};

/// The code of a kernel.
pub struct Symbols {
    /// In rising order, with one name per address.
    by_address: BTreeMap<u64, String>,
    by_name: BTreeMap<String, u64>,
    /// Which file a symbol is local to.
    files: BTreeMap<String, String>,
    /// The sections with code: where each begins, and its bytes.
    code: Vec<(u64, Vec<u8>)>,
}

impl Symbols {
    /// Reads them from an ELF file.
    pub fn read(vmlinux: &Path) -> Result<Self> {
        let bytes =
            fs::read(vmlinux).with_context(|| format!("cannot read {}", vmlinux.display()))?;
        let elf = object::File::parse(&*bytes)
            .with_context(|| format!("{} is no ELF file", vmlinux.display()))?;
        let mut code = Vec::new();
        for section in elf.sections() {
            if let SectionFlags::Elf { sh_flags } = section.flags()
                && sh_flags & u64::from(SHF_EXECINSTR) != 0
            {
                code.push((section.address(), section.data()?.to_vec()));
            }
        }
        let within = |address| {
            code.iter()
                .any(|(start, bytes)| (*start..*start + bytes.len() as u64).contains(&address))
        };
        let mut by_address: BTreeMap<u64, String> = BTreeMap::new();
        let (mut by_name, mut files) = (BTreeMap::new(), BTreeMap::new());
        let mut file = String::new();
        for symbol in elf.symbols() {
            let name = symbol.name()?;
            // Those that are local to a file come behind it.
            if symbol.kind() == SymbolKind::File {
                file = name.to_owned();
            }
            // Mapping symbols ($x, $d) and local labels (.L) name no function.
            if name.is_empty() || name.starts_with(['$', '.']) || !within(symbol.address()) {
                continue;
            }
            by_name.insert(name.to_owned(), symbol.address());
            if symbol.is_local() {
                files.insert(name.to_owned(), file.clone());
            }
            // A name that others can call is better than one that they cannot.
            if symbol.is_global() || !by_address.contains_key(&symbol.address()) {
                by_address.insert(symbol.address(), name.to_owned());
            }
        }
        ensure!(!by_address.is_empty(), "{} has no symbols", vmlinux.display());
        Ok(Self { by_address, by_name, files, code })
    }

    /// The addresses, in rising order.
    pub fn addresses(&self) -> impl Iterator<Item = u64> {
        self.by_address.keys().copied()
    }

    /// The names, in the order of the addresses.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_address.values().map(String::as_str)
    }

    /// Where a symbol is, if there is one of that name.
    pub fn find(&self, name: &str) -> Option<u64> {
        self.by_name.get(name).copied()
    }

    /// Where a symbol is.
    pub fn address(&self, name: &str) -> Result<u64> {
        self.find(name).with_context(|| format!("the kernel has no symbol {name}"))
    }

    /// The file that a symbol is local to; a name that several files have is that of the last.
    pub fn file_of(&self, name: &str) -> Option<&str> {
        self.files.get(name).map(String::as_str)
    }

    /// The instruction at `address`.
    pub fn word(&self, address: u64) -> Option<u32> {
        let words = |bytes: &[u8], start| {
            let at = usize::try_from(address.checked_sub(start)?).ok()?;
            Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
        };
        self.code.iter().find_map(|(start, bytes)| words(bytes, *start))
    }

    /// Where calls of `function` return to.
    pub fn returns_of(&self, function: u64) -> Vec<u64> {
        let mut returns = Vec::new();
        for (start, bytes) in &self.code {
            for (at, word) in bytes.chunks_exact(4).enumerate() {
                let word = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
                let address = start + 4 * at as u64;
                if target(address, word) == Some(function) {
                    returns.push(address + 4);
                }
            }
        }
        returns
    }
}

/// Where the instruction `word` at `address` calls, if it is BL.
fn target(address: u64, word: u32) -> Option<u64> {
    if word >> 26 != 0b10_0101 {
        return None;
    }
    // 26 bits, signed, in instructions.
    let offset = i64::from((word << 6).cast_signed() >> 6) * 4;
    Some(address.wrapping_add_signed(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_go_both_ways() {
        // What llvm-objdump makes of them: bl +0x35c, bl -0x77c, b +0x4, ret.
        assert_eq!(target(0x1000, 0x9400_00d7), Some(0x135c));
        assert_eq!(target(0x1000, 0x97ff_fe21), Some(0x0884));
        assert_eq!(target(0x1000, 0x1400_0001), None);
        assert_eq!(target(0x1000, 0xd65f_03c0), None);
    }

    #[test]
    fn a_call_returns_behind_itself() {
        let code = [0xd503_201f_u32, 0x9400_0002, 0xd503_201f, 0xd65f_03c0];
        let bytes = code.iter().flat_map(|word| word.to_le_bytes()).collect();
        let symbols = Symbols {
            by_address: BTreeMap::new(),
            by_name: BTreeMap::new(),
            files: BTreeMap::new(),
            code: vec![(0x2000, bytes)],
        };
        assert_eq!(symbols.returns_of(0x200c), [0x2008]);
        assert_eq!(symbols.word(0x200c), Some(0xd65f_03c0));
        assert_eq!(symbols.word(0x2010), None);
    }

    #[test]
    fn the_test_program_itself_has_symbols() {
        let symbols = Symbols::read(&std::env::current_exe().unwrap()).unwrap();
        let address = symbols.address("main").unwrap();
        assert!(symbols.addresses().is_sorted() && symbols.addresses().any(|one| one == address));
        assert!(symbols.address("no such symbol").is_err());
    }
}
