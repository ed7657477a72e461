// SPDX-License-Identifier: GPL-2.0

//! What make hands over: a verb, and variables as `NAME=VALUE`.

use anyhow::Result;
use clap::Command;
use regex::{Captures, Regex};
use std::ffi::OsString;
use util::setup;

/// Where to read on.
const HINT: &str = "`make help` lists the verbs and what they take.";

/// The words of the command line: they are text, and the places that they name have names that are.
pub fn words(arguments: impl Iterator<Item = OsString>) -> Result<Vec<String>> {
    let word = |argument: OsString| {
        argument.into_string().map_err(|argument| {
            let shown = argument.to_string_lossy();
            setup!("{shown} is no UTF-8; give what it names another name, or a link that has one")
        })
    };
    arguments.map(word).collect()
}

/// The command line in the form that clap takes: `BASE=7.2` becomes `--base=7.2`.
///
/// A name that the verb does not take is an error here, in the words of make: make itself would
/// pass a misspelt name over in silence.
pub fn arguments(command: &Command, words: &[String]) -> Result<Vec<String>> {
    let mut arguments = Vec::new();
    for (position, word) in words.iter().enumerate() {
        let verb = words.first().and_then(|verb| command.find_subcommand(verb));
        let (Some(verb), true, Some((name, value))) = (verb, position > 0, word.split_once('='))
        else {
            arguments.push(word.clone());
            continue;
        };
        let known = names(verb);
        if !known.iter().any(|one| one == name) {
            let verb = verb.get_name();
            return Err(match known.is_empty() {
                true => setup!("`make {verb}` takes no variables, so no {name}="),
                false => setup!("`make {verb}` takes no {name}=; it takes {}", listed(&known)),
            });
        }
        // An empty variable is one that is not set.
        if !value.is_empty() {
            arguments.push(format!("--{}={value}", name.to_lowercase()));
        }
    }
    Ok(arguments)
}

/// The variables that a verb takes.
pub fn names(verb: &Command) -> Vec<String> {
    verb.get_arguments()
        .filter_map(|argument| argument.get_long())
        .filter(|long| *long != "help")
        .map(str::to_uppercase)
        .collect()
}

/// What clap says about wrong arguments, with variables instead of options.
pub fn in_words_of_make(text: &str) -> String {
    let option = Regex::new(r"--([a-z]+)(?: <([^>]*)>)?").expect("the expression is well formed");
    let text = text.split("\nUsage:").next().unwrap_or(text);
    let text = text.split("\nFor more information").next().unwrap_or(text);
    let variable = |found: &Captures<'_>| {
        format!("{}={}", found[1].to_uppercase(), found.get(2).map_or("", |value| value.as_str()))
    };
    format!("{}\n{HINT}\n", option.replace_all(text, variable).trim_end())
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| format!("{name}=")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::opt::Options;
    use clap::CommandFactory;
    use std::os::unix::ffi::OsStringExt;

    fn translate(words: &[&str]) -> Result<Vec<String>> {
        let words: Vec<_> = words.iter().map(|word| word.to_string()).collect();
        arguments(&Options::command(), &words)
    }

    #[test]
    fn variables_become_options() {
        let arguments = translate(&["image", "BASE=7.2", "SERIES=off"]).unwrap();
        assert_eq!(arguments, ["image", "--base=7.2", "--series=off"]);
        assert_eq!(translate(&["image", "LINUX=/a b=c"]).unwrap()[1], "--linux=/a b=c");
    }

    #[test]
    fn what_is_no_text_is_a_bad_argument() {
        let text = |bytes: &[u8]| words([OsString::from_vec(bytes.to_vec())].into_iter());
        assert_eq!(text(b"LINUX=/tmp/\xc3\xbc").unwrap(), ["LINUX=/tmp/\u{fc}"]);
        let error = text(b"LINUX=/tmp/\xff").unwrap_err();
        assert_eq!(util::failure::exit_code(&error), std::process::ExitCode::from(2));
        assert!(error.to_string().starts_with("LINUX=/tmp/\u{fffd} is no UTF-8;"), "{error}");
    }

    #[test]
    fn an_empty_variable_is_not_set() {
        assert_eq!(translate(&["crash", "REPRODUCE="]).unwrap(), ["crash"]);
    }

    #[test]
    fn wrong_values_are_told_in_the_words_of_make() {
        let error = Options::command().try_get_matches_from(["make", "image", "--series=maybe"]);
        let text = in_words_of_make(&error.unwrap_err().render().to_string());
        assert!(text.contains("invalid value 'maybe' for 'SERIES=on|off'"), "{text}");
        assert!(text.contains("[possible values: on, off]"), "{text}");
        let error = Options::command().try_get_matches_from(["make", "apply"]);
        let text = in_words_of_make(&error.unwrap_err().render().to_string());
        assert!(text.contains("  LINUX=DIR") && !text.contains("--"), "{text}");
    }

    #[test]
    fn a_misspelt_variable_is_an_error_that_names_the_right_ones() {
        let error = translate(&["crash", "BSE=7.2"]).unwrap_err().to_string();
        assert!(error.contains("takes no BSE=; it takes BASE=, LINUX=, REPRODUCE="), "{error}");
        let error = translate(&["deps", "BASE=7.2"]).unwrap_err();
        assert!(error.to_string().contains("takes no variables"), "{error}");
        assert_eq!(util::failure::exit_code(&error), std::process::ExitCode::from(2));
    }
}
