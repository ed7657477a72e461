// SPDX-License-Identifier: GPL-2.0

//! The flat device tree that a kernel was given: what it may use, and that it describes nothing.

use crate::span::Span;
use anyhow::{Result, anyhow};
use fdt::{Fdt, node::FdtNode};

/// The property of `/chosen` that lists what a crash kernel may use.
pub const PROPERTY: &str = "linux,usable-memory-range";

/// The bytes of `linux,usable-memory-range`, where there is one.
pub fn property(blob: &[u8]) -> Result<Option<Vec<u8>>> {
    let tree = tree(blob)?;
    let property = tree.find_node("/chosen").and_then(|chosen| chosen.property(PROPERTY));
    Ok(property.map(|property| property.value.to_vec()))
}

/// The ranges in the bytes of the property, two cells for an address and two for a size.
pub fn ranges(value: &[u8]) -> Vec<Span> {
    let cells = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    value
        .chunks_exact(16)
        .map(|pair| {
            let start = cells(&pair[..8]);
            Span { start, end: start.saturating_add(cells(&pair[8..])) }
        })
        .collect()
}

/// The names of the nodes below the root.
pub fn nodes(blob: &[u8]) -> Result<Vec<String>> {
    let tree = tree(blob)?;
    let root = tree.find_node("/").ok_or_else(|| anyhow!("the flat device tree has no root"))?;
    Ok(root.children().map(|node: FdtNode| node.name.to_owned()).collect())
}

fn tree(blob: &[u8]) -> Result<Fdt<'_>> {
    Fdt::new(blob).map_err(|error| anyhow!("/sys/firmware/fdt is no flat device tree: {error:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of `/chosen` with one property, put together by the layout of the specification.
    fn with_usable(value: &[u8]) -> Vec<u8> {
        let mut structure = Vec::new();
        let mut word = |bytes: &[u8]| {
            structure.extend_from_slice(bytes);
            structure.resize(structure.len().next_multiple_of(4), 0);
        };
        word(&1u32.to_be_bytes());
        word(b"\0");
        word(&1u32.to_be_bytes());
        word(b"chosen\0");
        word(&3u32.to_be_bytes());
        word(&(value.len() as u32).to_be_bytes());
        word(&0u32.to_be_bytes());
        word(value);
        for token in [2u32, 2, 9] {
            word(&token.to_be_bytes());
        }
        let strings = b"linux,usable-memory-range\0";
        let (reserved_at, structure_at) = (40, 56);
        let strings_at = structure_at + structure.len();
        let total = strings_at + strings.len();
        let mut blob = Vec::new();
        for number in [
            0xd00d_feed,
            total,
            structure_at,
            strings_at,
            reserved_at,
            17,
            16,
            0,
            strings.len(),
            structure.len(),
        ] {
            blob.extend_from_slice(&(number as u32).to_be_bytes());
        }
        blob.extend_from_slice(&[0; 16]);
        blob.extend_from_slice(&structure);
        blob.extend_from_slice(strings);
        blob
    }

    #[test]
    fn reads_each_range() {
        let mut value = Vec::new();
        for number in [0x6000_0000u64, 0x1000_0000, 0x1_0000_0000, 0x1000] {
            value.extend_from_slice(&number.to_be_bytes());
        }
        let blob = with_usable(&value);
        assert_eq!(property(&blob).unwrap().as_ref(), Some(&value));
        assert_eq!(
            ranges(&value),
            [
                Span { start: 0x6000_0000, end: 0x7000_0000 },
                Span { start: 0x1_0000_0000, end: 0x1_0000_1000 }
            ]
        );
        assert_eq!(nodes(&blob).unwrap(), ["chosen"]);
    }

    #[test]
    fn an_empty_property_is_there() {
        assert_eq!(property(&with_usable(b"")).unwrap(), Some(Vec::new()));
    }

    #[test]
    fn what_is_no_tree_is_an_error() {
        assert!(property(b"nonsense").is_err());
    }
}
