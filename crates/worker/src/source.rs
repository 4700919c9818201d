//! Files that a stranger wrote, opened one name at a time and without following a link: a link in a source could lead
//! to a credential of this container, or to its memory.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, openat, statat};
use rustix::io::Errno;

/// A folder that is looked into.
#[derive(Debug)]
pub struct Source(OwnedFd);

/// What stands under a name.
#[derive(Debug)]
pub enum Found {
    File(File),
    Folder(Source),
}

/// Why a name is not opened.
#[derive(Debug)]
pub enum Refused {
    /// Nothing has that name.
    Missing,
    /// A link, or what is neither a file nor a folder.
    Unusual(&'static str),
    /// Longer than is read.
    TooLarge,
    Io(std::io::Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refused::Missing => f.write_str("it is not there"),
            Refused::Unusual(what) => write!(f, "it is {what}"),
            Refused::TooLarge => f.write_str("it is too large"),
            Refused::Io(error) => write!(f, "{error}"),
        }
    }
}

impl From<Errno> for Refused {
    fn from(error: Errno) -> Self {
        match error {
            Errno::NOENT => Refused::Missing,
            Errno::LOOP => Refused::Unusual("a link"),
            Errno::NOTDIR => Refused::Unusual("below what is no folder"),
            other => Refused::Io(other.into()),
        }
    }
}

/// The names in a path below a folder. None for one that leads out of it, or into Git's own folder.
pub fn names(path: &Path) -> Option<Vec<&std::ffi::OsStr>> {
    let names: Option<Vec<_>> = path
        .components()
        .map(|part| match part {
            Component::Normal(name) if !name.eq_ignore_ascii_case(".git") => Some(name),
            Component::Normal(_)
            | Component::CurDir
            | Component::ParentDir
            | Component::RootDir
            | Component::Prefix(_) => None,
        })
        .collect();
    names.filter(|names| !names.is_empty())
}

impl Source {
    /// A folder that is ours to name.
    pub fn root(path: &Path) -> Result<Self, Refused> {
        Ok(Self(openat(CWD, path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?))
    }

    /// The same folder, once more.
    pub fn again(&self) -> std::io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    /// What one name stands for; a link is refused, and so is what is neither file nor folder.
    pub fn find(&self, name: &std::ffi::OsStr) -> Result<Found, Refused> {
        let kind = FileType::from_raw_mode(statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?.st_mode);
        // A pipe would never end, and opening a device does something.
        let flags = OFlags::NOFOLLOW | OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match kind {
            FileType::RegularFile => {
                let file = File::from(openat(&self.0, name, flags, Mode::empty())?);
                if file.metadata().map_err(Refused::Io)?.is_file() {
                    Ok(Found::File(file))
                } else {
                    Err(Refused::Unusual("another thing than a moment ago"))
                }
            }
            FileType::Directory => {
                Ok(Found::Folder(Self(openat(&self.0, name, flags | OFlags::DIRECTORY, Mode::empty())?)))
            }
            FileType::Symlink => Err(Refused::Unusual("a link")),
            FileType::Fifo
            | FileType::Socket
            | FileType::CharacterDevice
            | FileType::BlockDevice
            | FileType::Unknown => Err(Refused::Unusual("neither a file nor a folder")),
        }
    }

    /// What a path below this folder stands for.
    pub fn open(&self, path: &Path) -> Result<Found, Refused> {
        let names = names(path).ok_or(Refused::Unusual("no path below the source"))?;
        let Some((last, parents)) = names.split_last() else { return Err(Refused::Missing) };
        let mut folder = self.again().map_err(Refused::Io)?;
        for parent in parents {
            folder = match folder.find(parent)? {
                Found::Folder(folder) => folder,
                Found::File(_) => return Err(Refused::Unusual("below what is no folder")),
            };
        }
        folder.find(last)
    }

    /// The names in this folder, sorted.
    pub fn list(&self) -> Result<Vec<std::ffi::OsString>, Refused> {
        use std::os::unix::ffi::OsStrExt;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(std::ffi::OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// For [`crate::archive`], which makes files below it.
    pub fn fd(&self) -> &OwnedFd {
        &self.0
    }
}

/// The content of a plain file, at most `cap` bytes. The path is absolute, and no part of it is a link.
pub fn read(path: &Path, cap: u64) -> Result<Vec<u8>, Refused> {
    let below = path.strip_prefix("/").map_err(|_| Refused::Unusual("no absolute path"))?;
    let Found::File(file) = Source::root(Path::new("/"))?.open(below)? else {
        return Err(Refused::Unusual("a folder"));
    };
    let mut content = Vec::new();
    file.take(cap.saturating_add(1)).read_to_end(&mut content).map_err(Refused::Io)?;
    if u64::try_from(content.len()).is_ok_and(|length| length <= cap) { Ok(content) } else { Err(Refused::TooLarge) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn paths_that_lead_out_are_none() {
        for path in ["a", "a/b.xml", "a/./b", "..a/b", "a b", "-x"] {
            assert!(names(Path::new(path)).is_some(), "{path}");
        }
        for path in ["", ".", "/", "/etc/passwd", "..", "a/../b", "a/..", ".git", "a/.git/config", ".GIT/x", "./a"] {
            assert!(names(Path::new(path)).is_none(), "{path}");
        }
    }

    #[test]
    fn a_link_is_not_followed_wherever_it_stands() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        std::fs::create_dir_all(place.join("src/real")).unwrap();
        std::fs::create_dir_all(place.join("credentials")).unwrap();
        std::fs::write(place.join("credentials/token"), "hunter2").unwrap();
        std::fs::write(place.join("src/real/token"), "fine").unwrap();
        symlink(place.join("credentials/token"), place.join("src/token")).unwrap();
        symlink("../credentials", place.join("src/folder")).unwrap();
        symlink("real/token", place.join("src/inside")).unwrap();
        symlink("/proc/self/environ", place.join("src/environ")).unwrap();
        rustix::fs::mknodat(CWD, place.join("src/pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();

        assert_eq!(read(&place.join("src/real/token"), 4).unwrap(), b"fine");
        assert!(matches!(read(&place.join("src/real/token"), 3), Err(Refused::TooLarge)));
        for path in ["token", "folder/token", "inside", "environ", "pipe"] {
            let path = place.join("src").join(path);
            assert!(matches!(read(&path, 100), Err(Refused::Unusual(_))), "{}", path.display());
        }
        // What the guard is for.
        assert_eq!(std::fs::read_to_string(place.join("src/folder/token")).unwrap(), "hunter2");
        assert!(matches!(read(&place.join("src/none"), 9), Err(Refused::Missing)));
        assert!(matches!(read(&place.join("src/real"), 9), Err(Refused::Unusual(_))));
        assert!(matches!(read(&place.join("src/real/token/x"), 9), Err(Refused::Unusual(_))));
        assert!(matches!(read(Path::new("relative"), 9), Err(Refused::Unusual(_))));
    }
}
