//! One ref listing of a remote: what a poll asks.

use std::time::Duration;

use crate::error::Asked;
use crate::process::Session;
use crate::{BranchName, CommitId, Credentials, Error, RefName, Url};

/// A listing is one or two small answers.
const LIST_LIMIT: Duration = Duration::from_secs(45);

/// A repository, and who we are to it.
#[derive(Clone, Debug)]
pub struct Remote {
    /// Where.
    pub url: Url,
    /// Who.
    pub credentials: Credentials,
}

/// What a ref names now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The commit; of an annotated tag, the one it points at.
    pub commit: CommitId,
    /// The branch: the one asked for, or the one that HEAD points at. None for a tag and for a detached HEAD.
    pub branch: Option<BranchName>,
}

/// Asks the remote for one ref, by one `git ls-remote`. Nothing is cloned.
pub async fn list_ref(remote: &Remote, name: &RefName) -> Result<Listed, Error> {
    let session = Session::open(remote)?;
    let full = name.full();
    let peeled = format!("{full}^{{}}");
    let shown = name.to_string();
    let asked = Asked { doing: "ls-remote", host: remote.url.host(), object: &shown };
    let arguments = ["ls-remote", "--symref", "--end-of-options", remote.url.as_str(), &full, &peeled];
    let listing = session.remote(None, &arguments, LIST_LIMIT, asked).await?;
    read(&listing, name).ok_or(Error::RefNotFound { name: shown })
}

/// Where a commit is looked for when the server does not hand it out by its hash.
pub(crate) fn branch_or_head(branch: Option<&BranchName>) -> RefName {
    branch.map_or(RefName::Head, |branch| RefName::Branch(branch.clone()))
}

/// A pattern matches the end of a ref's name, so rows of other refs may stand beside ours.
fn read(listing: &str, name: &RefName) -> Option<Listed> {
    let full = name.full();
    let peeled = format!("{full}^{{}}");
    let rows: Vec<(&str, &str)> = listing.lines().filter_map(|line| line.split_once('\t')).collect();
    let hash =
        |wanted: &str| rows.iter().filter(|(_, name)| *name == wanted).find_map(|(hash, _)| CommitId::parse(hash).ok());
    let commit = hash(&peeled).or_else(|| hash(&full))?;
    let branch = match name {
        RefName::Branch(branch) => Some(branch.clone()),
        RefName::Tag(_) => None,
        RefName::Head => rows
            .iter()
            .filter(|(_, name)| *name == "HEAD")
            .find_map(|(target, _)| BranchName::parse(target.strip_prefix("ref: refs/heads/")?).ok()),
    };
    Some(Listed { commit, branch })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(digit: &str) -> String {
        digit.repeat(40)
    }

    #[test]
    fn a_head_names_its_branch() {
        let listing = format!("ref: refs/heads/trunk\tHEAD\n{}\tHEAD\n{}\trefs/remotes/x/HEAD\n", id("a"), id("b"));
        let listed = read(&listing, &RefName::Head).unwrap();
        assert_eq!((listed.commit.as_str(), listed.branch.unwrap().as_str()), (&*id("a"), "trunk"));
        let detached = read(&format!("{}\tHEAD\n", id("a")), &RefName::Head).unwrap();
        assert_eq!(detached.branch, None);
    }

    #[test]
    fn a_name_at_the_end_of_another_is_not_it() {
        let branch = RefName::Branch(BranchName::parse("x").unwrap());
        let listing = format!("{}\trefs/remotes/o/refs/heads/x\n", id("b"));
        assert_eq!(read(&listing, &branch), None);
        let listing = format!("{listing}{}\trefs/heads/x\n", id("a"));
        assert_eq!(read(&listing, &branch).unwrap().commit.as_str(), id("a"));
        assert_eq!(read("", &branch), None);
        assert_eq!(read("nonsense\trefs/heads/x\n", &branch), None);
    }

    #[test]
    fn an_annotated_tag_is_peeled() {
        let tag = RefName::Tag(crate::TagName::parse("v1").unwrap());
        let listing = format!("{}\trefs/tags/v1\n{}\trefs/tags/v1^{{}}\n", id("a"), id("b"));
        assert_eq!(read(&listing, &tag).unwrap().commit.as_str(), id("b"));
    }
}
