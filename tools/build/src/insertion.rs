// SPDX-License-Identifier: GPL-2.0

//! Declared insertions: lines that the series adds to a file that Linux already has.

use anyhow::{Context, Result, bail};
use regex::Regex;
use serde::Deserialize;
use std::path::PathBuf;

/// One declared insertion, as `series` has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Insertion {
    /// The file of the kernel tree.
    pub file: PathBuf,
    /// One line to insert ...
    pub line: Option<String>,
    /// ... or a file of the checkout whose contents are inserted.
    pub from: Option<PathBuf>,
    /// Only in the paragraph that begins with the line that matches.
    pub within: Option<String>,
    /// In order among the lines that match.
    pub sorted: Option<String>,
    /// After the only line that matches.
    pub after: Option<String>,
    /// Before the only line that matches.
    pub before: Option<String>,
}

/// Where the lines go.
#[derive(Clone, Debug)]
enum Place {
    Sorted(Regex),
    After(Regex),
    Before(Regex),
}

fn regex(text: &str) -> Result<Regex> {
    Regex::new(text).with_context(|| format!("series: '{text}' is no regular expression"))
}

impl Insertion {
    fn place(&self) -> Result<Place> {
        Ok(match (&self.sorted, &self.after, &self.before) {
            (Some(text), None, None) => Place::Sorted(regex(text)?),
            (None, Some(text), None) => Place::After(regex(text)?),
            (None, None, Some(text)) => Place::Before(regex(text)?),
            _ => bail!(
                "series: an insertion into {} needs exactly one of sorted, after, before",
                self.file.display()
            ),
        })
    }

    /// `text`, the contents of the file, with `lines` inserted.
    pub fn apply(&self, text: &str, lines: &str) -> Result<String> {
        let there: Vec<_> = text.lines().collect();
        let lines: Vec<_> = lines.lines().collect();
        let scope = match &self.within {
            None => 0..there.len(),
            Some(first) => {
                let first = self.only(&there, &regex(first)?)?;
                let length = there[first..].iter().position(|line| line.is_empty());
                first..length.map_or(there.len(), |length| first + length)
            }
        };
        let in_scope = &there[scope.clone()];
        let at = scope.start
            + match self.place()? {
                Place::Sorted(regex) => self.sorted_at(in_scope, &regex, &lines)?,
                Place::After(regex) => self.only(in_scope, &regex)? + 1,
                Place::Before(regex) => self.only(in_scope, &regex)?,
            };
        if !lines.is_empty() && in_scope.windows(lines.len()).any(|window| window == lines) {
            bail!("{} has these lines already: {}", self.file.display(), lines[0]);
        }
        let mut result = Vec::with_capacity(there.len() + lines.len());
        result.extend_from_slice(&there[..at]);
        result.extend_from_slice(&lines);
        result.extend_from_slice(&there[at..]);
        Ok(result.join("\n") + "\n")
    }

    /// After the last matching line that sorts before the first matching one of `lines`, else
    /// before all matching lines.
    fn sorted_at(&self, there: &[&str], regex: &Regex, lines: &[&str]) -> Result<usize> {
        // An attribute or an #ifdef may come before the line that the order is about.
        let line = lines.iter().find(|line| regex.is_match(line)).with_context(|| {
            format!("series: no line to insert into {} matches '{regex}'", self.file.display())
        })?;
        let matching = || (0..there.len()).filter(|&at| regex.is_match(there[at]));
        let first = matching().next().with_context(|| self.no_match(regex))?;
        Ok(matching().rfind(|&at| there[at] < *line).map_or(first, |at| at + 1))
    }

    fn only(&self, there: &[&str], regex: &Regex) -> Result<usize> {
        let matching: Vec<_> = (0..there.len()).filter(|&at| regex.is_match(there[at])).collect();
        match matching[..] {
            [] => bail!(self.no_match(regex)),
            [at] => Ok(at),
            [first, second, ..] => bail!(
                "{}: lines {} and {} match '{regex}'; the place of an insertion has to be unique",
                self.file.display(),
                first + 1,
                second + 1
            ),
        }
    }

