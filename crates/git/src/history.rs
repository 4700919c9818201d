//! Reads from the remote what a version depends on: commits and tags, no files.

use std::path::Path;
use std::time::Duration;

use crate::checkout::Checkout;
use crate::conventional::{self, Commit, Version};
use crate::error::Asked;
use crate::process::{Session, text};
use crate::{Error, Remote, TagPrefix};

/// The version of the commit. The history goes to a bare repository of its own, so the source stays one commit deep.
/// Servers that know filters send commits alone; from others the whole history comes, once, and is thrown away.
pub(crate) async fn version(
    session: &Session<'_>,
    remote: &Remote,
    checkout: &Checkout<'_>,
    prefix: &TagPrefix,
    left: &impl Fn() -> Duration,
) -> Result<Version, Error> {
    let commit = checkout.commit.as_str();
    let asked = Asked { doing: "fetch", host: remote.url.host(), object: commit };
    let bare = session.scratch("history");
    let format = format!("--object-format={}", checkout.commit.object_format());
    let init = ["init", "--quiet", "--bare", "--template=", &format, text(&bare)?];
    session.local(None, &init, left(), Asked { doing: "init", ..asked }).await?;

    let tags = format!("+refs/tags/{prefix}*:refs/tags/{prefix}*");
    let fetch = ["fetch", "--quiet", "--filter=tree:0", "--no-tags", "--no-write-fetch-head", "--end-of-options"];
    let exact = [&fetch[..], &[remote.url.as_str(), commit, &tags]].concat();
    match session.remote(Some(&bare), &exact, left(), asked).await {
        Ok(_) => {}
        Err(Error::CommitNotFound { .. }) => {
            let name = crate::remote::branch_or_head(checkout.branch);
            let refspec = format!("+{}:refs/switchyard/source", name.full());
            let branch = [&fetch[..], &[remote.url.as_str(), &refspec, &tags]].concat();
            session.remote(Some(&bare), &branch, left(), Asked { object: &name.to_string(), ..asked }).await?;
        }
        Err(error) => return Err(error),
    }

    let merged = format!("--merged={commit}");
    let pattern = format!("refs/tags/{prefix}*");
    let list = ["for-each-ref", "--format=%(refname:lstrip=2)", &merged, &pattern];
    let tags = session.local(Some(&bare), &list, left(), Asked { doing: "for-each-ref", ..asked }).await?;
    let tagged = conventional::highest(tags.lines(), prefix.as_str());
    let commits = commits(session, &bare, commit, tagged.map(|(_, tag)| tag), left(), asked).await?;
    Ok(conventional::version(tagged.map(|(version, _)| version), &commits, commit))
}

/// Every commit that `head` reaches and the tag does not.
async fn commits(
    session: &Session<'_>,
    bare: &Path,
    head: &str,
    tag: Option<&str>,
    limit: Duration,
    asked: Asked<'_>,
) -> Result<Vec<Commit>, Error> {
    let mut arguments = vec!["log", "-z", "--format=%H%n%P%n%B", "--end-of-options", head];
    let not = tag.map(|tag| format!("^refs/tags/{tag}"));
    arguments.extend(not.as_deref());
    let log = session.local(Some(bare), &arguments, limit, Asked { doing: "log", ..asked }).await?;
    Ok(read(&log))
}

fn read(log: &str) -> Vec<Commit> {
    log.split('\0')
        .filter_map(|record| {
            let mut parts = record.splitn(3, '\n');
            let id = parts.next().filter(|id| !id.is_empty())?.to_owned();
            let parents = parts.next()?.split_whitespace().map(str::to_owned).collect();
            Some(Commit { id, parents, message: parts.next().unwrap_or_default().to_owned() })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_read() {
        let commits = read("aa\nbb cc\nfeat: x\n\nbody\n\0bb\n\nfix: y\n\0");
        let shape: Vec<_> = commits.iter().map(|c| (c.id.as_str(), c.parents.len(), c.message.as_str())).collect();
        assert_eq!(shape, [("aa", 2, "feat: x\n\nbody\n"), ("bb", 0, "fix: y\n")]);
        assert!(read("").is_empty());
    }
}
