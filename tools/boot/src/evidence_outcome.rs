// SPDX-License-Identifier: GPL-2.0

//! Whether a crash kernel has left the evidence alone, and whether it ended as was expected.

use crate::{
    cause::PANIC_PHASE,
    crash_case::CRASH_KERNEL_PHASE,
    efi_map,
    guest_memory::Difference,
    ktap,
    log::{Log, PANIC_LINE},
    run::{End, Run},
    span::{Span, bytes, covers, list, merged},
    usable_memory::PROPERTY,
    witness::{Testimony, evidence_in},
};
use anyhow::{Context, Result, anyhow, bail, ensure};
use oracle::Descriptor;
use orders::EFI_PAGE;

/// What is to come of a crash.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expected {
    /// The crash kernel boots, takes all memory that it can have, and saves the dump. Nothing is lost.
    Saves,
    /// The crash kernel stops, and has written to no memory but its own.
    Stops {
        /// What its log says, besides that the property gives nothing; nothing where its log is
        /// not seen at all.
        says: Option<&'static str>,
        /// What becomes of the machine.
        then: Then,
    },
    /// The crash kernel boots and writes over memory of the crashed kernel.
    Loses,
}

/// What becomes of a machine whose kernel has stopped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    /// It is restarted, not sooner than after so many seconds.
    Restarts(u64),
    /// It stays as it is.
    Stays,
}

/// How many bytes firmware may change in the memory of its runtime services. EDK2 notes in one that
/// ResetSystem() was called, by which the crash kernel switches the machine off.
const MOST_BY_RUNTIME: u64 = 16;

/// How many bytes the panic itself may change: its lines in the log, registers in the notes,
/// stacks, and what the other processors do until they are stopped.
const MOST_BY_PANIC: u64 = 64 << 10;

/// Where the text of a kernel's log is.
const LOG: &str = "__log_buf";

/// How many seconds later than asked for a machine may be restarted: when others keep the host busy,
/// its delay loop ends late.
const DELAY: u64 = 60;

/// What came of it, when that is what was expected; the error says what is otherwise.
pub fn judge(seen: &Testimony, expected: Expected) -> Result<String> {
    let judged = judge_testimony(seen, expected);
    judged.with_context(|| format!("expected {expected:?}; see {}", seen.crash.dir.display()))
}

fn judge_testimony(seen: &Testimony, expected: Expected) -> Result<String> {
    let first = seen.crash.first.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    if let Some(failed) = ktap::failed(&first.checks) {
        bail!("first kernel: {failed}");
    }
    // Before the crash kernel began, all of the evidence was there.
    let left = seen.crash.evidence.pages;
    let there = evidence_in(&seen.before, &seen.crash.evidence)?;
    ensure!(there == left, "of {left} pages of evidence {there} were in memory");
    let panic = panic_path(seen)?;
    let lost: u64 = seen.changed.iter().map(|change| change.bytes).sum();
    let compared = seen.compared >> 20;
    match expected {
        Expected::Saves => {
            let by_runtime = by_runtime(&seen.changed, &first.efi_map)?;
            let dump = saves(seen)?;
            let tables = first.acpi_reclaim();
            let apart = tables.iter().all(|table| !table.overlaps(seen.crash_memory));
            ensure!(apart && !tables.is_empty(), "ACPI tables: {}", list(&tables));
            let tables = bytes(tables) >> 10;
            Ok(format!(
                "{compared} MiB compared, {tables} KiB of ACPI tables among them: {by_runtime} bytes \
                 changed by firmware, 0 by the crash kernel; {dump}{panic}"
            ))
        }
        Expected::Stops { says, then } => {
            ensure!(lost == 0, "{}", changes(&seen.changed));
            let how =
                stops(&seen.crash.run, &seen.crash.second_log, &seen.crash.trouble, says, then)?;
            Ok(format!("{compared} MiB compared, 0 bytes changed; {how}{panic}"))
        }
        Expected::Loses => {
            ensure!(seen.crash.run.end == End::Complete, "{}", seen.crash.run.end);
            ensure!(lost > 0, "{compared} MiB compared, 0 bytes changed");
            let found = evidence_in(&seen.after, &seen.crash.evidence)?;
            Ok(format!(
                "{compared} MiB compared, {lost} bytes changed; {} of {left} pages of evidence lost\
                 {panic}",
                left - found
            ))
        }
    }
}

/// What the panic path has written, where it was watched.
fn panic_path(seen: &Testimony) -> Result<String> {
    /// How many owners are named.
    const NAMED: usize = 4;
    let Some(owners) = &seen.panic else { return Ok(String::new()) };
    let bytes: u64 = owners.iter().map(|(_, bytes)| bytes).sum();
    let named: Vec<_> =
        owners.iter().take(NAMED).map(|(owner, bytes)| format!("{bytes} in {owner}")).collect();
    let said = format!("the panic itself changed {bytes} bytes: {}", named.join(", "));
    // What it prints is in the log at least.
    ensure!(owners.iter().any(|(owner, _)| owner == LOG), "{said}, and none in {LOG}");
    ensure!(bytes <= MOST_BY_PANIC, "{said}");
    Ok(format!("; {said}"))
}

