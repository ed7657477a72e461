// SPDX-License-Identifier: GPL-2.0

//! Object files taken apart, so that two of them can be compared by what they mean.
//!
//! A file is a set of pieces: what each symbol covers, and what lies between symbols. A piece is its
//! bytes and its relocations, and a relocation points at a name, or at a text, and not at a place in
//! a section. So code that is laid out in another order, but does the same, is the same. Nor do the
//! numbers of source lines count, which WARN() and BUG() keep.

use anyhow::{Context as _, Result};
use object::{
    Architecture, File, Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget,
    SectionFlags, SectionIndex, SectionKind, SymbolKind, elf,
};
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};

/// The pieces of an object file, by their names.
pub type Pieces = BTreeMap<String, Piece>;

/// What a symbol covers, or what lies between symbols.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Its section.
    pub section: String,
    /// Its bytes, with zeros where a relocation is going to write.
    pub bytes: Vec<u8>,
    /// How much room it takes, for what has no bytes.
    pub size: u64,
    /// Offset, type, and what it points at.
    pub relocations: Vec<(u64, String, String)>,
}

/// A part of a section that has a name.
struct Extent {
    section: SectionIndex,
    start: u64,
    end: u64,
    name: String,
}

/// The pieces of the object file `data`.
pub fn pieces(data: &[u8]) -> Result<Pieces> {
    let file = File::parse(data).context("no object file")?;
    let extents = extents(&file)?;
    let mut pieces = Pieces::new();
    for section in file.sections().filter(is_loaded) {
        let name = section.name()?.to_owned();
        let mut own: Vec<_> =
            extents.iter().filter(|extent| extent.section == section.index()).collect();
        own.sort_by_key(|extent| (extent.start, extent.end));
        let bytes = section.data()?;
        let is_code =
            section.kind() == SectionKind::Text && file.architecture() == Architecture::Aarch64;
        let mut relocations: Vec<(u64, String, String)> = Vec::new();
        for (at, relocation) in section.relocations() {
            let target = target(&file, &extents, relocation.target(), relocation.addend())?;
            relocations.push((at, format!("{:?}", relocation.flags()), target));
        }
        relocations.sort();
        let piece = |start: u64, end: u64| {
            let part = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
            Piece {
                section: name.clone(),
                bytes: bytes[part(start)..part(end)].to_vec(),
                size: end - start,
                relocations: relocations
                    .iter()
                    .filter(|(at, ..)| (start..end).contains(at))
                    .map(|(at, kind, target)| (at - start, kind.clone(), target.clone()))
                    .collect(),
            }
        };
        // Texts are compared where they are pointed at; which of them share bytes says nothing.
        if is_texts(&section) {
            continue;
        }
        let (mut at, mut between) = (0, Piece { section: name.clone(), ..Piece::default() });
        for extent in own {
            if extent.start > at {
                append(&mut between, piece(at, extent.start));
            }
            // Symbols may be names of one place; each of them is a piece.
            let mut own = piece(extent.start, extent.end);
            if is_code {
                name_branches(&mut own, extent, &extents);
            }
            pieces.insert(extent.name.clone(), own);
            at = at.max(extent.end);
        }
        if at < section.size() {
            append(&mut between, piece(at, section.size()));
        }
        if name == BUGS {
            forget_lines(&mut between);
        }
        if between.size > 0 {
            pieces.insert(format!("what has no name in {name}"), between);
        }
    }
    Ok(pieces)
}

/// The assembler links branches within a section itself. Those that leave their function point at a
/// place that depends on the layout: they become relocations, too.
fn name_branches(piece: &mut Piece, own: &Extent, all: &[Extent]) {
    for at in (0..piece.bytes.len().saturating_sub(3)).step_by(4) {
        let word: [u8; 4] = [0, 1, 2, 3].map(|byte| piece.bytes[at + byte]);
        let instruction = u32::from_le_bytes(word);
        let place = own.start + at as u64;
        let linked = piece.relocations.iter().any(|(other, ..)| *other == at as u64);
        // B and BL: the distance in instructions is in the lower 26 bits.
        if linked || instruction & 0x7c00_0000 != 0x1400_0000 {
            continue;
        }
        let distance = i64::from((instruction << 6).cast_signed() >> 6) * 4;
        let to = place.wrapping_add_signed(distance);
        let covers = |extent: &&Extent| {
            extent.section == own.section && (extent.start..extent.end).contains(&to)
        };
        let Some(target) = all.iter().find(covers) else { continue };
        if (own.start..own.end).contains(&to) {
            continue;
        }
        piece.bytes[at..at + 4].copy_from_slice(&(instruction & 0xfc00_0000).to_le_bytes());
        let name = with_offset(&target.name, (to - target.start).cast_signed());
        piece.relocations.push((at as u64, "branch".into(), name));
    }
    piece.relocations.sort();
}

/// Where WARN() and BUG() are noted: the place in the code, that in the source, and flags.
const BUGS: &str = "__bug_table";

