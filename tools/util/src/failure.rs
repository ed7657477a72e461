// SPDX-License-Identifier: GPL-2.0

//! Failures that decide the exit status.
//!
//! A verb ends with 0 (passed), 1 (a check failed) or 2 (bad arguments, or something is missing on
//! this machine: a full disk is that, too). Any other error than a [`Setup`] is a failed check.

use crate::disk;
use std::process::ExitCode;

/// Something that the user has to give, install or mend before the verb can do its work.
///
/// The text says what is missing, where it was looked for, and what to do next.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Setup(pub String);

/// Makes an [`anyhow::Error`] out of a [`Setup`] text.
#[macro_export]
macro_rules! setup {
    ($($arg:tt)*) => {
        ::anyhow::Error::new($crate::failure::Setup(format!($($arg)*)))
    };
}

/// The exit status that belongs to `error`.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let missing = error.downcast_ref::<Setup>().is_some() || disk::is_full(error);
    if missing { ExitCode::from(2) } else { ExitCode::from(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn a_setup_failure_stays_one_below_context() {
        let error = Err::<(), _>(setup!("no bindgen")).context("while building").unwrap_err();
        assert_eq!(exit_code(&error), ExitCode::from(2));
        assert_eq!(exit_code(&anyhow::anyhow!("boot failed")), ExitCode::from(1));
        let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(exit_code(&full.into()), ExitCode::from(2));
    }
}
