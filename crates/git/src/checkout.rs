//! One commit on disk, and proof that it is the one.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::error::Asked;
use crate::history;
use crate::process::Session;
use crate::submodules;
use crate::{BranchName, CommitId, Error, Remote, TagPrefix, Version};

/// Stands in the `.git` of a clone of ours: only such a directory is emptied when the step runs again.
const MARK: &str = "switchyard-clone";
/// How far a branch is followed when the server does not hand out the commit by its hash.
const DEPTHS: [&str; 3] = ["--depth=50", "--depth=1000", "--unshallow"];

/// Bytes; with less than this left a disk is full, since something may have been cleaned up meanwhile.
const FULL: u64 = 64 * 1024;

/// What to put where.
#[derive(Clone, Copy, Debug)]
pub struct Checkout<'a> {
    /// The commit.
    pub commit: &'a CommitId,
    /// The branch it was seen on: the way to it on servers that give out branches only.
    pub branch: Option<&'a BranchName>,
    /// An empty directory, or one that an earlier try left. Created when missing.
    pub into: &'a Path,
    /// The submodules, too, and theirs.
    pub submodules: bool,
    /// Asks for a version by [`crate::conventional`], from tags with this prefix. Reads the history, without files.
    pub version: Option<&'a TagPrefix>,
    /// For everything together.
    pub limit: Duration,
}

/// What is there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cloned {
    /// Equal to what was asked for.
    pub commit: CommitId,
    /// The committer's time, in seconds since 1970-01-01T00:00:00Z.
    pub committed: i64,
    /// The first line of the message.
    pub subject: String,
    /// When it was asked for.
    pub version: Option<Version>,
}

/// Fetches exactly one commit, without its history, and checks it out with a detached HEAD.
///
/// Git names objects by the hash of their content and verifies what it receives, so that HEAD equals the commit means
/// that the files are the commit's. `.git` holds no credential and no remote.
pub async fn clone(remote: &Remote, checkout: &Checkout<'_>) -> Result<Cloned, Error> {
    let until = Instant::now().checked_add(checkout.limit);
    let left = || until.map_or(checkout.limit, |until| until.saturating_duration_since(Instant::now()));
    let io = |error: std::io::Error| Error::io("prepare the source directory", &error);
    std::fs::create_dir_all(checkout.into).map_err(io)?;
    let directory = checkout.into.canonicalize().map_err(io)?;
    let session = Session::open(remote)?;
    put(&session, remote, checkout, &directory, &left).await?;
    if checkout.submodules {
        let count = submodules::fill(remote, &directory, checkout.commit, &left).await?;
        tracing::info!("{count} submodules are in place");
    }

    let commit = checkout.commit.as_str();
    let asked = Asked { doing: "log", host: remote.url.host(), object: commit };
    let arguments = ["log", "-1", "--format=%ct%n%s", "--end-of-options", commit];
    let shown = session.local(Some(&directory), &arguments, left(), asked).await?;
    let (committed, subject) = shown.split_once('\n').unwrap_or_default();
    let version = match checkout.version {
        Some(prefix) => Some(history::version(&session, remote, checkout, prefix, &left).await?),
        None => None,
    };
    Ok(Cloned {
        commit: checkout.commit.clone(),
        committed: committed.trim().parse().unwrap_or_default(),
        subject: subject.trim().to_owned(),
        version,
    })
}

