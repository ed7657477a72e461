// SPDX-License-Identifier: GPL-2.0

//! `make matrix`

use super::{differential, status, test::shown};
use crate::{
    hostile,
    opt::{Flag, MatrixOptions},
};
use anyhow::Result;
use boot::{Counts, matrix, report::Report};
use build::{config, deps, kernel::Source};
use std::process::ExitCode;
use util::setup;

/// A run that boots nothing: what of the host's tests takes too long for `make test`.
struct OnHost {
    name: &'static str,
    run: fn(&Source) -> Result<Counts>,
}

const ON_HOST: [OnHost; 2] = [
    OnHost { name: "host-whole-scope", run: |_| hostile::held(&["--ignored"]) },
    OnHost { name: "host-memblock", run: differential::many },
];

/// Does the runs that are asked for, or lists them; the last line has the counts.
pub fn run(options: MatrixOptions) -> Result<ExitCode> {
    let pattern = options.case.as_deref();
    config::check_flavour(&options.flavour)?;
    let boots = matrix::names(pattern)?;
    let on_host = on_host(pattern);
    if boots.is_empty() && on_host.is_empty() {
        let pattern = pattern.unwrap_or_default();
        return Err(setup!(
            "nothing has '{pattern}' in its name; `make matrix LIST=1` lists all names"
        ));
    }
    if options.list == Flag::Yes {
        for name in boots.iter().map(String::as_str).chain(on_host.iter().map(|run| run.name)) {
            println!("{name}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    let source = options.kernel.source()?;
    deps::ensure_for("matrix")?;
    let report = Report::begin(boots.len() + on_host.len());
    let mut counts = matrix::run(&source, &options.flavour, pattern, &report)?;
    for OnHost { name, run } in on_host {
        let of_host = run(&source)?;
        report.result(name, &shown(of_host), of_host.failed == 0);
        counts += of_host;
    }
    println!("{}", shown(counts));
    Ok(status(counts))
}

/// Those that have `pattern` in their names; all of them without one.
fn on_host(pattern: Option<&str>) -> Vec<OnHost> {
    let has = |run: &OnHost| pattern.is_none_or(|pattern| run.name.contains(pattern));
    ON_HOST.into_iter().filter(has).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_on_the_host_is_chosen_by_its_name() {
        let names = |pattern| on_host(pattern).iter().map(|run| run.name).collect::<Vec<_>>();
        assert_eq!(names(None).len(), ON_HOST.len());
        assert_eq!(names(Some("whole")), ["host-whole-scope"]);
        assert!(names(Some("series")).is_empty());
    }
}
