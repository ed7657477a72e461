// SPDX-License-Identifier: GPL-2.0

//! An initramfs: a newc archive that is the same whenever its contents are the same.

use anyhow::{Context, Result};
use cpio::newc::{Builder, ModeFileType, trailer};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// What goes into an archive, by its path without the leading slash.
#[derive(Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

enum Entry {
    Directory,
    CharDevice { major: u32, minor: u32 },
    File { contents: Contents, executable: bool },
}

enum Contents {
    Bytes(Vec<u8>),
    At(PathBuf),
}

impl Archive {
    /// An empty archive.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file with these contents.
    pub fn bytes(mut self, path: &str, contents: impl Into<Vec<u8>>) -> Self {
        self.insert(path, Contents::Bytes(contents.into()), false);
        self
    }

    /// Adds the file `source`; it stays executable when it is.
    pub fn file(mut self, path: &str, source: &Path) -> Result<Self> {
        let about = fs::metadata(source)
            .with_context(|| format!("cannot put {} into the initramfs", source.display()))?;
        let executable = about.permissions().mode() & 0o111 != 0;
        self.insert(path, Contents::At(source.into()), executable);
        Ok(self)
    }

    /// Adds a character device.
    pub fn char_device(mut self, path: &str, major: u32, minor: u32) -> Self {
        self.insert_entry(path, Entry::CharDevice { major, minor });
        self
    }

    fn insert(&mut self, path: &str, contents: Contents, executable: bool) {
        self.insert_entry(path, Entry::File { contents, executable });
    }

    fn insert_entry(&mut self, path: &str, entry: Entry) {
        for (slash, _) in path.match_indices('/') {
            self.entries.insert(path[..slash].into(), Entry::Directory);
        }
        self.entries.insert(path.into(), entry);
    }

    /// Writes the archive into the file `path`.
    pub fn save(&self, path: &Path) -> Result<()> {
        let save = || -> Result<()> {
            let mut to = BufWriter::new(File::create(path)?);
            self.write(&mut to)?;
            // What is not written when it is dropped, nobody would be told of.
            Ok(to.flush()?)
        };
        save().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Writes the archive; a directory comes before what is in it, and all else is by name.
    pub fn write(&self, to: &mut impl Write) -> Result<()> {
        for (inode, (path, entry)) in (1..).zip(&self.entries) {
            let builder = Builder::new(path).ino(inode).mtime(0).uid(0).gid(0);
            match entry {
                Entry::Directory => {
                    let builder = builder.mode(0o755).set_mode_file_type(ModeFileType::Directory);
                    builder.nlink(2).write(&mut *to, 0).finish()?;
                }
                Entry::CharDevice { major, minor } => {
                    let builder = builder.mode(0o600).set_mode_file_type(ModeFileType::Char);
                    let builder = builder.nlink(1).rdev_major(*major).rdev_minor(*minor);
                    builder.write(&mut *to, 0).finish()?;
                }
                Entry::File { contents, executable } => {
                    let mode = if *executable { 0o755 } else { 0o644 };
                    let builder = builder.mode(mode).set_mode_file_type(ModeFileType::Regular);
                    let read;
                    let bytes = match contents {
                        Contents::Bytes(bytes) => bytes,
                        Contents::At(source) => {
                            read = fs::read(source)
                                .with_context(|| format!("cannot read {}", source.display()))?;
                            &read
                        }
                    };
                    let size = u32::try_from(bytes.len())
                        .with_context(|| format!("{path} is too large for an initramfs"))?;
                    let mut writer = builder.nlink(1).write(&mut *to, size);
                    writer.write_all(bytes)?;
                    writer.finish()?;
                }
            }
        }
        trailer(to)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc::Reader;
    use std::io::{Cursor, Read};

    fn written(archive: &Archive) -> Vec<u8> {
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn parents_come_first_and_contents_are_whole() {
        let archive = Archive::new().bytes("guest/case", "loader=-s\n").bytes("a", "1");
        let mut rest = Cursor::new(written(&archive));
        let mut found = Vec::new();
        loop {
            let mut reader = Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut text = String::new();
            reader.read_to_string(&mut text).unwrap();
            found.push((reader.entry().name().to_owned(), reader.entry().mode(), text));
            rest = reader.finish().unwrap();
        }
        assert_eq!(
            found,
            [
                ("a".into(), 0o100_644, "1".into()),
                ("guest".into(), 0o040_755, String::new()),
                ("guest/case".into(), 0o100_644, "loader=-s\n".into()),
            ]
        );
    }

    #[test]
    fn equal_contents_make_equal_bytes() {
        let one = Archive::new().bytes("b", "2").bytes("a", "1");
        let other = Archive::new().bytes("a", "1").bytes("b", "2");
        assert_eq!(written(&one), written(&other));
    }

    #[test]
    fn an_executable_stays_one() {
        let dir = tempfile::tempdir().unwrap();
        let source = dir.path().join("init");
        fs::write(&source, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&source, fs::Permissions::from_mode(0o750)).unwrap();
        let bytes = written(&Archive::new().file("init", &source).unwrap());
        let reader = Reader::new(Cursor::new(bytes)).unwrap();
        assert_eq!(reader.entry().mode(), 0o100_755);
    }

    #[test]
    fn a_device_keeps_its_numbers() {
        let bytes = written(&Archive::new().char_device("console", 5, 1));
        let reader = Reader::new(Cursor::new(bytes)).unwrap();
        let entry = reader.entry();
        assert_eq!(entry.mode(), 0o020_600);
        assert_eq!((entry.rdev_major(), entry.rdev_minor()), (5, 1));
    }

    #[test]
    fn a_full_disk_is_no_archive() {
        let error = Archive::new().bytes("a", "1").save(Path::new("/dev/full")).unwrap_err();
        assert!(format!("{error:#}").starts_with("cannot write /dev/full: No space"), "{error:#}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Archive::new().file("x", Path::new("no/such/file")).err().unwrap();
        assert!(error.to_string().contains("no/such/file"), "{error}");
    }
}
