//! Writes log lines to stderr so that no request ever waits for the reader of stderr. A line goes
//! into a buffer in memory, and a thread writes the buffer. A line that does not fit is dropped and
//! counted, and the count is logged once stderr is read again.
//!
//! The thread pauses after each write, so that under load one wake-up and one write serve many
//! lines.

use std::{
    cell::Cell,
    io::{self, Write},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

/// The size of the buffer in bytes, for some five thousand lines.
const CAPACITY: usize = 1 << 20;
/// The memory that an empty buffer keeps.
const SPARE: usize = 64 << 10;
/// The time for which a line waits for more lines.
const REST: Duration = Duration::from_millis(5);
/// The longest time for which the end of the process waits for the reader.
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
    /// Notified when lines are added, and when all of them are written.
    changed: Condvar,
}

struct State {
    lines: Vec<u8>,
    /// The number of dropped lines that is not logged yet.
    dropped: u64,
    /// Lines are dropped until the writer has logged how many are missing.
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

/// Waits until every line is written, but only for [`PATIENCE`]: a reader that has stopped must not
/// keep the process from ending.
pub(crate) fn finish() {
    let end = Instant::now() + PATIENCE;
    let mut state = BUFFER.state.lock();
    while !state.lines.is_empty() || state.is_writing {
        let Some(left) = end.checked_duration_since(Instant::now()) else {
            return;
        };
        BUFFER.changed.wait_for(&mut state, left);
    }
}

impl Buffer {
    fn append(&self, line: &[u8]) {
        let mut state = self.state.lock();
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
            let mut state = self.state.lock();
            while state.lines.is_empty() {
                state.is_awaited = true;
                self.changed.wait(&mut state);
            }
            std::mem::swap(&mut batch, &mut state.lines);
            state.is_writing = true;
            drop(state);

            let lost = write_all(stderr, &batch);
            batch.clear();
            batch.shrink_to(SPARE);
            self.account_for(lost);
            self.state.lock().is_writing = false;
            self.changed.notify_all();
            thread::sleep(REST);
        }
    }

    /// Logs the number of missing lines once stderr takes lines again. Lines that come before that
    /// are dropped, so that the count stands at the place of the gap.
    fn account_for(&self, lost: u64) {
        let mut state = self.state.lock();
        if lost > 0 {
            // Later lines may succeed, for example on a disk that is no longer full.
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
            "log lines were dropped here, since stderr was not read in time; read stderr faster, or \
             log less with `--log warn`"
        );
        let mut state = self.state.lock();
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
            // Another process has made the shared terminal or pipe non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(REST),
            Ok(_) | Err(_) => break,
        }
    }
    memchr::memchr_iter(b'\n', lines).count() as u64
}

/// Receives the lines of `tracing_subscriber`, each in one piece.
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
