//! What a check left, as one `.tar.gz`: packed without reading anything outside the source, unpacked without writing
//! anything outside it. The archive comes from a registry, and what is in it was made beside a stranger's program.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use rustix::fs::{AtFlags, Mode, OFlags, fchmod, mkdirat, openat, unlinkat};
use rustix::io::Errno;
use switchyard_api::report::Reason;
use tar::{EntryType, Header};

use crate::failure::Failure;
use crate::source::{Found, Refused, Source, names};

/// All files together, before compression.
pub const MAX_CONTENT: u64 = 64 * 1024 * 1024;
/// Compressed, which what cannot be compressed makes a little longer.
pub const MAX_ARCHIVE: u64 = MAX_CONTENT + MAX_CONTENT / 2;
const MAX_ENTRIES: u64 = 20_000;
const MAX_DEPTH: usize = 64;

/// What is packed so far.
struct Packing<W: Write> {
    archive: tar::Builder<GzEncoder<W>>,
    bytes: u64,
    entries: u64,
}

/// Packs files and folders below a source. Owners and times are left out, so that the same files make the same archive.
/// Returns the size of all files together.
pub fn pack(source: &Source, paths: &[String], into: impl Write) -> Result<u64, Failure> {
    let mut packing =
        Packing { archive: tar::Builder::new(GzEncoder::new(into, Compression::fast())), bytes: 0, entries: 0 };
    for path in paths {
        let path = Path::new(path);
        let found = source.open(path).map_err(|why| missing(path, &why))?;
        packing.add(path, found, 0)?;
    }
    let bytes = packing.bytes;
    let finished = packing.archive.into_inner().and_then(GzEncoder::finish);
    finished.map_err(|error| Failure::io("write the archive", &error))?;
    Ok(bytes)
}

fn missing(path: &Path, why: &Refused) -> Failure {
    match why {
        Refused::Io(error) => Failure::io(&format!("read {}", path.display()), error),
        Refused::Missing | Refused::Unusual(_) | Refused::TooLarge => {
            Failure::new(Reason::ArtifactMissing, format!("cannot keep {:?}: {why}", path.display().to_string()))
        }
    }
}

impl<W: Write> Packing<W> {
    fn add(&mut self, path: &Path, found: Found, depth: usize) -> Result<(), Failure> {
        self.entries = self.entries.saturating_add(1);
        if self.entries > MAX_ENTRIES || depth > MAX_DEPTH {
            let why = format!("more than {MAX_ENTRIES} files and folders are left, or deeper than {MAX_DEPTH}");
            return Err(Failure::new(Reason::ArtifactTooLarge, why));
        }
        match found {
            Found::File(file) => self.add_file(path, file),
            Found::Folder(folder) => {
                self.append(path, EntryType::Directory, 0o755, 0, io::empty())?;
                for name in folder.list().map_err(|why| missing(path, &why))? {
                    let below = path.join(&name);
                    let found = folder.find(&name).map_err(|why| missing(&below, &why))?;
                    self.add(&below, found, depth.saturating_add(1))?;
                }
                Ok(())
            }
        }
    }

    fn add_file(&mut self, path: &Path, file: File) -> Result<(), Failure> {
        let metadata = file.metadata().map_err(|error| Failure::io("read the artifacts", &error))?;
        self.bytes = self.bytes.saturating_add(metadata.len());
        if self.bytes > MAX_CONTENT {
            let why =
                format!("what is left has more than {} MiB, the limit of all together", MAX_CONTENT / (1024 * 1024));
            return Err(Failure::new(Reason::ArtifactTooLarge, why));
        }
        let mode = if metadata.mode() & 0o100 == 0 { 0o644 } else { 0o755 };
        self.append(path, EntryType::Regular, mode, metadata.len(), Exactly { file, left: metadata.len() })
    }

