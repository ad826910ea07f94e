//! `command`: the token that another program prints.

use std::{path::PathBuf, time::Duration};

use super::{
    kind::{Kind, SignIn},
    tool::TIMEOUT,
};
use crate::config::{
    keys::{Keys, Value},
    report::{At, Report},
    secrets::{check_path, program_path},
    walk::{Item, Table},
};

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
    /// The program. PATH is searched for a bare name.
    pub program: PathBuf,
    /// The program's arguments.
    pub arguments: Vec<String>,
    /// The time limit of one call. Default 60 s.
    pub timeout: Duration,
}

impl Keys for Command {
    fn read_from(table: &mut Table<'_>, report: &mut Report) -> Option<Self> {
        let argv: Option<At<_>> = table.key(report, "argv", argv);
        let timeout = table.read(report, "timeout", Value::read).or(TIMEOUT);
        let mut argv = argv?.value.into_iter();
        Some(Self {
            program: program_path(&argv.next()?, report),
            arguments: argv.collect(),
            timeout,
        })
    }
}

/// Reads `argv`, which has at least a program.
fn argv(item: &Item<'_>, report: &mut Report) -> Option<Vec<String>> {
    let argv = item.list(report, |text| Ok(text.to_owned()))?;
    let Some(program) = argv.first().filter(|program| !program.value.is_empty()) else {
        report.refuse(
            item.place,
            format!("`{}` names no program", item.key),
            "write the program and its arguments: [\"get-token\", \"--raw\"]",
        );
        return None;
    };
    report.accept(program.place, &item.key, check_path(&program.value))?;
    Some(argv.into_iter().map(|at| at.value).collect())
}
