// SPDX-License-Identifier: GPL-2.0

//! One module per verb.

use boot::Counts;
use std::process::ExitCode;

pub mod apply;
pub mod bench;
pub mod check;
pub mod crash;
pub mod deps;
pub mod differential;
pub mod fuzz;
pub mod help;
pub mod image;
pub mod matrix;
pub mod patches;
pub mod test;

/// The exit status that belongs to `counts`; a run that checked nothing has not passed.
fn status(counts: Counts) -> ExitCode {
    if counts.failed == 0 && counts.passed > 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_checked_is_not_passed() {
        assert_eq!(status(Counts { passed: 3, failed: 0 }), ExitCode::SUCCESS);
        assert_eq!(status(Counts { passed: 3, failed: 1 }), ExitCode::from(1));
        assert_eq!(status(Counts { passed: 0, failed: 0 }), ExitCode::from(1));
    }
}
