//! The repositories that a commit names by hash, each where the commit wants it.
//!
//! Git's own `submodule` command is not used: it runs with what `.gitmodules` says, which a stranger wrote. Of that
//! file only a path, a URL and a branch are read, and each URL is held to what the source's own is held to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::checkout::{Checkout, put};
use crate::error::Asked;
use crate::process::Session;
use crate::{BranchName, CommitId, Credentials, Error, Remote};

/// In all, and theirs.
const MAX_SUBMODULES: usize = 256;
const MAX_DEPTH: usize = 16;
const MODULES: &str = ".gitmodules";

/// A repository that is in place, and whose submodules are not yet.
struct Place {
    remote: Remote,
    directory: PathBuf,
    commit: CommitId,
    /// From the root of the source.
    shown: String,
    depth: usize,
}

/// What `.gitmodules` says of one path.
#[derive(Debug, Default, PartialEq, Eq)]
struct Module {
    url: Option<String>,
    branch: Option<String>,
}

/// Puts every submodule of the commit, and theirs, into `directory`, which holds the commit already. The source's
/// credential goes to its own scheme, host and port and to no other. Returns how many there are.
pub(crate) async fn fill(
    source: &Remote,
    directory: &Path,
    commit: &CommitId,
    left: &impl Fn() -> Duration,
) -> Result<usize, Error> {
    let mut count: usize = 0;
    let root = Place {
        remote: source.clone(),
        directory: directory.to_owned(),
        commit: commit.clone(),
        shown: String::new(),
        depth: 0,
    };
    let mut places = vec![root];
    while let Some(place) = places.pop() {
        let (links, modules) = read(&place, left).await?;
        for (path, commit) in links {
            let shown = if place.shown.is_empty() { path.clone() } else { format!("{}/{path}", place.shown) };
            let wrong = |why: Error| Error::Submodule { path: shown.clone(), why: Box::new(why) };
            count = count.saturating_add(1);
            let depth = place.depth.saturating_add(1);
            if count > MAX_SUBMODULES || depth > MAX_DEPTH {
                let why = format!("more than {MAX_SUBMODULES} submodules, or deeper than {MAX_DEPTH}");
                return Err(wrong(Error::Other { doing: "submodule".to_owned(), why }));
            }
            let filled = one(source, &place, &path, &commit, modules.get(&path), left).await;
            let (remote, directory) = filled.map_err(wrong)?;
            places.push(Place { remote, directory, commit, shown, depth });
        }
    }
    Ok(count)
}

async fn one(
    source: &Remote,
    place: &Place,
    path: &str,
    commit: &CommitId,
    module: Option<&Module>,
    left: &impl Fn() -> Duration,
) -> Result<(Remote, PathBuf), Error> {
    let missing = Error::BadUrl { why: ".gitmodules has no url for it" };
    let Module { url, branch } = module.ok_or(missing.clone())?;
    let url = place.remote.url.join(url.as_deref().ok_or(missing)?)?;
    let credentials = if url.same_origin(&source.url) { source.credentials.clone() } else { Credentials::none() };
    let remote = Remote { url, credentials };
    let into = inside(&place.directory, path)?;
    // A dot means the branch of the source, which is not the submodule's.
    let branch = branch.as_deref().filter(|name| *name != ".").map(BranchName::parse).transpose()?;
    let checkout =
        Checkout { commit, branch: branch.as_ref(), into: &into, submodules: false, version: None, limit: left() };
    tracing::info!("submodule {path}: {commit} of {}", remote.url);
    let session = Session::open(&remote)?;
    put(&session, &remote, &checkout, &into, left).await?;
    drop(session);
    Ok((remote, into))
}

/// The folder of a submodule, which the checkout made. None of its parts is a link: Git's own checks say so, and here
/// they are not believed.
fn inside(directory: &Path, path: &str) -> Result<PathBuf, Error> {
    let mut into = directory.to_owned();
    for part in path.split('/') {
        let plain = !matches!(part, "" | "." | "..") && !part.eq_ignore_ascii_case(".git");
        into.push(part);
        if !plain || !std::fs::symlink_metadata(&into).is_ok_and(|found| found.is_dir()) {
            return Err(Error::Io {
                doing: "fill a submodule",
                why: "its place is no folder of the source".to_owned(),
            });
        }
    }
    Ok(into)
}

