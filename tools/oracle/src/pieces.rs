// SPDX-License-Identifier: GPL-2.0

//! Sets of bytes, decided piece by piece.

use std::fmt;

/// Bytes from the first to the last one, both inclusive; it prints as `/proc/iomem` has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first byte.
    pub first: u64,
    /// The last byte, not below the first one.
    pub last: u64,
}

impl Span {
    /// The whole address space.
    pub const ALL: Self = Self { first: 0, last: u64::MAX };

    /// Whether `byte` is one of these.
    pub fn has(self, byte: u64) -> bool {
        self.first <= byte && byte <= self.last
    }

    /// The bytes of both, and those between them.
    pub fn with(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// How many bytes these are.
    pub fn bytes(self) -> u128 {
        u128::from(self.last) - u128::from(self.first) + 1
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.first, self.last)
    }
}

/// A set of bytes: its spans are in order, and between two of them there is a byte that is not in
/// the set. So two sets are the same if they compare equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set(Vec<Span>);

impl Set {
    /// The bytes of `spans`, which may come in any order and overlap.
    pub fn of(spans: &[Span]) -> Self {
        cut(spans, |byte| spans.iter().any(|span| span.has(byte)))
    }

    /// The spans.
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Whether no byte is in the set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `byte` is in the set.
    pub fn has(&self, byte: u64) -> bool {
        let behind = self.0.partition_point(|span| span.first <= byte);
        behind > 0 && self.0[behind - 1].has(byte)
    }

    /// How many bytes are in the set.
    pub fn bytes(&self) -> u128 {
        self.0.iter().map(|span| span.bytes()).sum()
    }

    /// From the lowest to the highest byte; [`None`] of an empty set.
    pub fn reach(&self) -> Option<Span> {
        Some(Span { first: self.0.first()?.first, last: self.0.last()?.last })
    }

    /// The bytes of any of `sets` for which `wanted` holds. It may ask for nothing but which of
    /// `sets` a byte is in.
    pub fn select<const N: usize>(sets: [&Set; N], wanted: impl Fn([bool; N]) -> bool) -> Self {
        let spans = sets.iter().flat_map(|set| &set.0);
        cut(spans, |byte| wanted(sets.map(|set| set.has(byte))))
    }

    /// What is in this set and in `other`.
    pub fn and(&self, other: &Self) -> Self {
        Self::select([self, other], |[here, there]| here && there)
    }

    /// What is in this set or in `other`.
    pub fn or(&self, other: &Self) -> Self {
        Self::select([self, other], |[here, there]| here || there)
    }

    /// What is in this set and not in `other`.
    pub fn without(&self, other: &Self) -> Self {
        Self::select([self, other], |[here, there]| here && !there)
    }

    /// What is not above `last`.
    pub fn up_to(&self, last: u64) -> Self {
        let below = self.0.iter().filter(|span| span.first <= last);
        Self(below.map(|span| Span { first: span.first, last: span.last.min(last) }).collect())
    }

    /// The whole pages that are in the set from end to end.
    pub fn whole_pages(&self, page: u64) -> Self {
        let page = u128::from(page);
        let pages = self.0.iter().filter_map(|span| {
            let first = u128::from(span.first).next_multiple_of(page);
            let end = (u128::from(span.last) + 1) / page * page;
            (first < end).then(|| Span { first: first as u64, last: (end - 1) as u64 })
        });
        Self(pages.collect())
    }
}

/// Cuts the address space at every bound of `spans`, and joins the pieces that are `wanted`; a piece
/// is asked for by its first byte, which stands for all of its bytes, for no bound is within it.
fn cut<'a>(spans: impl IntoIterator<Item = &'a Span>, wanted: impl Fn(u64) -> bool) -> Set {
    let mut bounds: Vec<u64> = Vec::with_capacity(32);
    bounds.push(0);
    for span in spans {
        bounds.push(span.first);
        bounds.extend(span.last.checked_add(1));
    }
    bounds.sort_unstable();
    bounds.dedup();

    let mut joined: Vec<Span> = Vec::new();
    for (index, &first) in bounds.iter().enumerate() {
        if !wanted(first) {
            continue;
        }
        let last = bounds.get(index + 1).map_or(u64::MAX, |next| next - 1);
        match joined.last_mut() {
            Some(before) if before.last.checked_add(1) == Some(first) => before.last = last,
            _ => joined.push(Span { first, last }),
        }
    }
    Set(joined)
}
