// SPDX-License-Identifier: GPL-2.0

//! Where memblock may allocate from while tables are not reserved: against an allocator that takes
//! the highest free page below its limit, page by page.

use kernel::{
    efi_driver::free_memory::{largest_free, next_free},
    memblock::{Memory, Region},
    phys::{Merged, PhysAddr, PhysRange},
};
use proptest::prelude::*;

const PAGES: u64 = 64;
/// In bytes, small enough for addresses to be as easy to read as numbers of pages.
const PAGE: u64 = 16;

/// Bit by bit: the pages of memory, those that are reserved, and those that are tables.
#[derive(Clone, Copy, Debug)]
struct Machine {
    memory: u64,
    reserved: u64,
    tables: u64,
}

/// Pages in a row: the numbers of the first and the last.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Piece(u64, u64);

impl Piece {
    fn of(range: PhysRange) -> Self {
        let (start, last) = (range.start().as_u64(), range.last().as_u64());
        assert_eq!(
            (start % PAGE, last % PAGE),
            (0, PAGE - 1),
            "{range} is no whole pages"
        );
        Self(start / PAGE, last / PAGE)
    }

    fn size(self) -> u64 {
        self.1 - self.0 + 1
    }
}

fn pages(set: u64) -> impl Iterator<Item = PhysRange> + Clone {
    let page =
        |page| PhysRange::from_start_size(PhysAddr::new(page * PAGE), PAGE).expect("one page");
    Merged::new(
        (0..PAGES)
            .filter(move |page| set >> page & 1 == 1)
            .map(page),
    )
}

impl Memory for Machine {
    fn regions(&self) -> impl Iterator<Item = Region> + Clone {
        pages(self.memory).map(|range| Region {
            range,
            nomap: false,
        })
    }

    fn remove(&self, _range: PhysRange) {
        unreachable!("nothing is removed");
    }
}

impl Machine {
    fn largest_free(&self) -> Option<Piece> {
        largest_free(self, pages(self.reserved), pages(self.tables)).map(Piece::of)
    }

    fn next_free(&self, limit: u64) -> Option<Piece> {
        let limit = PhysAddr::new(limit * PAGE);
        next_free(self, pages(self.reserved), pages(self.tables), limit).map(Piece::of)
    }

    /// As memblock does: the highest page below `limit` that is free as far as it knows.
    fn allocate(&mut self, limit: u64) -> Option<u64> {
        let free = |page: &u64| self.memory & !self.reserved & 1 << page != 0;
        let page = (0..limit).rev().find(free)?;
        self.reserved |= 1 << page;
        Some(page)
    }
}

impl Machine {
    /// As above, but `size` pages in one piece. Where one piece is too small, it goes on below.
    fn allocate_piece(&mut self, limit: u64, size: u64) -> Option<u64> {
        let free = |page: u64| self.memory & !self.reserved & 1 << page != 0;
        let first = (0..=limit.checked_sub(size)?)
            .rev()
            .find(|first| (*first..first + size).all(free))?;
        (first..first + size).for_each(|page| self.reserved |= 1 << page);
        Some(first)
    }
}

