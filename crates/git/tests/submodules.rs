//! Submodules over real HTTP: where they come from, who they are asked as, and what a stranger's `.gitmodules` cannot do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use support::{Manner, Repository, Server, serve};
use switchyard_git::{Checkout, Cloned, CommitId, Credentials, Error, Remote, Url, clone};

const PASSWORD: &str = "hunter2";

/// What every request must bring: "git:hunter2".
fn locked() -> Manner {
    Manner { authorization: Some("Basic Z2l0Omh1bnRlcjI=".to_owned()), ..Manner::default() }
}

async fn clone_all(server: &Server, commit: &str, into: &Path) -> Result<Cloned, Error> {
    let data = BTreeMap::from([("password".to_owned(), PASSWORD.as_bytes().to_vec())]);
    let url = Url::parse(&format!("{}/shop.git", server.origin)).unwrap();
    let remote = Remote { url, credentials: Credentials::from_data(&data).unwrap() };
    let commit = CommitId::parse(commit).unwrap();
    let limit = Duration::from_mins(1);
    clone(&remote, &Checkout { commit: &commit, branch: None, into, submodules: true, version: None, limit }).await
}

/// Why the submodule of a source with this URL in `.gitmodules` cannot be had.
async fn refused(url: &str) -> String {
    let mut shop = Repository::new();
    let commit = shop.commit("one");
    shop.link("lib", url, &commit);
    let commit = shop.commit("two");
    let server = serve(shop.root.path(), locked());
    let target = tempfile::tempdir().unwrap();
    match clone_all(&server, &commit, &target.path().join("src")).await {
        Err(Error::Submodule { path, why }) => {
            assert_eq!(path, "lib");
            why.to_string()
        }
        other => panic!("{url}: {other:?}"),
    }
}

#[tokio::test]
async fn submodules_and_theirs_come_at_their_commits() {
    let mut shop = Repository::new();
    let (mut lib, mut deep) = (shop.beside("lib"), shop.beside("deep"));
    let deepest = deep.commit("deep");
    lib.link("vendor/deep", "../deep.git", &deepest);
    let wanted = lib.commit("wanted");
    lib.commit("newer, which nobody asked for");
    shop.link("libs/lib", "../lib.git", &wanted);
    let commit = shop.commit("shop");
    let server = serve(shop.root.path(), locked());
    let target = tempfile::tempdir().unwrap();
    let into = target.path().join("src");

    clone_all(&server, &commit, &into).await.unwrap();
    assert!(std::fs::read_to_string(into.join("libs/lib/file")).unwrap().starts_with("wanted"));
    assert!(std::fs::read_to_string(into.join("libs/lib/vendor/deep/file")).unwrap().starts_with("deep"));
    let traces = std::process::Command::new("grep").args(["-rl", "hunter2\\|127.0.0.1"]).arg(&into).output().unwrap();
    let traces = String::from_utf8(traces.stdout).unwrap();
    assert!(traces.lines().all(|path| path.ends_with(".gitmodules")), "{traces}");
    // The step may run twice.
    clone_all(&server, &commit, &into).await.unwrap();
    assert!(into.join("libs/lib/vendor/deep/file").exists());
}

