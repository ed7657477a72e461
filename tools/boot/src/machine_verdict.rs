// SPDX-License-Identifier: GPL-2.0

//! Whether a crash of a machine is what it must be: every property, and the rules.

use crate::{
    answers,
    case_boot::{Configured, set},
    compatibility,
    crash_case::{Crash, Loader},
    facts::Facts,
    iomem::{ACPI_TABLES, SYSTEM_RAM},
    properties::{Answer, Expected, Look, Of, PROPERTIES, Property},
    rules::{self, Found},
};
use anyhow::{Context, Result, bail, ensure};
use machines::{By, Column, Entry, Says, Tables, Trouble};
use oracle::{Boot, Cells, Outcome};

/// What a crash kernel with the series shares with stock's where tables are left out of memory.
const LEFT_OUT: [&str; 2] = ["crash-memblock-memory", "crash-no-ioremap"];

/// What asks for accesses of the first kernel to /dev/mem.
const ACCESSES: [&str; 2] = ["first-dev-mem", "dev-mem-beside"];

/// What asks for all tables to be mapped. Where some are not, the rules alone say what is right.
const MAPPED: [&str; 10] = [
    "acpi-ranges-logged",
    "first-published-bounds",
    "first-u-root",
    "crash-published-bounds",
    "first-memblock-memory",
    "crash-memblock-memory",
    "crash-no-ioremap",
    "first-dev-mem",
    "crash-dev-mem",
    "dump-tables",
];

/// What memory is called in /proc/iomem.
const MEMORY: [&str; 3] = [SYSTEM_RAM, ACPI_TABLES, "reserved"];

/// What came of one crash.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// How many properties were as expected.
    pub as_expected: usize,
    /// What was not, one line each.
    pub complaints: Vec<String>,
}

impl Verdict {
    fn add(&mut self, as_expected: bool, complaint: impl FnOnce() -> String) {
        match as_expected {
            true => self.as_expected += 1,
            false => self.complaints.push(complaint()),
        }
    }
}

/// One crash of a machine, by one loader.
#[derive(Clone, Copy)]
pub struct Crashed<'a> {
    /// The machine.
    pub entry: &'a Entry,
    /// Which of its kernels have the series.
    pub column: Column,
    /// How the crash kernel was loaded.
    pub loader: Loader,
    /// What came of it.
    pub crash: &'a Crash,
    /// What came of the same with stock, where that was done and is something else.
    pub stock: Option<&'a Crash>,
    /// What the first kernel and the crash kernel were configured for.
    pub configured: [Configured; 2],
}

/// Judges `crashed` by every property, and each kernel with the series by the rules.
pub fn judge(crashed: Crashed<'_>) -> Verdict {
    let Crashed { entry, column, loader, crash, stock, .. } = crashed;
    let look = Look { crash, stock, loader };
    let mut verdict = Verdict::default();
    let mut not_reached = 0;
    for property in PROPERTIES {
        let asked = property.is_asked(&crash.asked, stock.is_some());
        let expected = expected(entry, column, loader, property).filter(|_| asked);
        let Some(expected) = expected else { continue };
        let answer = (property.ask)(look);
        if expected.met_by(loader, answer.as_ref()) {
            verdict.as_expected += 1;
        } else if answer.is_none() && !verdict.complaints.is_empty() {
            // What ended the run was told; nobody needs to be told what comes after that.
            not_reached += 1;
        } else {
            verdict.complaints.push(complaint(property, expected, answer.as_ref()));
        }
    }
    for Says { line: text, by, .. } in entry.says.iter().filter(|says| says.concerns(column)) {
        let (log, who) = match by {
            By::First => (&crash.first_log, "first"),
            By::Crash => (&crash.second_log, "crash"),
        };
        let said = log.lines().any(|line| line.contains(text));
        verdict.add(said, || format!("the {who} kernel does not say '{text}'"));
    }
    for Trouble { line: text, .. } in entry.trouble.iter().filter(|line| line.concerns(column)) {
        let said = crash.run.console.contains(text);
        verdict.add(said, || format!("no '{text}': it is trouble, and expected no more"));
    }
    // Where there are no facts, another property says so.
    if let (true, Ok(first)) = (entry.log_overflows, &crash.first) {
        verdict.add(first.dev_mem.is_empty(), || {
            "the log does not overflow: take log-overflows away".into()
        });
    }
    if not_reached > 0 {
        verdict.complaints.push(format!("{not_reached} more properties were not reached"));
    }
    let usual = entry
        .unlike
        .iter()
        .all(|unlike| unlike.property != "dump-tables" || !unlike.concerns(column, loader.name()));
    if entry.tables == Tables::Kept && usual {
        match as_documented(look, column) {
            None => {}
            Some(Ok(())) => verdict.as_expected += 1,
            Some(Err(error)) => verdict.complaints.push(format!("{error:#}")),
        }
    }
    if let (Tables::Absent, true, Some(stock)) = (entry.tables, column.first(), stock) {
        let pairs = [(&crash.first, &stock.first), (&crash.second, &stock.second)];
        let same = pairs.into_iter().all(same_memory_shown);
        verdict.add(same, || "memory in /proc/iomem is not as in stock".into());
    }
    let kernels = [
        ("first", column.first(), &crash.first, crashed.configured[0], &entry.options),
        ("crash", column.crash(), &crash.second, crashed.configured[1], &entry.crash_options),
    ];
    for (which, series, facts, configured, options) in kernels {
        // Where there are no facts, another property says so.
        let (true, Ok(facts)) = (series && entry.tables != Tables::Absent, facts) else { continue };
        match limit(options).and_then(|limit| by_the_rules(facts, configured, limit)) {
            Ok(()) => verdict.as_expected += 1,
            Err(error) => {
                verdict.complaints.push(format!("memory of the {which} kernel: {error:#}"))
            }
        }
    }
    verdict
}

