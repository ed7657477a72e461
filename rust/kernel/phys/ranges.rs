// SPDX-License-Identifier: GPL-2.0

//! Sets of physical memory, as sequences of ranges that are never stored.

use super::{
    PhysAddr,
    PhysRange, //
};
use core::iter::Take;

/// The union of ranges that come in any order: sorted, no two of them overlapping or adjacent.
///
/// It allocates nothing and has no limit. All ranges are walked once to see in which order they
/// come, and how far they reach: so a copy is cheaper than to begin anew. Ranges that come sorted
/// by their start, as most firmware has them, are then walked once more, from the first to the
/// last one. From ranges in another order each step takes the lowest that is left, which takes two
/// walks, and one more for each time that a range touches it that came before.
///
/// # Examples
///
/// ```
/// use kernel::phys::{Merged, PhysAddr, PhysRange};
///
/// let range = |start, last| PhysRange::new(PhysAddr::new(start), PhysAddr::new(last));
/// let given = [range(0x30, 0x3f), range(0x10, 0x1f), range(0x18, 0x2f)];
///
/// let mut merged = Merged::new(given.iter().flatten().copied());
/// assert_eq!(merged.next(), range(0x10, 0x3f));
/// assert_eq!(merged.next(), None);
/// ```
#[derive(Clone)]
pub struct Merged<I> {
    /// Ends behind the last one.
    ranges: Take<I>,
    sorted: bool,
    /// How many ranges are left at most.
    left: usize,
    /// Whether it is so many.
    is_exact: bool,
    /// Of sorted ranges: the first one, then the one that ended the run before.
    ahead: Option<PhysRange>,
    /// What is left to look at. Ranges that do not reach into it are none.
    window: Option<PhysRange>,
}

impl<I: Iterator<Item = PhysRange> + Clone> Merged<I> {
    /// The union of `ranges`, which must be the same each time that they are walked.
    // Not marked for inlining, as below.
    pub fn new(ranges: I) -> Self {
        let (mut rest, mut first) = (ranges.clone(), None);
        let (mut given, mut runs) = (0usize, 0usize);
        let (mut sorted, mut start) = (true, PhysAddr::MIN);
        let mut window = None::<PhysRange>;
        let mut all = ranges.clone();
        while let Some(range) = all.next() {
            if first.is_none() {
                (first, rest) = (Some(range), all.clone());
            }
            given = given.saturating_add(1);
            sorted &= start <= range.start();
            start = range.start();
            window = match window {
                Some(window) if window.touches(range) => Some(window.hull(range)),
                before => {
                    runs = runs.saturating_add(1);
                    Some(before.map_or(range, |before| before.hull(range)))
                }
            };
        }
        // Sorted ranges are not looked for before the first one again.
        let (ranges, ahead, left) = if sorted {
            (rest.take(given.saturating_sub(1)), first, runs)
        } else {
            (ranges.take(given), None, given)
        };
        Self {
            ranges,
            sorted,
            left,
            is_exact: sorted,
            ahead,
            window,
        }
    }

    /// A range that all that is left reaches into: from the first to the last byte, as long as no
    /// range was taken and no window was set. [`None`] if nothing is left.
    #[inline]
    pub fn hull(&self) -> Option<PhysRange> {
        self.window
    }

    /// The union of those of the ranges that reach into `window`.
    #[inline]
    pub fn overlapping(self, window: PhysRange) -> Self {
        Self {
            is_exact: false,
            ahead: self.ahead.filter(|range| range.overlaps(window)),
            window: self.window.and_then(|hull| hull.intersection(window)),
            ..self
        }
    }

    /// The next range if `ranges` come sorted by their start; what is walked is not needed again.
    #[inline]
    fn next_of_sorted(&mut self, window: PhysRange) -> Option<PhysRange> {
        let mut run = self.ahead.take();
        for range in self.ranges.by_ref() {
            if !range.overlaps(window) {
                continue;
            }
            run = match run {
                Some(run) if run.touches(range) => Some(run.hull(range)),
                Some(_) => {
                    self.ahead = Some(range);
                    break;
                }
                None => Some(range),
            };
        }
        run
    }

