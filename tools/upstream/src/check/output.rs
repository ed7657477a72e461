// SPDX-License-Identifier: GPL-2.0

//! What compilers and their like say: which warning is about which file.

use anyhow::Result;
use regex::Regex;
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

/// One warning or error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The file that it is about, below the tree; empty when it names none.
    pub file: PathBuf,
    /// The line, where it names one.
    pub line: Option<u32>,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map_or(String::new(), |line| format!(":{line}"));
        write!(f, "{}{line}: {}", self.file.display(), self.text)
    }
}

/// The warnings and errors in what was said about the files of `tree`, each once.
///
/// C compilers, sparse and Sphinx have the place before the text; rustc has it below.
pub fn warnings(text: &str, tree: &Path) -> Result<Vec<Warning>> {
    let before = Regex::new(r"(?i)^(\S+?):(\d+)(?::\d+)?: (?:warning|(?:fatal )?error): (.*)$")?;
    let bare = Regex::new(r"(?i)^(?:\S+: )?(?:warning|error)(?:\[[^\]]*\])?: (.*)$")?;
    let below = Regex::new(r"^\s*--> (\S+?):(\d+):\d+")?;
    let sum =
        Regex::new(r"(?:\d+|one) (?:warning|error)s? (?:emitted|generated)|^aborting due to")?;
    let inside = |file: &str| {
        let path = Path::new(file);
        path.strip_prefix(tree).or(path.strip_prefix("./")).unwrap_or(path).to_path_buf()
    };
    let mut found: Vec<Warning> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let warning = if let Some(parts) = before.captures(line) {
            let (file, line, text) = (inside(&parts[1]), parts[2].parse().ok(), parts[3].into());
            Warning { file, line, text }
        } else if let Some(parts) = bare.captures(line).filter(|parts| !sum.is_match(&parts[1])) {
            let place = lines.peek().and_then(|next| below.captures(next));
            let file = place.as_ref().map_or_else(PathBuf::new, |place| inside(&place[1]));
            let line = place.and_then(|place| place[2].parse().ok());
            Warning { file, line, text: parts[1].into() }
        } else {
            continue;
        };
        if !found.contains(&warning) {
            found.push(warning);
        }
    }
    Ok(found)
}

/// The warnings of `after` that `before` does not have. Lines may move, so they are not compared.
pub fn new_ones(before: &[Warning], after: &[Warning]) -> Vec<Warning> {
    let mut known: BTreeMap<(&Path, &str), usize> = BTreeMap::new();
    for warning in before {
        *known.entry((&warning.file, &warning.text)).or_default() += 1;
    }
    let mut new = Vec::new();
    for warning in after {
        match known.get_mut(&(warning.file.as_path(), warning.text.as_str())) {
            Some(count) if *count > 0 => *count -= 1,
            _ => new.push(warning.clone()),
        }
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(file: &str, line: Option<u32>, text: &str) -> Warning {
        Warning { file: file.into(), line, text: text.into() }
    }

    #[test]
    fn all_tools_are_understood() {
        let text = "\
  CC      arch/a.o\n\
arch/a.c:3:1: warning: unused variable 'x' [-Wunused]\n\
../arch/b.c:3: note: y\n\
1 warning generated.\n\
warning: unused import: `c`\n  --> rust/kernel/c.rs:5:9\n   |\n\
warning: 1 warning emitted\n\
error[E0425]: cannot find `d`\n --> /t/rust/d.rs:1:1\n\
error: aborting due to 1 previous error\n\
/t/Documentation/e.rst:7: WARNING: Title underline too short.\n\
WARNING: modpost: vmlinux: section mismatch in reference: f -> g (section: .init.text)\n\
ld.lld: error: undefined symbol: h\n";
        let expected = [
            one("arch/a.c", Some(3), "unused variable 'x' [-Wunused]"),
            one("rust/kernel/c.rs", Some(5), "unused import: `c`"),
            one("rust/d.rs", Some(1), "cannot find `d`"),
            one("Documentation/e.rst", Some(7), "Title underline too short."),
            one(
                "",
                None,
                "modpost: vmlinux: section mismatch in reference: f -> g (section: .init.text)",
            ),
            one("", None, "undefined symbol: h"),
        ];
        assert_eq!(warnings(text, Path::new("/t")).unwrap(), expected);
    }

    #[test]
    fn a_warning_that_moved_is_not_new_and_a_second_one_is() {
        let before = [one("a.c", Some(3), "x")];
        let after = [one("a.c", Some(9), "x"), one("a.c", Some(10), "x"), one("b.c", None, "x")];
        assert_eq!(new_ones(&before, &after), after[1..]);
        assert!(new_ones(&after, &before).is_empty());
    }
}
