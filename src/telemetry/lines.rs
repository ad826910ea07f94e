//! Log lines on their way to stderr. Serving never waits for whoever reads them: a line goes into a
//! buffer in memory, and a thread of its own writes what the buffer holds. A line for which there is
//! no room is dropped and counted, and the count is logged once the reader is back.
//!
//! The thread rests after each write, so that under load one wake-up and one write serve many lines.

use std::{
    cell::Cell,
    io::{self, Write},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tracing_subscriber::fmt::MakeWriter;

/// In bytes. Some five thousand lines, which is what a slow reader may be behind.
const CAPACITY: usize = 1 << 20;
/// A buffer that has grown beyond this is given back.
const SPARE: usize = 64 << 10;
/// How long a line may wait for others.
const REST: Duration = Duration::from_millis(5);
/// How long the end of the process may wait for the reader.
const PATIENCE: Duration = Duration::from_millis(500);

static BUFFER: Buffer = Buffer {
    state: Mutex::new(State {
        lines: Vec::new(),
        dropped: 0,
        is_full: false,
        is_awaited: false,
        is_writing: false,
    }),
    changed: Condvar::new(),
};

thread_local! {
    static IS_WRITER: Cell<bool> = const { Cell::new(false) };
}

struct Buffer {
    state: Mutex<State>,
    /// There are lines, or all of them are written.
    changed: Condvar,
}

struct State {
    lines: Vec<u8>,
    /// Lines that nobody has been told of yet.
    dropped: u64,
    /// Nothing more is taken until the writer has logged how much is missing.
    is_full: bool,
    /// The writer sleeps until there are lines.
    is_awaited: bool,
    is_writing: bool,
}

/// Starts the thread that writes to stderr.
pub(super) fn start() -> io::Result<()> {
    let writer = thread::Builder::new().name("log".to_owned());
    writer.spawn(|| {
        IS_WRITER.set(true);
        BUFFER.write_to(&mut io::stderr());
    })?;
    Ok(())
}

/// Waits until every line is written, for a moment at most: a reader that has stopped must not keep
/// the process from its end.
pub(crate) fn finish() {
    let end = Instant::now() + PATIENCE;
    let mut state = BUFFER.state();
    while !state.lines.is_empty() || state.is_writing {
        let Some(left) = end.checked_duration_since(Instant::now()) else {
            return;
        };
        let waited = BUFFER.changed.wait_timeout(state, left);
        state = waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

impl Buffer {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, line: &[u8]) {
        let mut state = self.state();
        state.is_full |= state.lines.len() + line.len() > CAPACITY;
        if state.is_full && !IS_WRITER.get() {
            state.dropped += 1;
            return;
        }
        state.lines.extend_from_slice(line);
        if std::mem::take(&mut state.is_awaited) {
            drop(state);
            self.changed.notify_all();
        }
    }

    fn write_to(&self, stderr: &mut impl Write) {
        let mut batch = Vec::new();
        loop {
            let mut state = self.state();
            while state.lines.is_empty() {
                state.is_awaited = true;
                let waited = self.changed.wait(state);
                state = waited.unwrap_or_else(PoisonError::into_inner);
            }
            std::mem::swap(&mut batch, &mut state.lines);
            state.is_writing = true;
            drop(state);

            let lost = write_all(stderr, &batch);
            batch.clear();
            batch.shrink_to(SPARE);
            self.account_for(lost);
            self.state().is_writing = false;
            self.changed.notify_all();
            thread::sleep(REST);
        }
    }

    /// Logs how many lines are missing once stderr takes lines again. Those that come meanwhile are
    /// dropped, so that the line about it stands where they are missing.
    fn account_for(&self, lost: u64) {
        let mut state = self.state();
        if lost > 0 {
            // Another line may fare better, on a disk that is no longer full.
            state.dropped += lost;
            state.is_full = false;
            return;
        }
        let dropped = state.dropped;
        if dropped == 0 {
            return;
        }
        drop(state);
        tracing::warn!(
            lines = dropped,
            "log lines were dropped here, since nobody read them in time; let a faster program read \
             stderr, or log less with `--log warn`"
        );
        let mut state = self.state();
        state.dropped -= dropped;
        state.is_full = state.dropped > 0;
    }
}

/// Returns how many lines could not be written.
fn write_all(stderr: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match stderr.write(lines) {
            Ok(written) if written > 0 => lines = &lines[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process has made the terminal or pipe that it shares with this one non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(REST),
            Ok(_) | Err(_) => break,
        }
    }
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Takes the lines of `tracing_subscriber`, each in one piece.
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
        BUFFER.append(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
