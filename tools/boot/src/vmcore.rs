// SPDX-License-Identifier: GPL-2.0

//! A dump as the crash kernel has saved it.

use crate::{
    evidence::{Evidence, Found},
    span::{Span, merged},
};
use anyhow::{Context, Result, anyhow, bail};
use object::{
    Endianness,
    elf::{EM_AARCH64, ET_CORE, FileHeader64, PT_LOAD},
    read::{
        ReadCache,
        elf::{FileHeader, ProgramHeader},
    },
};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// The headers of a dump.
#[derive(Debug)]
pub struct Vmcore {
    path: PathBuf,
    /// The memory, in the order of the headers.
    pub segments: Vec<Segment>,
    /// Where the last segment ends in the file.
    pub end: u64,
    /// The text of the VMCOREINFO note.
    pub info: String,
}

/// One PT_LOAD.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The physical addresses.
    pub span: Span,
    /// Where its bytes are in the file.
    pub offset: u64,
}

impl Vmcore {
    /// Reads the headers of the dump at `path`.
    pub fn open(path: &Path) -> Result<Self> {
        Self::read(path).with_context(|| format!("the dump {}", path.display()))
    }

    fn read(path: &Path) -> Result<Self> {
        let cache = ReadCache::new(File::open(path)?);
        let data = &cache;
        let header = FileHeader64::<Endianness>::parse(data)
            .map_err(|error| anyhow!("it is no 64-bit ELF file: {error}"))?;
        let endian = header.endian()?;
        if header.e_type(endian) != ET_CORE || header.e_machine(endian) != EM_AARCH64 {
            bail!("it is an ELF file, but no core of an arm64 machine");
        }
        let mut dump =
            Self { path: path.into(), segments: Vec::new(), end: 0, info: String::new() };
        for segment in header.program_headers(endian, data)? {
            let (offset, size) = segment.file_range(endian);
            dump.end = dump.end.max(offset.saturating_add(size));
            if segment.p_type(endian) == PT_LOAD {
                let start = segment.p_paddr(endian);
                let bytes = segment.p_memsz(endian);
                if bytes != size {
                    bail!("the segment at {start:#x} has {size:#x} bytes of {bytes:#x}");
                }
                let end = start.checked_add(bytes).context("a segment wraps around")?;
                dump.segments.push(Segment { span: Span { start, end }, offset });
            }
            if let Some(mut notes) = segment.notes(endian, data)? {
                while let Some(note) = notes.next()? {
                    if note.name() == b"VMCOREINFO" {
                        dump.info = String::from_utf8_lossy(note.desc()).into_owned();
                    }
                }
            }
        }
        Ok(dump)
    }

    /// The value of `name` in VMCOREINFO.
    pub fn info(&self, name: &str) -> Option<&str> {
        self.info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    }

    /// The memory in the dump.
    ///
    /// No address may be in two segments, with one exception: the kernel's own image is there
    /// once more, under the virtual addresses that it runs at.
    pub fn memory(&self) -> Result<Vec<Span>> {
        let mut images = 0;
        for (place, segment) in self.segments.iter().enumerate() {
            for (other_place, other) in self.segments.iter().enumerate() {
                if place == other_place || !segment.span.overlaps(other.span) {
                    continue;
                }
                if segment.span == other.span {
                    // It was found from the other side, too.
                    images += usize::from(place < other_place);
                } else if other.span.contains(segment.span) {
                    images += 1;
                } else if !segment.span.contains(other.span) {
                    bail!("the segments {} and {} overlap", segment.span, other.span);
                }
            }
        }
        if images > 1 {
            bail!("{images} segments lie inside of others; only the kernel's image may");
        }
        Ok(merged(self.segments.iter().map(|segment| segment.span)))
    }

    /// The bytes of `span`, when the dump holds all of it.
    pub fn bytes(&self, span: Span) -> Result<Option<Vec<u8>>> {
        let Some(segment) = self.segments.iter().find(|segment| segment.span.contains(span)) else {
            return Ok(None);
        };
        let mut bytes = vec![0; usize::try_from(span.bytes())?];
        let offset = segment.offset + (span.start - segment.span.start);
        File::open(&self.path)?
            .read_exact_at(&mut bytes, offset)
            .with_context(|| format!("{}: no bytes for {span}", self.path.display()))?;
        Ok(Some(bytes))
    }

    /// How many pages of `evidence` are in the dump.
    pub fn evidence(&self, evidence: &Evidence) -> Result<usize> {
        const CHUNK: usize = 1 << 20;
        let file = File::open(&self.path)?;
        let mut found = Found::none_of(evidence);
        let mut chunk = vec![0; CHUNK];
        for segment in &self.segments {
            let mut done = 0;
            while done < segment.span.bytes() {
                let count = (segment.span.bytes() - done).min(CHUNK as u64) as usize;
                file.read_exact_at(&mut chunk[..count], segment.offset + done)
                    .with_context(|| format!("{} ends too early", self.path.display()))?;
                found.look_through(&chunk[..count]);
                done += count as u64;
            }
        }
        Ok(found.count())
    }
}

