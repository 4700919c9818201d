//! Every row of the table of failures in `docs/spec/build.md`, brought about for real: what a Build ends with, whose fault
//! that is, what it says, how often it was tried.
//!
//! Rows that have nothing to do with each other run side by side in one namespace.

#[path = "build_failures/dockerfile.rs"]
mod dockerfile;
#[path = "build_failures/ends.rs"]
mod ends;
#[path = "build_failures/git.rs"]
mod git;
#[path = "build_failures/pods.rs"]
mod pods;
#[path = "build_failures/registry.rs"]
mod registry;
#[path = "build_failures/waiting.rs"]
mod waiting;

use switchyard_e2e::{forge::Repository, place::Place};

/// Files of an image that takes no time: nothing is unpacked, nothing runs.
const PLAIN: [(&str, &str); 2] = [("Dockerfile", "FROM scratch\nCOPY page.txt /\n"), ("page.txt", "hello\n")];

/// A repository with these files and those of [`PLAIN`], in one commit.
async fn source<'a>(place: &'a Place, files: &[(&str, &str)]) -> (Repository<'a>, String) {
    let repository = Repository::create(&place.ground, &format!("{}/shop", place.namespace)).await.unwrap();
    let files: Vec<(&str, String)> =
        PLAIN.iter().chain(files).map(|(path, text)| (*path, (*text).to_owned())).collect();
    let commit = repository.commit(&files, "feat: something").await.unwrap();
    (repository, commit)
}