/// Takes the numbers of lines out of a table of bugs: the lower half of each word that is not
/// linked to anything.
fn forget_lines(table: &mut Piece) {
    for at in (0..table.bytes.len().saturating_sub(3)).step_by(4) {
        if !table.relocations.iter().any(|(other, ..)| *other == at as u64) {
            table.bytes[at..at + 2].fill(0);
        }
    }
}

/// Adds one gap to those before it. Gaps of zeros are there for alignment: they follow from the order.
fn append(all: &mut Piece, gap: Piece) {
    let padding = gap.relocations.is_empty() && gap.size < 16 && gap.bytes.iter().all(|b| *b == 0);
    if padding && !gap.bytes.is_empty() {
        return;
    }
    let moved = gap.relocations.into_iter().map(|(at, kind, to)| (all.size + at, kind, to));
    all.relocations.extend(moved);
    all.bytes.extend(gap.bytes);
    all.size += gap.size;
}

/// Whether a section ends up in the kernel: debug information and the like do not.
fn is_loaded<'a>(section: &object::Section<'a, '_>) -> bool {
    let loaded = match section.flags() {
        SectionFlags::Elf { sh_flags } => sh_flags & u64::from(elf::SHF_ALLOC) != 0,
        _ => false,
    };
    loaded && section.size() > 0
}

fn is_texts(section: &object::Section<'_, '_>) -> bool {
    section.kind() == SectionKind::ReadOnlyString
}

/// The symbols that cover something. Mapping symbols ($x, $d) and labels cover nothing.
fn extents(file: &File<'_>) -> Result<Vec<Extent>> {
    let mut extents: Vec<Extent> = Vec::new();
    let mut seen = BTreeSet::new();
    for symbol in file.symbols() {
        let kind =
            matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data | SymbolKind::Unknown);
        let (Some(section), true, true) = (symbol.section_index(), kind, symbol.size() > 0) else {
            continue;
        };
        let mut name = stable(symbol.name()?)?;
        // Static variables of functions may share a name.
        while !seen.insert(name.clone()) {
            name.push('\'');
        }
        let (start, end) = (symbol.address(), symbol.address() + symbol.size());
        extents.push(Extent { section, start, end, name });
    }
    Ok(extents)
}

/// A name without what counts lines or macros.
fn stable(name: &str) -> Result<String> {
    let counted = Regex::new(r"^(__UNIQUE_ID_.*?|__initcall__kmod_.*?_)(?:_?\d+)+(_.*)?$")?;
    Ok(counted.replace(name, "${1}${2}").into_owned())
}

/// What a relocation points at.
fn target(
    file: &File<'_>,
    extents: &[Extent],
    target: RelocationTarget,
    addend: i64,
) -> Result<String> {
    let RelocationTarget::Symbol(index) = target else { return Ok(format!("{target:?}+{addend}")) };
    let symbol = file.symbol_by_index(index)?;
    let Some(section) = symbol.section_index() else {
        return Ok(with_offset(&stable(symbol.name()?)?, addend));
    };
    let place = symbol.address().wrapping_add_signed(addend);
    let section = file.section_by_index(section)?;
    if is_texts(&section) {
        let texts = section.data()?;
        let start = usize::try_from(place).unwrap_or(usize::MAX).min(texts.len());
        let text = texts[start..].split(|byte| *byte == 0).next().unwrap_or_default();
        return Ok(format!("{:?} in {}", String::from_utf8_lossy(text), section.name()?));
    }
    let covers = |extent: &&Extent| {
        extent.section == section.index() && (extent.start..extent.end).contains(&place)
    };
    Ok(match extents.iter().find(covers) {
        Some(extent) => with_offset(&extent.name, (place - extent.start).cast_signed()),
        None => with_offset(section.name()?, place.cast_signed()),
    })
}

fn with_offset(name: &str, offset: i64) -> String {
    if offset == 0 { name.into() } else { format!("{name}{offset:+#x}") }
}

/// How two object files differ, in lines to read.
pub fn differences(before: &Pieces, after: &Pieces) -> Vec<String> {
    let mut found = Vec::new();
    for (name, piece) in before {
        match after.get(name) {
            None => found.push(format!("{name} is gone")),
            Some(other) => {
                found.extend(difference(piece, other).map(|why| format!("{name}: {why}")))
            }
        }
    }
    let new = after.keys().filter(|name| !before.contains_key(*name));
    found.extend(new.map(|name| format!("{name} is new")));
    found
}

