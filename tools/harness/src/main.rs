// SPDX-License-Identifier: GPL-2.0

//! The harness: one verb per run, as `make VERB` hands it over.

mod cargo;
mod hostile;
mod opt;
mod space;
mod variables;
mod verbs;

use anyhow::Result;
use clap::{CommandFactory, FromArgMatches};
use opt::{Options, Verb};
use std::{env, process::ExitCode};
use util::{disk, failure::exit_code};
use verbs::{
    apply, bench, check, crash, deps, differential, fuzz, help, image, matrix, patches, test,
};

fn main() -> ExitCode {
    // Who stops reading what is printed does not want to hear of it.
    sigpipe::reset();
    match run() {
        Ok(status) => status,
        Err(error) => {
            if let Some(error) = error.downcast_ref::<clap::Error>() {
                eprint!("{}", variables::in_words_of_make(&error.render().to_string()));
                return ExitCode::from(2);
            }
            eprintln!("error: {error:#}");
            if disk::is_full(&error) {
                eprintln!("the disk is full: {}", disk::advice());
            }
            exit_code(&error)
        }
    }
}

fn run() -> Result<ExitCode> {
    let words = variables::words(env::args_os().skip(1))?;
    let arguments = variables::arguments(&Options::command(), &words)?;
    let command = std::iter::once("make".to_string()).chain(arguments);
    let options = Options::from_arg_matches(&Options::command().try_get_matches_from(command)?)?;
    space::check(&options.verb)?;
    match options.verb {
        Verb::Help => help::run(),
        Verb::Deps => deps::run(),
        Verb::Crash(options) => crash::run(options),
        Verb::Test(options) => test::run(options),
        Verb::Fuzz(options) => fuzz::run(options),
        Verb::Differential(options) => differential::run(options),
        Verb::Matrix(options) => matrix::run(options),
        Verb::Check(options) => check::run(options),
        Verb::Bench(options) => bench::run(options),
        Verb::Patches(options) => patches::run(options),
        Verb::Image(options) => image::run(options),
        Verb::Apply(options) => apply::run(options),
    }
}
