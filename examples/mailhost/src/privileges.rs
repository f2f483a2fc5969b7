//! Root, for as long as it takes to bind low ports and to read keys that only root may read; then another user, for good.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use nix::unistd::{
    Gid, Group, Uid, User, geteuid, getgroups, getresgid, getresuid, setgroups, setresgid, setresuid,
};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, chownat, fchown, openat};
use rustix::io::Errno;
use thiserror::Error;

use crate::config::Config;

/// A user to become.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Other {
    name: String,
    user: Uid,
    group: Gid,
}

/// Why root cannot be given up.
#[derive(Debug, Error)]
pub enum PrivilegeError {
    /// The configuration names somebody whom the system does not know.
    #[error(
        "there is no user {0}; `useradd --system --shell /usr/sbin/nologin {0}` makes one, or name another in user in [run]"
    )]
    Unknown(String),
    /// The configuration names root.
    #[error("{0} is root, which the host must not stay; name another user in user in [run]")]
    Root(String),
    /// The system does not do it, or does only half of it.
    #[error("root cannot be given up for {0}: {1}")]
    Failed(String, String),
    /// The data directory is not there, and cannot be made.
    #[error("data_dir {} cannot be made: {problem}; create the folder that it lies in, or name another one", path.display())]
    DataDir {
        /// Which directory.
        path: PathBuf,
        /// Why.
        problem: std::io::Error,
    },
}

impl Other {
    /// Whom to become, if this process is root: the user of `[run]`, or else the owner of the data directory.
    pub fn of(config: &Config) -> Result<Option<Self>, PrivilegeError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        match &config.run_as {
            Some((name, _)) => Self::named(name).map(Some),
            None => Ok(Self::owner(&config.data_dir)),
        }
    }

    /// A user by name.
    pub fn named(name: &str) -> Result<Self, PrivilegeError> {
        let failed = |error: nix::Error| PrivilegeError::Failed(name.to_owned(), error.to_string());
        let user = User::from_name(name).map_err(failed)?;
        let user = user.ok_or_else(|| PrivilegeError::Unknown(name.to_owned()))?;
        if user.uid.is_root() {
            return Err(PrivilegeError::Root(name.to_owned()));
        }
        Ok(Self { name: name.to_owned(), user: user.uid, group: user.gid })
    }

    fn owner(data_dir: &Path) -> Option<Self> {
        let found = std::fs::metadata(data_dir).ok()?;
        let (user, group) = (Uid::from_raw(found.uid()), Gid::from_raw(found.gid()));
        let name = name_of(user);
        (!user.is_root()).then_some(Self { name, user, group })
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number, and that of its group.
    pub fn ids(&self) -> (u32, u32) {
        (self.user.as_raw(), self.group.as_raw())
    }

    /// What its group is called.
    pub fn group(&self) -> String {
        Group::from_gid(self.group).ok().flatten().map_or_else(|| self.group.to_string(), |group| group.name)
    }

    /// Becomes it, in all threads and for good, and sees that there is no way back.
    pub fn become_it(&self) -> Result<(), PrivilegeError> {
        let failed = |why: String| PrivilegeError::Failed(self.name.clone(), why);
        let said = |error: nix::Error| failed(error.to_string());
        let (user, group) = (self.user, self.group);
        // Groups first: without root they could not be left.
        setgroups(&[group]).map_err(said)?;
        setresgid(group, group, group).map_err(said)?;
        setresuid(user, user, user).map_err(said)?;
        let users = getresuid().map_err(said)?;
        let groups = getresgid().map_err(said)?;
        let others = getgroups().map_err(said)?;
        let is_other = [users.real, users.effective, users.saved].iter().all(|id| *id == user)
            && [groups.real, groups.effective, groups.saved].iter().all(|id| *id == group)
            && others.iter().all(|id| *id == group);
        let root = Uid::from_raw(0);
        if !is_other || setresuid(root, root, root).is_ok() {
            return Err(failed("the system lets it come back".to_owned()));
        }
        let _ = GIVEN_UP.set(self.name.clone());
        Ok(())
    }
}

