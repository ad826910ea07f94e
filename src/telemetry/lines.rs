//! Where log lines go: to stderr, gathered while the serving thread is busy and written when it
//! is about to wait. Under load that is one write for many requests; without load each line is out
//! before the thread sleeps.

use std::{
    cell::RefCell,
    io::{self, Write},
};

use tracing_subscriber::fmt::MakeWriter;

/// Gathered lines are written out beyond this many bytes, however busy the thread is.
const MAX_GATHERED: usize = 64 << 10;

thread_local! {
    /// `None` on threads that do not gather: their lines go straight to stderr.
    static GATHERED: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

/// From now on this thread gathers its lines. It must call [`flush`] whenever it is about to wait,
/// and drop what this returns before it ends.
pub fn gather() -> Gathering {
    GATHERED.set(Some(Vec::with_capacity(8 << 10)));
    Gathering(())
}

/// Ends gathering on this thread when dropped.
#[derive(Debug)]
pub struct Gathering(());

impl Drop for Gathering {
    fn drop(&mut self) {
        flush();
        GATHERED.set(None);
    }
}

/// Writes out the lines that this thread has gathered.
pub fn flush() {
    GATHERED.with_borrow_mut(|lines| {
        if let Some(lines) = lines.as_mut().filter(|lines| !lines.is_empty()) {
            // Where stderr is closed there is nobody to tell.
            let _ = io::stderr().lock().write_all(lines);
            lines.clear();
        }
    });
}

/// Writes lines where they belong.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let is_full = GATHERED.with_borrow_mut(|lines| match lines {
            Some(lines) => {
                lines.extend_from_slice(line);
                Ok(lines.len() > MAX_GATHERED)
            }
            None => io::stderr().lock().write_all(line).map(|()| false),
        })?;
        if is_full {
            flush();
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