/// The headers of a core file with a VMCOREINFO note and segments for these spans, whose bytes are to
/// follow.
#[cfg(test)]
pub(crate) fn headers(segments: &[Span]) -> Vec<u8> {
    let note = b"OSRELEASE=7.3.4\nPAGESIZE=4096\n";
    let mut notes = Vec::new();
    for word in [11u32, note.len() as u32, 0] {
        notes.extend_from_slice(&word.to_le_bytes());
    }
    notes.extend_from_slice(b"VMCOREINFO\0\0");
    notes.extend_from_slice(note);
    notes.resize(notes.len().next_multiple_of(4), 0);

    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1];
    file.resize(16, 0);
    file.extend_from_slice(&4u16.to_le_bytes());
    file.extend_from_slice(&183u16.to_le_bytes());
    file.extend_from_slice(&1u32.to_le_bytes());
    for word in [0u64, 64, 0] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&0u32.to_le_bytes());
    for half in [64u16, 56, segments.len() as u16 + 1, 0, 0, 0] {
        file.extend_from_slice(&half.to_le_bytes());
    }
    let mut offset = 64 + 56 * (segments.len() as u64 + 1);
    let all = [(4u32, 0, notes.len() as u64)].into_iter();
    for (kind, start, size) in all.chain(segments.iter().map(|span| (1, span.start, span.bytes())))
    {
        file.extend_from_slice(&kind.to_le_bytes());
        file.extend_from_slice(&7u32.to_le_bytes());
        for word in [offset, start, start, size, size, 4] {
            file.extend_from_slice(&word.to_le_bytes());
        }
        offset += size;
    }
    file.extend_from_slice(&notes);
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A core file with these segments.
    fn core(segments: &[(u64, &[u8])]) -> tempfile::NamedTempFile {
        let spans = segments.iter().map(|(start, bytes)| {
            let end = start + bytes.len() as u64;
            Span { start: *start, end }
        });
        let mut file = headers(&spans.collect::<Vec<_>>());
        segments.iter().for_each(|(_, bytes)| file.extend_from_slice(bytes));
        let on_disk = tempfile::NamedTempFile::new().unwrap();
        fs::write(on_disk.path(), file).unwrap();
        on_disk
    }

    #[test]
    fn reads_segments_and_notes() {
        let file = core(&[(0x4000_0000, &[1; 8192]), (0x5000_0000, &[2; 4096])]);
        let dump = Vmcore::open(file.path()).unwrap();
        assert_eq!(dump.info("OSRELEASE"), Some("7.3.4"));
        assert_eq!(
            dump.memory().unwrap(),
            [Span::inclusive(0x4000_0000, 0x4000_1fff), Span::inclusive(0x5000_0000, 0x5000_0fff)]
        );
        assert_eq!(dump.end, fs::metadata(file.path()).unwrap().len());
        let there = Span::inclusive(0x5000_0100, 0x5000_01ff);
        assert_eq!(dump.bytes(there).unwrap().unwrap(), [2; 256]);
        assert_eq!(dump.bytes(Span::inclusive(0x6000_0000, 0x6000_000f)).unwrap(), None);
    }

    #[test]
    fn only_the_kernels_image_may_be_there_twice() {
        let image = core(&[(0x1000, &[0; 4096]), (0, &[0; 12288])]);
        assert_eq!(
            Vmcore::open(image.path()).unwrap().memory().unwrap(),
            [Span { start: 0, end: 12288 }]
        );
        let alone = core(&[(0x1000, &[0; 4096]), (0x1000, &[0; 4096]), (0x4000, &[0; 4096])]);
        assert_eq!(Vmcore::open(alone.path()).unwrap().memory().unwrap().len(), 2);
        let across = core(&[(0x1000, &[0; 8192]), (0, &[0; 8192])]);
        let error = Vmcore::open(across.path()).unwrap().memory().unwrap_err();
        assert!(error.to_string().contains("overlap"), "{error}");
        let twice = core(&[(0x1000, &[0; 4096]), (0x2000, &[0; 4096]), (0, &[0; 12288])]);
        assert!(Vmcore::open(twice.path()).unwrap().memory().is_err());
    }

    #[test]
    fn evidence_is_found_in_each_segment() {
        let evidence = Evidence::new("a", 1);
        let disk = tempfile::NamedTempFile::new().unwrap();
        evidence.write(disk.path()).unwrap();
        let memory = fs::read(disk.path()).unwrap();
        let file = core(&[(0x4000_0000, &memory[..8192]), (0x5000_0000, &memory[4096..12288])]);
        assert_eq!(Vmcore::open(file.path()).unwrap().evidence(&evidence).unwrap(), 3);
    }

    #[test]
    fn a_dump_that_was_cut_off_is_an_error() {
        let file = core(&[(0x4000_0000, &[0; 8192])]);
        let whole = fs::metadata(file.path()).unwrap().len();
        fs::OpenOptions::new().write(true).open(file.path()).unwrap().set_len(whole - 1).unwrap();
        let dump = Vmcore::open(file.path()).unwrap();
        assert!(dump.evidence(&Evidence::new("a", 1)).is_err());
    }

    #[test]
    fn an_empty_disk_is_no_dump() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(1 << 20).unwrap();
        let error = Vmcore::open(file.path()).unwrap_err();
        assert!(format!("{error:#}").contains("no 64-bit ELF file"), "{error:#}");
    }
}
