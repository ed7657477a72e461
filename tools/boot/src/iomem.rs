// SPDX-License-Identifier: GPL-2.0

//! /proc/iomem.

use crate::span::Span;
use anyhow::{Context, Result};

/// What memory is called that the kernel uses.
pub const SYSTEM_RAM: &str = "System RAM";
/// What the tables are called.
pub const ACPI_TABLES: &str = "ACPI Tables";
/// What the memory for a crash kernel is called.
pub const CRASH_KERNEL: &str = "Crash kernel";

/// One line of /proc/iomem with the lines below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The addresses.
    pub span: Span,
    /// The name.
    pub name: String,
    /// What lies in it.
    pub children: Vec<Resource>,
}

/// The tree of resources; two more spaces of indentation mean one level further down.
pub fn parse<S: AsRef<str>>(lines: &[S]) -> Result<Vec<Resource>> {
    let mut top = Vec::new();
    for line in lines.iter().map(AsRef::as_ref) {
        let resource = parse_line(line).with_context(|| format!("/proc/iomem: '{line}'"))?;
        let depth = (line.len() - line.trim_start().len()) / 2;
        let mut level: &mut Vec<Resource> = &mut top;
        for _ in 0..depth {
            level = &mut level.last_mut().context("a child without a parent")?.children;
        }
        level.push(resource);
    }
    Ok(top)
}

fn parse_line(line: &str) -> Result<Resource> {
    let (addresses, name) = line.trim_start().split_once(" : ").context("no name")?;
    let (first, last) = addresses.split_once('-').context("no addresses")?;
    Ok(Resource {
        span: Span::inclusive(u64::from_str_radix(first, 16)?, u64::from_str_radix(last, 16)?),
        name: name.into(),
        children: Vec::new(),
    })
}

/// The spans of the top-level resources called `name`.
pub fn top_level(tree: &[Resource], name: &str) -> Vec<Span> {
    tree.iter().filter(|resource| resource.name == name).map(|resource| resource.span).collect()
}

/// The spans of all resources called `name`, on any level.
pub fn anywhere(tree: &[Resource], name: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    for resource in tree {
        if resource.name == name {
            spans.push(resource.span);
        }
        spans.extend(anywhere(&resource.children, name));
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: [&str; 5] = [
        "09000000-09000fff : ARMH0011:00",
        "40000000-7c43ffff : System RAM",
        "  41000000-41ffffff : Kernel code",
        "    41800000-418fffff : deep",
        "7c440000-7c44ffff : ACPI Tables",
    ];

    #[test]
    fn indentation_is_nesting() {
        let tree = parse(&TEXT).unwrap();
        assert_eq!(tree.len(), 3);
        assert_eq!(tree[1].children[0].name, "Kernel code");
        assert_eq!(tree[1].children[0].children[0].name, "deep");
        assert_eq!(tree[2].span, Span { start: 0x7c44_0000, end: 0x7c45_0000 });
    }

    #[test]
    fn a_nested_name_is_not_top_level() {
        let tree = parse(&TEXT).unwrap();
        assert_eq!(top_level(&tree, "ACPI Tables").len(), 1);
        assert_eq!(top_level(&tree, "Kernel code"), []);
        assert_eq!(anywhere(&tree, "deep"), [Span { start: 0x4180_0000, end: 0x4190_0000 }]);
    }

    #[test]
    fn what_is_no_resource_is_an_error() {
        assert!(parse(&["nonsense"]).is_err());
        assert!(parse(&["  10-1f : child of nothing"]).is_err());
    }
}
