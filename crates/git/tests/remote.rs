//! Against real repositories over real HTTP: listing, cloning, credentials, and what goes wrong.
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
use std::sync::Arc;
use std::time::{Duration, Instant};

use support::{Manner, Repository, Server, serve};
use switchyard_git::{
    BranchName, Checkout, Cloned, CommitId, Credentials, Error, RefName, Remote, TagName, TagPrefix, Url, clone,
    list_ref,
};

fn remote(server: &Server, password: Option<&str>) -> Remote {
    let credentials = password.map_or_else(Credentials::none, |password| {
        Credentials::from_data(&BTreeMap::from([("password".to_owned(), password.as_bytes().to_vec())])).unwrap()
    });
    Remote { url: Url::parse(&format!("{}/shop.git", server.origin)).unwrap(), credentials }
}

fn branch(name: &str) -> RefName {
    RefName::Branch(BranchName::parse(name).unwrap())
}

async fn clone_into(remote: &Remote, commit: &str, into: &Path, prefix: Option<&str>) -> Result<Cloned, Error> {
    let commit = CommitId::parse(commit).unwrap();
    let branch = BranchName::parse("trunk").unwrap();
    let prefix = prefix.map(|prefix| TagPrefix::parse(prefix).unwrap());
    let limit = Duration::from_mins(1);
    clone(
        remote,
        &Checkout { commit: &commit, branch: Some(&branch), into, submodules: false, version: prefix.as_ref(), limit },
    )
    .await
}

fn needs(password: &str) -> Manner {
    // "git:hunter2" and "git:wrong" in base64.
    let encoded = match password {
        "hunter2" => "Z2l0Omh1bnRlcjI=",
        _ => panic!("no such password"),
    };
    Manner { authorization: Some(format!("Basic {encoded}")), ..Manner::default() }
}

#[tokio::test]
async fn a_listing_names_the_commit_of_a_branch_a_tag_and_head() {
    let mut repository = Repository::new();
    let first = repository.commit("one");
    repository.run(&["tag", "-a", "v1", "-m", "annotated"]);
    let second = repository.commit("two");
    let server = serve(repository.root.path(), Manner::default());
    let remote = remote(&server, None);

    let head = list_ref(&remote, &RefName::Head).await.unwrap();
    assert_eq!((head.commit.as_str(), head.branch.unwrap().as_str()), (&*second, "trunk"));
    assert_eq!(list_ref(&remote, &branch("trunk")).await.unwrap().commit.as_str(), second);
    let tag = RefName::Tag(TagName::parse("v1").unwrap());
    assert_eq!(list_ref(&remote, &tag).await.unwrap().commit.as_str(), first);
    let gone = list_ref(&remote, &branch("nope")).await;
    assert_eq!(gone, Err(Error::RefNotFound { name: "branch nope".to_owned() }));
}

#[tokio::test]
async fn each_refusal_has_its_own_name() {
    let mut repository = Repository::new();
    repository.commit("one");
    let head = RefName::Head;

    let server = serve(repository.root.path(), needs("hunter2"));
    assert!(list_ref(&remote(&server, Some("hunter2")), &head).await.is_ok());
    for password in [None, Some("wrong")] {
        let refused = list_ref(&remote(&server, password), &head).await.unwrap_err();
        assert!(matches!(refused, Error::AuthenticationRefused { .. }), "{refused:?}");
        assert!(!refused.to_string().contains("wrong"), "{refused}");
    }

    let empty = tempfile::tempdir().unwrap();
    let server = serve(empty.path(), Manner::default());
    let missing = list_ref(&remote(&server, None), &head).await.unwrap_err();
    assert!(matches!(missing, Error::RepositoryNotFound { .. }), "{missing:?}");

    for status in [500, 503, 429] {
        let server = serve(empty.path(), Manner { status: Some(status), ..Manner::default() });
        let down = list_ref(&remote(&server, None), &head).await.unwrap_err();
        assert!(matches!(down, Error::Unreachable { .. }), "{status}: {down:?}");
    }

    let nobody = Server { origin: "http://127.0.0.1:9".to_owned(), requests: Arc::default() };
    let down = list_ref(&remote(&nobody, None), &head).await.unwrap_err();
    assert!(matches!(down, Error::Unreachable { .. }), "{down:?}");
}

