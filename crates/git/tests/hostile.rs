//! What a repository may hold to make whoever clones it run something, and that it runs nothing. Each trap is shown to
//! work where nobody guards against it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use support::{Manner, Repository, serve};
use switchyard_git::{Checkout, CommitId, Credentials, Remote, Url, clone};

async fn clone_commit(repository: &Repository, commit: &str, into: &Path) {
    let server = serve(repository.root.path(), Manner::default());
    let url = Url::parse(&format!("{}/shop.git", server.origin)).unwrap();
    let remote = Remote { url, credentials: Credentials::none() };
    let commit = CommitId::parse(commit).unwrap();
    let limit = Duration::from_mins(1);
    let checkout = Checkout { commit: &commit, branch: None, into, submodules: true, version: None, limit };
    clone(&remote, &checkout).await.unwrap();
}

/// A checkout by a Git that is configured as the trap wants it.
fn careless(repository: &Repository, config: &[&str], into: &Path) {
    let mut git = Command::new("git");
    for setting in config {
        git.args(["-c", setting]);
    }
    git.args(["-c", "safe.directory=*", "clone", "-q"]).arg(repository.bare()).arg(into);
    assert!(git.status().unwrap().success());
}

#[tokio::test]
async fn filters_hooks_and_monitors_of_a_repository_do_not_run() {
    let place = tempfile::tempdir().unwrap();
    let touched = place.path().join("touched");
    let touch = format!("touch {}", touched.display());
    let mut repository = Repository::new();
    repository.write(".gitattributes", "* filter=trap diff=trap merge=trap\n");
    repository.write("hooks/post-checkout", &format!("#!/bin/sh\n{touch}\n"));
    let config = format!(
        "[core]\n\tfsmonitor = {touch}\n\thooksPath = hooks\n\tbare = true\n[filter \"trap\"]\n\tsmudge = {touch}\n\
         \tprocess = {touch}\n\trequired = true\n"
    );
    // As a bare repository inside the tree would have it.
    for path in [".gitconfig", "config", "nested/config"] {
        repository.write(path, &config);
    }
    repository.write("nested/HEAD", "ref: refs/heads/main\n");
    repository.write("nested/objects/x", "");
    repository.write("nested/refs/x", "");
    repository.run(&["add", "-A"]);
    repository.run(&["update-index", "--chmod=+x", "hooks/post-checkout"]);
    let commit = repository.commit("trap");

    let into = place.path().join("src");
    clone_commit(&repository, &commit, &into).await;
    assert!(into.join("hooks/post-checkout").exists() && into.join("nested/config").exists());
    assert!(!touched.exists());

    careless(&repository, &[&format!("filter.trap.smudge={touch}")], &place.path().join("careless"));
    assert!(touched.exists(), "the trap is none");
}

#[tokio::test]
async fn links_of_a_repository_are_left_as_links() {
    let place = tempfile::tempdir().unwrap();
    let secret = place.path().join("secret");
    std::fs::write(&secret, "hunter2").unwrap();
    let mut repository = Repository::new();
    std::os::unix::fs::symlink(&secret, repository.work.join("report-task.txt")).unwrap();
    std::os::unix::fs::symlink("/proc/self/environ", repository.work.join(".trivyignore")).unwrap();
    std::os::unix::fs::symlink(place.path(), repository.work.join("folder")).unwrap();
    let commit = repository.commit("links");
    let into = place.path().join("src");
    clone_commit(&repository, &commit, &into).await;
    for link in ["report-task.txt", ".trivyignore", "folder"] {
        assert!(std::fs::symlink_metadata(into.join(link)).unwrap().is_symlink(), "{link}");
    }
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "hunter2");
}