/// How many bytes have changed where firmware has the memory of its runtime services; a change
/// elsewhere is an error.
fn by_runtime(changed: &[Difference], efi_map: &[Descriptor]) -> Result<u64> {
    let runtime = efi_map.iter().filter(|one| efi_map::RUNTIME.contains(&one.kind));
    let span = |one: &Descriptor| Span {
        start: one.start,
        end: one.start.saturating_add(one.pages * EFI_PAGE),
    };
    let runtime = merged(runtime.map(span));
    let is_firmware = |span: Span| runtime.iter().any(|whole| whole.contains(span));
    let (firmware, others): (Vec<_>, Vec<_>) =
        changed.iter().copied().partition(|change| is_firmware(change.span));
    ensure!(others.is_empty(), "{}", changes(&others));
    let bytes: u64 = firmware.iter().map(|change| change.bytes).sum();
    ensure!(bytes <= MOST_BY_RUNTIME, "firmware: {}", changes(&firmware));
    Ok(bytes)
}

/// The crash kernel has come to its end in good health, and its dump is what was in memory.
fn saves(seen: &Testimony) -> Result<String> {
    let crash = &seen.crash;
    ensure!(crash.run.end == End::Complete, "{}", crash.run.end);
    if let Some(line) = crash.trouble.first() {
        bail!("the console says '{line}'");
    }
    let second = crash.second.as_ref().map_err(|error| anyhow!("{error:#}"))?;
    if let Some(failed) = ktap::failed(&second.checks) {
        bail!("crash kernel: {failed}");
    }
    // What was not compared is what it was given, and no more.
    let given = &second.usable;
    ensure!(covers([seen.crash_memory], given.iter().copied()), "it was given {}", list(given));
    let took_all = second.checks.iter().any(|check| check.name == "take-all-memory");
    ensure!(took_all, "no process has taken all memory");
    let tested = crash.second_log.lines().filter(|line| line.contains(" pattern ")).count();
    ensure!(tested > 0, "memtest= has written to no memory");
    let (found, left) = (crash.evidence_found, crash.evidence.pages);
    ensure!(found == left, "the dump has {found} of {left} pages of evidence");
    let (compared, different) = seen.dump_against_memory()?;
    ensure!(different == 0, "{different} of {compared} bytes of the dump were never in memory");
    Ok(format!("dump of {} MiB as memory was, {left} pages of evidence", compared >> 20))
}

/// The crash kernel has stopped, for the reason that it gives.
fn stops(
    run: &Run,
    log: &Log,
    trouble: &[String],
    says: Option<&str>,
    then: Then,
) -> Result<String> {
    // A crash kernel of which nothing is seen does not end the phase that it begins.
    let phase = if says.is_some() { CRASH_KERNEL_PHASE } else { PANIC_PHASE };
    let ended = match then {
        Then::Restarts(_) => {
            matches!(run.end, End::Stopped(at, status) if at == phase && status.success())
        }
        Then::Stays if says.is_some() => run.end == End::Halted(phase),
        Then::Stays => matches!(run.end, End::TimedOut(at, _) if at == phase),
    };
    ensure!(ended, "{}", run.end);
    let mut took = run.took;
    for (_, phase) in &run.phases {
        took = took.saturating_sub(*phase);
    }
    if let Then::Restarts(after) = then {
        let seconds = took.as_secs();
        let soon_enough = says.is_none() || (after..=after + DELAY).contains(&seconds);
        ensure!(soon_enough, "restarted after {seconds} s, not {after}");
    }
    let then = match then {
        Then::Restarts(_) => format!("the machine restarts after {:.1} s", took.as_secs_f64()),
        Then::Stays => "the machine stays".into(),
    };
    let Some(says) = says else {
        ensure!(log.lines().next().is_none(), "its log is seen");
        return Ok(format!("nothing is seen; {then}"));
    };
    let panic = trouble.first().context("it says nothing")?;
    // The panic may end with a line that says the same.
    let others: Vec<_> = trouble
        .iter()
        .filter(|line| !(line.contains(PANIC_LINE) && line.contains(PROPERTY)))
        .collect();
    ensure!(others.is_empty(), "it says {others:?}");
    ensure!(log.lines().any(|line| line.contains(says)), "no line says '{says}'");
    let went_on = log.lines().find(|line| line.contains("Run /init") || line.contains("Memory: "));
    ensure!(went_on.is_none(), "it went on: {went_on:?}");
    Ok(format!("{panic}; {then}"))
}

