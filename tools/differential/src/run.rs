// SPDX-License-Identifier: GPL-2.0

//! Runs the boots, a thread for each size of a page.

use crate::{
    check::{TO_BE_RESERVED, check},
    compile::{Kind, Program, program},
    expect::expected,
    fixed::fixed,
    generate::orders,
    machine::{End, Machine, Ran},
    order::Order,
    stock::{Taken, taken},
    taken::Tree,
};
use anyhow::{Context, Result};
use build::{
    kernel::{Source, Variant, changes},
    pristine::Pristine,
};
use oracle::{Set, Span};
use proptest::test_runner::{Config, RngAlgorithm, RngSeed, TestCaseError, TestError, TestRunner};
use std::{cell::RefCell, fs, path::PathBuf, thread};
use util::place;

/// How many boots are generated where nothing is asked for.
pub const CASES: u32 = 4_000;
/// What they are generated from then.
pub const SEED: u64 = 2017;

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// The kernel tree.
    pub source: Source,
    /// How many boots are generated.
    pub cases: u32,
    /// What they are generated from.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Lines for people.
    pub lines: Vec<String>,
    /// How many checks held.
    pub passed: usize,
    /// What is wrong, for each of the others.
    pub failures: Vec<String>,
}

/// The sizes of a page, as binary logarithms.
const PAGE_SHIFTS: [u32; 2] = [12, 16];

/// What was seen on the way.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    boots: usize,
    stops: usize,
    late: usize,
    ran_out: usize,
    stock: Taken,
    series: Taken,
}

impl std::ops::AddAssign for Seen {
    fn add_assign(&mut self, other: Self) {
        self.boots += other.boots;
        self.stops += other.stops;
        self.late += other.late;
        self.ran_out += other.ran_out;
        self.stock += other.stock;
        self.series += other.series;
    }
}

/// Builds the machines and boots them.
pub fn run(options: &Options) -> Result<Report> {
    let pristine = Pristine::obtain(&options.source)?;
    let series = Variant { series: true, ..Variant::STOCK };
    let checkout = place::checkout()?;
    let mut programs = Vec::new();
    for (variant, plain_c) in [(Variant::STOCK, false), (series, false), (series, true)] {
        let changes = changes(&pristine, variant, &checkout)?;
        let tree = Tree { pristine: &pristine, changes: &changes };
        let built: Vec<_> = thread::scope(|scope| {
            let build = |page_shift| program(&tree, Kind { variant, page_shift, plain_c });
            let threads = PAGE_SHIFTS.map(|shift| scope.spawn(move || build(shift)));
            threads
                .map(|thread| thread.join().expect("a build does not panic"))
                .into_iter()
                .collect()
        });
        programs.push(built.into_iter().collect::<Result<Vec<_>>>()?);
    }
    let [stock, series, plain_c] = &programs[..] else { unreachable!("one for each variant") };
    let results: Vec<_> = thread::scope(|scope| {
        let run = |at: usize| {
            let cases = options.cases / PAGE_SHIFTS.len() as u32;
            let programs = [&stock[at], &series[at], &plain_c[at]];
            Side::start(programs, 1 << PAGE_SHIFTS[at])?.run(cases, options.seed)
        };
        let threads = [0, 1].map(|at| scope.spawn(move || run(at)));
        threads.map(|thread| thread.join().expect("a side does not panic")).into_iter().collect()
    });

    let mut report = Report::default();
    let mut all = Seen::default();
    report.lines.push(format!("{}, seed {}", pristine.described, options.seed));
    for (shift, result) in PAGE_SHIFTS.into_iter().zip(results) {
        let (seen, failure) = result?;
        all += seen;
        let name = format!("{}K pages", (1 << shift) >> 10);
        report.lines.push(format!("{name}: {seen}"));
        match failure {
            None => report.passed += 1,
            Some(why) => report.failures.push(format!("{name}: {why}")),
        }
    }
    report.judge(&all);
    Ok(report)
}

impl Report {
    /// Without the series the same boots have to go wrong, or they prove nothing; with it, none may.
    fn judge(&mut self, all: &Seen) {
        let Taken { boots, not_given, tables, all: whole, no_memory } = all.stock;
        self.lines.push(format!(
            "stock: of {boots} boots with a property {not_given} handed out memory that was not given; \
             {tables} the ACPI tables (F6), {whole} had all memory (F7), {no_memory} took what is \
             none (F8)"
        ));
        self.lines.push(format!(
            "series: of {} boots with a property {} handed out memory that was not given",
            all.series.boots, all.series.not_given
        ));
        let facts = [
            ("stock has F6", tables > 0),
            ("stock has F7", whole > 0),
            ("stock has F8", no_memory > 0),
            (
                "the series has none",
                all.series == Taken { boots: all.series.boots, ..Taken::default() },
            ),
            ("some boots stop", all.stops > 0),
            ("many reserve late", all.late > 90),
            ("few run out of memory", all.ran_out * 4 < all.boots),
        ];
        for (what, holds) in facts {
            if holds {
                self.passed += 1;
            } else {
                self.failures.push(format!("not so: {what}"));
            }
        }
    }
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { boots, stops, late, ran_out, .. } = self;
        write!(
            f,
            "{boots} boots with the series, {stops} of them stopped, {late} reserved late, {ran_out} \
             ran out of memory"
        )
    }
}

