// SPDX-License-Identifier: GPL-2.0

//! out/boots of the checkout: each machine has a directory of its own there, and one run of the
//! harness has them all.
//!
//! A run compares what is in several of them, and so keeps all until it ends. With a lock for each, two
//! runs could wait for each other.

use anyhow::{Context, Result};
use build::lock::Lock;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};
use util::place;

/// The directories, below out/ of the checkout.
const BOOTS: &str = "boots";

/// The lock, beside them.
const LOCK: &str = "boots.lock";

/// What another run is told.
const REASON: &str = "another run has its machines in out/boots of this checkout, and may take long; one \
                      in another clone would not wait";

/// What this run holds: its machines run side by side, in threads of it.
static HELD: Held = Held::nothing();

/// The directory of the machine called `name`, which is there then. Waits until no other run has
/// machines.
pub fn dir(name: &str) -> Result<PathBuf> {
    HELD.take(&place::out("")?.join(LOCK))?;
    let dir = place::out(BOOTS)?.join(name);
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

/// The lock, once it was taken.
struct Held(Mutex<Option<Lock>>);

impl Held {
    const fn nothing() -> Self {
        Self(Mutex::new(None))
    }

    fn take(&self, path: &Path) -> Result<()> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_none() {
            *held = Some(Lock::take(path, REASON)?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread, time::Duration};

    #[test]
    fn a_run_waits_for_another_and_not_for_itself() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(LOCK);
        // A lock is that of an open file, so these two are as two processes.
        let (one, other) = (Held::nothing(), Held::nothing());
        one.take(&path).unwrap();
        one.take(&path).unwrap();
        let (sender, receiver) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                other.take(&path).unwrap();
                sender.send(()).unwrap();
            });
            let waits = receiver.recv_timeout(Duration::from_millis(50)).is_err();
            drop(one);
            receiver.recv_timeout(Duration::from_secs(5)).expect("it goes on");
            assert!(waits, "both have the machines");
        });
    }
}
