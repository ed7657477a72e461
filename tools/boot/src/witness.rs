// SPDX-License-Identifier: GPL-2.0

//! A crash with a witness: the machine is stopped when the first kernel panics, and when the crash
//! kernel begins, and what is in its memory then is kept.

use crate::{
    crash_case::{Crash, CrashCase},
    debugger::{Debugger, Register, Waiting},
    evidence::{Evidence, Found},
    guest::Guest,
    guest_memory::{Difference, GuestMemory},
    log::number,
    machine::Machine,
    panic_path::Owners,
    run::{self, Phase},
    span::Span,
    usable_memory,
};
use anyhow::{Context, Result, anyhow, ensure};
use build::deps::Qemu;
use object::{Object, ObjectSymbol};
use regex::Regex;
use std::{fs, path::Path, sync::LazyLock, thread, time::Duration};

/// What the first kernel has to be told: it is then where its symbols say.
pub const FIXED_PLACE: &str = "nokaslr";

/// The function that the first kernel calls to crash.
const PANIC_SYMBOL: &str = "panic";

/// How long the machine may take from one stop to the next.
const LONGEST_RUN: Duration = Duration::from_secs(240);

/// An image can start at each multiple of this.
const IMAGE_ALIGNMENT: u64 = 2 << 20;

/// Bytes that have changed and are less than this apart are shown as one range.
const NEIGHBOURS: u64 = 64;

/// Makes another value of a property of the one that is there.
pub type Spoil = fn(&[u8]) -> Vec<u8>;

/// A crash with a witness.
pub struct WitnessCase<'a> {
    /// The crash.
    pub crash: CrashCase<'a>,
    /// Makes another `linux,usable-memory-range` of what the loader gave to the crash kernel, when
    /// that begins; not a longer one.
    pub spoil: Option<Spoil>,
    /// Whether to see what the panic itself changes.
    pub watches_panic: bool,
    /// How many seconds the crash kernel may take for its first line, where that is not usual.
    pub patience: Option<u64>,
}

/// What was seen.
pub struct Testimony {
    /// The crash, as it is seen from inside.
    pub crash: Crash,
    /// The memory that crashkernel= reserved.
    pub crash_memory: Span,
    /// The memory when the crash kernel began.
    pub before: GuestMemory,
    /// The memory when the machine had come to its end.
    pub after: GuestMemory,
    /// How many bytes of whose memory the panic itself has changed, outside of the memory of the
    /// crash kernel; when that was watched.
    pub panic: Option<Vec<(String, u64)>>,
    /// What the crash kernel has changed outside of its memory.
    pub changed: Vec<Difference>,
    /// How many bytes were compared for that.
    pub compared: u64,
}

/// What was seen while the machine ran.
struct Seen {
    crash_memory: Span,
    before: GuestMemory,
    panic: Option<Vec<Difference>>,
}

