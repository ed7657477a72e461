// SPDX-License-Identifier: GPL-2.0

//! A machine that runs: takes orders, and says what came of each.

use crate::{compile::Program, order::Order};
use anyhow::{Context, Result, bail};
use oracle::{Set, Span};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A program that boots what it is told to boot.
pub struct Machine {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    errors: PathBuf,
}

/// How a boot ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It came to the end of its order.
    Booted,
    /// The kernel called panic(), with this line.
    Panic(String),
    /// What must not happen: a warning, a fault, an access that a sanitizer caught.
    Failed(String),
}

/// The two lists of memblock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    /// memblock.memory, but for what is not mapped.
    pub mapped: Set,
    /// The rest of memblock.memory.
    pub nomap: Set,
    /// memblock.reserved.
    pub reserved: Set,
}

/// One entry of `/proc/iomem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// How many others it lies in.
    pub depth: usize,
    /// Where it is.
    pub span: Span,
    /// What the kernel knows of it.
    pub flags: u64,
    /// What it describes (`IORES_DESC_*`).
    pub desc: u64,
    /// What it is called.
    pub name: String,
}

/// What came of a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    /// The kernel's log.
    pub log: Vec<String>,
    /// memblock's lists, as they were at some points.
    pub stages: BTreeMap<String, Lists>,
    /// `/proc/iomem`.
    pub resources: Vec<Resource>,
    /// Where page tables were put before there was a linear map.
    pub page_tables: Vec<u64>,
    /// What whoever asked for memory in the end got.
    pub handed_out: Set,
    /// Whether a console and a way to restart were looked for.
    pub prepared_panic: bool,
    /// The seconds of `panic=`, at a panic.
    pub panic_timeout: Option<i64>,
    /// How it ended.
    pub end: End,
}

/// One region: which list it is of, and its numbers.
type Line = (String, Vec<u64>);

const NOMAP: u64 = 4;

impl Machine {
    /// Starts `program`.
    pub fn start(program: &Program) -> Result<Self> {
        let errors = program.dir.join("stderr");
        let file =
            File::create(&errors).with_context(|| format!("cannot write {}", errors.display()))?;
        let mut child = Command::new(&program.path)
            // Names take longer than boots; whoever boots one again by hand gets them.
            .env("ASAN_OPTIONS", "detect_leaks=0:symbolize=0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {}", program.path.display()))?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let orders = orders.context("it has no standard input")?;
        let answers = BufReader::new(answers.context("it has no standard output")?);
        Ok(Self { child, orders, answers, errors })
    }

    /// Boots as `order` says.
    pub fn boot(&mut self, order: &Order) -> Result<Ran> {
        let before = fs::metadata(&self.errors).map_or(0, |errors| errors.len());
        self.orders.write_all(&order.to_bytes()).context("the machine takes no orders any more")?;
        let mut ran = Ran {
            log: Vec::new(),
            stages: BTreeMap::new(),
            resources: Vec::new(),
            page_tables: Vec::new(),
            handed_out: Set::default(),
            prepared_panic: false,
            panic_timeout: None,
            end: End::Booted,
        };
        let mut handed_out = Vec::new();
        let mut lists: Vec<(String, Vec<Line>)> = Vec::new();
        loop {
            let mut line = Vec::new();
            if self.answers.read_until(b'\n', &mut line)? == 0 {
                bail!("the machine has ended; what it said: {}", self.said(before));
            }
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches('\n');
            let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
            match kind {
                "end" => break,
                "log" => ran.log.push(rest.into()),
                "stage" => lists.push((rest.into(), Vec::new())),
                "memory" | "reserved" => {
                    let (_, list) = lists.last_mut().context("a list before its stage")?;
                    list.push((kind.into(), numbers(rest)?));
                }
                "resource" => ran.resources.push(resource(rest)?),
                "page-table" => ran.page_tables.push(numbers(rest)?[0]),
                "prepare-panic" => ran.prepared_panic = true,
                "panic-timeout" => ran.panic_timeout = Some(rest.parse()?),
                "panic" => ran.end = End::Panic(rest.into()),
                "fail" => ran.end = End::Failed(format!("{rest}\n{}", self.said(before))),
                "allocated" => {
                    let numbers = numbers(rest)?;
                    handed_out
                        .push(Span { first: numbers[0], last: numbers[0] + (numbers[1] - 1) });
                }
                // The end of a panic's line.
                "" => {}
                _ => bail!("the machine said '{line}'"),
            }
        }
        ran.handed_out = Set::of(&handed_out);
        ran.stages = lists.into_iter().map(|(stage, list)| (stage, Lists::of(&list))).collect();
        Ok(ran)
    }

    /// What it wrote to its standard error behind the first `before` bytes.
    fn said(&self, before: u64) -> String {
        let errors = fs::read(&self.errors).unwrap_or_default();
        String::from_utf8_lossy(errors.get(before as usize..).unwrap_or_default()).into()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lists {
    fn of(list: &[Line]) -> Self {
        let set = |wanted: &dyn Fn(&str, u64) -> bool| {
            let regions = list.iter().filter_map(|(kind, numbers)| {
                let &[base, size, flags] = &numbers[..] else { return None };
                (size > 0 && wanted(kind, flags))
                    .then(|| Span { first: base, last: base + (size - 1) })
            });
            Set::of(&regions.collect::<Vec<_>>())
        };
        Self {
            mapped: set(&|kind, flags| kind == "memory" && flags & NOMAP == 0),
            nomap: set(&|kind, flags| kind == "memory" && flags & NOMAP != 0),
            reserved: set(&|kind, _| kind == "reserved"),
        }
    }
}

fn number(word: &str) -> Result<u64> {
    let parsed = match word.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => word.parse(),
    };
    parsed.with_context(|| format!("'{word}' is no number"))
}

fn numbers(words: &str) -> Result<Vec<u64>> {
    words.split(' ').map(number).collect()
}

fn resource(words: &str) -> Result<Resource> {
    let words: Vec<_> = words.splitn(6, ' ').collect();
    let &[depth, first, last, flags, desc, name] = &words[..] else {
        bail!("a resource of {} words", words.len());
    };
    Ok(Resource {
        depth: number(depth)? as usize,
        span: Span { first: number(first)?, last: number(last)? },
        flags: number(flags)?,
        desc: number(desc)?,
        name: name.into(),
    })
}