    /// The next range whatever the order.
    fn next_of_unsorted(&self, window: PhysRange) -> Option<PhysRange> {
        let mut run = None::<PhysRange>;
        // A range may touch the run only through one that comes after it: walk until none is left.
        loop {
            let before = run;
            for range in self.ranges.clone() {
                if range.overlaps(window) {
                    run = match run {
                        Some(run) if run.touches(range) => Some(run.hull(range)),
                        Some(run) if run.start() < range.start() => Some(run),
                        _ => Some(range),
                    };
                }
            }
            if run == before {
                return run;
            }
        }
    }
}

impl<I: Iterator<Item = PhysRange> + Clone> Iterator for Merged<I> {
    type Item = PhysRange;

    // Not marked for inlining: a copy for each place where the next range is asked for would be
    // most of the code.
    fn next(&mut self) -> Option<PhysRange> {
        let window = self.window?;
        let run = if self.sorted {
            self.next_of_sorted(window)
        } else {
            self.next_of_unsorted(window)
        };
        self.window = run.and_then(|run| window.above(run.last()));
        self.left = self.left.saturating_sub(1);
        run
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (0, Some(self.left))
    }

    #[inline]
    fn count(self) -> usize {
        if self.is_exact {
            self.left
        } else {
            self.fold(0, |count, _| count + 1)
        }
    }
}

/// What is in one set of ranges and not in another one.
///
/// Both sets are sorted, and no two ranges of one set overlap; [`Merged`] makes such a set. So does
/// what comes out, where a range of the first set may be cut into pieces.
///
/// # Examples
///
/// ```
/// use kernel::phys::{Difference, PhysAddr, PhysRange};
///
/// let range = |start, last| PhysRange::new(PhysAddr::new(start), PhysAddr::new(last));
/// let ram = range(0x00, 0xff);
/// let tables = range(0x30, 0x3f);
///
/// let mut rest = Difference::new(ram.into_iter(), tables.into_iter());
/// assert_eq!(rest.next(), range(0x00, 0x2f));
/// assert_eq!(rest.next(), range(0x40, 0xff));
/// assert_eq!(rest.next(), None);
/// ```
#[derive(Clone)]
pub struct Difference<I, J: Iterator> {
    ranges: I,
    /// What is left of the range at hand.
    rest: Option<PhysRange>,
    without: J,
    /// The first range of `without` that may reach into `rest` or beyond it.
    hole: Option<PhysRange>,
}

impl<I, J> Difference<I, J>
where
    I: Iterator<Item = PhysRange>,
    J: Iterator<Item = PhysRange>,
{
    /// The bytes of `ranges` that are not in `without`.
    #[inline]
    pub fn new(ranges: I, mut without: J) -> Self {
        let hole = without.next();
        Self {
            ranges,
            rest: None,
            without,
            hole,
        }
    }
}

impl<I, J> Iterator for Difference<I, J>
where
    I: Iterator<Item = PhysRange>,
    J: Iterator<Item = PhysRange>,
{
    type Item = PhysRange;

    #[inline]
    fn next(&mut self) -> Option<PhysRange> {
        loop {
            let rest = match self.rest.take() {
                Some(rest) => rest,
                None => self.ranges.next()?,
            };
            match self.hole {
                Some(hole) if hole.last() < rest.start() => {
                    self.rest = Some(rest);
                    self.hole = self.without.next();
                }
                Some(hole) if hole.overlaps(rest) => {
                    self.rest = rest.above(hole.last());
                    if let Some(piece) = rest.below(hole.start()) {
                        return Some(piece);
                    }
                }
                _ => return Some(rest),
            }
        }
    }

    #[inline]
    fn count(self) -> usize {
        if self.hole.is_none() {
            usize::from(self.rest.is_some()).saturating_add(self.ranges.count())
        } else {
            self.fold(0, |count, _| count + 1)
        }
    }
}