#[tokio::test]
async fn ssh_without_a_server_is_unreachable_and_without_a_key_is_a_credential_matter() {
    let url = Url::parse("ssh://git@127.0.0.1:9/shop.git").unwrap();
    let none = Remote { url: url.clone(), credentials: Credentials::none() };
    assert!(matches!(list_ref(&none, &RefName::Head).await, Err(Error::BadCredentials(_))));
    let data = [("ssh-privatekey", "not a key"), ("known_hosts", "127.0.0.1 x")];
    let data = data.map(|(key, value)| (key.to_owned(), value.as_bytes().to_vec()));
    let credentials = Credentials::from_data(&BTreeMap::from(data)).unwrap();
    let down = list_ref(&Remote { url, credentials }, &RefName::Head).await.unwrap_err();
    assert!(matches!(down, Error::Unreachable { .. }), "{down:?}");
}

#[tokio::test]
async fn a_password_does_not_follow_a_redirect_to_another_host() {
    let mut repository = Repository::new();
    repository.commit("one");
    let thief = serve(repository.root.path(), needs("hunter2"));
    let server = serve(repository.root.path(), Manner { redirect: Some(thief.origin.clone()), ..Manner::default() });
    let refused = list_ref(&remote(&server, Some("hunter2")), &RefName::Head).await.unwrap_err();
    assert!(matches!(refused, Error::AuthenticationRefused { .. }), "{refused:?}");
    let seen = thief.requests.lock().unwrap().clone();
    assert!(!seen.is_empty() && seen.iter().all(|(_, authorization)| authorization.is_none()), "{seen:?}");
}

#[tokio::test]
async fn a_clone_is_one_commit_and_holds_no_credential() {
    let mut repository = Repository::new();
    let first = repository.commit("one");
    let second = repository.commit("feat: two\n\nbody");
    repository.commit("three");
    let server = serve(repository.root.path(), needs("hunter2"));
    let remote = remote(&server, Some("hunter2"));
    let target = tempfile::tempdir().unwrap();
    let into = target.path().join("src");

    let cloned = clone_into(&remote, &second, &into, None).await.unwrap();
    assert_eq!((cloned.commit.as_str(), &*cloned.subject, cloned.committed), (&*second, "feat: two", 1_700_000_120));
    assert!(std::fs::read_to_string(into.join("file")).unwrap().starts_with("feat: two"));
    let count = std::process::Command::new("git")
        .args(["-c", "safe.directory=*", "rev-list", "--count", "HEAD"])
        .current_dir(&into)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&count.stdout).trim(), "1");
    let traces = std::process::Command::new("grep").args(["-rl", "hunter2\\|127.0.0.1"]).arg(&into).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&traces.stdout), "");

    // The step may run twice; a stranger's directory is left alone.
    std::fs::write(into.join("left-over"), "x").unwrap();
    clone_into(&remote, &first, &into, None).await.unwrap();
    assert!(!into.join("left-over").exists());
    let strange = target.path().join("strange");
    std::fs::create_dir(&strange).unwrap();
    std::fs::write(strange.join("precious"), "x").unwrap();
    assert!(matches!(clone_into(&remote, &first, &strange, None).await, Err(Error::Io { .. })));
    assert!(strange.join("precious").exists());
}

