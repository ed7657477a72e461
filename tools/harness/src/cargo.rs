// SPDX-License-Identifier: GPL-2.0

//! cargo, and what its tests print.

use anyhow::{Context, Result};
use boot::Counts;
use regex::Regex;
use std::env;
use util::{command::Cmd, place};

/// cargo in the checkout.
pub fn cargo() -> Result<Cmd> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // The make that runs this harness is not cargo's business.
    Ok(Cmd::new(cargo).dir(place::checkout()?).env("MAKEFLAGS", "").env("MAKELEVEL", ""))
}

/// How many bytes a test program may have: one that runs away fails, and the machine goes on.
const MOST_MEMORY: u64 = 4 << 30;

/// `cargo test`, where cargo starts each test program with no more memory than that.
pub fn cargo_test() -> Result<Cmd> {
    let [program, limit] = bound();
    let runner = format!("target.'cfg(unix)'.runner=['{program}', '{limit}']");
    Ok(cargo()?.args(["test", "--config"]).arg(runner))
}

/// What stands before a program that is to have no more memory. The bound is not on the address
/// space, of which an allocator sets much aside for each thread.
fn bound() -> [String; 2] {
    ["prlimit".into(), format!("--data={MOST_MEMORY}")]
}

/// Runs `cmd`, which is [`cargo_test()`], and returns what it printed, with the counts. What failed is
/// printed.
pub fn tested(cmd: &Cmd) -> Result<(Counts, String)> {
    println!("$ {cmd}");
    let output = cmd.command().output().context("cannot start cargo")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts = counts_in(&text, output.status.success());
    if counts.failed > 0 {
        println!("{text}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok((counts, text))
}

/// Adds up the results of all test programs that cargo ran.
fn counts_in(output: &str, success: bool) -> Counts {
    let result = Regex::new(r"(?m)^test result: \w+\. (\d+) passed; (\d+) failed;")
        .expect("the expression is well formed");
    let mut all = Counts::default();
    for found in result.captures_iter(output) {
        let number = |at: usize| found[at].parse().unwrap_or(0);
        all += Counts { passed: number(1), failed: number(2) };
    }
    // What did not compile has no result.
    if !success && all.failed == 0 {
        all.failed = 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    const OUTPUT: &str = "\nrunning 3 tests\n...\n\
        test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\n\
        test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out\n";

    #[test]
    fn results_of_all_programs_are_added_up() {
        assert_eq!(counts_in(OUTPUT, false), Counts { passed: 4, failed: 2 });
    }

    #[test]
    fn a_test_program_has_its_bound() {
        let [program, limit] = bound();
        let mut shell = Command::new(program);
        let output = shell.args([&limit, "sh", "-c", "ulimit -d"]).output().unwrap();
        let kilobytes = String::from_utf8(output.stdout).unwrap();
        assert_eq!(kilobytes.trim().parse(), Ok(MOST_MEMORY >> 10));
    }

    #[test]
    fn what_does_not_compile_is_a_failure() {
        assert_eq!(counts_in("", false), Counts { passed: 0, failed: 1 });
        assert_eq!(counts_in("", true), Counts::default());
    }
}
