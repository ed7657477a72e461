// SPDX-License-Identifier: GPL-2.0

//! The processors that a kernel runs on.

use crate::{facts::Facts, properties::Answer};
use anyhow::{Context, Result};

/// How many processors there are in a list of the kernel, as in `0-3,7`.
pub fn count(list: &str) -> Result<usize> {
    let one = |range: &str| -> Result<usize> {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (usize, usize) = (first.parse()?, last.parse()?);
        (last + 1).checked_sub(first).context("it ends before it begins")
    };
    let count = list.split(',').map(one).sum::<Result<usize>>();
    count.with_context(|| format!("no list of processors: '{list}'"))
}

/// How many a kernel may use at most, as its command line says.
fn told(command_line: &str) -> Option<usize> {
    let limits = command_line.split_whitespace().filter_map(|word| {
        let number = word.strip_prefix("nr_cpus=").or_else(|| word.strip_prefix("maxcpus="))?;
        number.parse().ok()
    });
    limits.min()
}

/// Each kernel runs on all processors that the first one has found, or on as many as it was told.
pub fn online(first: &Facts, second: &Facts) -> Answer {
    let wanted = |facts: &Facts| {
        told(&facts.command_line)
            .map_or(first.processors_present, |limit| limit.min(first.processors_present))
    };
    let holds = [first, second].iter().all(|facts| facts.processors_online == wanted(facts));
    let counts = [first, second].map(|facts| facts.processors_online.to_string());
    Answer::new(holds, counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_has_numbers_and_ranges() {
        assert_eq!(count("0").unwrap(), 1);
        assert_eq!(count("0-3,7").unwrap(), 5);
        assert!(count("").is_err() && count("3-1").is_err());
    }

    #[test]
    fn the_smallest_limit_counts() {
        assert_eq!(told("console=ttyAMA0 nr_cpus=1 reset_devices"), Some(1));
        assert_eq!(told("maxcpus=2 nr_cpus=4"), Some(2));
        assert_eq!(told("console=ttyAMA0"), None);
    }
    #[test]
    fn a_processor_that_does_not_come_up_is_missed() {
        let first = Facts {
            command_line: "console=ttyAMA0".into(),
            processors_present: 2,
            processors_online: 2,
            ..Facts::made_up()
        };
        let one = Facts::made_up();
        assert!(online(&first, &one).holds);
        let both = Facts { processors_present: 2, processors_online: 2, ..Facts::made_up() };
        assert!(!online(&first, &both).holds, "it was told to run on one");
        let told_nothing = Facts { command_line: String::new(), ..one.clone() };
        // The second one is not even present: only the first kernel knows that it should be.
        assert!(!online(&first, &told_nothing).holds);
        assert!(!online(&Facts { processors_online: 1, ..first }, &one).holds);
    }
}
