//! What changed between two commits, asked of real repositories, with patterns as in .gitignore.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::time::Duration;

use support::{Manner, Repository, Server, serve};
use switchyard_git::{BranchName, CommitId, Comparison, Credentials, Difference, Error, Remote, Url, compare};

async fn differs(
    server: &Server,
    base: &str,
    commit: &str,
    include: &[&str],
    exclude: &[&str],
) -> Result<Difference, Error> {
    let url = Url::parse(&format!("{}/shop.git", server.origin)).unwrap();
    let remote = Remote { url, credentials: Credentials::none() };
    let (base, commit) = (CommitId::parse(base).unwrap(), CommitId::parse(commit).unwrap());
    let owned = |patterns: &[&str]| patterns.iter().map(|pattern| (*pattern).to_owned()).collect::<Vec<_>>();
    let branch = BranchName::parse("trunk").unwrap();
    let comparison = Comparison {
        base: &base,
        commit: &commit,
        branch: Some(&branch),
        include: &owned(include),
        exclude: &owned(exclude),
        limit: Duration::from_mins(1),
    };
    compare(&remote, &comparison).await
}

#[tokio::test]
async fn patterns_mean_what_they_mean_in_a_gitignore() {
    let mut repository = Repository::new();
    let base = repository.commit("one");
    // Patterns of the source itself have no say.
    repository.write(".gitignore", "*.none\n");
    for path in ["docs/a.md", "docs/deep/b.md", "web/main.py", "web/docs/c.txt", ":(x)odd", "sp ace/\u{fc}.md"] {
        repository.write(path, "x");
    }
    repository.run(&["rm", "-q", "file"]);
    repository.run(&["add", "-A"]);
    repository.run(&["commit", "-q", "-m", "two"]);
    repository.push();
    let commit = repository.run(&["rev-parse", "HEAD"]);
    let server = serve(repository.root.path(), Manner::default());
    let all = 8;
    let rows: &[(&[&str], &[&str], Option<&str>)] = &[
        (&[], &[], Some(".gitignore")),
        (&["docs/**"], &[], Some("docs/a.md")),
        (&["/docs/"], &["*.md"], None),
        (&["docs/"], &["*.md"], Some("web/docs/c.txt")),
        (&["*.md"], &["docs/"], Some("sp ace/\u{fc}.md")),
        (&["*.md", "!docs/**"], &[], Some("sp ace/\u{fc}.md")),
        (&["/web"], &["/web/docs"], Some("web/main.py")),
        (&["/main.py"], &[], None),
        (&["main.py"], &[], Some("web/main.py")),
        (&["file"], &[], Some("file")),
        (&["# a comment"], &[], None),
        (&["*"], &["*"], None),
        (&["*odd"], &[], Some(":(x)odd")),
        (&["--help", "-x", "$(id)"], &[], None),
    ];
    for (include, exclude, expected) in rows {
        let expected = expected.map_or(Difference::Unwanted(all), |path| Difference::Wanted(path.to_owned()));
        let found = differs(&server, &base, &commit, include, exclude).await;
        assert_eq!(found, Ok(expected), "{include:?} {exclude:?}");
    }
    assert_eq!(differs(&server, &commit, &commit, &[], &[]).await, Ok(Difference::Unwanted(0)));
    for pattern in ["", "a\nb", &"x".repeat(257)] {
        let refused = differs(&server, &base, &commit, &[pattern], &[]).await;
        assert!(matches!(refused, Err(Error::BadName { .. })), "{pattern:?}");
    }
}

#[tokio::test]
async fn a_base_that_cannot_be_had_leaves_it_unknown() {
    let mut repository = Repository::new();
    let base = repository.commit("one");
    let commit = repository.commit("two");
    let ask = async |manner, base: &str| {
        let server = serve(repository.root.path(), manner);
        differs(&server, base, &commit, &["none"], &[]).await.unwrap()
    };
    let known = Difference::Unwanted(1);
    assert_eq!(ask(Manner::default(), &base).await, known);
    // A server that gives out branches only leads to both, too.
    assert_eq!(ask(Manner { old_protocol: true, ..Manner::default() }, &base).await, known);
    for manner in [Manner::default(), Manner { old_protocol: true, ..Manner::default() }] {
        let lost = ask(manner, &"1".repeat(40)).await;
        assert!(matches!(&lost, Difference::Unknown(why) if !why.is_empty()), "{lost:?}");
    }
    let down = ask(Manner { status: Some(503), ..Manner::default() }, &base).await;
    assert!(matches!(down, Difference::Unknown(_)), "{down:?}");
}
