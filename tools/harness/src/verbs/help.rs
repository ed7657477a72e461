// SPDX-License-Identifier: GPL-2.0

//! `make help`

use crate::{opt::Options, variables::names};
use anyhow::Result;
use clap::{Command, CommandFactory};
use std::process::ExitCode;

/// Prints the verbs and their variables.
pub fn run() -> Result<ExitCode> {
    print!("{}", text(&Options::command()));
    Ok(ExitCode::SUCCESS)
}

fn text(command: &Command) -> String {
    let mut text = format!("{}\n\n", command.get_about().cloned().unwrap_or_default());
    for verb in command.get_subcommands() {
        let mut call = format!("make {}", verb.get_name());
        for name in names(verb) {
            call += &match verb.get_arguments().any(|argument| {
                argument.is_required_set()
                    && argument.get_long() == Some(name.to_lowercase().as_str())
            }) {
                true => format!(" {name}="),
                false => format!(" [{name}=]"),
            };
        }
        text += &format!("{call}\n    {}\n", verb.get_about().cloned().unwrap_or_default());
    }
    text += "\nVariables:\n";
    let mut described = Vec::new();
    for argument in command.get_subcommands().flat_map(Command::get_arguments) {
        let (Some(long), Some(help)) = (argument.get_long(), argument.get_help()) else { continue };
        let value = argument.get_value_names().and_then(|names| names.first());
        let call = format!("{}={}", long.to_uppercase(), value.map_or("", |value| value.as_str()));
        let line = format!("  {call:18} {help}\n");
        // Verbs share variables; the first verb that takes one describes it.
        if long != "help" && !described.contains(&long) {
            described.push(long);
            text += &line;
        }
    }
    text += "\nEnds with 0: passed, 1: a check failed, 2: bad arguments or something missing.\n\
             make turns every failure into 2; `scripts/harness VERB` keeps the difference.\n";
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_and_variable_is_described() {
        let text = text(&Options::command());
        for part in
            ["make crash [BASE=] [LINUX=]", "make apply LINUX= [SIGNOFF=]", "  FLAVOUR=NAME"]
        {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
        assert_eq!(text.matches("  LINUX=DIR").count(), 1, "{text}");
    }

    #[test]
    fn the_help_of_part_names_each_part() {
        let text = text(&Options::command());
        let line = text.lines().find(|line| line.contains("  PART=PATTERN")).unwrap();
        for part in bench::part::PARTS {
            assert!(line.contains(part.name), "{} is not in: {line}", part.name);
        }
    }

    #[test]
    fn the_makefile_has_the_same_verbs() {
        let makefile = include_str!("../../../../Makefile");
        let line = makefile.lines().find_map(|line| line.strip_prefix("VERBS := ")).unwrap();
        let command = Options::command();
        let verbs: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        assert_eq!(line.split(' ').collect::<Vec<_>>(), verbs);
    }
}