fn difference(before: &Piece, after: &Piece) -> Option<String> {
    if before.section != after.section {
        return Some(format!("was in {}, is in {}", before.section, after.section));
    }
    if before.size != after.size {
        return Some(format!("{} bytes were {}", after.size, before.size));
    }
    if let Some(at) = (0..before.bytes.len()).find(|at| before.bytes[*at] != after.bytes[*at]) {
        let byte = |piece: &Piece| piece.bytes[at];
        return Some(format!("byte {at:#x} was {:#04x}, is {:#04x}", byte(before), byte(after)));
    }
    let pairs = before.relocations.iter().zip(&after.relocations);
    if let Some(((at, _, was), (_, _, is))) = pairs.into_iter().find(|(was, is)| was != is) {
        return Some(format!("at {at:#x} it pointed at {was}, and points at {is}"));
    }
    (before.relocations.len() != after.relocations.len()).then(|| "more or less is linked".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use util::command::Cmd;

    const FLAGS: [&str; 5] =
        ["-O1", "-fno-toplevel-reorder", "-fno-asynchronous-unwind-tables", "-c", "-o"];

    /// What the compiler of the host makes of `text`.
    fn compiled(text: &str) -> Pieces {
        let dir = tempfile::tempdir().unwrap();
        let (source, object) = (dir.path().join("a.c"), dir.path().join("a.o"));
        fs::write(&source, text).unwrap();
        Cmd::new("cc").args(FLAGS).arg(&object).arg(&source).read().unwrap();
        pieces(&fs::read(object).unwrap()).unwrap()
    }

    fn compared(before: &str, after: &str) -> Vec<String> {
        differences(&compiled(before), &compiled(after))
    }

    const BEFORE: &str = "static int on = 1, off = 2; int *flags[] = { &on, &off };\
                          char *text[] = { \"a\", \"b\" }; int f(void) { return 3; }";

    #[test]
    fn variables_and_texts_that_moved_are_the_same() {
        let after = "char *text[] = { \"a\", \"b\" }; int f(void) { return 3; } static int off = 2;\
                     static int on = 1; int *flags[] = { &on, &off }; ";
        assert_eq!(compared(BEFORE, after), [""; 0]);
    }

    #[test]
    fn another_variable_text_or_value_is_not() {
        let flags = compared(BEFORE, &BEFORE.replace("&on, &off", "&off, &on"));
        assert_eq!(flags, ["flags: at 0x0 it pointed at on, and points at off"]);
        let text = compared(BEFORE, &BEFORE.replace("\"b\"", "\"c\""));
        assert!(text.len() == 1 && text[0].contains("pointed at \"b\" in"), "{text:?}");
        let value = compared(BEFORE, &BEFORE.replace("on = 1", "on = 4"));
        assert_eq!(value, ["on: byte 0x0 was 0x01, is 0x04"]);
        let code = compared(BEFORE, &BEFORE.replace("return 3", "return 5"));
        assert!(code.len() == 1 && code[0].starts_with("f: byte"), "{code:?}");
    }

    #[test]
    fn what_comes_and_goes_is_found() {
        let renamed = compared(BEFORE, &BEFORE.replace("int f(", "int g("));
        assert_eq!(renamed, ["f is gone", "g is new"]);
        let moved = "int x __attribute__((section(\".data.other\"))) = 1;";
        let moved = compared("int x = 1;", moved);
        assert_eq!(moved, ["x: was in .data, is in .data.other"]);
    }

    fn extent(start: u64, end: u64, name: &str) -> Extent {
        Extent { section: SectionIndex(1), start, end, name: name.into() }
    }

    /// A function of one `bl` by `words` instructions.
    fn branch(words: i32) -> Piece {
        let instruction = 0x9400_0000 | (words.cast_unsigned() & 0x03ff_ffff);
        Piece { bytes: instruction.to_le_bytes().into(), size: 4, ..Piece::default() }
    }

    #[test]
    fn a_branch_to_a_function_that_moved_is_the_same() {
        let (mut before, mut after) = (branch(4), branch(-2));
        let own = extent(16, 20, "f");
        name_branches(&mut before, &own, &[extent(16, 20, "f"), extent(32, 40, "g")]);
        name_branches(&mut after, &own, &[extent(8, 16, "g"), extent(16, 20, "f")]);
        assert_eq!(before, after);
        let mut other = branch(4);
        name_branches(&mut other, &own, &[extent(16, 20, "f"), extent(32, 40, "h")]);
        assert_eq!(difference(&before, &other).unwrap(), "at 0x0 it pointed at g, and points at h");
    }

    #[test]
    fn numbers_of_lines_do_not_count() {
        let table = |line: u8, flags: u8| {
            let mut table = Piece {
                bytes: vec![0, 0, 0, 0, line, 1, flags, 0],
                relocations: vec![(0, "prel".into(), "f".into())],
                ..Piece::default()
            };
            forget_lines(&mut table);
            table
        };
        assert_eq!(table(7, 1), table(9, 1));
        assert_ne!(table(7, 1), table(7, 2));
    }

    #[test]
    fn what_counts_is_left_out_of_names() {
        assert_eq!(stable("__UNIQUE_ID_addressable_x_253").unwrap(), "__UNIQUE_ID_addressable_x");
        assert_eq!(
            stable("__initcall__kmod_setup__345_12_f6").unwrap(),
            "__initcall__kmod_setup__f6"
        );
        assert_eq!(stable("param_2").unwrap(), "param_2");
    }
}
