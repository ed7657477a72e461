// SPDX-License-Identifier: GPL-2.0

//! Spans of physical memory, and lists of them.

use std::fmt;

/// Physical addresses from `start` up to, and not including, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// The first address.
    pub start: u64,
    /// The first address behind.
    pub end: u64,
}

impl Span {
    /// The span from `first` to `last`, both in it, as the kernel prints spans.
    pub fn inclusive(first: u64, last: u64) -> Self {
        Self { start: first, end: last.saturating_add(1) }
    }

    /// How many bytes it has.
    pub fn bytes(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether `other` has an address of this span.
    pub fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// Whether `address` is in this span.
    pub fn contains_address(self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// Whether all of `other` is in this span.
    pub fn contains(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// Prints it as /proc/iomem does.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:08x}", self.start, self.end.wrapping_sub(1))
    }
}

/// The spans sorted, and what touches or overlaps made one.
pub fn merged(spans: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut spans: Vec<_> = spans.into_iter().filter(|span| span.bytes() > 0).collect();
    spans.sort();
    let mut merged: Vec<Span> = Vec::new();
    for span in spans {
        match merged.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// How many bytes the spans have together; an address that is in two counts once.
pub fn bytes(spans: impl IntoIterator<Item = Span>) -> u64 {
    merged(spans).into_iter().map(Span::bytes).sum()
}

/// Whether every address of `inner` is in one of `outer`.
pub fn covers(
    outer: impl IntoIterator<Item = Span>,
    inner: impl IntoIterator<Item = Span>,
) -> bool {
    let outer = merged(outer);
    merged(inner).into_iter().all(|span| outer.iter().any(|whole| whole.contains(span)))
}

/// The spans as text, `none` when there is none.
pub fn list(spans: &[Span]) -> String {
    if spans.is_empty() {
        return "none".into();
    }
    spans.iter().map(Span::to_string).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_joins_what_touches_and_keeps_gaps() {
        let spans = [(0x30, 0x40), (0x00, 0x10), (0x10, 0x20), (0x35, 0x3f), (0x50, 0x50)];
        let merged = merged(spans.map(|(start, end)| Span { start, end }));
        assert_eq!(merged, [Span { start: 0, end: 0x20 }, Span { start: 0x30, end: 0x40 }]);
    }

    #[test]
    fn an_address_in_two_spans_counts_once() {
        assert_eq!(bytes([Span::inclusive(0, 0xf), Span::inclusive(8, 0x17)]), 0x18);
    }

    #[test]
    fn covering_needs_every_address() {
        let outer = [Span::inclusive(0, 0xf), Span::inclusive(0x10, 0x1f)];
        assert!(covers(outer, [Span::inclusive(0x8, 0x17)]));
        assert!(!covers(outer, [Span::inclusive(0x8, 0x20)]));
        assert!(covers(outer, []));
    }

    #[test]
    fn the_last_address_does_not_wrap() {
        assert_eq!(Span::inclusive(0xffff_ffff_ffff_f000, u64::MAX).end, u64::MAX);
    }
}
