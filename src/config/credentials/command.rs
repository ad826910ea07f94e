//! `command`: the token that another program prints.

use std::{path::PathBuf, time::Duration};

use super::{
    keys::Keys,
    kind::{Kind, SignIn},
};
use crate::config::secrets::program_path;

pub(in crate::config) const KIND: Kind = Kind {
    name: "command",
    required: Some("argv"),
    needs_audience: false,
    harmless: &["timeout"],
    sign_in: SignIn::Elsewhere,
};

/// Keys of `command`.
#[derive(Debug, Clone)]
pub struct Command {
    /// The program; looked up on PATH when it is a bare name.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How long one call may take. Default 60 s.
    pub timeout: Duration,
}

pub(super) fn read(keys: &mut Keys<'_, '_>) -> Option<Command> {
    let argv = keys.need("argv", |item, report| {
        let argv = item.list(report, |text| Ok(text.to_owned()))?;
        let mut argv = argv.into_iter().map(|at| at.value);
        let program = argv.next().filter(|program| !program.is_empty());
        if program.is_none() {
            report.refuse(
                item.place,
                format!("`{}` names no program", item.key),
                "write the program and its arguments: [\"/usr/bin/token\", \"--raw\"]",
            );
        }
        Some((program_path(&program?, report), argv.collect()))
    });
    let timeout = keys.timeout();
    let (program, arguments) = argv?;
    Some(Command {
        program,
        arguments,
        timeout,
    })
}
