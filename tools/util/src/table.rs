// SPDX-License-Identifier: GPL-2.0

//! The tables of the checkout: TOML that people write.

use crate::setup;
use anyhow::{Error, Result};
use std::{fs, path::Path};

/// What `parse` makes of the table in the file `path`. Whoever wrote it has to mend what is wrong with
/// it, and nothing was checked before that.
pub fn load<T, E: Into<Error>>(path: &Path, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<T> {
    let text = fs::read_to_string(path)
        .map_err(|error| setup!("cannot read {}: {error}", path.display()))?;
    parse(&text)
        .map_err(|error| setup!("mistake in {}: {:#}", path.display(), Into::<Error>::into(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_code;
    use anyhow::Context;
    use std::process::ExitCode;

    #[test]
    fn a_mistake_is_for_people_to_mend_and_says_where() {
        let dir = env!("CARGO_MANIFEST_DIR");
        let number = |text: &str| text.parse::<u32>().context("no number");
        let error = load(&Path::new(dir).join("Cargo.toml"), number).unwrap_err();
        assert_eq!(exit_code(&error), ExitCode::from(2));
        let said = "/Cargo.toml: no number: invalid digit found in string";
        assert!(error.to_string().starts_with("mistake in "), "{error}");
        assert!(error.to_string().ends_with(said), "{error}");
    }

    #[test]
    fn a_table_that_is_not_there_is_named() {
        let error = load(Path::new("no/such/table"), |_| Ok::<_, Error>(())).unwrap_err();
        assert_eq!(exit_code(&error), ExitCode::from(2));
        assert!(error.to_string().starts_with("cannot read no/such/table: "), "{error}");
    }
}
