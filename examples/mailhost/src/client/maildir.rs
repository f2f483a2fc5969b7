//! A Maildir that messages are fetched into, and what has been fetched already.
//!
//! A message is written in `tmp`, synced, renamed into `new` or `cur`, and the folder is synced: only then is it there, and only
//! then may it be deleted elsewhere. Lines end in LF, as programs that read a Maildir expect.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use sha2::{Digest as _, Sha256};

use super::ClientError;

/// A folder with `cur`, `new` and `tmp`.
#[derive(Debug)]
pub struct Maildir {
    path: PathBuf,
    /// One fetch at a time: held until this is dropped.
    _lock: File,
}

/// A message that is being written.
#[derive(Debug)]
pub struct Incoming<'m> {
    maildir: &'m Maildir,
    file: BufWriter<File>,
    name: String,
    after_cr: bool,
    done: bool,
}

/// Which messages of one account have been fetched into a Maildir.
#[derive(Debug)]
pub struct Fetched<'m> {
    maildir: &'m Maildir,
    path: PathBuf,
    file: File,
    ids: HashSet<String>,
}

impl Maildir {
    /// Opens it, or makes it.
    pub fn open(path: &Path) -> Result<Self, ClientError> {
        let failed =
            |error| ClientError::File { what: format!("cannot use the Maildir {}", path.display()), error };
        for folder in ["cur", "new", "tmp"] {
            let folder = path.join(folder);
            if !folder.is_dir() {
                DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
                sync_dir(path).map_err(failed)?;
            }
        }
        if let Some(parent) = path.canonicalize().map_err(failed)?.parent() {
            sync_dir(parent).map_err(failed)?;
        }
        let lock = File::open(path).map_err(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                Err(failed(io::Error::other("another fetch into it is under way; wait for its end")))
            }
            Err(error) => Err(failed(error.into())),
        }
    }

    /// Begins a message.
    pub fn begin(&self) -> Result<Incoming<'_>, ClientError> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| self.failed(io::Error::other(error.to_string())))?;
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        // The place of the host's name is taken by random octets, which no two hosts that share a folder have in common.
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let name = format!("{seconds}.P{process}Q{count}.{:016x}", u64::from_ne_bytes(random));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path.join("tmp").join(&name));
        let file = BufWriter::new(file.map_err(|error| self.failed(error))?);
        Ok(Incoming { maildir: self, file, name, after_cr: false, done: false })
    }

    /// What of an account was fetched before. `account` is any text that stands for it.
    pub fn fetched(&self, account: &str) -> Result<Fetched<'_>, ClientError> {
        let hash: String = Sha256::digest(account)[..8].iter().map(|octet| format!("{octet:02x}")).collect();
        let path = self.path.join(format!(".mailhost-fetched-{hash}"));
        let open = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path)?;
            let mut text = String::new();
            file.seek(SeekFrom::Start(0))?;
            file.read_to_string(&mut text)?;
            if !text.is_empty() && !text.ends_with('\n') {
                // A crash has cut the last one, whose message comes once more.
                file.write_all(b"\n")?;
            }
            sync_dir(&self.path)?;
            Ok((file, text.lines().map(str::to_owned).collect()))
        };
        let (file, ids) = open().map_err(|error| self.failed(error))?;
        Ok(Fetched { maildir: self, path, file, ids })
    }

    fn failed(&self, error: io::Error) -> ClientError {
        ClientError::File { what: format!("cannot write to the Maildir {}", self.path.display()), error }
    }
}

impl Incoming<'_> {
    /// Writes the next octets, CRLF as LF.
    pub fn write(&mut self, octets: &[u8]) -> Result<(), ClientError> {
        if octets.is_empty() {
            return Ok(());
        }
        let mut rest = octets;
        let mut put = |octets: &[u8]| self.file.write_all(octets).map_err(|error| self.maildir.failed(error));
        if std::mem::take(&mut self.after_cr) && rest.first() != Some(&b'\n') {
            put(b"\r")?;
        }
        while let Some(at) = memchr::memchr(b'\r', rest) {
            put(&rest[..at])?;
            rest = &rest[at + 1..];
            match rest.first() {
                Some(b'\n') => {}
                Some(_) => put(b"\r")?,
                None => self.after_cr = true,
            }
        }
        put(rest)
    }

    /// Makes the message durable and visible: with the letters of its flags among those that were seen, without any as new.
    pub fn finish(mut self, flags: &str) -> Result<PathBuf, ClientError> {
        if std::mem::take(&mut self.after_cr) {
            self.file.write_all(b"\r").map_err(|error| self.maildir.failed(error))?;
        }
        let (folder, name) = match flags {
            "" => ("new", self.name.clone()),
            flags => ("cur", format!("{}:2,{flags}", self.name)),
        };
        let path = self.maildir.path.join(folder).join(name);
        let mut finish = || {
            self.file.flush()?;
            self.file.get_ref().sync_all()?;
            fs::rename(self.maildir.path.join("tmp").join(&self.name), &path)?;
            sync_dir(&self.maildir.path.join(folder))
        };
        finish().map_err(|error| self.maildir.failed(error))?;
        self.done = true;
        Ok(path)
    }
}