/// Whether /proc/iomem shows the same memory in both; what is below it are places of the kernel.
fn same_memory_shown((one, other): (&Result<Facts>, &Result<Facts>)) -> bool {
    let shown = |facts: &Facts| {
        let memory = facts.iomem.iter().filter(|resource| MEMORY.contains(&&*resource.name));
        memory.map(|resource| (resource.name.clone(), resource.span)).collect::<Vec<_>>()
    };
    matches!((one, other), (Ok(one), Ok(other)) if shown(one) == shown(other))
}

/// What is expected of a property; [`None`] if it has no meaning here.
fn expected(
    entry: &Entry,
    column: Column,
    loader: Loader,
    property: &Property,
) -> Option<Expected> {
    if entry.log_overflows && ACCESSES.contains(&property.key) {
        return None;
    }
    let about = |unlike: &&machines::Unlike| {
        unlike.property == property.key && unlike.concerns(column, loader.name())
    };
    if let Some(unlike) = entry.unlike.iter().find(about) {
        return match unlike.expected {
            machines::Expected::Holds => Some(Expected::Holds),
            machines::Expected::Fails => Some(Expected::Fails),
            machines::Expected::NotReached => Some(Expected::NotReached),
            machines::Expected::Unasked => None,
        };
    }
    let has_series = match property.of {
        Of::First | Of::Dump => column.first(),
        Of::Crash => column.crash(),
        Of::Both => column.first() && column.crash(),
        Of::Run => true,
    };
    let as_stock = match entry.tables {
        Tables::Kept => false,
        Tables::Unmapped if MAPPED.contains(&property.key) => return None,
        Tables::Unmapped => false,
        Tables::LeftOut => LEFT_OUT.contains(&property.key),
        Tables::Absent => true,
    };
    let usual = if has_series && !as_stock { Expected::Holds } else { property.stock };
    Some(if entry.dies.contains(&column) { property.of_dying(usual) } else { usual })
}

/// What Documentation says of these kernels is so; [`None`] if there is no dump to see it by.
fn as_documented(look: Look<'_>, column: Column) -> Option<Result<()>> {
    let facts = answers::second(look)?;
    let in_dump = answers::tables_are_in_dump(look)?;
    let in_memory = [answers::in_memory(facts), answers::reserved(facts)];
    let in_memory = in_memory.iter().flatten().all(|answer| answer.holds);
    let compare = || {
        let (row, in_dump) = (compatibility::row(column)?, in_dump?);
        let same = row.in_memory == in_memory && row.in_dump(look.loader) == in_dump;
        ensure!(same, "{row:?}, but in memory: {in_memory}, in the dump: {in_dump}");
        Ok(())
    };
    Some(compare())
}

fn complaint(property: &Property, expected: Expected, answer: Option<&Answer>) -> String {
    let said = answer.map_or("not reached", |answer| answer.says.as_str()).replace('\n', ", ");
    let holds = answer.is_some_and(|answer| answer.holds);
    let seen = if holds { "holds" } else { "does not hold" };
    format!("{} ({}) {seen}: {said}; expected: {expected:?}", property.key, property.name.trim())
}

