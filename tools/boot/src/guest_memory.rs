// SPDX-License-Identifier: GPL-2.0

//! The memory of a machine, seen from outside: it is a file that the harness reads and writes.

use crate::{machine::option_value, span::Span};
use anyhow::{Context, Result, ensure};
use rustix::fs::statvfs;
use std::{
    fs::File,
    io::{self, Seek, SeekFrom},
    os::{fd::AsRawFd, unix::fs::FileExt},
    path::{Path, PathBuf},
    process,
};
use util::command::Cmd;

/// Where the memory of `virt` begins.
pub const START: u64 = 0x4000_0000;

/// Where files are in memory themselves.
const SHARED_MEMORY: &str = "/dev/shm";

/// How much of the memory is looked at in one piece.
const CHUNK: u64 = 1 << 20;

/// The memory of one machine, or what it once was.
///
/// The file has no name, so nothing of it is left when the harness ends, however it ends.
#[derive(Debug)]
pub struct GuestMemory {
    file: File,
    /// The physical addresses.
    pub span: Span,
}

impl GuestMemory {
    /// Empty memory of `mib` MiB, for a machine that has its files in `dir`.
    pub fn new(mib: u64, dir: &Path) -> Result<Self> {
        let span = Span { start: START, end: START + (mib << 20) };
        let place = place(span.bytes(), dir);
        let file = tempfile::tempfile_in(&place)
            .with_context(|| format!("cannot make a file in {}", place.display()))?;
        file.set_len(span.bytes())?;
        Ok(Self { file, span })
    }

    /// The command that switches a machine on, with this for its memory; `-m` has to agree.
    pub fn attached(&self, cmd: Cmd) -> Cmd {
        let path = format!("/proc/{}/fd/{}", process::id(), self.file.as_raw_fd());
        // A large machine has one called `memory`, which is not used then.
        let backend = format!(
            "memory-backend-file,id=guest-memory,share=on,size={},mem-path={}",
            self.span.bytes(),
            option_value(Path::new(&path))
        );
        cmd.args(["-object", &backend, "-machine", "memory-backend=guest-memory"])
    }

    /// The memory as it is now. The machine has to be stopped meanwhile.
    pub fn snapshot(&self, dir: &Path) -> Result<Self> {
        let copy = Self::new(self.span.bytes() >> 20, dir)?;
        let (mut from, mut to) = (&self.file, &copy.file);
        from.seek(SeekFrom::Start(0))?;
        io::copy(&mut from, &mut to).context("cannot copy the machine's memory")?;
        Ok(copy)
    }

    /// The bytes of `span`.
    pub fn read(&self, span: Span) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(span.bytes())?];
        self.file.read_exact_at(&mut bytes, self.offset(span)?)?;
        Ok(bytes)
    }

    /// Puts `bytes` at `start`.
    pub fn write(&self, start: u64, bytes: &[u8]) -> Result<()> {
        let span = Span { start, end: start + bytes.len() as u64 };
        Ok(self.file.write_all_at(bytes, self.offset(span)?)?)
    }

    /// The bytes of `span` that are not what they were `before`, as ranges.
    ///
    /// Bytes that are the same and have less than `gap` neighbours like that are taken for different
    /// ones in the ranges, and are not in the count that comes with each range.
    pub fn different(&self, before: &Self, span: Span, gap: u64) -> Result<Vec<Difference>> {
        let mut found: Vec<Difference> = Vec::new();
        for piece in self.pieces(span) {
            let (old, new) = (before.read(piece)?, self.read(piece)?);
            // Most of it is the same, and is seen to be so at once.
            if old == new {
                continue;
            }
            let changed = old.iter().zip(&new).enumerate().filter(|(_, (old, new))| old != new);
            for at in changed.map(|(at, _)| piece.start + at as u64) {
                match found.last_mut() {
                    Some(last) if at - last.span.end < gap => {
                        last.span.end = at + 1;
                        last.bytes += 1;
                    }
                    _ => found.push(Difference { span: Span { start: at, end: at + 1 }, bytes: 1 }),
                }
            }
        }
        Ok(found)
    }

    /// All of `span`, in pieces that are not too large to be read.
    pub fn pieces(&self, span: Span) -> impl Iterator<Item = Span> + use<> {
        (span.start..span.end)
            .step_by(CHUNK as usize)
            .map(move |start| Span { start, end: span.end.min(start + CHUNK) })
    }

    /// The memory before and behind `span`.
    pub fn outside(&self, span: Span) -> [Span; 2] {
        let Span { start, end } = self.span;
        [Span { start, end: span.start.min(end) }, Span { start: span.end.max(start), end }]
    }

    fn offset(&self, span: Span) -> Result<u64> {
        ensure!(self.span.contains(span), "{span} is not in the machine's memory, {}", self.span);
        Ok(span.start - self.span.start)
    }
}

/// Bytes that are not what they were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// From the first to the last of them.
    pub span: Span,
    /// How many they are.
    pub bytes: u64,
}

/// Shared memory where there is enough: the machine and a snapshot. A disk is slower.
fn place(bytes: u64, dir: &Path) -> PathBuf {
    let free = statvfs(SHARED_MEMORY).map_or(0, |there| there.f_bavail * there.f_frsize);
    if free / 2 >= bytes { SHARED_MEMORY.into() } else { dir.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_is_outside() {
        let dir = tempfile::tempdir().unwrap();
        let memory = GuestMemory::new(2, dir.path()).unwrap();
        memory.write(START + 0xf_fffe, b"abcd").unwrap();
        let span = Span { start: START + 0xf_fffd, end: START + 0x10_0003 };
        assert_eq!(memory.read(span).unwrap(), b"\0abcd\0");
        assert!(memory.write(START + 0x1f_fffe, b"abc").is_err());
        assert!(memory.read(Span { start: START - 1, end: START }).is_err());
    }

    #[test]
    fn differences_are_counted_to_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let memory = GuestMemory::new(2, dir.path()).unwrap();
        memory.write(START, &[1; 32]).unwrap();
        let before = memory.snapshot(dir.path()).unwrap();
        // Across the end of a piece, and one byte of three is what it was.
        memory.write(START + 0xf_ffff, &[7, 0, 7]).unwrap();
        memory.write(START + 16, &[1, 2]).unwrap();
        let found = memory.different(&before, memory.span, 16).unwrap();
        assert_eq!(
            found,
            [
                Difference { span: Span { start: START + 17, end: START + 18 }, bytes: 1 },
                Difference {
                    span: Span { start: START + 0xf_ffff, end: START + 0x10_0002 },
                    bytes: 2
                },
            ]
        );
        let outside = Span { start: START + 18, end: START + 0xf_ffff };
        assert_eq!(memory.different(&before, outside, 16).unwrap(), []);
    }

    #[test]
    fn the_file_has_no_name_and_is_found_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let memory = GuestMemory::new(1, dir.path()).unwrap();
        memory.write(START, b"memory").unwrap();
        let line = memory.attached(Cmd::new("qemu")).to_string();
        let path = line.split("mem-path=").nth(1).unwrap().split('\'').next().unwrap();
        assert!(std::fs::read(path).unwrap().starts_with(b"memory"), "{line}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(line.ends_with(" -machine 'memory-backend=guest-memory'"), "{line}");
    }
}