    fn append(
        &mut self,
        path: &Path,
        kind: EntryType,
        mode: u32,
        size: u64,
        content: impl Read,
    ) -> Result<(), Failure> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        let appended = self.archive.append_data(&mut header, path, content);
        appended.map_err(|error| Failure::io(&format!("keep {}", path.display()), &error))
    }
}

/// A file of the length it had when it was looked at; one that shrinks meanwhile would spoil the archive.
struct Exactly {
    file: File,
    left: u64,
}

impl Read for Exactly {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = (&mut self.file).take(self.left).read(buffer)?;
        if length == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it became shorter while it was read"));
        }
        self.left = self.left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
        Ok(length)
    }
}

/// Makes the files and folders of an archive below a source, each with the group's right to write. A file that is there
/// is replaced. Returns how many bytes they have.
pub fn unpack(archive: impl Read, source: &Source) -> Result<u64, Failure> {
    let broken = |error: io::Error| Failure::new(Reason::StepFailed, format!("cannot read the artifacts: {error}"));
    // Headers beside the content, then the end: a bomb that expands beyond is cut here.
    let limit = MAX_CONTENT.saturating_add(MAX_ENTRIES.saturating_mul(2048));
    let mut archive = tar::Archive::new(GzDecoder::new(archive).take(limit));
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let path = entry.path().map_err(broken)?.into_owned();
        bytes = bytes.saturating_add(entry.size());
        entries = entries.saturating_add(1);
        if bytes > MAX_CONTENT || entries > MAX_ENTRIES {
            return Err(Failure::new(Reason::ArtifactTooLarge, "the artifacts are larger than any that is kept"));
        }
        let kind = entry.header().entry_type();
        let executable = entry.header().mode().map_err(broken)? & 0o100 != 0;
        make(source, &path, kind, executable, &mut entry)?;
    }
    Ok(bytes)
}

fn make(
    source: &Source,
    path: &Path,
    kind: EntryType,
    executable: bool,
    content: &mut impl Read,
) -> Result<(), Failure> {
    let refuse = |why: &str| {
        let why = format!("refusing the artifact {:?}: {why}", path.display().to_string());
        Failure::new(Reason::StepFailed, why)
    };
    let io = |error: io::Error| Failure::io(&format!("write {}", path.display()), &error);
    let Some(names) = names(path) else { return Err(refuse("it leads out of the source")) };
    let folder = kind == EntryType::Directory;
    if !folder && kind != EntryType::Regular {
        return Err(refuse("it is neither a file nor a folder"));
    }
    let Some((last, parents)) = names.split_last() else { return Err(refuse("it has no name")) };
    let mut place = source.again().map_err(io)?;
    for name in parents {
        place = enter(&place, name).map_err(|why| refuse(&why.to_string()))?;
    }
    if folder {
        enter(&place, last).map_err(|why| refuse(&why.to_string()))?;
        return Ok(());
    }
    // A link of that name goes, not what it leads to.
    match unlinkat(place.fd(), *last, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(io(error.into())),
    }
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::WRONLY | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(if executable { 0o775 } else { 0o664 });
    let mut file = File::from(openat(place.fd(), *last, flags, mode).map_err(|error| io(error.into()))?);
    io::copy(content, &mut file).map_err(io)?;
    // What the umask took away.
    fchmod(&file, mode).map_err(|error| io(error.into()))
}

/// The folder of this name, made if nothing has it.
fn enter(place: &Source, name: &OsStr) -> Result<Source, Refused> {
    let mode = Mode::from_raw_mode(0o775);
    let new = match mkdirat(place.fd(), name, mode) {
        Ok(()) => true,
        Err(Errno::EXIST) => false,
        Err(error) => return Err(error.into()),
    };
    let Found::Folder(folder) = place.find(name)? else { return Err(Refused::Unusual("below what is no folder")) };
    if new {
        fchmod(folder.fd(), mode)?;
    }
    Ok(folder)
}

#[cfg(test)]
mod tests;
