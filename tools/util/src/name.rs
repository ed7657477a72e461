// SPDX-License-Identifier: GPL-2.0

//! Names of what is run, which are those of its directories, too.

use anyhow::{Result, ensure};
use std::collections::BTreeSet;

/// Each of `names` is one, and no two are the same; `what` they are names of, more than one.
pub fn check<'a>(what: &str, names: impl IntoIterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let is_name = !name.is_empty() && name.chars().all(fits);
        ensure!(is_name, "'{name}' is no name: it may have a to z, 0 to 9 and '-'");
        ensure!(seen.insert(name), "two {what} have the same name, '{name}'");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_one_directory() {
        let said = |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| name.to_string()).collect();
            check("cases", &names).err().map(|error| error.to_string())
        };
        assert_eq!(said(&["pages-64k", "a", "0"]), None);
        for wrong in ["", "../a", "A", "a b", "a.b"] {
            assert!(said(&["a", wrong]).unwrap().contains("is no name"), "{wrong}");
        }
        assert_eq!(said(&["a", "b", "a"]).unwrap(), "two cases have the same name, 'a'");
    }
}