/// A machine without the series, one with it, and one with the same steps in C, with pages of one size.
struct Side {
    stock: RefCell<Machine>,
    series: RefCell<Machine>,
    plain_c: RefCell<Machine>,
    page: u64,
    seen: RefCell<Seen>,
    failed: PathBuf,
    replay: String,
}

impl Side {
    fn start([stock, series, plain_c]: [&Program; 3], page: u64) -> Result<Self> {
        let failed = series.dir.join("failed.order");
        Ok(Self {
            stock: RefCell::new(Machine::start(stock)?),
            series: RefCell::new(Machine::start(series)?),
            plain_c: RefCell::new(Machine::start(plain_c)?),
            page,
            seen: RefCell::default(),
            replay: format!("{} < {}", series.path.display(), failed.display()),
            failed,
        })
    }

    /// Boots what is fixed, and `cases` orders that are generated; what went wrong first, in its plainest form.
    fn run(&self, cases: u32, seed: u64) -> Result<(Seen, Option<String>)> {
        let config = Config {
            cases,
            failure_persistence: None,
            rng_algorithm: RngAlgorithm::ChaCha,
            rng_seed: RngSeed::Fixed(seed.wrapping_add(self.page)),
            max_shrink_iters: 1000,
            max_shrink_time: 20_000,
            ..Config::default()
        };
        for (what, order) in fixed(self.page) {
            if let Err(why) = self.boot(order.clone()) {
                let why = self.failed(&format!("{what}: {why}"), order)?;
                return Ok((*self.seen.borrow(), Some(why)));
            }
        }
        let mut runner = TestRunner::new(config);
        let result = runner.run(&orders(self.page), |order| self.boot(order));
        let seen = *self.seen.borrow();
        match result {
            Ok(()) => Ok((seen, None)),
            // The plainest form was not the last one that was tried.
            Err(TestError::Fail(why, order)) => {
                Ok((seen, Some(self.failed(&why.to_string(), order)?)))
            }
            Err(TestError::Abort(why)) => anyhow::bail!("the boots were given up: {why}"),
        }
    }

    /// Keeps the order, and says how to boot it again.
    fn failed(&self, why: &str, order: Order) -> Result<String> {
        let order = writable(order);
        fs::write(&self.failed, order.to_bytes())
            .with_context(|| format!("cannot write {}", self.failed.display()))?;
        Ok(format!("{why}\n{order}\n  boots again by: {}", self.replay))
    }

    fn boot(&self, order: Order) -> Result<(), TestCaseError> {
        let give_up = |error: anyhow::Error| TestCaseError::Fail(format!("{error:#}").into());
        let expected = expected(&order);
        if !expected.has_memory {
            return Ok(());
        }
        let order = writable(order);
        let ran = self.series.borrow_mut().boot(&order).map_err(give_up)?;
        let mut seen = Seen { boots: 1, series: taken(&order, &expected, &ran), ..Seen::default() };
        match (&ran.end, &expected.memory) {
            (End::Panic(_), None) => seen.stops = 1,
            (End::Panic(_), Some(_)) => seen.ran_out = 1,
            _ => {}
        }
        let late = ran.log.iter().any(|line| line.contains(TO_BE_RESERVED));
        seen.late = usize::from(late && ran.end == End::Booted);

        let stock = if order.boot.property.is_some() || ran.end != End::Booted {
            // Stock may write to whatever it takes.
            let all = Order { writable: Set::of(&[Span::ALL]), ..order.clone() };
            Some(self.stock.borrow_mut().boot(&all).map_err(give_up)?)
        } else {
            None
        };
        check(&order, &expected, &ran, stock.as_ref()).map_err(TestCaseError::fail)?;
        let plain_c = self.plain_c.borrow_mut().boot(&order).map_err(give_up)?;
        is_twin(ran, plain_c).map_err(TestCaseError::fail)?;
        if let Some(stock) = &stock {
            seen.stock = taken(&order, &expected, stock);
        }
        *self.seen.borrow_mut() += seen;
        Ok(())
    }
}

/// Whether the same came of a boot with the steps in C, to the last line of the log: `make bench` measures
/// the series against these.
fn is_twin(series: Ran, plain_c: Ran) -> Result<(), String> {
    // Who asks for memory is named, and how much by an address of the host.
    const NO_MEMORY: &str = "Failed to allocate";
    let [series, plain_c] = [series, plain_c].map(|mut ran| {
        match &mut ran.end {
            End::Panic(why) if why.contains(NO_MEMORY) => *why = NO_MEMORY.into(),
            // A warning of C, which says in which file of which machine.
            End::Failed(why) => *why = why.rsplit('/').next().unwrap_or_default().into(),
            _ => {}
        }
        ran
    });
    if series == plain_c {
        return Ok(());
    }
    let lines = series.log.iter().zip(&plain_c.log).find(|(one, other)| one != other);
    Err(match lines {
        Some((one, other)) => format!("'{one}' in Rust is '{other}' in C"),
        None => format!("in Rust: {series:x?}, and in C: {plain_c:x?}"),
    })
}

/// The order, with what may be written to: what can be handed out, in whole pages of the host.
fn writable(order: Order) -> Order {
    let writable = expected(&order).free;
    Order { writable, ..order }
}