/// Fetches and checks out the commit alone, and verifies that it is the one.
pub(crate) async fn put(
    session: &Session<'_>,
    remote: &Remote,
    checkout: &Checkout<'_>,
    directory: &Path,
    left: &impl Fn() -> Duration,
) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::io("prepare the source directory", &error);
    empty(directory)?;
    let commit = checkout.commit.as_str();
    let asked = Asked { doing: "fetch", host: remote.url.host(), object: commit };
    let format = format!("--object-format={}", checkout.commit.object_format());
    let init = ["init", "--quiet", "--template=", "--initial-branch=main", &format];
    session.local(Some(directory), &init, left(), Asked { doing: "init", ..asked }).await?;
    std::fs::write(directory.join(".git").join(MARK), b"").map_err(io)?;

    let fetch = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--end-of-options"];
    let exact = [&fetch[..], &[remote.url.as_str(), commit]].concat();
    match session.remote(Some(directory), &exact, left(), asked).await {
        Ok(_) => {}
        Err(Error::CommitNotFound { .. }) => along_branch(session, remote, checkout, directory, left).await?,
        Err(error) => return Err(error),
    }

    let local = |doing| Asked { doing, ..asked };
    let arguments = ["checkout", "--quiet", "--detach", "--force", commit];
    match session.local(Some(directory), &arguments, left(), local("checkout")).await {
        // Of a file that it cannot write, Git does not always say why.
        Err(Error::Other { .. }) if is_full(directory) => {
            return Err(Error::NoSpace { doing: "checkout the source".to_owned() });
        }
        other => drop(other?),
    }
    let arguments = ["rev-parse", "--verify", "--end-of-options", "HEAD^{commit}"];
    let head = session.local(Some(directory), &arguments, left(), local("rev-parse")).await?;
    if head.trim() != commit {
        let why = format!("HEAD at {} instead of {commit}", head.trim());
        return Err(Error::Other { doing: "checkout".to_owned(), why });
    }
    Ok(())
}

/// For servers that refuse a bare hash: the branch (or HEAD), deeper until the commit is there.
async fn along_branch(
    session: &Session<'_>,
    remote: &Remote,
    checkout: &Checkout<'_>,
    directory: &Path,
    left: &impl Fn() -> Duration,
) -> Result<(), Error> {
    let commit = checkout.commit.as_str();
    let name = crate::remote::branch_or_head(checkout.branch);
    let shown = name.to_string();
    let asked = Asked { doing: "fetch", host: remote.url.host(), object: &shown };
    let local = Asked { doing: "cat-file", ..asked };
    let refspec = format!("+{}:refs/switchyard/source", name.full());
    tracing::info!("the server does not give out {commit} by its hash; looking for it on {shown}");
    for depth in DEPTHS {
        let url = remote.url.as_str();
        let fetch =
            ["fetch", "--quiet", depth, "--no-tags", "--no-write-fetch-head", "--end-of-options", url, &refspec];
        session.remote(Some(directory), &fetch, left(), asked).await?;
        let object = format!("{commit}^{{commit}}");
        if session.local(Some(directory), &["cat-file", "-e", &object], left(), local).await.is_ok() {
            return Ok(());
        }
        let shallow = ["rev-parse", "--is-shallow-repository"];
        if session.local(Some(directory), &shallow, left(), local).await?.trim() == "false" {
            break;
        }
    }
    Err(Error::CommitNotFound { commit: commit.to_owned() })
}

/// Whether nothing more can be written: no block, or no inode.
fn is_full(directory: &Path) -> bool {
    rustix::fs::statvfs(directory).is_ok_and(|place| {
        place.f_bavail.saturating_mul(place.f_frsize) < FULL || (place.f_files > 0 && place.f_favail == 0)
    })
}

/// Empties what an earlier try of this step left; refuses any other directory that is not empty.
fn empty(directory: &Path) -> Result<(), Error> {
    const DOING: &str = "empty the source directory";
    let io = |error: std::io::Error| Error::io(DOING, &error);
    let ours = directory.join(".git").join(MARK).exists();
    for entry in std::fs::read_dir(directory).map_err(io)? {
        let entry = entry.map_err(io)?;
        if !ours {
            let why = format!("it holds {}, which no clone of ours put there", entry.file_name().display());
            return Err(Error::Io { doing: DOING, why });
        }
        // `.git` goes last, so that a try cut short here is still known as ours.
        if entry.file_name() != ".git" {
            remove(&entry).map_err(io)?;
        }
    }
    if ours { std::fs::remove_dir_all(directory.join(".git")).map_err(io) } else { Ok(()) }
}

fn remove(entry: &std::fs::DirEntry) -> std::io::Result<()> {
    if entry.file_type()?.is_dir() { std::fs::remove_dir_all(entry.path()) } else { std::fs::remove_file(entry.path()) }
}
