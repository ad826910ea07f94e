//! The reader of the log may stop: serving goes on, and dropped lines are counted.

use std::{
    fs::File,
    io::{Read, Write as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::timeout};

use super::emulator;
use crate::support::{PATIENCE, client, process, terminal, write_config};

/// More lines than a pipe and the proxy's own buffer hold.
const FLOOD: usize = 6_000;
const DROPPED: &str = "log lines were dropped here";
/// A request's id without its number. Only a UUID gets into the log.
const ID: &str = "8f14e45f-ceea-467f-a1b2-";

/// A running program whose log is read only where a test says so.
struct Unread {
    child: Child,
    log: File,
    proxy: SocketAddr,
    admin: SocketAddr,
    /// The log so far.
    read: String,
    _files: tempfile::TempDir,
    _emulator: azure_emulator::Emulator,
}

impl Unread {
    /// `connect` gives the program its stderr and returns where that can be read.
    async fn start(connect: impl FnOnce(&mut Command) -> Option<File>) -> Self {
        let emulator = emulator().await;
        let files = tempfile::tempdir().expect("a folder");
        let mut command = process::run(&write_config(&emulator, &files, &[]));
        command.env("RUST_LOG", "info").stdout(Stdio::null());
        // Longer lines fill buffers sooner.
        command.args(["--log-format", "json"]);
        let log = connect(&mut command);
        let mut child = command.spawn().expect("the program starts");
        drop(command);
        let log = log.unwrap_or_else(|| {
            let stderr = child.stderr.take().expect("a pipe");
            File::from(std::os::fd::OwnedFd::from(stderr))
        });
        let mut unread = Self {
            child,
            log,
            proxy: ([127, 0, 0, 1], 0).into(),
            admin: ([127, 0, 0, 1], 0).into(),
            read: String::new(),
            _files: files,
            _emulator: emulator,
        };
        unread.read_until("admin address");
        let address = |message: &str| {
            let line = line_with(message, &unread.read).expect("it was waited for");
            let address = line["address"].as_str().expect("an address");
            address.parse().expect("an address")
        };
        (unread.proxy, unread.admin) = (address("listening"), address("admin address"));
        unread
    }

    /// Reads until there is a whole line that contains `wanted`.
    fn read_until(&mut self, wanted: &str) {
        let mut buffer = vec![0; 64 << 10];
        while line_with(wanted, &self.read).is_none() {
            let read = self.log.read(&mut buffer).expect("readable");
            assert!(read > 0, "{wanted} is not in {}", self.read);
            self.read += &String::from_utf8_lossy(&buffer[..read]);
        }
    }

    /// Asks for a path that no route has, so many times, over one connection.
    async fn flood(&self, requests: usize) {
        let exchange = async {
            let mut stream = TcpStream::connect(self.proxy).await.expect("accepted");
            for number in 0..requests {
                let request = format!(
                    "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {ID}{number:012}\r\n\r\n"
                );
                stream.write_all(request.as_bytes()).await.expect("sent");
                let answer = client::read_response(&mut stream, false).await;
                assert_eq!(answer.status, 404);
            }
        };
        timeout(PATIENCE, exchange).await.expect("it serves on");
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.child.id()).expect("a process id");
        let id = Pid::from_raw(id).expect("a process id");
        kill_process(id, signal).expect("the process is there");
    }

    async fn ends_with_0(&mut self) {
        let ended = async {
            loop {
                if let Some(status) = self.child.try_wait().expect("its state is known") {
                    return status;
                }
                tokio::task::yield_now().await;
            }
        };
        let status = timeout(PATIENCE, ended).await.expect("it ends in time");
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first whole line that contains `wanted`.
fn line_with(wanted: &str, log: &str) -> Option<Value> {
    let mut lines = log.split_inclusive('\n');
    let line = lines.find(|line| line.ends_with('\n') && line.contains(wanted))?;
    Some(serde_json::from_str(line).expect(line))
}

fn to_a_pipe(command: &mut Command) -> Option<File> {
    command.stderr(Stdio::piped());
    None
}

/// The numbers of the requests in a log, in their order there.
fn logged(log: &str) -> Vec<usize> {
    let ids = log.lines().filter_map(|line| line.split_once(ID));
    let numbers = ids.map(|(_, rest)| rest.get(..12).and_then(|number| number.parse().ok()));
    numbers.map(|number| number.expect("a number")).collect()
}

#[tokio::test]
async fn a_pipe_that_nobody_reads_stops_neither_port_nor_the_end() {
    let mut program = Unread::start(to_a_pipe).await;
    program.flood(FLOOD).await;
    assert_eq!(client::get(program.admin, "/livez").await.status, 200);
    program.signal(Signal::TERM);
    program.ends_with_0().await;
}

#[tokio::test]
async fn a_terminal_that_is_stopped_stops_neither_port_nor_the_end() {
    let (shown, end) = terminal::open();
    let mut keyboard = shown.try_clone().expect("a clone");
    let mut program = Unread::start(|command| {
        command.stderr(end);
        Some(shown)
    })
    .await;
    // Ctrl-S.
    keyboard.write_all(b"\x13").expect("typed");
    program.flood(500).await;
    assert_eq!(client::get(program.admin, "/livez").await.status, 200);
    program.signal(Signal::TERM);
    program.ends_with_0().await;
}

#[tokio::test]
async fn a_reader_that_is_back_is_told_how_much_it_missed() {
    let mut program = Unread::start(to_a_pipe).await;
    program.flood(FLOOD).await;
    tokio::task::spawn_blocking(move || {
        program.read_until(DROPPED);
        let notice = line_with(DROPPED, &program.read).expect("it was waited for");
        let dropped = notice["lines"].as_u64().expect("a number");
        let dropped = usize::try_from(dropped).expect("it fits");
        let (before, _) = program.read.split_once(DROPPED).expect("it is there");
        let numbers = logged(before);
        assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
        assert_eq!(numbers.len() + dropped, FLOOD);
        assert!(dropped > 0);
    })
    .await
    .expect("the log is as it should be");
}

#[tokio::test]
async fn a_reader_that_keeps_up_misses_nothing() {
    let mut program = Unread::start(to_a_pipe).await;
    let mut log = program.log.try_clone().expect("a clone");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).map(|_| text)
    });
    program.flood(FLOOD).await;
    program.signal(Signal::TERM);
    program.ends_with_0().await;
    let text = reader.join().expect("no panic").expect("readable");
    assert_eq!(logged(&text), (0..FLOOD).collect::<Vec<_>>());
    assert!(
        line_with("stopped", &text).is_some(),
        "the last line is there"
    );
}