#[cfg_attr(not(test), macros::kunit_tests(rust_kernel_phys_ranges))]
#[cfg(any(test, CONFIG_RUST_PHYS_KUNIT_TEST))]
mod tests {
    use super::*;

    fn range(start: u64, last: u64) -> Option<PhysRange> {
        PhysRange::new(PhysAddr::new(start), PhysAddr::new(last))
    }

    //  given   |-3-|   |--0--|
    //            |--2--|        |-1-|
    //
    // Expect to get two ranges: 3, 2 and 0 in one, for 2 and 0 are adjacent, and 1.
    #[test]
    fn ranges_in_any_order_are_merged_and_sorted() {
        let given = [
            range(0x30, 0x3f),
            range(0x50, 0x5f),
            range(0x18, 0x2f),
            range(0x10, 0x1f),
        ];
        let mut merged = Merged::new(given.iter().flatten().copied());
        assert_eq!(merged.next(), range(0x10, 0x3f));
        assert_eq!(merged.next(), range(0x50, 0x5f));
        assert_eq!(merged.next(), None);
        assert_eq!(merged.next(), None);
    }

    //  given   |--0--|    |-2-||3|
    //            |-1-|
    //
    // Expect the same of ranges that come sorted by their start: they are walked in another way.
    #[test]
    fn ranges_that_come_sorted_are_merged() {
        let given = [
            range(0x10, 0x2f),
            range(0x10, 0x1f),
            range(0x40, 0x4f),
            range(0x50, 0x50),
            range(u64::MAX - 1, u64::MAX),
            range(u64::MAX, u64::MAX),
        ];
        let mut merged = Merged::new(given.iter().flatten().copied());
        assert_eq!(merged.next(), range(0x10, 0x2f));
        assert_eq!(merged.next(), range(0x40, 0x50));
        assert_eq!(merged.next(), range(u64::MAX - 1, u64::MAX));
        assert_eq!(merged.next(), None);
        assert_eq!(merged.next(), None);
    }

    //  given   |-0-| |-1-||-2-|   |-3-|     |-4-|
    //  window          |---------------|
    //
    // Expect 1 and 2 in one range, as they are, and 3: in any order.
    #[test]
    fn ranges_that_do_not_reach_into_the_window_are_left_out() {
        let mut given = [
            range(0x00, 0x0f),
            range(0x20, 0x2f),
            range(0x30, 0x3f),
            range(0x50, 0x5f),
            range(0x70, 0x7f),
        ];
        for _ in 0..2 {
            let all = given.iter().flatten().copied();
            let mut merged = range(0x28, 0x6f).map(|window| Merged::new(all).overlapping(window));
            let mut next = || merged.as_mut().and_then(Iterator::next);
            assert_eq!(next(), range(0x20, 0x3f));
            assert_eq!(next(), range(0x50, 0x5f));
            assert_eq!(next(), None);
            given.reverse();
        }
    }

    // Expect to know how many ranges there are, and how far they reach, before and after each step.
    // Of ranges in another order, or within a window, only that there are no more.
    #[test]
    fn what_is_left_is_known() {
        let mut given = [range(0x10, 0x1f), range(0x20, 0x2f), range(0x40, 0x4f)];
        let sorted = Merged::new(given.iter().flatten().copied());
        let mut rest = sorted.clone();
        assert_eq!(rest.hull(), range(0x10, 0x4f));
        assert_eq!(rest.clone().count(), 2);
        assert_eq!(rest.next(), range(0x10, 0x2f));
        assert_eq!(rest.hull(), range(0x30, 0x4f));
        assert_eq!(rest.clone().count(), 1);
        assert_eq!(rest.next(), range(0x40, 0x4f));
        assert_eq!((rest.hull(), rest.size_hint()), (None, (0, Some(0))));
        assert_eq!(rest.count(), 0);

        let within = range(0x30, 0x3f).map(|window| sorted.clone().overlapping(window));
        assert_eq!(within.map(|within| within.count()), Some(0));
        let within = range(0x2f, 0x3f).map(|window| sorted.overlapping(window));
        assert_eq!(within.map(|within| within.count()), Some(1));

        given.reverse();
        let reversed = Merged::new(given.iter().flatten().copied());
        assert_eq!(reversed.hull(), range(0x10, 0x4f));
        assert_eq!(reversed.size_hint(), (0, Some(3)));
        assert_eq!(reversed.count(), 2);
    }