fn is_table(machine: &Machine, page: u64) -> bool {
    machine.tables >> page & 1 == 1
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// No table is handed out without a notice, however much is allocated.
    #[test]
    fn a_table_that_was_handed_out_is_noticed(
        memory: u64, reserved: u64, a: u64, b: u64, count in 0..64usize,
    ) {
        // Few tables, and not reserved, but for some that the firmware's own data is in.
        let (tables, reserved) = (a & b, reserved & !(a & b) | a & b & memory & reserved & a >> 3);
        let mut machine = Machine { memory, reserved, tables };
        let Some(free) = machine.largest_free() else {
            prop_assert_eq!(memory & !reserved & !tables, 0);
            return Ok(());
        };
        let limit = free.1 + 1;
        let handed_out: Vec<_> = (0..count).map_while(|_| machine.allocate(limit)).collect();
        let next = machine.next_free(limit);
        if handed_out.iter().any(|page| is_table(&machine, *page)) {
            prop_assert_eq!(next, None);
        }
        // What was found is at least as good as what it promised.
        if count < free.size() as usize {
            prop_assert!(handed_out.iter().all(|page| !is_table(&machine, *page)));
            let next = next.expect("some of it is left");
            prop_assert!(next.size() >= free.size() - count as u64);
            prop_assert_eq!(next.1, free.1 - count as u64);
        }
        // What comes next is no table, and free.
        for page in next.into_iter().flat_map(|next| next.0..=next.1) {
            prop_assert!(!is_table(&machine, page));
            prop_assert_eq!(machine.memory & !machine.reserved & 1 << page, 1 << page);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    /// A large piece that comes first, and fits, costs no table, and leaves memory to be seen.
    #[test]
    fn a_large_first_allocation_takes_no_table(memory: u64, a: u64, b: u64, size in 1..8u64) {
        let mut machine = Machine { memory: memory | a, reserved: 0, tables: a & b };
        let Some(free) = machine.largest_free().filter(|free| free.size() > size) else {
            return Ok(());
        };
        let limit = free.1 + 1;
        let first = machine.allocate_piece(limit, size);
        prop_assert_eq!(first, Some(limit - size));
        let next = machine.next_free(limit).expect("some of it is left");
        prop_assert_eq!(next.size(), free.size() - size);
    }
}

//  memory    ################
//  tables    ..#......#......
//  reserved  ....##..........
//
// Expect the limit to be at the end of the piece behind the last table, and a notice once that is
// used up and the table is next.
#[test]
fn the_end_of_the_free_piece_is_noticed() {
    let mut machine = Machine {
        memory: 0xffff,
        reserved: 0x30,
        tables: 1 << 2 | 1 << 9,
    };
    let free = machine.largest_free().expect("there is free memory");
    assert_eq!(free, Piece(10, 15));
    for left in (0..6).rev() {
        assert!(machine.allocate(16).is_some());
        assert_eq!(
            machine.next_free(16).map(|next| next.size()),
            (left > 0).then_some(left)
        );
    }
    assert_eq!(machine.allocate(16), Some(9), "the table is next");
    assert_eq!(machine.next_free(16), None);
}

#[test]
fn without_free_memory_there_is_nothing_to_find() {
    let machine = Machine {
        memory: 0xff,
        reserved: 0xf0,
        tables: 0x0f,
    };
    assert_eq!(machine.largest_free(), None);
    assert_eq!(machine.next_free(0), None);
}

/// The run of ones in `set` that ends with page `last`; [`None`] if that is not in it.
fn run_up_to(set: u64, last: u64) -> Option<Piece> {
    let first = (0..=last)
        .rev()
        .take_while(|page| set >> page & 1 == 1)
        .last()?;
    Some(Piece(first, last))
}

/// Six pages, each in every state, and every limit.
#[test]
fn every_small_machine_has_its_free_memory_found() {
    const SMALL: u64 = 6;
    let mut cases = 0;
    for bits in 0..1u64 << (3 * SMALL) {
        let set = |at| bits >> (at * SMALL) & ((1 << SMALL) - 1);
        let machine = Machine {
            memory: set(0),
            reserved: set(1),
            tables: set(2),
        };
        let unused = machine.memory & !machine.reserved;
        let free = unused & !machine.tables;

        let longest = (0..SMALL)
            .filter_map(|last| run_up_to(free, last))
            .map(Piece::size);
        let found = machine.largest_free();
        assert_eq!(found.map(Piece::size), longest.max(), "{machine:x?}");
        assert_eq!(found, found.and_then(|piece| run_up_to(free, piece.1)));

        for limit in 0..=SMALL {
            let next = (0..limit).rev().find(|page| unused >> page & 1 == 1);
            let passed = |next| (next + 1..limit).any(|page| is_table(&machine, page));
            let wanted = next
                .filter(|next| !passed(*next))
                .and_then(|next| run_up_to(free, next));
            assert_eq!(
                machine.next_free(limit),
                wanted,
                "{machine:x?}, limit {limit}"
            );
            cases += 1;
        }
    }
    println!("free memory: {cases} cases");
}
