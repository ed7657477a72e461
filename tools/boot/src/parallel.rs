// SPDX-License-Identifier: GPL-2.0

//! Machines side by side: as many as the host has processors, since each keeps one busy.

use anyhow::Result;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// Runs the jobs called `names` and returns their results in this order.
///
/// A job is told its place and where to say what it is doing. After the first failure no further
/// job is started.
pub fn run<T: Send>(
    names: &[&str],
    job: impl Fn(usize, &dyn Fn(&str)) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let workers = thread::available_parallelism().map_or(1, usize::from).min(names.len());
    let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Vec<Mutex<Option<Result<T>>>> = names.iter().map(|_| Mutex::new(None)).collect();
    let bars = MultiProgress::new();
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= names.len() || failed.load(Ordering::Relaxed) > 0 {
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