    // Expect the run to grow to its end although each range is reached only from the one behind it.
    #[test]
    fn a_chain_in_falling_order_is_one_range() {
        let given = [range(7, 8), range(5, 6), range(3, 4), range(0, 2)];
        let mut merged = Merged::new(given.iter().flatten().copied());
        assert_eq!(merged.next(), range(0, 8));
        assert_eq!(merged.next(), None);
    }

    // Expect to stop after the range that ends at the top of the address space.
    #[test]
    fn merging_stops_at_the_top_of_the_address_space() {
        let given = [range(u64::MAX, u64::MAX), range(0, 1), range(0, 1)];
        let mut merged = Merged::new(given.iter().flatten().copied());
        assert_eq!(merged.next(), range(0, 1));
        assert_eq!(merged.next(), range(u64::MAX, u64::MAX));
        assert_eq!(merged.next(), None);
    }

    //  ranges  |-----0-----|   |--1--|  |-2-|
    //  without   |a| |b|     |---c---|  |-d-|
    //
    // Expect to get what lies around a and b in 0, and nothing of 1 and 2.
    #[test]
    fn holes_cut_ranges_into_pieces() {
        let ranges = [range(0x00, 0x5f), range(0x70, 0x7f), range(0x90, 0x9f)];
        let without = [
            range(0x10, 0x1f),
            range(0x30, 0x3f),
            range(0x68, 0x7f),
            range(0x90, 0x9f),
        ];
        let mut rest = Difference::new(
            ranges.iter().flatten().copied(),
            without.iter().flatten().copied(),
        );
        assert_eq!(rest.next(), range(0x00, 0x0f));
        assert_eq!(rest.next(), range(0x20, 0x2f));
        assert_eq!(rest.next(), range(0x40, 0x5f));
        assert_eq!(rest.next(), None);
    }

    //  ranges  |-0-| |-1-| |-2-|
    //  without   |------a-----|
    //
    // Expect one hole to cut more than one range.
    #[test]
    fn a_hole_may_reach_over_several_ranges() {
        let ranges = [range(0, 9), range(20, 29), range(40, 49)];
        let mut rest = Difference::new(ranges.iter().flatten().copied(), range(5, 44).into_iter());
        assert_eq!(rest.next(), range(0, 4));
        assert_eq!(rest.next(), range(45, 49));
        assert_eq!(rest.next(), None);
    }

    // Expect the same number whether it has to be walked to know it, or not.
    #[test]
    fn pieces_are_counted_with_and_without_holes() {
        let ranges = [range(0x00, 0x5f), range(0x70, 0x7f)];
        let ranges = Merged::new(ranges.iter().flatten().copied());
        let hole = range(0x10, 0x1f).into_iter();
        let mut cut = Difference::new(ranges.clone(), hole);
        assert_eq!(cut.clone().count(), 3);
        assert_eq!(cut.next(), range(0x00, 0x0f));
        assert_eq!(cut.count(), 2);
        assert_eq!(Difference::new(ranges, None.into_iter()).count(), 2);
    }

    // Expect the complement of a set to be what it takes away from the whole address space.
    #[test]
    fn the_complement_has_both_ends_of_the_address_space() {
        let mut gaps = Difference::new(Some(PhysRange::ALL).into_iter(), range(5, 9).into_iter());
        assert_eq!(gaps.next(), range(0, 4));
        assert_eq!(gaps.next(), range(10, u64::MAX));
        assert_eq!(gaps.next(), None);
        let mut none = Difference::new(
            Some(PhysRange::ALL).into_iter(),
            Some(PhysRange::ALL).into_iter(),
        );
        assert_eq!(none.next(), None);
    }
}