impl WitnessCase<'_> {
    /// Boots, crashes, and compares.
    pub fn run(&self, qemu: &Qemu, guest: &Guest, progress: &dyn Fn(&str)) -> Result<Testimony> {
        self.run_in_order(qemu, guest, progress)
            .with_context(|| format!("the crash '{}'", self.crash.name))
    }

    fn run_in_order(
        &self,
        qemu: &Qemu,
        guest: &Guest,
        progress: &dyn Fn(&str),
    ) -> Result<Testimony> {
        let panic = address_of(&self.crash.first.vmlinux, PANIC_SYMBOL)?;
        let (machine, evidence) = self.crash.prepare(qemu, guest)?;
        let memory = GuestMemory::new(machine.hardware.memory, &machine.dir)?;
        let waiting = Waiting::new()?;
        let cmd = waiting.attached(memory.attached(machine.cmd()));
        let (run, seen) = thread::scope(|scope| {
            let watching = scope.spawn(|| {
                let mut debugger = waiting.machine(Duration::from_secs(10))?;
                let seen = self.watch(&machine, &mut debugger, &memory, panic)?;
                debugger.leave()?;
                Ok(seen)
            });
            let run = run::run(&cmd, &machine.dir, &self.phases(), progress);
            let seen = watching.join().unwrap_or_else(|_| Err(anyhow!("the witness panicked")));
            (run, seen)
        });
        let run = run?;
        // When the witness has seen too little, how the run went says more.
        let Seen { crash_memory, before, panic } =
            seen.with_context(|| format!("{}; see {}", run.end, machine.dir.display()))?;
        progress("comparing memory");
        let crash = self.crash.gather(&machine, evidence, run)?;
        let panic = match (panic, &crash.first) {
            (Some(changed), Ok(first)) => {
                let owners = Owners::new(&self.crash.first.vmlinux, &first.iomem, &before)?;
                Some(owners.count(&changed))
            }
            _ => None,
        };
        Ok(Testimony {
            changed: differences(&memory, &before, crash_memory)?,
            compared: memory.outside(crash_memory).iter().map(|span| span.bytes()).sum(),
            crash,
            crash_memory,
            before,
            after: memory,
            panic,
        })
    }

    fn phases(&self) -> Vec<Phase> {
        let panic = self.crash.asked.cause.phase();
        let limit = |phase: Phase| match self.patience {
            Some(seconds) if phase.name == panic => Phase { seconds, ..phase },
            _ => phase,
        };
        self.crash.phases().into_iter().map(limit).collect()
    }

    fn watch(
        &self,
        machine: &Machine<'_>,
        debugger: &mut Debugger,
        memory: &GuestMemory,
        panic: u64,
    ) -> Result<Seen> {
        debugger.run_to(panic, LONGEST_RUN).context("the first kernel's panic()")?;
        let console = fs::read(machine.dir.join(crate::run::CONSOLE))?;
        let crash_memory = crash_memory(&String::from_utf8_lossy(&console))?;
        let image = image(memory, crash_memory)?;
        let at_panic = self.watches_panic.then(|| memory.snapshot(&machine.dir)).transpose()?;
        debugger.run_to(image, LONGEST_RUN).context("the crash kernel's first instruction")?;
        let before = memory.snapshot(&machine.dir)?;
        let panic = at_panic.map(|at_panic| differences(&before, &at_panic, crash_memory));
        if let Some(spoil) = self.spoil {
            let at = debugger.register(Register::X0)?;
            ensure!(
                crash_memory.contains(Span { start: at, end: at.saturating_add(8) }),
                "the device tree is at {at:#x}, not within {crash_memory}"
            );
            let tree = memory.read(Span { start: at, end: crash_memory.end })?;
            let usable = usable_memory::property(&tree)?;
            let usable = spoil(&usable.context("the loader gave no usable memory")?);
            memory.write(at, &usable_memory::with_property(&tree, &usable)?)?;
        }
        Ok(Seen { crash_memory, before, panic: panic.transpose()? })
    }
}

impl Testimony {
    /// How many bytes the dump has that are in the machine's memory, and how many of them are not
    /// what they were when the crash kernel began.
    pub fn dump_against_memory(&self) -> Result<(u64, u64)> {
        const CHUNK: u64 = 1 << 20;
        let dump = self.crash.dump.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        let (mut compared, mut different) = (0, 0);
        for Span { start, end } in dump.memory()? {
            for start in (start..end).step_by(CHUNK as usize) {
                let span = Span { start, end: end.min(start + CHUNK) };
                let saved = dump.bytes(span)?.with_context(|| format!("the dump lacks {span}"))?;
                let was = self.before.read(span)?;
                compared += span.bytes();
                if saved != was {
                    let bytes = saved.iter().zip(&was);
                    different += bytes.filter(|(saved, was)| saved != was).count() as u64;
                }
            }
        }
        Ok((compared, different))
    }
}

/// How many pages of `evidence` are in `memory`.
pub fn evidence_in(memory: &GuestMemory, evidence: &Evidence) -> Result<usize> {
    let mut found = Found::none_of(evidence);
    for piece in memory.pieces(memory.span) {
        found.look_through(&memory.read(piece)?);
    }
    Ok(found.count())
}

