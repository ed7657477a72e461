// SPDX-License-Identifier: GPL-2.0

//! Content keys.

use sha2::{Digest, Sha256};
use std::{fs, io, path::Path};

/// Collects what a result depends on; equal keys mean equal inputs.
///
/// Each part is hashed with its label and its length, so that two different lists of parts never
/// make the same stream of bytes.
#[derive(Default)]
pub struct Key(Sha256);

impl Key {
    /// A key of nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one labelled part.
    pub fn part(mut self, label: &str, bytes: impl AsRef<[u8]>) -> Self {
        for piece in [label.as_bytes(), bytes.as_ref()] {
            self.0.update((piece.len() as u64).to_le_bytes());
            self.0.update(piece);
        }
        self
    }

    /// Adds the contents of one file, labelled with `label`.
    pub fn file(self, label: &str, path: &Path) -> io::Result<Self> {
        Ok(self.part(label, fs::read(path)?))
    }

    /// The first 16 hexadecimal digits: enough to name a directory.
    pub fn short(self) -> String {
        let mut hex = self.hex();
        hex.truncate(16);
        hex
    }

    /// All 64 hexadecimal digits.
    pub fn hex(self) -> String {
        self.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// SHA-256 of `bytes`, in hexadecimal digits, as `sha256sum` prints it.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(Key::new().part("a", "bc").hex(), Key::new().part("ab", "c").hex());
        assert_ne!(Key::new().part("a", "b").hex(), Key::new().part("a", "b").part("", "").hex());
    }

    #[test]
    fn sha256_is_what_sha256sum_prints() {
        assert_eq!(
            sha256(b"abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