/// Becomes the user of a host to do something in its place, and makes the data directory if it is not there. Nothing, unless
/// this process is root and the host would not stay it.
pub fn settle(config: &Config) -> Result<(), PrivilegeError> {
    let Some(other) = Other::of(config)? else { return Ok(()) };
    let failed = |problem| PrivilegeError::DataDir { path: config.data_dir.clone(), problem };
    make_for(&config.data_dir, &other).map_err(failed)?;
    other.become_it()
}

/// Makes the data directory for whom the host becomes, if this process is root and it is not there.
pub fn make_data_dir(config: &Config) -> std::io::Result<()> {
    match Other::of(config).map_err(std::io::Error::other)? {
        Some(other) => make_for(&config.data_dir, &other),
        None => Ok(()),
    }
}

/// Gives all that is below a path to whom the host becomes, where root has worked for it without becoming that user: root
/// may have to read and write elsewhere at the same time.
pub fn hand_over(config: &Config, path: &Path) -> std::io::Result<()> {
    match Other::of(config).map_err(std::io::Error::other)? {
        Some(other) => give(CWD, path, &other),
        None => Ok(()),
    }
}

/// Gives something, and all that is below it, to another user. Each name is looked up in a folder that is held open, and no link is
/// followed: whoever may write there cannot have root change what is elsewhere by putting a link in its place meanwhile.
fn give<P: rustix::path::Arg + Copy>(within: BorrowedFd<'_>, name: P, other: &Other) -> std::io::Result<()> {
    let (user, group) = other.ids();
    let (user, group) = (rustix::fs::Uid::from_raw(user), rustix::fs::Gid::from_raw(group));
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(within, name, flags, Mode::empty()) {
        Ok(folder) => {
            for entry in Dir::read_from(&folder)? {
                let entry = entry?;
                if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
                    give(folder.as_fd(), entry.file_name(), other)?;
                }
            }
            fchown(&folder, Some(user), Some(group))?;
        }
        // No folder; a link is given away itself.
        Err(Errno::NOTDIR | Errno::LOOP) => {
            chownat(within, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?;
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Whether this process is root.
pub fn is_root() -> bool {
    geteuid().is_root()
}

/// What the user of this process is called.
pub fn own_name() -> String {
    name_of(geteuid())
}

fn name_of(user: Uid) -> String {
    User::from_uid(user).ok().flatten().map_or_else(|| user.to_string(), |user| user.name)
}

/// The user that this process is since it has given up root.
pub fn given_up_for() -> Option<&'static str> {
    GIVEN_UP.get().map(String::as_str)
}

static GIVEN_UP: OnceLock<String> = OnceLock::new();

/// Makes a directory for another user alone, if it is not there.
pub fn make_for(path: &Path, other: &Other) -> std::io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, chown};
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => chown(path, Some(other.user.as_raw()), Some(other.group.as_raw())),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn what_is_given_away_is_all_that_is_below_and_nothing_that_links_lead_to() {
        let dir = std::env::temp_dir().join(format!("postrider-give-{}", std::process::id()));
        let (ours, others) = (dir.join("ours"), dir.join("others"));
        std::fs::create_dir_all(ours.join("deep/deeper")).unwrap();
        std::fs::create_dir_all(&others).unwrap();
        for file in [ours.join("deep/deeper/file"), others.join("file")] {
            std::fs::write(file, "x").unwrap();
        }
        symlink(&others, ours.join("folder")).unwrap();
        symlink(others.join("file"), ours.join("deep/link")).unwrap();
        symlink(&ours, dir.join("itself")).unwrap();
        // Who is not root can give to nobody else.
        let number = if is_root() { 65_534 } else { geteuid().as_raw() };
        let before = std::fs::metadata(&others).unwrap().uid();
        let group = if is_root() { Gid::from_raw(65_534) } else { nix::unistd::getegid() };
        let other = Other { name: "nobody".to_owned(), user: Uid::from_raw(number), group };
        give(CWD, &dir.join("itself"), &other).unwrap();
        assert_eq!(std::fs::metadata(&ours).unwrap().uid(), before, "behind a link");
        give(CWD, &ours, &other).unwrap();
        for path in ["", "deep", "deep/deeper", "deep/deeper/file", "folder", "deep/link"] {
            assert_eq!(std::fs::symlink_metadata(ours.join(path)).unwrap().uid(), number, "{path}");
        }
        for path in ["", "file"] {
            assert_eq!(std::fs::metadata(others.join(path)).unwrap().uid(), before, "{path}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
