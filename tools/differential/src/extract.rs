// SPDX-License-Identifier: GPL-2.0

//! Takes functions and constants out of C files of a kernel tree, by their names.
//!
//! It goes by how the kernel is written: what begins a function stands at the start of a line, and a
//! brace at the start of a line ends it.

use anyhow::{Context, Result};
use regex::Regex;

/// The function `name`, from its type to its closing brace.
pub fn function(text: &str, name: &str) -> Result<String> {
    let begins =
        Regex::new(&format!(r"(?m)^[a-zA-Z_][^;={{}}#/]*?\b{name}\(")).expect("well formed");
    begins
        .find_iter(text)
        .filter_map(|found| {
            let rest = &text[found.start()..];
            let body = rest.find("\n{")?;
            // A prototype ends before a body comes.
            let is_prototype = rest[..body].contains(';');
            let end = rest.find("\n}\n")?;
            (!is_prototype).then(|| format!("{}\n}}\n", &rest[..end]))
        })
        .next()
        .with_context(|| format!("there is no function {name}()"))
}

/// The line that defines the macro `name`.
pub fn define(text: &str, name: &str) -> Result<String> {
    let line = Regex::new(&format!(r"(?m)^#define\s+{name}\b.*$")).expect("well formed");
    let found = line.find(text).with_context(|| format!("there is no macro {name}"))?;
    Ok(format!("{}\n", found.as_str()))
}

/// The lines of `function` from the one that is `first` to before the one that is `behind`.
pub fn lines(function: &str, first: &str, behind: &str) -> Result<String> {
    let at = |text| {
        let place = function.lines().position(|line| line.trim() == text);
        place.with_context(|| format!("no line is '{text}'"))
    };
    let (first, behind) = (at(first)?, at(behind)?);
    let lines: Vec<_> = function.lines().take(behind).skip(first).collect();
    anyhow::ensure!(!lines.is_empty(), "there is nothing between them");
    Ok(lines.join("\n") + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
static int before(void);
#define MOST (2 + LEAST)

static int __init before(void)
{
	if (1) {
		return after(1);
	}
}

const __be32 *__init after(int one,
			   int two)
{
	first();
	if (second()) {
		third();
	}
	fourth();
}
";

    #[test]
    fn a_function_is_taken_from_its_type_to_its_brace() {
        let before = function(TEXT, "before").unwrap();
        assert!(before.starts_with("static int __init before(void)\n{\n"), "{before}");
        assert!(before.ends_with("\t}\n}\n"), "{before}");
        let after = function(TEXT, "after").unwrap();
        assert!(after.starts_with("const __be32 *__init after(int one,\n"), "{after}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let error = function(TEXT, "first").unwrap_err();
        assert!(error.to_string().contains("first()"), "{error}");
        assert!(function(TEXT, "fore").is_err());
        assert!(define(TEXT, "LEAST").unwrap_err().to_string().contains("LEAST"));
    }

    #[test]
    fn a_macro_is_one_line() {
        assert_eq!(define(TEXT, "MOST").unwrap(), "#define MOST (2 + LEAST)\n");
    }

    #[test]
    fn some_lines_of_a_function_are_taken() {
        let after = function(TEXT, "after").unwrap();
        let taken = lines(&after, "first();", "fourth();").unwrap();
        assert_eq!(taken, "\tfirst();\n\tif (second()) {\n\t\tthird();\n\t}\n");
        assert!(lines(&after, "fourth();", "first();").is_err());
        assert!(lines(&after, "first();", "fifth();").is_err());
    }
}
