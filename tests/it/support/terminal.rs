//! A terminal of the system's, both its ends.

use std::fs::File;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// The end that shows and types, and the end for a program.
pub(crate) fn open() -> (File, File) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
    let shown = openpt(flags).expect("a terminal");
    grantpt(&shown).expect("granted");
    unlockpt(&shown).expect("unlocked");
    let name = ptsname(&shown, Vec::new()).expect("a name");
    let name = name.into_string().expect("UTF-8");
    let end = File::options().read(true).write(true).open(name);
    (File::from(shown), end.expect("the terminal's other end"))
}