#[tokio::test]
async fn the_credential_goes_to_the_hosts_own_submodules_alone() {
    let mut shop = Repository::new();
    let mut lib = shop.beside("lib");
    let wanted = lib.commit("lib");
    // The same machine, another port: a host that is not the source's.
    let other = serve(shop.root.path(), Manner::default());
    shop.link("lib", &format!("{}/lib.git", other.origin), &wanted);
    let commit = shop.commit("shop");
    let server = serve(shop.root.path(), locked());
    let target = tempfile::tempdir().unwrap();
    clone_all(&server, &commit, target.path()).await.unwrap();
    let seen = other.requests.lock().unwrap().clone();
    assert!(!seen.is_empty() && seen.iter().all(|(_, authorization)| authorization.is_none()), "{seen:?}");

    let thief = serve(shop.root.path(), locked());
    let mut shop = shop.beside("shop2");
    shop.link("lib", &format!("{}/lib.git", thief.origin), &wanted);
    let commit = shop.commit("shop");
    std::fs::rename(shop.bare(), shop.root.path().join("moved.git")).unwrap();
    std::fs::remove_dir_all(shop.root.path().join("shop.git")).unwrap();
    std::fs::rename(shop.root.path().join("moved.git"), shop.root.path().join("shop.git")).unwrap();
    let target = tempfile::tempdir().unwrap();
    let failed = clone_all(&server, &commit, target.path()).await.unwrap_err();
    let Error::Submodule { why, .. } = failed else { panic!("{failed:?}") };
    assert!(matches!(*why, Error::AuthenticationRefused { .. }), "{why:?}");
    let seen = thief.requests.lock().unwrap().clone();
    assert!(!seen.is_empty() && seen.iter().all(|(_, authorization)| authorization.is_none()), "{seen:?}");
}

#[tokio::test]
async fn a_submodule_that_cannot_be_had_is_named() {
    assert!(refused("../none.git").await.contains("has no such repository"));
    assert!(refused("http://127.0.0.1:9/lib.git").await.contains("cannot reach"));
    assert!(refused("git@127.0.0.1:lib.git").await.contains("ssh-privatekey"));

    let mut shop = Repository::new();
    shop.commit("one");
    shop.link("lib", "./", &"1".repeat(40));
    let commit = shop.commit("two");
    let server = serve(shop.root.path(), locked());
    let target = tempfile::tempdir().unwrap();
    let failed = clone_all(&server, &commit, target.path()).await.unwrap_err();
    let Error::Submodule { why, .. } = failed else { panic!("{failed:?}") };
    assert!(matches!(*why, Error::CommitNotFound { .. }), "{why:?}");
}

#[tokio::test]
async fn a_url_that_is_an_option_a_file_or_a_command_reaches_no_process() {
    let directory = tempfile::tempdir().unwrap();
    let touched = directory.path().join("touched");
    let touch = format!("touch {}", touched.display());
    for url in [
        "-x",
        &format!("--upload-pack={touch}"),
        &format!("-u{touch}"),
        &format!("ext::sh -c {touch}"),
        &format!("ssh://-oProxyCommand={touch}/x"),
        &format!("git@-oProxyCommand={touch}:x"),
        "file:///etc",
        "/etc",
        "git://127.0.0.1/x",
        "../../../../etc",
        "http://git:hunter2@127.0.0.1/x",
    ] {
        let why = refused(url).await;
        assert!(why.starts_with("cannot use this Git URL"), "{url}: {why}");
    }
    assert!(!touched.exists());
}

#[tokio::test]
async fn what_gitmodules_says_beside_path_and_url_does_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let touched = directory.path().join("touched");
    let mut shop = Repository::new();
    let mut lib = shop.beside("lib");
    let wanted = lib.commit("lib");
    shop.link("lib", "../lib.git", &wanted);
    let more = format!(
        "\tupdate = !touch {0}\n\tuploadpack = touch {0}\n[core]\n\tfsmonitor = touch {0}\n\thooksPath = .hooks\n\
         \tsshCommand = touch {0}\n[include]\n\tpath = /etc/hostname\n[filter \"x\"]\n\tsmudge = touch {0}\n",
        touched.display()
    );
    let modules = std::fs::read_to_string(shop.work.join(".gitmodules")).unwrap() + &more;
    shop.write(".gitmodules", &modules);
    let commit = shop.commit("shop");
    let server = serve(shop.root.path(), locked());
    let target = tempfile::tempdir().unwrap();
    clone_all(&server, &commit, target.path()).await.unwrap();
    assert!(target.path().join("lib/file").exists() && !touched.exists());
}