/// What is different now, outside of `given`.
fn differences(now: &GuestMemory, before: &GuestMemory, given: Span) -> Result<Vec<Difference>> {
    let [below, above] = now.outside(given);
    let mut all = now.different(before, below, NEIGHBOURS)?;
    all.extend(now.different(before, above, NEIGHBOURS)?);
    Ok(all)
}

/// Where the symbol `name` of a kernel is.
fn address_of(vmlinux: &Path, name: &str) -> Result<u64> {
    let context = || format!("cannot read the symbols of {}", vmlinux.display());
    let data = fs::read(vmlinux).with_context(context)?;
    let file = object::File::parse(data.as_slice()).with_context(context)?;
    let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
    Ok(symbol.with_context(|| format!("{} has no {name}", vmlinux.display()))?.address())
}

/// What crashkernel= has reserved, as the first kernel has said.
fn crash_memory(console: &str) -> Result<Span> {
    static LINE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"crashkernel reserved: 0x([0-9a-f]+) - 0x([0-9a-f]+) \(").unwrap()
    });
    let parts =
        LINE.captures(console).context("the first kernel reserved no memory for another")?;
    Ok(Span { start: number(&parts[1])?, end: number(&parts[2])? })
}

/// Where the one image of a kernel within `span` begins: by its header, which
/// Documentation/arch/arm64/booting.rst describes.
fn image(memory: &GuestMemory, span: Span) -> Result<u64> {
    let mut found = Vec::new();
    let first = span.start.next_multiple_of(IMAGE_ALIGNMENT);
    for start in (first..span.end).step_by(IMAGE_ALIGNMENT as usize) {
        if memory.read(Span { start: start + 56, end: start + 60 })? == *b"ARM\x64" {
            found.push(start);
        }
    }
    ensure!(found.len() == 1, "images in {span}: {found:x?}");
    Ok(found[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest_memory::START;

    #[test]
    fn the_first_kernel_says_what_it_has_reserved() {
        let console = "[    0.000000] crashkernel reserved: 0x000000006a600000 - \
                       0x000000007a600000 (256 MB)\n";
        let span = Span { start: 0x6a60_0000, end: 0x7a60_0000 };
        assert_eq!(crash_memory(console).unwrap(), span);
        assert!(crash_memory("crashkernel reservation failed").is_err());
    }

    #[test]
    fn an_image_is_known_by_its_header() {
        let dir = tempfile::tempdir().unwrap();
        let memory = GuestMemory::new(16, dir.path()).unwrap();
        let (start, end) = (START + (1 << 20), START + (13 << 20));
        let span = Span { start, end };
        // One before, one behind, and one where no image can begin.
        for at in [0, 14 << 20, 5 << 20] {
            memory.write(START + at + 56, b"ARM\x64").unwrap();
        }
        assert!(image(&memory, span).is_err());
        memory.write(START + (4 << 20) + 56, b"ARM\x64").unwrap();
        assert_eq!(image(&memory, span).unwrap(), START + (4 << 20));
        memory.write(START + (2 << 20) + 56, b"ARM\x64").unwrap();
        assert!(image(&memory, span).is_err(), "there are two");
    }

    #[test]
    fn what_was_given_may_change_and_nothing_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let memory = GuestMemory::new(4, dir.path()).unwrap();
        let before = memory.snapshot(dir.path()).unwrap();
        let given = Span { start: START + 0x1000, end: START + 0x3000 };
        memory.write(given.start, &[1; 0x2000]).unwrap();
        assert_eq!(differences(&memory, &before, given).unwrap(), []);
        for (at, last) in [(given.start - 1, given.start), (given.end, given.end + 1)] {
            memory.write(at, &[1]).unwrap();
            let found = differences(&memory, &before, given).unwrap();
            assert_eq!(found, [Difference { span: Span { start: at, end: last }, bytes: 1 }]);
            memory.write(at, &[0]).unwrap();
        }
    }

    #[test]
    fn a_symbol_is_found_by_its_name() {
        let program = std::env::current_exe().unwrap();
        assert!(address_of(&program, "main").is_ok());
        assert!(address_of(&program, "no_such_function").is_err());
    }
}