fn changes(changed: &[Difference]) -> String {
    const MOST: usize = 5;
    let bytes: u64 = changed.iter().map(|change| change.bytes).sum();
    let places: Vec<_> = changed.iter().take(MOST).map(|change| change.span.to_string()).collect();
    let more = if changed.len() > MOST { ", ..." } else { "" };
    format!("{bytes} bytes changed outside of usable memory: {}{more}", places.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;
    use crate::trouble;
    use oracle::attribute::WRITE_BACK;
    use std::{process::ExitStatus, slice, time::Duration};

    const REASON: &str =
        "Kernel panic - not syncing: linux,usable-memory-range gives no usable memory; not";

    fn change(start: u64, bytes: u64) -> Difference {
        Difference { span: Span { start, end: start + bytes }, bytes }
    }

    #[test]
    fn firmware_may_change_little_and_only_its_own() {
        let map = [(6, 0x1000), (7, 0x2000), (5, 0x3000)];
        let map =
            map.map(|(kind, start)| Descriptor { kind, start, pages: 1, attributes: WRITE_BACK });
        assert_eq!(by_runtime(&[], &map).unwrap(), 0);
        assert_eq!(by_runtime(&[change(0x1000, 1), change(0x3fff, 1)], &map).unwrap(), 2);
        assert!(by_runtime(&[change(0x1000, MOST_BY_RUNTIME + 1)], &map).is_err());
        for start in [0x2000, 0xfff, 0x4000] {
            let error = by_runtime(&[change(0x1000, 1), change(start, 1)], &map).unwrap_err();
            let said = format!("1 bytes changed outside of usable memory: {start:08x}-{start:08x}");
            assert_eq!(error.to_string(), said);
        }
        assert!(by_runtime(&[change(0x1fff, 2)], &map).is_err(), "half of it is elsewhere");
    }

    /// A run that ended like this, so many seconds after the crash kernel's first line.
    fn run(end: End, seconds: u64) -> Run {
        let phases = vec![("firmware", Duration::from_secs(2))];
        Run { console: String::new(), phases, took: Duration::from_secs(2 + seconds), end }
    }

    fn is_stop(run: &Run, text: &str, says: Option<&str>, then: Then) -> bool {
        let log = Log::new(text);
        let trouble = trouble::scan("", slice::from_ref(&log), Cause::default());
        stops(run, &log, &trouble, says, then).is_ok()
    }

    const SEEN: Option<&str> = Some("no whole entry");
    const AT_ONCE: Then = Then::Restarts(0);

    fn restarted() -> End {
        End::Stopped(CRASH_KERNEL_PHASE, ExitStatus::default())
    }

    #[test]
    fn a_stop_names_the_property_and_the_fault() {
        let run = run(restarted(), 0);
        let log = format!("{PROPERTY}: the last 15 bytes are no whole entry: ignored\n{REASON}\n");
        assert!(is_stop(&run, &log, SEEN, AT_ONCE));
        assert!(!is_stop(&run, REASON, SEEN, AT_ONCE), "no fault is named");
        assert!(!is_stop(&run, "no whole entry", SEEN, AT_ONCE), "it did not panic");
        let other = "no whole entry\nKernel panic - not syncing: no memory\n";
        assert!(!is_stop(&run, other, SEEN, AT_ONCE));
        for more in ["BUG: something", "Run /init as init process", "Memory: 4096K/8192K available"]
        {
            assert!(!is_stop(&run, &format!("{log}{more}\n"), SEEN, AT_ONCE), "{more}");
        }
    }

    #[test]
    fn a_stop_ends_as_it_was_told_to() {
        let log = format!("no whole entry\n{REASON}\n");
        let seen = |run, then| is_stop(&run, &log, SEEN, then);
        let halted = End::Halted(CRASH_KERNEL_PHASE);
        assert!(seen(run(restarted(), 6), Then::Restarts(5)));
        assert!(!seen(run(restarted(), 4), Then::Restarts(5)), "too soon");
        assert!(!seen(run(restarted(), 66), Then::Restarts(5)), "too late");
        assert!(!seen(run(restarted(), 0), Then::Stays));
        assert!(seen(run(halted, 0), Then::Stays));
        assert!(!seen(run(halted, 0), AT_ONCE));
        assert!(!seen(run(End::WentOn(CRASH_KERNEL_PHASE), 0), Then::Stays));
        assert!(!seen(run(End::Stopped("load", ExitStatus::default()), 0), AT_ONCE));
        assert!(!seen(run(End::Complete, 0), AT_ONCE));
    }

    #[test]
    fn what_is_not_seen_says_nothing() {
        let run = run(End::Stopped(PANIC_PHASE, ExitStatus::default()), 9);
        assert!(is_stop(&run, "", None, AT_ONCE));
        assert!(!is_stop(&run, "", None, Then::Stays));
        assert!(!is_stop(&run, REASON, None, AT_ONCE), "it is seen");
        assert!(!is_stop(&run, "", SEEN, AT_ONCE));
    }
}