#[tokio::test]
async fn a_commit_that_only_its_branch_leads_to() {
    let mut repository = Repository::new();
    let first = repository.commit("one");
    for n in 0..60 {
        repository.commit(&format!("fix: {n}"));
    }
    let server = serve(repository.root.path(), Manner { old_protocol: true, ..Manner::default() });
    let remote = remote(&server, None);
    let target = tempfile::tempdir().unwrap();
    // Deeper than the first 50.
    let cloned = clone_into(&remote, &first, target.path(), Some("v")).await.unwrap();
    assert_eq!((cloned.commit.as_str(), cloned.version.unwrap().to_string()), (&*first, "0.1.0".to_owned()));

    for (protocol, server) in [("old", server), ("new", serve(repository.root.path(), Manner::default()))] {
        let missing = "1".repeat(40);
        let result = clone_into(&self::remote(&server, None), &missing, &target.path().join(protocol), None).await;
        assert_eq!(result, Err(Error::CommitNotFound { commit: missing }), "{protocol}");
    }
}

#[tokio::test]
async fn versions_come_from_tags_and_messages() {
    let mut repository = Repository::new();
    let mut commits = vec![repository.commit("feat: first"), repository.commit("fix: second")];
    repository.run(&["tag", "v1.2.0"]);
    commits.push(repository.commit("fix: third"));
    repository.run(&["checkout", "-q", "-b", "topic"]);
    repository.commit("feat: on a branch");
    repository.run(&["tag", "v9.0.0"]);
    repository.run(&["reset", "-q", "--hard", "HEAD~1"]);
    repository.commit("feat: on the branch again");
    repository.run(&["checkout", "-q", "trunk"]);
    repository.run(&["merge", "-q", "--no-ff", "-m", "Merge branch 'topic'", "topic"]);
    repository.push();
    commits.push(repository.run(&["rev-parse", "HEAD"]));
    commits.push(repository.commit("feat!: break"));

    for filter in ["true", "false"] {
        std::process::Command::new("git")
            .args(["config", "uploadpack.allowFilter", filter])
            .current_dir(repository.bare())
            .status()
            .unwrap();
        let server = serve(repository.root.path(), Manner::default());
        let mut versions = Vec::new();
        for commit in &commits {
            let into = tempfile::tempdir().unwrap();
            let cloned = clone_into(&remote(&server, None), commit, into.path(), Some("v")).await.unwrap();
            versions.push(cloned.version.unwrap().to_string());
        }
        assert_eq!(versions, ["0.1.0", "1.2.0", "1.2.1", "1.3.0", "2.0.0"], "filter {filter}");
    }
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let empty = tempfile::tempdir().unwrap();
    let server = serve(empty.path(), Manner { silent: true, ..Manner::default() });
    let (remote, start) = (remote(&server, None), Instant::now());
    let commit = CommitId::parse(&"1".repeat(40)).unwrap();
    let into = empty.path().join("src");
    let checkout = Checkout {
        commit: &commit,
        branch: None,
        into: &into,
        submodules: false,
        version: None,
        limit: Duration::from_secs(2),
    };
    let given_up = clone(&remote, &checkout).await.unwrap_err();
    assert!(matches!(given_up, Error::Unreachable { .. }), "{given_up:?}");
    assert!(start.elapsed() < Duration::from_secs(10));
    // The helper that held the connection goes with git.
    let helpers = || std::process::Command::new("pgrep").args(["-f", &server.origin]).output().unwrap().stdout;
    let patience = Instant::now();
    while !helpers().is_empty() {
        assert!(patience.elapsed() < Duration::from_secs(5), "{}", String::from_utf8_lossy(&helpers()));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_clone_has_no_hooks_and_no_remote() {
    let mut repository = Repository::new();
    let commit = repository.commit("one");
    let server = serve(repository.root.path(), Manner::default());
    let into = tempfile::tempdir().unwrap();
    clone_into(&remote(&server, None), &commit, into.path(), None).await.unwrap();
    assert!(!into.path().join(".git/hooks").exists());
    let config = std::fs::read_to_string(into.path().join(".git/config")).unwrap();
    assert!(!config.contains("remote") && !config.contains("credential"), "{config}");
}
