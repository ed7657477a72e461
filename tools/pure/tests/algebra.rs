// SPDX-License-Identifier: GPL-2.0

//! The algebra of ranges against sets of bytes.

use kernel::phys::{Difference, Merged, PageSize, PhysAddr, PhysRange};
use proptest::prelude::*;

/// Ranges of a small address space, so that they meet often. Its byte zero is in none.
fn ranges() -> impl Strategy<Value = Vec<PhysRange>> {
    let range = (1..48u64, 1..12u64).prop_map(|(start, size)| {
        PhysRange::from_start_size(PhysAddr::new(start), size).expect("neither empty nor wrapping")
    });
    prop::collection::vec(range, 0..10)
}

/// The bytes of `ranges` in 0 to 63.
fn bytes(ranges: impl IntoIterator<Item = PhysRange>) -> u64 {
    ranges
        .into_iter()
        .flat_map(|range| range.start().as_u64()..=range.last().as_u64())
        .fold(0, |bytes, byte| bytes | 1 << byte)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn merged_is_the_union_sorted_and_apart(ranges in ranges()) {
        let merged: Vec<_> = Merged::new(ranges.iter().copied()).collect();
        prop_assert_eq!(bytes(merged.clone()), bytes(ranges));
        for pair in merged.windows(2) {
            prop_assert!(pair[0].last() < pair[1].start());
            prop_assert!(!pair[0].touches(pair[1]), "{} and {} are one range", pair[0], pair[1]);
        }
    }

    #[test]
    fn difference_is_what_only_the_first_set_has(one in ranges(), other in ranges()) {
        fn merged(ranges: &[PhysRange]) -> Merged<impl Iterator<Item = PhysRange> + Clone + '_> {
            Merged::new(ranges.iter().copied())
        }
        let pieces: Vec<_> = Difference::new(merged(&one), merged(&other)).collect();
        prop_assert_eq!(bytes(pieces.clone()), bytes(one) & !bytes(other));
        prop_assert!(pieces.windows(2).all(|pair| pair[0].last() < pair[1].start()));
    }

    #[test]
    fn two_ranges_agree_with_their_bytes(
        (start, size) in (1..40u64, 1..20u64), (other_start, other_size) in (1..40u64, 1..20u64),
    ) {
        let one = PhysRange::from_start_size(PhysAddr::new(start), size).unwrap();
        let other = PhysRange::from_start_size(PhysAddr::new(other_start), other_size).unwrap();
        let (a, b) = (bytes([one]), bytes([other]));
        prop_assert_eq!(one.overlaps(other), a & b != 0);
        prop_assert_eq!(one.touches(other), a & b != 0 || a << 1 & b != 0 || a & b << 1 != 0);
        prop_assert_eq!(one.contains(other), a & b == b);
        prop_assert_eq!(bytes(one.intersection(other)), a & b);
        prop_assert_eq!(bytes([one.hull(other)]) & (a | b), a | b);
        prop_assert_eq!(bytes(one.below(other.start())), a & ((1 << other_start) - 1));
        prop_assert_eq!(bytes(one.above(other.last())), a & !(u64::MAX >> (63 - other.last().as_u64())));
    }

    #[test]
    fn any_numbers_make_a_range_or_none(start: u64, size: u64, shift in 0..64u32) {
        let range = PhysRange::from_start_size(PhysAddr::new(start), size);
        let end = u128::from(start) + u128::from(size);
        // One byte at zero is no range.
        prop_assert_eq!(range.is_some(), size > 0 && end > 1 && end <= 1 << 64);
        if let Some(range) = range {
            prop_assert_eq!(range.size(), size);
            prop_assert_eq!(u128::from(range.last().as_u64()) + 1, end);
            let page = PageSize::new_checked(1 << shift).unwrap();
            let pages = range.to_whole_pages(page);
            prop_assert!(pages.contains(range));
            prop_assert_eq!(pages.start().as_u64() % (1 << shift), 0);
            prop_assert_eq!((u128::from(pages.last().as_u64()) + 1) % (1 << shift), 0);
            if let Some(within) = range.whole_pages_within(page) {
                prop_assert!(range.contains(within));
                prop_assert_eq!(within.to_whole_pages(page), within);
            } else {
                // No whole page fits.
                let first = u128::from(start).next_multiple_of(1 << shift);
                prop_assert!(first + (1 << shift) > end);
            }
        }
    }
}