impl Drop for Incoming<'_> {
    fn drop(&mut self) {
        if !self.done {
            // What a crash leaves there, programs that read a Maildir remove after a day and a half.
            let _ = fs::remove_file(self.maildir.path.join("tmp").join(&self.name));
        }
    }
}

impl Fetched<'_> {
    /// Whether this one was.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// Notes, durably, that this one is.
    pub fn add(&mut self, id: &str) -> Result<(), ClientError> {
        let line = format!("{id}\n");
        let noted = self.file.write_all(line.as_bytes()).and_then(|()| self.file.sync_data());
        noted.map_err(|error| self.maildir.failed(error))?;
        self.ids.insert(id.to_owned());
        Ok(())
    }

    /// Forgets all that the server has no more: nobody will offer them again.
    pub fn keep_only(self, there: &HashSet<&str>) -> Result<(), ClientError> {
        let kept: Vec<_> = self.ids.iter().filter(|id| there.contains(id.as_str())).collect();
        if kept.len() == self.ids.len() {
            return Ok(());
        }
        let new = self.path.with_extension("new");
        let write = || {
            let mut text: String = kept.iter().flat_map(|id| [id.as_str(), "\n"]).collect();
            text.shrink_to_fit();
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)?;
            sync_dir(&self.maildir.path)
        };
        write().map_err(|error| self.maildir.failed(error))
    }
}

fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> PathBuf {
        let mut random = [0; 8];
        getrandom::fill(&mut random).unwrap();
        std::env::temp_dir().join(format!("mailhost-maildir-{:016x}", u64::from_ne_bytes(random)))
    }

    #[test]
    fn messages_appear_whole_with_lf_or_not_at_all() {
        let path = folder();
        let maildir = Maildir::open(&path).unwrap();
        for cut in 0..9 {
            let mut incoming = maildir.begin().unwrap();
            let octets = b"a\r\nb\rc\r\r\nd\r";
            let (one, two) = octets.split_at(cut);
            incoming.write(one).unwrap();
            incoming.write(b"").unwrap();
            incoming.write(two).unwrap();
            assert_eq!(fs::read_dir(path.join("new")).unwrap().count(), 0);
            let written = incoming.finish(if cut == 0 { "S" } else { "" }).unwrap();
            assert_eq!(fs::read(&written).unwrap(), b"a\nb\rc\r\nd\r", "{cut}");
            assert_eq!(written.parent().unwrap(), path.join(if cut == 0 { "cur" } else { "new" }));
            fs::remove_file(written).unwrap();
        }
        maildir.begin().unwrap().write(b"half").unwrap();
        assert_eq!(fs::read_dir(path.join("tmp")).unwrap().count(), 0);
        assert!(Maildir::open(&path).unwrap_err().to_string().contains("another fetch"));
        drop(maildir);
        drop(Maildir::open(&path).unwrap());
        fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn what_was_fetched_is_known_the_next_time() {
        let path = folder();
        let maildir = Maildir::open(&path).unwrap();
        let mut fetched = maildir.fetched("anna").unwrap();
        fetched.add("1").unwrap();
        fetched.add("2").unwrap();
        drop(fetched);
        assert!(!maildir.fetched("ben").unwrap().contains("1"));
        let fetched = maildir.fetched("anna").unwrap();
        assert!(fetched.contains("1") && fetched.contains("2"));
        let file = fetched.path.clone();
        fetched.keep_only(&HashSet::from(["2", "3"])).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "2\n");
        // A crash within a line.
        fs::write(&file, "2\n4").unwrap();
        let mut fetched = maildir.fetched("anna").unwrap();
        fetched.add("5").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "2\n4\n5\n");
        fs::remove_dir_all(path).unwrap();
    }
}
