// SPDX-License-Identifier: GPL-2.0

//! Addresses and sizes as the case file writes them.

use anyhow::{Context, Result, bail, ensure};
use orders::{EFI_PAGE, Pages};

/// Where something starts, and how many bytes it has: any numbers at all.
pub type Entry = (u64, u64);

/// `START+SIZE`, or `COUNT * START+SIZE / STEP`: so many, and from each to the next one so many
/// bytes. The numbers are hexadecimal, but for the count.
pub fn entries(text: &str) -> Result<Vec<Entry>> {
    let read = || -> Result<Vec<Entry>> {
        let Some((count, rest)) = text.split_once('*') else {
            return Ok(vec![entry(text)?]);
        };
        let (first, step) = rest.split_once('/').context("no step")?;
        let ((start, size), step) = (entry(first)?, number(step)?);
        let count: u64 = count.trim().parse()?;
        let starts = (0..count).map(|at| start + at * step);
        Ok(starts.map(|start| (start, size)).collect())
    };
    read().with_context(|| format!("'{text}' is neither START+SIZE nor COUNT * START+SIZE / STEP"))
}

fn entry(text: &str) -> Result<Entry> {
    let (start, size) = text.split_once('+').context("no size")?;
    Ok((number(start)?, number(size)?))
}

/// A hexadecimal number.
pub fn number(text: &str) -> Result<u64> {
    let digits = text.trim().strip_prefix("0x").context("no 0x")?;
    Ok(u64::from_str_radix(digits, 16)?)
}

/// Whole pages of the machine.
pub fn pages((start, size): Entry) -> Result<Pages> {
    ensure!(
        start % EFI_PAGE == 0 && size % EFI_PAGE == 0,
        "{start:#x}+{size:#x} is no whole pages"
    );
    if size == 0 {
        bail!("{start:#x} has no size");
    }
    Ok(Pages { start, count: size / EFI_PAGE })
}

/// The bytes of an entry of the property, where both numbers have two cells.
pub fn bytes((start, size): Entry) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&start.to_be_bytes());
    bytes[8..].copy_from_slice(&size.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_entry_or_many() {
        assert_eq!(entries("0x1000+0x20").unwrap(), [(0x1000, 0x20)]);
        assert_eq!(entries("2 * 0x1000+0x20 / 0x100").unwrap(), [(0x1000, 0x20), (0x1100, 0x20)]);
        for wrong in ["", "0x1000", "1000+20", "2 * 0x1000+0x20", "x * 0x1000+0x20 / 0x100"] {
            assert!(entries(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn cells_are_big_endian() {
        assert_eq!(bytes((0x4800_0000, 1)), [0, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn pages_are_whole() {
        assert_eq!(pages((0x1000, 0x2000)).unwrap(), Pages { start: 0x1000, count: 2 });
        assert!(pages((0x1800, 0x1000)).is_err() && pages((0x1000, 0)).is_err());
    }
}
