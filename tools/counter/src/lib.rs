// SPDX-License-Identifier: GPL-2.0

//! A plugin of QEMU that counts the instructions of one processor, each one by the symbol that it
//! stands in, and writes the counts down whenever the processor comes to a mark.
//!
//! QEMU is started with `-plugin FILE,plan=PLAN,counts=COUNTS`; [`plan`] has the format of the plan.
//! Each time that the processor comes to a mark, one line is added to COUNTS, before the
//! instruction at the mark is counted:
//!
//!   NAME TOTAL SYMBOL=COUNT...
//!
//! TOTAL is what was executed since the machine was switched on. SYMBOL is the number of a symbol in
//! the plan, from zero on, and symbols without a count are left out. An instruction that faults is
//! counted again when it is repeated.

mod plan;

use plan::{Mark, Plan};
use qemu_plugin::{
    Error, Instruction, PluginId, PluginOp, PluginU64, Result, TranslationBlock, VCPUIndex,
    install::{Args, Info, Value},
    plugin::{HasCallbacks, Register},
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu, qemu_plugin_scoreboard_sum, sys,
};
use std::{
    fs::{self, File},
    io::Write,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

/// The counters of all symbols, in memory of QEMU, which adds to them without calling anything.
#[derive(Clone, Copy)]
struct Counters {
    /// A pointer to QEMU's `struct qemu_plugin_scoreboard`.
    scoreboard: usize,
    /// How many there are.
    count: usize,
}

impl Counters {
    /// One counter for each of `symbols`, and one for all that stands in none.
    #[expect(unsafe_code, reason = "the crate keeps the pointer to itself")]
    fn new(symbols: usize) -> Self {
        let count = symbols + 1;
        // SAFETY: QEMU takes any size. What it returns is never freed.
        let scoreboard = unsafe { sys::qemu_plugin_scoreboard_new(count * size_of::<u64>()) };
        Self { scoreboard: scoreboard as usize, count }
    }

    /// The counter of the symbol `at`.
    fn of(self, at: Option<usize>) -> PluginU64 {
        let slot = at.unwrap_or(self.count - 1);
        PluginU64 { score: self.scoreboard as *mut _, offset: slot * size_of::<u64>() }
    }

    /// A line of the output.
    fn line(self, name: &str) -> String {
        let counts: Vec<u64> =
            (0..self.count).map(|at| qemu_plugin_scoreboard_sum(self.of(Some(at)))).collect();
        let mut line = format!("{name} {}", counts.iter().sum::<u64>());
        for (symbol, count) in counts[..self.count - 1].iter().enumerate() {
            if *count > 0 {
                line += &format!(" {symbol}={count}");
            }
        }
        line + "\n"
    }
}

/// What the plugin was told, once it was.
struct Counting {
    plan: Plan,
    counters: Counters,
    output: Arc<Mutex<File>>,
    /// How often the machine came to a mark that may end it.
    came: Arc<AtomicU64>,
}

impl Counting {
    fn begin(args: &Args) -> std::result::Result<Self, String> {
        let path = |name: &str| match args.parsed.get(name) {
            Some(Value::String(path)) => Ok(path.clone()),
            _ => Err(format!("no {name}=FILE was given")),
        };
        let context = |path: &str| {
            let path = path.to_owned();
            move |error: std::io::Error| format!("{path}: {error}")
        };
        let plan = path("plan")?;
        let text = fs::read_to_string(&plan).map_err(context(&plan))?;
        let plan = text.parse::<Plan>().map_err(|error| format!("{plan}: {error}"))?;
        let output = path("counts")?;
        let file = File::create(&output).map_err(context(&output))?;
        let counters = Counters::new(plan.symbols());
        Ok(Self { plan, counters, output: Arc::new(Mutex::new(file)), came: Arc::default() })
    }

    /// Has `instruction` counted, and `mark` written down before that.
    fn watch(&self, instruction: Instruction<'_>, mark: Option<&Mark>) {
        if let Some(mark) = mark.cloned() {
            let (counters, output) = (self.counters, Arc::clone(&self.output));
            let came = Arc::clone(&self.came);
            instruction.register_execute_callback(move |_: VCPUIndex| {
                let line = counters.line(&mark.name);
                let mut output = output.lock().expect("nobody panics with the lock");
                // The reader of the counts misses the mark, and says so.
                let written = output.write_all(line.as_bytes());
                if let Some(times) = mark.ends_at
                    && came.fetch_add(1, Relaxed) + 1 >= times
                {
                    exit(i32::from(written.is_err()));
                }
            });
        }
        let counter = self.counters.of(self.plan.symbol_at(instruction.vaddr()));
        let add = PluginOp::QEMU_PLUGIN_INLINE_ADD_U64;
        qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(instruction, add, counter, 1);
    }
}

/// Ends QEMU at once: its own way of ending waits for the processor, which is the caller.
#[expect(
    unsafe_code,
    reason = "the standard library ends with what QEMU has registered to be done"
)]
fn exit(status: i32) -> ! {
    // SAFETY: It does not return, and what it leaves to the operating system is the process's own.
    unsafe { libc::_exit(status) }
}

/// The plugin; it is there before QEMU tells it anything.
struct Counter(Option<Counting>);

impl Register for Counter {
    fn register(&mut self, _: PluginId, args: &Args, info: &Info) -> Result<()> {
        let processors = info.system.as_ref().map_or(0, |system| system.smp_vcpus);
        if processors != 1 {
            // A mark is a moment of one processor; another one would be anywhere then.
            fail(&format!("the machine has {processors} processors, and not one"));
        }
        self.0 = Some(Counting::begin(args).unwrap_or_else(|error| fail(&error)));
        Ok(())
    }
}

/// QEMU takes an error of a plugin for a reason to go on.
fn fail(why: &str) -> ! {
    eprintln!("counter: {why}");
    exit(1)
}

impl HasCallbacks for Counter {
    fn on_translation_block_translate(
        &mut self,
        _: PluginId,
        block: TranslationBlock<'_>,
    ) -> Result<()> {
        let counting = self.0.as_ref().ok_or(Error::PluginInstanceSetError)?;
        for instruction in block.instructions() {
            let mark = counting.plan.mark_at(instruction.vaddr(), || instruction.data());
            counting.watch(instruction, mark);
        }
        Ok(())
    }
}

qemu_plugin::register!(Counter(None));
