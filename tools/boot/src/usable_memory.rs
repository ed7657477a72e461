// SPDX-License-Identifier: GPL-2.0

//! The flat device tree that a kernel was given: what it may use, and that it describes nothing.

use crate::span::Span;
use anyhow::{Context, Result, anyhow, ensure};
use dtoolkit::{Node, Property, fdt::Fdt, fdt_mut::FdtMut};

/// The property of `/chosen` that lists what a crash kernel may use.
pub const PROPERTY: &str = "linux,usable-memory-range";

/// The node that has it.
const CHOSEN: &str = "/chosen";

/// The bytes of `linux,usable-memory-range`, where there is one.
pub fn property(blob: &[u8]) -> Result<Option<Vec<u8>>> {
    let chosen = tree(blob)?.find_node(CHOSEN);
    let property = chosen.as_ref().and_then(|chosen| chosen.property(PROPERTY));
    Ok(property.map(|property| property.value().to_vec()))
}

/// The tree at the beginning of `blob` with another value of the property, and as long as before: what
/// is there may only be replaced by something that is not longer.
pub fn with_property(blob: &[u8], value: &[u8]) -> Result<Vec<u8>> {
    let mut tree = tree(blob)?.data().to_vec();
    let mut writable = FdtMut::from_slice(&mut tree).map_err(no_tree)?;
    let mut chosen = writable.find_node_mut(CHOSEN);
    let old = chosen.as_mut().and_then(|chosen| chosen.property_mut(PROPERTY));
    let mut old = old.ok_or_else(|| anyhow!("there is no {PROPERTY} to be replaced"))?;
    let length = old.as_read_only().value().len();
    ensure!(value.len() <= length, "{} bytes are more than {length}", value.len());
    old.set_value(value).map_err(|error| anyhow!("cannot write {PROPERTY}: {error}"))?;
    Ok(tree)
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
    Ok(tree(blob)?.root().children().map(|node| node.name().to_owned()).collect())
}

/// The tree at the beginning of `blob`; what is behind it is something else.
fn tree(blob: &[u8]) -> Result<Fdt<'_>> {
    /// Where the header has the size of all of it.
    const TOTAL_SIZE: std::ops::Range<usize> = 4..8;
    let size = blob.get(TOTAL_SIZE).context("the flat device tree is cut short")?;
    let size = u32::from_be_bytes(size.try_into()?) as usize;
    let tree = blob.get(..size).context("the flat device tree is cut short")?;
    Fdt::new(tree).map_err(no_tree)
}

fn no_tree(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("/sys/firmware/fdt is no flat device tree: {error}")
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
    fn a_value_is_replaced_by_one_that_is_not_longer() {
        let mut blob = with_usable(&[1; 32]);
        let total = blob.len();
        for value in [&[2; 32][..], &[3; 31], &[4; 16], &[5; 13], b""] {
            blob.extend_from_slice(b"behind the tree");
            blob = with_property(&blob, value).unwrap();
            assert_eq!(property(&blob).unwrap().as_deref(), Some(value));
            assert_eq!(nodes(&blob).unwrap(), ["chosen"]);
            assert_eq!(blob.len(), total);
        }
        assert!(with_property(&with_usable(&[1; 16]), &[2; 17]).is_err());
    }

    /// The kernel leaves them where it has taken a seed out.
    #[test]
    fn what_was_taken_out_of_a_tree_is_skipped() {
        let mut blob = with_usable(&[1; 16]);
        let mut tree = FdtMut::from_slice(&mut blob).unwrap();
        let mut root = tree.root_mut();
        root.child_mut("chosen").unwrap().property_mut(PROPERTY).unwrap().remove();
        assert_eq!(property(&blob).unwrap(), None);
        assert_eq!(nodes(&blob).unwrap(), ["chosen"]);
    }

    #[test]
    fn what_is_no_tree_is_an_error() {
        assert!(property(b"nonsense").is_err());
    }
}
