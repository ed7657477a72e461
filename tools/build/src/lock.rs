// SPDX-License-Identifier: GPL-2.0

//! One run at a time for what two runs must not do at once.

use anyhow::{Context, Result};
use std::{
    fs::{File, TryLockError},
    path::Path,
};

/// Held until it is dropped; the system lets go of it when the process ends in any way.
pub struct Lock {
    _file: File,
}

impl Lock {
    /// The lock in the file `path`; none if another has it.
    pub fn try_take(path: &Path) -> Result<Option<Self>> {
        let context = || format!("cannot lock {}", path.display());
        let file = File::options().create(true).append(true).open(path).with_context(context)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(context),
        }
    }

    /// Waits for the lock in the file `path`; says `reason` if it has to wait.
    pub fn take(path: &Path, reason: &str) -> Result<Self> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        eprintln!("waiting: {reason}");
        let context = || format!("cannot lock {}", path.display());
        let file = File::options().append(true).open(path).with_context(context)?;
        file.lock().with_context(context)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread, time::Duration};

    #[test]
    fn the_second_waits_for_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let first = Lock::take(&path, "the test").unwrap();
        let (sender, receiver) = mpsc::channel();
        let second = thread::spawn(move || {
            let _lock = Lock::take(&path, "the test").unwrap();
            sender.send(()).unwrap();
        });
        assert!(receiver.recv_timeout(Duration::from_millis(50)).is_err(), "it must wait");
        drop(first);
        receiver.recv_timeout(Duration::from_secs(5)).expect("it goes on");
        second.join().unwrap();
    }
}