type Links = BTreeMap<String, CommitId>;

/// The links of a commit, and what `.gitmodules` says of them.
async fn read(place: &Place, left: &impl Fn() -> Duration) -> Result<(Links, BTreeMap<String, Module>), Error> {
    let session = Session::open(&place.remote)?;
    let commit = place.commit.as_str();
    let asked = Asked { doing: "ls-tree", host: place.remote.url.host(), object: commit };
    let directory = Some(place.directory.as_path());
    let list = ["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit];
    let tree = session.local_bytes(directory, &list, left(), asked).await?;
    let (links, named) = links(&String::from_utf8_lossy(&tree))?;
    if links.is_empty() || !named {
        return Ok((links, BTreeMap::new()));
    }
    let blob = format!("--blob={commit}:{MODULES}");
    let list = ["config", &blob, "--no-includes", "--list", "-z"];
    let listed = session.local(directory, &list, left(), Asked { doing: "config", ..asked }).await?;
    Ok((links, modules(&listed)))
}

/// From `ls-tree -r -z`: path and commit of each link, and whether there is a plain `.gitmodules`.
fn links(tree: &str) -> Result<(Links, bool), Error> {
    let (mut links, mut named) = (BTreeMap::new(), false);
    for row in tree.split('\0') {
        let Some((entry, path)) = row.split_once('\t') else { continue };
        let mut words = entry.split(' ');
        match (words.next(), words.next(), words.next()) {
            (Some("160000"), _, Some(hash)) => {
                links.insert(path.to_owned(), CommitId::parse(hash)?);
            }
            (Some("100644" | "100755"), _, _) if path == MODULES => named = true,
            _ => {}
        }
    }
    Ok((links, named))
}

/// From `config --list -z`: by path. A name may hold dots, a variable may not.
fn modules(listed: &str) -> BTreeMap<String, Module> {
    let mut by_name: BTreeMap<&str, (Option<&str>, Module)> = BTreeMap::new();
    for row in listed.split('\0') {
        let Some((key, value)) = row.split_once('\n') else { continue };
        let Some((name, variable)) = key.strip_prefix("submodule.").and_then(|rest| rest.rsplit_once('.')) else {
            continue;
        };
        let (path, module) = by_name.entry(name).or_default();
        match variable {
            "path" => *path = Some(value),
            "url" => module.url = Some(value.to_owned()),
            "branch" => module.branch = Some(value.to_owned()),
            _ => {}
        }
    }
    let paths =
        by_name.into_values().filter_map(|(path, module)| Some((path?.trim_end_matches('/').to_owned(), module)));
    paths.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_read() {
        let hash = "1".repeat(40);
        let tree =
            format!("100644 blob {hash}\t.gitmodules\0160000 commit {hash}\tlib/a b\0120000 blob {hash}\tlink\0");
        let (links, named) = links(&tree).unwrap();
        assert_eq!((links.contains_key("lib/a b"), links.len(), named), (true, 1, true));
        let tree = format!("120000 blob {hash}\t.gitmodules\0160000 commit {hash}\tlib\0");
        assert!(!super::links(&tree).unwrap().1, "a link is no .gitmodules");
    }

    #[test]
    fn a_module_is_found_by_its_path() {
        let listed = "submodule.a.b.path\nlib/\0submodule.a.b.url\n../x\0submodule.a.b.update\n!touch x\0core.x\ny\0\
                      submodule.c.url\nonly\0";
        let modules = modules(listed);
        assert_eq!(modules.len(), 1);
        assert_eq!(modules["lib"], Module { url: Some("../x".to_owned()), branch: None });
    }

    #[test]
    fn a_place_is_a_folder_of_the_source() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("a/b")).unwrap();
        std::os::unix::fs::symlink("/tmp", root.path().join("link")).unwrap();
        std::fs::write(root.path().join("file"), "").unwrap();
        assert!(inside(root.path(), "a/b").is_ok());
        for path in ["link", "link/x", "file", "a/../a", "..", "", "a//b", ".git", "a/.GIT", "none", "/tmp"] {
            assert!(inside(root.path(), path).is_err(), "{path}");
        }
    }
}
