// SPDX-License-Identifier: GPL-2.0

//! What makes the first kernel crash.

use crate::log::Log;
use regex::Regex;
use std::{collections::BTreeMap, sync::LazyLock};

/// What makes the first kernel crash.
///
/// Those that need LKDTM need a kernel that has it (`CONFIG_LKDTM`), and so do the two detectors.
/// There is no crash out of SDEI, arm64's way to interrupt what has interrupts off: QEMU's `virt` has
/// no firmware that offers it, and no ACPI table SDEI.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The system request `c`.
    #[default]
    Sysrq,
    /// The same on the second processor: the crash kernel then begins on that.
    SysrqOnSecond,
    /// A write to address zero (LKDTM).
    NullPointer,
    /// BUG() (LKDTM).
    Bug,
    /// panic() out of the interrupt of a timer (LKDTM; Linux 6.18).
    PanicInInterrupt,
    /// BUG() in the interrupt of a timer (LKDTM; Linux 6.18).
    BugInInterrupt,
    /// A processor that does nothing else any more (LKDTM and the detector of soft lockups).
    SoftLockup,
    /// A task that waits for ever (LKDTM and the detector of hung tasks).
    HungTask,
}

/// What there is to know of a cause.
struct Known {
    name: &'static str,
    phase: &'static str,
    /// Every line that it brings, in order; each is looked for once.
    brings: &'static [&'static str],
    /// What the log of the dump says.
    says: &'static str,
}

/// The phase of a crash of which the first line comes at once.
pub const PANIC_PHASE: &str = "panic";

impl Cause {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Sysrq,
        Self::SysrqOnSecond,
        Self::NullPointer,
        Self::Bug,
        Self::PanicInInterrupt,
        Self::BugInInterrupt,
        Self::SoftLockup,
        Self::HungTask,
    ];

    fn known(self) -> Known {
        match self {
            Self::Sysrq => Known {
                name: "sysrq",
                phase: PANIC_PHASE,
                brings: &[r"^Kernel panic - not syncing: sysrq triggered crash$"],
                says: "sysrq triggered crash",
            },
            Self::SysrqOnSecond => Known {
                name: "sysrq-on-second",
                phase: PANIC_PHASE,
                brings: &[r"^Kernel panic - not syncing: sysrq triggered crash$", r"^CPU: 1 "],
                says: "sysrq triggered crash",
            },
            Self::NullPointer => Known {
                name: "null-pointer",
                phase: "oops",
                brings: &[
                    r"^Unable to handle kernel NULL pointer dereference at virtual address 0{16}$",
                    r"^Internal error: Oops: [0-9a-f]+ \[#1\]",
                    r"^pc : lkdtm_EXCEPTION\+",
                ],
                says: "Unable to handle kernel NULL pointer dereference",
            },
            Self::Bug => Known {
                name: "bug",
                phase: "oops",
                brings: &[
                    r"^kernel BUG at drivers/misc/lkdtm/bugs\.c:\d+!$",
                    r"^Internal error: Oops - BUG: [0-9a-f]+ \[#1\]",
                ],
                says: "kernel BUG at drivers/misc/lkdtm/bugs.c",
            },
            Self::PanicInInterrupt => Known {
                name: "panic-in-interrupt",
                phase: PANIC_PHASE,
                brings: &[
                    r"^Kernel panic - not syncing: from hard IRQ context$",
                    r"^ __hrtimer_run_queues\+",
                ],
                says: "from hard IRQ context",
            },
            Self::BugInInterrupt => Known {
                name: "bug-in-interrupt",
                phase: "oops",
                brings: &[
                    r"^kernel BUG at drivers/misc/lkdtm/bugs\.c:\d+!$",
                    r"^Internal error: Oops - BUG: [0-9a-f]+ \[#1\]",
                    r"^ bug_in_hardirq\+",
                    r"^ call_on_irq_stack\+",
                ],
                says: "kernel BUG at drivers/misc/lkdtm/bugs.c",
            },
            Self::SoftLockup => Known {
                name: "soft-lockup",
                phase: "soft lockup",
                brings: &[
                    r"^watchdog: BUG: soft lockup - CPU#\d+ stuck for \d+s! \[",
                    r"^Kernel panic - not syncing: softlockup: hung tasks$",
                ],
                says: "softlockup: hung tasks",
            },
            Self::HungTask => Known {
                name: "hung-task",
                phase: "hung task",
                brings: &[
                    r"^INFO: task .* blocked for more than \d+ seconds\.$",
                    r"^Kernel panic - not syncing: hung_task: blocked tasks$",
                ],
                says: "hung_task: blocked tasks",
            },
        }
    }

    /// The name, for machines and for the guest.
    pub fn name(self) -> &'static str {
        self.known().name
    }

    /// What the phase is called in which it comes to the crash kernel.
    pub fn phase(self) -> &'static str {
        self.known().phase
    }

    /// What the log of the first kernel says of it, word for word.
    pub fn says(self) -> &'static str {
        self.known().says
    }

    /// The lines that it has to bring.
    pub fn lines(self) -> Lines {
        static ALL: LazyLock<BTreeMap<Cause, Vec<Regex>>> = LazyLock::new(|| {
            let regexes = |cause: Cause| {
                let brings = cause.known().brings.iter();
                brings.map(|line| Regex::new(line).expect("each is one")).collect()
            };
            Cause::ALL.map(|cause| (cause, regexes(cause))).into()
        });
        Lines { left: ALL[&self].iter().collect() }
    }

    /// The first line that it has to bring, and that is not in the log of the first kernel.
    pub fn missing(self, first: &Log) -> Option<String> {
        let mut lines = self.lines();
        for line in first.lines().skip_while(|line| *line != ASKED) {
            lines.take(line);
        }
        lines.left.first().map(ToString::to_string)
    }
}

/// What the guest says before it does it.
pub const ASKED: &str = "@phase| crash";

/// Lines to come, each once.
#[derive(Default)]
pub struct Lines {
    left: Vec<&'static Regex>,
}

impl Lines {
    /// Whether `line` is one of them; it is none the next time.
    pub fn take(&mut self, line: &str) -> bool {
        let at = self.left.iter().position(|regex| regex.is_match(line));
        at.map(|at| self.left.remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_of_its_own() {
        for cause in Cause::ALL {
            let named = Cause::ALL.iter().filter(|other| other.name() == cause.name());
            assert_eq!(named.count(), 1);
        }
    }

    #[test]
    fn another_crash_is_not_the_one_that_was_asked_for() {
        let log = Log::new("@phase| crash\nKernel panic - not syncing: sysrq triggered crash\n");
        assert_eq!(Cause::Sysrq.missing(&log), None);
        assert_eq!(Cause::SysrqOnSecond.missing(&log).unwrap(), "^CPU: 1 ");
        assert!(Cause::PanicInInterrupt.missing(&log).unwrap().contains("hard IRQ context"));
        let early = Log::new("Kernel panic - not syncing: sysrq triggered crash\n@phase| crash\n");
        assert!(Cause::Sysrq.missing(&early).is_some(), "it was not asked for yet");
    }
}
