// SPDX-License-Identifier: GPL-2.0

//! A memory map that is not that of the firmware.

use crate::{EFI_PAGE, Pages};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What a memory map has of its own, over and above what the firmware describes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Map {
    /// Memory that is described in another way. Sorted, and without overlaps.
    pub ranges: Vec<Range>,
    /// Descriptors that say what is not so.
    pub descriptors: Vec<Descriptor>,
    /// The order of all descriptors.
    pub order: MapOrder,
}

/// The order of the descriptors of a memory map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MapOrder {
    /// By their addresses.
    #[default]
    Sorted,
    /// From the last to the first.
    Reversed,
    /// Every second pair of opposites has changed places.
    Shuffled,
}

/// Memory, and how it is described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// Where it is.
    pub pages: Pages,
    /// As what it is described; [`None`]: the map does not know it.
    pub described: Option<Kind>,
}

/// What a descriptor says of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kind {
    /// The number that EFI has for its type.
    pub memory_type: u32,
    /// The bits that EFI has for its attributes.
    pub attributes: u64,
}

/// A descriptor with any numbers at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Where it says that it is.
    pub pages: Pages,
    /// What it says.
    pub kind: Kind,
}

impl Map {
    /// How many descriptors there are at most, where the firmware has `own`.
    pub fn most(&self, own: usize) -> usize {
        own + 2 * self.ranges.len() + self.descriptors.len()
    }

    /// Puts into `all` what the kernel gets where the firmware has `own`. Nothing is allocated if
    /// `all` has room for as many as there can be.
    pub fn apply(&self, own: impl Iterator<Item = Descriptor>, all: &mut Vec<Descriptor>) {
        all.clear();
        for mut rest in own {
            for Range { pages, .. } in &self.ranges {
                let end = rest.pages.end();
                if pages.end() <= rest.pages.start || end <= pages.start {
                    continue;
                }
                if rest.pages.start < pages.start {
                    all.push(rest.part(rest.pages.start, pages.start));
                }
                rest = rest.part(pages.end().min(end), end);
            }
            if rest.pages.count > 0 {
                all.push(rest);
            }
        }
        let described = self
            .ranges
            .iter()
            .filter_map(|range| Some(Descriptor { pages: range.pages, kind: range.described? }));
        all.extend(described);
        all.extend(&self.descriptors);
        all.sort_unstable_by_key(|descriptor| descriptor.pages);
        match self.order {
            MapOrder::Sorted => {}
            MapOrder::Reversed => all.reverse(),
            MapOrder::Shuffled => {
                let count = all.len();
                (0..count / 2).step_by(2).for_each(|at| all.swap(at, count - 1 - at));
            }
        }
    }
}

impl Descriptor {
    fn part(self, start: u64, end: u64) -> Self {
        Self { pages: Pages { start, count: (end - start) / EFI_PAGE }, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    const RAM: Kind = Kind { memory_type: 7, attributes: 8 };
    const ACPI: Kind = Kind { memory_type: 9, attributes: 8 };

    fn descriptor(start: u64, count: u64, kind: Kind) -> Descriptor {
        Descriptor { pages: Pages { start: start * EFI_PAGE, count }, kind }
    }

    fn range(start: u64, count: u64, described: Option<Kind>) -> Range {
        Range { pages: descriptor(start, count, RAM).pages, described }
    }

    fn applied(map: &Map) -> Vec<Descriptor> {
        let own = [descriptor(0, 4, RAM), descriptor(4, 4, RAM)];
        let mut all = Vec::with_capacity(map.most(own.len()));
        let room = all.capacity();
        map.apply(own.into_iter(), &mut all);
        assert_eq!(all.capacity(), room, "it was allocated");
        all
    }

    #[test]
    fn a_range_is_cut_out_of_all_that_it_reaches_into() {
        let map =
            Map { ranges: vec![range(1, 1, Some(ACPI)), range(3, 2, None)], ..Map::default() };
        let wanted = [(0, 1, RAM), (1, 1, ACPI), (2, 1, RAM), (5, 3, RAM)];
        assert_eq!(
            applied(&map),
            wanted.map(|(start, count, kind)| descriptor(start, count, kind))
        );
        let all = Map { ranges: vec![range(0, 8, None)], ..Map::default() };
        assert_eq!(applied(&all), []);
    }

    #[test]
    fn lies_are_told_as_they_are() {
        let lie = Descriptor { pages: Pages { start: u64::MAX, count: u64::MAX }, kind: ACPI };
        let map = Map { descriptors: vec![lie], ..Map::default() };
        assert_eq!(applied(&map), [descriptor(0, 4, RAM), descriptor(4, 4, RAM), lie]);
    }

    #[test]
    fn an_order_changes_nothing_else() {
        let ranges = vec![range(1, 1, Some(ACPI)), range(5, 1, Some(ACPI))];
        let map = |order| Map { ranges: ranges.clone(), order, ..Map::default() };
        let sorted = applied(&map(MapOrder::Sorted));
        assert!(sorted.is_sorted_by_key(|descriptor| descriptor.pages));
        for order in [MapOrder::Reversed, MapOrder::Shuffled] {
            let mut other = applied(&map(order));
            assert_ne!(other, sorted);
            other.sort_by_key(|descriptor| descriptor.pages);
            assert_eq!(other, sorted);
        }
    }
}