    fn no_match(&self, regex: &Regex) -> String {
        format!("{}: no line matches '{regex}', where an insertion goes", self.file.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// head\npub mod a;\npub mod c;\n\nuse x;\npub mod e;\n";

    fn insertion(place: &str) -> Insertion {
        toml::from_str(&format!("file = 'lib.rs'\n{place}")).unwrap()
    }

    #[test]
    fn sorted_goes_between_its_neighbours() {
        let sorted = insertion("sorted = '^pub mod '");
        for (line, before) in
            [("pub mod b;", "pub mod c;"), ("pub mod 0;", "pub mod a;"), ("pub mod d;", "")]
        {
            let text = sorted.apply(TEXT, line).unwrap();
            assert!(text.contains(&format!("{line}\n{before}\n")), "{text}");
        }
        assert!(sorted.apply(TEXT, "pub mod z;").unwrap().ends_with("pub mod e;\npub mod z;\n"));
    }

    #[test]
    fn sorted_looks_past_an_attribute() {
        let text = insertion("sorted = '^pub mod '").apply(TEXT, "#[cfg(x)]\npub mod b;").unwrap();
        assert!(text.contains("pub mod a;\n#[cfg(x)]\npub mod b;\npub mod c;"), "{text}");
    }

    #[test]
    fn the_order_is_that_of_the_line_below_the_attribute() {
        let sorted = insertion("sorted = '^pub mod '");
        let text = sorted.apply(TEXT, "#[cfg(X)]\npub mod b;").unwrap();
        assert!(text.contains("pub mod a;\n#[cfg(X)]\npub mod b;\npub mod c;"), "{text}");
        let error = sorted.apply(TEXT, "use y;").unwrap_err();
        assert!(error.to_string().contains("no line to insert into lib.rs matches"), "{error}");
    }

    #[test]
    fn a_paragraph_can_be_chosen() {
        let text = "ONE\nF:\ta\nF:\tc\n\nTWO\nF:\tb\nF:\td\n\nTHREE\nF:\tz\n";
        let within = insertion("within = '^TWO$'\nsorted = '^F:'");
        let changed = within.apply(text, "F:\tc").unwrap();
        assert_eq!(changed, text.replace("F:\td", "F:\tc\nF:\td"));
        assert!(within.apply(text, "F:\te").unwrap().contains("F:\td\nF:\te\n\nTHREE"));
        assert!(within.apply(text, "F:\tb").unwrap_err().to_string().contains("already"));
        let error = insertion("within = '^NO$'\nsorted = '^F:'").apply(text, "F:\tc").unwrap_err();
        assert!(error.to_string().contains("no line matches '^NO$'"), "{error}");
    }

    #[test]
    fn after_and_before_take_several_lines() {
        let text = insertion("after = '^// head'").apply(TEXT, "one\ntwo\n").unwrap();
        assert!(text.starts_with("// head\none\ntwo\npub mod a;"), "{text}");
        let text = insertion("before = '^use x'").apply(TEXT, "one\n").unwrap();
        assert!(text.contains("\n\none\nuse x;"), "{text}");
    }

    #[test]
    fn a_place_that_is_missing_or_not_unique_is_an_error() {
        let error = insertion("after = 'nowhere'").apply(TEXT, "x").unwrap_err();
        assert!(error.to_string().contains("lib.rs: no line matches 'nowhere'"), "{error}");
        let error = insertion("before = '^pub'").apply(TEXT, "x").unwrap_err();
        assert!(error.to_string().contains("lines 2 and 3 match"), "{error}");
        let error = insertion("before = 'a'\nafter = 'b'").apply(TEXT, "x").unwrap_err();
        assert!(error.to_string().contains("exactly one of"), "{error}");
    }

    #[test]
    fn what_is_there_already_is_not_inserted_twice() {
        let error = insertion("sorted = '^pub mod '").apply(TEXT, "pub mod c;").unwrap_err();
        assert!(error.to_string().contains("already"), "{error}");
    }
}
