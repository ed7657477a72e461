// SPDX-License-Identifier: GPL-2.0

//! Machines side by side: as many as the host has processors, since each keeps one busy, and no more
//! than its memory has room for.

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};
use sysinfo::System;

/// What a machine takes of the host's memory where nothing else is said, in bytes.
const USUAL: u64 = 1 << 30;

/// What QEMU takes besides the memory of its machine, in bytes: most of it is translated code.
const QEMU: u64 = 256 << 20;

/// What a machine with `memory` MiB takes of the host's, in bytes, where the host has as many copies of
/// it: snapshots, and the dump, which is in the host's cache.
pub fn taken_by(memory: u64, copies: u64) -> u64 {
    (memory << 20) * (1 + copies) + QEMU
}

/// Runs the jobs called `names` and returns their results in this order.
///
/// A job is told its place and where to say what it is doing. After the first failure no further
/// job is started.
pub fn run<T: Send>(
    names: &[&str],
    job: impl Fn(usize, &dyn Fn(&str)) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    run_within(&Room::of_host(), names, |_| USUAL, job)
}

/// The same where each job waits until `room` has as many bytes as it takes.
pub fn run_within<T: Send>(
    room: &Room,
    names: &[&str],
    takes: impl Fn(usize) -> u64 + Sync,
    job: impl Fn(usize, &dyn Fn(&str)) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(names.len());
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<Mutex<Option<Result<T>>>> = names.iter().map(|_| Mutex::new(None)).collect();
    let bars = MultiProgress::new();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= names.len() {
                break;
            }
            let _taken = room.take(takes(at));
            // Another one may have failed while this one waited.
            if failed.load(Ordering::Relaxed) > 0 {
                break;
            }
            let bar = bars.add(spinner(names[at]));
            let result = job(at, &|doing| {
                // Spinners are seen on a terminal alone.
                if bars.is_hidden() && bar.message() != doing {
                    eprintln!("{}: {doing}", names[at]);
                }
                bar.set_message(doing.to_owned());
            });
            bar.finish_and_clear();
            if result.is_err() {
                failed.fetch_add(1, Ordering::Relaxed);
            }
            *results[at].lock().expect("a job does not panic with the lock") = Some(result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(work);
        }
    });
    // What was not started has no result; the failure that stopped it comes out here.
    results.into_iter().filter_map(|result| result.into_inner().ok().flatten()).collect()
}

/// Memory of the host that machines can take.
pub struct Room {
    all: u64,
    left: Mutex<u64>,
    given_back: Condvar,
}

/// What one of them has taken; it is given back with this.
struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    /// What the host has now, or what its control group leaves of that.
    pub fn of_host() -> Self {
        let mut system = System::new();
        system.refresh_memory();
        let limit = system.cgroup_limits().map_or(u64::MAX, |limits| limits.free_memory);
        Self::of(system.available_memory().min(limit))
    }

    fn of(all: u64) -> Self {
        Self { all, left: Mutex::new(all), given_back: Condvar::new() }
    }

    /// Takes as many bytes when they are there. One that takes more than there is gets it alone.
    fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.all);
        let too_few = |left: &mut u64| *left < bytes;
        let waited = self.given_back.wait_while(self.left(), too_few);
        *waited.unwrap_or_else(PoisonError::into_inner) -= bytes;
        Taken { room: self, bytes }
    }

    fn left(&self) -> MutexGuard<'_, u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.room.left() += self.bytes;
        self.room.given_back.notify_all();
    }
}

fn spinner(name: &str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_prefix(name.to_owned());
    let style = ProgressStyle::with_template("{spinner} {prefix:20} {elapsed:>4} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn results_come_in_the_order_of_the_names() {
        let names = ["a", "b", "c", "d", "e"];
        let lengths = run(&names, |at, _| {
            thread::sleep(Duration::from_millis(5 * (5 - at as u64)));
            Ok(at)
        });
        assert_eq!(lengths.unwrap(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn jobs_wait_for_memory_and_one_that_takes_too_much_is_alone() {
        let takes = [60, 60, 1000, 40, 40, 40];
        let (taken, most) = (Mutex::new(0), Mutex::new(0));
        let job = |at: usize, _: &dyn Fn(&str)| {
            let takes = takes[at].min(100);
            let now = {
                let mut taken = taken.lock().unwrap();
                *taken += takes;
                *taken
            };
            let mut most = most.lock().unwrap();
            *most = now.max(*most);
            drop(most);
            thread::sleep(Duration::from_millis(10));
            *taken.lock().unwrap() -= takes;
            Ok(at)
        };
        let done = run_within(&Room::of(100), &["a"; 6], |at| takes[at], job).unwrap();
        assert_eq!(done, [0, 1, 2, 3, 4, 5]);
        assert!(*most.lock().unwrap() <= 100, "{most:?} of 100");
    }

    #[test]
    fn who_waits_for_memory_while_another_fails_is_not_started() {
        let started = AtomicUsize::new(0);
        let job = |_: usize, _: &dyn Fn(&str)| -> Result<()> {
            started.fetch_add(1, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(20));
            bail!("no disk");
        };
        run_within(&Room::of(1), &["a"; 3], |_| 1, job).unwrap_err();
        assert_eq!(started.into_inner(), 1);
    }

    #[test]
    fn a_failure_comes_out_and_stops_the_rest() {
        let started = AtomicUsize::new(0);
        let names = vec!["job"; 100];
        let error = run(&names, |at, _| {
            started.fetch_add(1, Ordering::Relaxed);
            if at == 0 {
                bail!("no memory");
            }
            thread::sleep(Duration::from_millis(20));
            Ok(())
        })
        .unwrap_err();
        assert_eq!(error.to_string(), "no memory");
        assert!(started.into_inner() < 100);
    }
}
