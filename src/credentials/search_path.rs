//! Finds a program in the folders of `PATH`, and never in the working directory.

use std::{
    env,
    path::{Path, PathBuf},
};

use super::children::SubprocessError;
use crate::config::files;

/// The program that [`find_now`] finds, without waiting for a file system that does not respond.
pub(super) async fn find(program: &Path) -> Result<PathBuf, SubprocessError> {
    let found = files::in_time(program, |program| Ok(find_now(program))).await;
    let found = found.map_err(|reason| SubprocessError::Start {
        program: program.to_owned(),
        reason,
    })?;
    found.ok_or_else(|| SubprocessError::NotFound(program.to_owned()))
}

/// Makes a path absolute, and searches a bare name in the absolute folders of PATH. Windows completes
/// both by PATHEXT. Relative folders are skipped, so that the working directory is never searched.
pub(super) fn find_now(program: &Path) -> Option<PathBuf> {
    if program.is_absolute() || program.components().count() != 1 {
        // Made absolute, since the program runs in another directory than this process.
        let program = std::path::absolute(program).ok()?;
        let mut files = file_names(&program).into_iter().chain([program]);
        // Windows starts a batch file that is absent by cmd.exe, whose failure would pass for the
        // tool's.
        return files.find(|file| cfg!(unix) || is_program(file));
    }
    let names = file_names(program);
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .filter(|folder| folder.is_absolute())
        .flat_map(|folder| names.iter().map(move |name| folder.join(name)))
        .find(|program| is_program(program))
}

#[cfg(not(windows))]
fn file_names(program: &Path) -> [PathBuf; 1] {
    [program.to_owned()]
}

/// The names that cmd.exe would look for. A file without an extension may be a script for another
/// shell, as that of az.
#[cfg(windows)]
fn file_names(program: &Path) -> Vec<PathBuf> {
    let extensions = env::var("PATHEXT").unwrap_or_default();
    names_with(program, &extensions)
}

/// The names of a program with the extensions of `PATHEXT`, in its order.
#[cfg(any(windows, test))]
fn names_with(program: &Path, path_ext: &str) -> Vec<PathBuf> {
    /// The extensions of files that the system runs by itself, without a program for their type.
    const RUNNABLE: [&str; 4] = ["com", "exe", "bat", "cmd"];

    let is_runnable = |extension: &str| {
        let mut runnable = RUNNABLE.iter();
        runnable.any(|known| known.eq_ignore_ascii_case(extension))
    };
    let own = program.extension().and_then(|own| own.to_str());
    if own.is_some_and(is_runnable) {
        return vec![program.to_owned()];
    }
    let listed = path_ext
        .split(';')
        .map(|entry| entry.trim_start_matches('.'));
    let mut extensions: Vec<&str> = listed.filter(|extension| is_runnable(extension)).collect();
    if extensions.is_empty() {
        extensions = RUNNABLE.to_vec();
    }
    let with = |extension: &str| {
        let mut name = program.as_os_str().to_owned();
        name.push(".");
        name.push(extension);
        PathBuf::from(name)
    };
    extensions.into_iter().map(with).collect()
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_program_on_windows_follow_pathext() {
        let names = |program: &str, path_ext: &str| -> Vec<String> {
            let names = names_with(Path::new(program), path_ext);
            let names = names.iter().map(|name| name.display().to_string());
            names.collect()
        };
        let usual = ".COM;.EXE;.BAT;.CMD;.VBS;.JS;.MSC";
        assert_eq!(names("az", usual), ["az.COM", "az.EXE", "az.BAT", "az.CMD"]);
        assert_eq!(names("az", ".CMD;.EXE"), ["az.CMD", "az.EXE"]);
        // `.2` is not an extension of programs.
        assert_eq!(names("tool-1.2", ".EXE"), ["tool-1.2.EXE"]);
        assert_eq!(names("az.cmd", ".EXE"), ["az.cmd"]);
        assert_eq!(names("azd.Exe", ""), ["azd.Exe"]);
        for nothing in ["", ";", ".VBS", ".", "exe.com"] {
            assert_eq!(
                names("az", nothing),
                ["az.com", "az.exe", "az.bat", "az.cmd"],
                "{nothing}"
            );
        }
    }
}
