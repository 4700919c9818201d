//! Whether anything that matters changed since another commit.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Asked;
use crate::process::{Session, text};
use crate::{BranchName, CommitId, Error, Remote};

/// Which paths of which two commits.
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    pub base: &'a CommitId,
    pub commit: &'a CommitId,
    /// The way to both on servers that give out branches only.
    pub branch: Option<&'a BranchName>,
    /// Patterns as in .gitignore, from the root. Without any, every path is wanted.
    pub include: &'a [String],
    /// What of these is not wanted.
    pub exclude: &'a [String],
    /// For everything together.
    pub limit: Duration,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Of the wanted paths, none. So many others do.
    Unwanted(usize),
    /// Wanted paths differ; this is the first.
    Wanted(String),
    /// It cannot be said, since the commits cannot be compared.
    Unknown(String),
}

/// Compares by name: trees are fetched into a place of their own, files are not.
pub async fn compare(remote: &Remote, comparison: &Comparison<'_>) -> Result<Difference, Error> {
    for pattern in comparison.include.iter().chain(comparison.exclude) {
        check(pattern)?;
    }
    if comparison.base == comparison.commit {
        return Ok(Difference::Unwanted(0));
    }
    let until = Instant::now().checked_add(comparison.limit);
    let left = || until.map_or(comparison.limit, |until| until.saturating_duration_since(Instant::now()));
    let session = Session::open(remote)?;
    let changed = match changed(&session, remote, comparison, &left).await {
        Ok(changed) => changed,
        Err(error @ (Error::NoSpace { .. } | Error::Io { .. })) => return Err(error),
        Err(error) => return Ok(Difference::Unknown(error.to_string())),
    };
    let total = changed.split(|byte| *byte == 0).filter(|path| !path.is_empty()).count();
    let wanted = match comparison.include {
        [] => changed,
        include => matching(&session, "include", include, &changed, left()).await?,
    };
    let unwanted = match comparison.exclude {
        [] => Vec::new(),
        exclude => matching(&session, "exclude", exclude, &wanted, left()).await?,
    };
    let unwanted: std::collections::BTreeSet<&[u8]> = unwanted.split(|byte| *byte == 0).collect();
    let first = wanted.split(|byte| *byte == 0).find(|path| !path.is_empty() && !unwanted.contains(path));
    Ok(first.map_or(Difference::Unwanted(total), |path| Difference::Wanted(String::from_utf8_lossy(path).into_owned())))
}

/// The paths that differ, each ended by a zero byte.
async fn changed(
    session: &Session<'_>,
    remote: &Remote,
    comparison: &Comparison<'_>,
    left: &impl Fn() -> Duration,
) -> Result<Vec<u8>, Error> {
    let (base, commit) = (comparison.base.as_str(), comparison.commit.as_str());
    let asked = Asked { doing: "fetch", host: remote.url.host(), object: base };
    let trees = session.scratch("trees");
    let format = format!("--object-format={}", comparison.commit.object_format());
    let init = ["init", "--quiet", "--bare", "--template=", &format, text(&trees)?];
    session.local(None, &init, left(), Asked { doing: "init", ..asked }).await?;

    let url = remote.url.as_str();
    let fetch = |depth| ["fetch", "--quiet", depth, "--filter=blob:none", "--no-tags", "--no-write-fetch-head"];
    let exact = [&fetch("--depth=1")[..], &["--end-of-options", url, base, commit]].concat();
    match session.remote(Some(&trees), &exact, left(), asked).await {
        Ok(_) => {}
        Err(Error::CommitNotFound { .. }) => {
            let name = crate::remote::branch_or_head(comparison.branch);
            let refspec = format!("+{}:refs/switchyard/source", name.full());
            let branch = [&fetch("--depth=1000")[..], &["--end-of-options", url, &refspec]].concat();
            session.remote(Some(&trees), &branch, left(), Asked { object: &name.to_string(), ..asked }).await?;
        }
        Err(error) => return Err(error),
    }
    let compare =
        ["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--end-of-options", base, commit];
    session.local_bytes(Some(&trees), &compare, left(), Asked { doing: "diff-tree", ..asked }).await
}

/// Of these paths, those that the patterns match. Git itself matches them, so that they mean what they mean in a
/// .gitignore: in an empty repository of its own, where no file of the source has a say.
async fn matching(
    session: &Session<'_>,
    name: &str,
    patterns: &[String],
    paths: &[u8],
    limit: Duration,
) -> Result<Vec<u8>, Error> {
    let asked = Asked { doing: "check-ignore", host: "", object: "" };
    let place = session.scratch(name);
    session
        .local(None, &["init", "--quiet", "--template=", text(&place)?], limit, Asked { doing: "init", ..asked })
        .await?;
    let written = |file: &str, content: &[u8]| write(&session.scratch(&format!("{name}.{file}")), content);
    let list = written("patterns", format!("{}\n", patterns.join("\n")).as_bytes())?;
    let each = paths.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    // A path that begins with a colon would be read as an order of its own.
    let plain: Vec<u8> = each.flat_map(|path| [b"./", path, b"\0"].concat()).collect();
    let input = std::fs::File::open(written("paths", &plain)?).map_err(|error| Error::io("read paths", &error))?;
    let excludes = format!("core.excludesFile={}", text(&list)?);
    let arguments = ["-c", &excludes, "check-ignore", "--no-index", "--stdin", "-z"];
    let matched = session.local_filter(Some(&place), &arguments, input, limit, asked).await?;
    let each = matched.split(|byte| *byte == 0).filter_map(|path| path.strip_prefix(b"./"));
    Ok(each.flat_map(|path| [path, b"\0"].concat()).collect())
}

fn write(path: &Path, content: &[u8]) -> Result<PathBuf, Error> {
    let io = |error: std::io::Error| Error::io("write the patterns", &error);
    let mut file = std::fs::File::create(path).map_err(io)?;
    file.write_all(content).map_err(io)?;
    Ok(path.to_owned())
}

fn check(pattern: &str) -> Result<(), Error> {
    let why = if pattern.is_empty() || pattern.len() > 256 {
        "a pattern has 1 to 256 bytes"
    } else if pattern.chars().any(char::is_control) {
        "a pattern has a control character in it"
    } else {
        return Ok(());
    };
    Err(Error::BadName { name: pattern.chars().take(100).collect(), why })
}
