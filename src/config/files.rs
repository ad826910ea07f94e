//! Reads the files that a configuration names, up to 1 MiB. While the proxy serves, it reads only
//! regular files, off the serving thread and within a time limit, since a file system may stop
//! responding.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    time::Duration,
};

use parking_lot::Mutex;

/// The largest file, in bytes: far more than a secret or a certificate chain takes.
const MAX_SIZE: u64 = 1 << 20;
/// The time limit of a read while the proxy serves.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// The number of concurrent reads of one file. Each blocks a thread until the file system responds.
const MAX_READS: usize = 4;

/// The number of running reads of each file.
static READS: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// Whether a path may lead to its file by a symbolic link, as in Kubernetes' mounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// Links are followed.
    Follow,
    /// Links are refused, since another user may have made the link.
    Refuse,
}

/// Reads a regular file. Blocks on the file system: call it before serving, or through [`in_time`].
pub fn read(path: &Path, links: Links) -> io::Result<Vec<u8>> {
    let file = open(path, links)?;
    let about = file.metadata()?;
    if about.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if !about.is_file() {
        let problem = "it is not a regular file";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    read_all(file)
}

fn read_all(file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_SIZE {
        let problem = "it is larger than 1 MiB";
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
    }
    Ok(bytes)
}

/// Reads a file of any kind, such as a pipe that a shell has made. Blocks without a limit: call it
/// before serving.
pub fn read_any(path: &Path) -> io::Result<Vec<u8>> {
    read_all(open_any(path)?)
}

fn open_any(path: &Path) -> io::Result<File> {
    // Windows reports a folder as a file that the user may not open.
    File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied if path.is_dir() => io::ErrorKind::IsADirectory.into(),
        _ => error,
    })
}

/// Runs `work` with the file at `path` on a blocking thread, and waits 5 s for it. The thread may
/// stay blocked. While four threads are blocked at one path, a call fails at once.
pub async fn in_time<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let late = || {
        let problem = "it could not be read within 5 s; check that its file system responds";
        io::Error::new(io::ErrorKind::TimedOut, problem)
    };
    let read = Read::begin(path).ok_or_else(late)?;
    let work = tokio::task::spawn_blocking(move || work(&read.0));
    match tokio::time::timeout(TIME_LIMIT, work).await {
        Ok(done) => done.map_err(io::Error::other)?,
        Err(_) => Err(late()),
    }
}

/// A running read. Dropping it ends the count.
struct Read(PathBuf);

impl Read {
    /// `None` while too many earlier reads are blocked.
    fn begin(path: &Path) -> Option<Self> {
        let mut reads = READS.lock();
        let count = reads.entry(path.to_owned()).or_default();
        (*count < MAX_READS).then(|| {
            *count += 1;
            Self(path.to_owned())
        })
    }
}

impl Drop for Read {
    fn drop(&mut self) {
        let mut reads = READS.lock();
        if let Some(count) = reads.get_mut(&self.0) {
            *count -= 1;
            if *count == 0 {
                reads.remove(&self.0);
            }
        }
    }
}

/// Opens a file without waiting for the other end of a pipe.
#[cfg(unix)]
fn open(path: &Path, links: Links) -> io::Result<File> {
    use rustix::{
        fs::{Mode, OFlags},
        io::Errno,
    };

    let mut flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, links == Links::Refuse);
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => Ok(file.into()),
        Err(Errno::LOOP) if links == Links::Refuse => Err(link()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(unix))]
fn open(path: &Path, links: Links) -> io::Result<File> {
    if links == Links::Refuse && path.symlink_metadata()?.is_symlink() {
        return Err(link());
    }
    open_any(path)
}

fn link() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "it is a symbolic link")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_regular_files_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        std::fs::write(&path, "content").expect("written");
        assert_eq!(read(&path, Links::Follow).expect("readable"), b"content");
        let large = vec![b'a'; usize::try_from(MAX_SIZE).expect("it fits") + 1];
        std::fs::write(&path, large).expect("written");
        for (path, kind) in [
            (&*path, io::ErrorKind::FileTooLarge),
            (folder.path(), io::ErrorKind::IsADirectory),
            (&*folder.path().join("absent"), io::ErrorKind::NotFound),
        ] {
            assert_eq!(read(path, Links::Follow).expect_err("refused").kind(), kind);
        }
    }

    #[cfg(unix)]
    #[test]
    fn does_not_wait_for_a_pipe_and_follows_links_only_where_asked() {
        use rustix::fs::{CWD, FileType, Mode, mknodat};

        let folder = tempfile::tempdir().expect("a folder");
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
        let error = read(&pipe, Links::Follow).expect_err("refused");
        assert!(error.to_string().contains("regular file"), "{error}");

        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "content").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        assert_eq!(read(&link, Links::Follow).expect("readable"), b"content");
        assert!(read(&link, Links::Refuse).is_err());
    }

    #[tokio::test]
    async fn reads_that_do_not_come_back_are_few() {
        let path = Path::new("a file system that does not answer");
        let held: Vec<_> = (0..MAX_READS).map(|_| Read::begin(path)).collect();
        assert!(held.iter().all(Option::is_some));
        let error = in_time(path, |_| Ok(())).await.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(held);
        in_time(path, |_| Ok(()))
            .await
            .expect("there is room again");
    }
}