/// The memory of a kernel with the series is what the oracle says.
fn by_the_rules(facts: &Facts, configured: Configured, limit: Option<u64>) -> Result<()> {
    let boot = Boot {
        property: facts.usable_property.clone(),
        cells: Cells { address: 2, size: 2 },
        limit,
        ..configured.boot(facts.efi_map.clone())
    };
    let Outcome::Boots(mut memory) = oracle::outcome(&boot) else {
        bail!("by the rules it must stop");
    };
    if limit.is_some() {
        // arm64 takes the kernel and its initramfs back into memory where mem= has cut them off. They
        // are reserved, and nothing else is.
        let reserved = set(facts.memblock.reserved());
        let back = set(facts.memblock.mapped()).without(&memory.mapped);
        ensure!(back.without(&reserved).is_empty(), "memory that mem= does not give: {back:?}");
        memory.mapped = memory.mapped.or(&back);
    }
    let found = Found { dump: &facts.memblock, iomem: &facts.iomem, mem_total: facts.mem_total };
    rules::kept(&boot, &memory, &found)
}

/// What a command line says of `mem=`, in bytes; of several the kernel takes the last.
fn limit(options: &str) -> Result<Option<u64>> {
    let mut said = options.split_whitespace().filter_map(|word| word.strip_prefix("mem="));
    let Some(text) = said.next_back() else { return Ok(None) };
    let (digits, unit) =
        text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let bytes = || -> Option<u64> {
        // The kernel takes a number that begins with a zero for an octal one.
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        let shift = match unit.to_ascii_uppercase().as_str() {
            "T" => 40,
            "G" => 30,
            "M" => 20,
            "K" => 10,
            "" => 0,
            _ => return None,
        };
        digits.parse::<u64>().ok()?.checked_mul(1 << shift)
    };
    let bytes = bytes().with_context(|| {
        format!(
            "mem={text} of its options is no decimal number, or none with K, M, G or T behind it"
        )
    })?;
    Ok(Some(bytes))
}

#[cfg(test)]
mod judged;

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINES: &str = r#"
[[machine]]
name = "a"
what = "a"
tables = "left-out"
unlike = [{ property = "dump-whole", loader = "load", expected = "unasked", why = "b" }]
"#;

    fn expected_of(entry: &Entry, column: Column, loader: Loader, key: &str) -> Option<Expected> {
        let property = PROPERTIES.iter().find(|property| property.key == key).unwrap();
        expected(entry, column, loader, property)
    }

    #[test]
    fn an_entry_says_what_is_unlike() {
        let entry = &machines::parse(MACHINES).unwrap()[0];
        let of = |column, loader, key| expected_of(entry, column, loader, key);
        assert_eq!(of(Column::Series, Loader::Load, "dump-whole"), None);
        assert_eq!(of(Column::Series, Loader::File, "dump-whole"), Some(Expected::Holds));
        assert_eq!(
            of(Column::Series, Loader::File, "crash-memblock-memory"),
            Some(Expected::Fails)
        );
        assert_eq!(of(Column::Series, Loader::File, "crash-published"), Some(Expected::Holds));
        assert!(
            MAPPED
                .iter()
                .chain(&LEFT_OUT)
                .all(|key| { PROPERTIES.iter().any(|property| property.key == *key) })
        );
    }

    #[test]
    fn each_kernel_of_a_pair_answers_for_itself() {
        let entry = Entry { tables: Tables::Kept, ..machines::parse(MACHINES).unwrap().remove(0) };
        let of = |column, key| expected_of(&entry, column, Loader::File, key).unwrap();
        assert_eq!(of(Column::StockSeries, "first-published"), Expected::Fails);
        assert_eq!(of(Column::StockSeries, "crash-published"), Expected::Holds);
        assert_eq!(of(Column::SeriesStock, "acpi-ranges-logged"), Expected::Fails);
    }

    #[test]
    fn a_limit_has_a_unit() {
        let limit = |options| limit(options).unwrap();
        assert_eq!(limit("nr_cpus=1 mem=192M quiet"), Some(192 << 20));
        assert_eq!(limit("mem=1g a"), Some(1 << 30));
        assert_eq!(limit("mem=1T"), Some(1 << 40));
        assert_eq!(limit("mem=4096 a"), Some(4096));
        assert_eq!(limit("nr_cpus=1"), None);
        assert_eq!(limit("mem=1G mem=192M"), Some(192 << 20), "the last counts");
    }

    #[test]
    fn a_limit_that_cannot_be_read_is_an_error() {
        for options in ["mem=0x10000000", "mem=010M", "mem=1P", "mem=1Gi", "mem=M", "mem=99999999T"]
        {
            let error = limit(&format!("mem=1G {options} quiet")).unwrap_err();
            assert!(error.to_string().starts_with(options), "{error}");
        }
    }
}
