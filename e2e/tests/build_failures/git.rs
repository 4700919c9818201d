//! The source cannot be had.

use serde_json::json;
use switchyard_api::build::Class::{Infrastructure, User};
use switchyard_e2e::{
    place::in_a_namespace,
    rows::{row, run},
};

use crate::source;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn sources_that_cannot_be_had() {
    in_a_namespace("build-git", async |place| {
        place.equip().await;
        place.git_secret("git-wrong", "reader", "not-the-password").await;
        let modules = "[submodule \"lib\"]\n\tpath = lib\n\turl = ../gone.git\n";
        let (repository, commit) = source(&place, &[(".gitmodules", modules)]).await;
        let with_module = repository.link("lib", &commit, "feat: a submodule").await.unwrap();
        let (url, host) = (repository.url.as_str(), "git.forge.svc");
        let absent = "0123456789abcdef0123456789abcdef01234567";
        let git = |patch: serde_json::Value| json!({"source": {"git": patch}});
        let rows =
            vec![
                row(&place, "wrong-password", url, &commit)
                    .with(&git(json!({"secretRef": {"name": "git-wrong"}})))
                    .fails(User, "GitAuthenticationFailed", host),
                row(&place, "no-password", url, &commit).with(&git(json!({"secretRef": null}))).fails(
                    User,
                    "GitAuthenticationFailed",
                    host,
                ),
                row(&place, "missing-repository", &url.replace("shop.git", "none.git"), &commit).fails(
                    User,
                    "GitRepositoryNotFound",
                    host,
                ),
                row(&place, "missing-ref", url, absent).with(&git(json!({"branch": "no-such-branch"}))).fails(
                    User,
                    "GitRefNotFound",
                    "no-such-branch",
                ),
                row(&place, "missing-commit", url, absent).fails(User, "CommitNotFound", absent),
                row(&place, "unreachable-host", "http://git.nowhere.svc/shop.git", &commit)
                    .with(&json!({"retries": 1}))
                    .fails(Infrastructure, "GitHostUnreachable", "git.nowhere.svc")
                    .jobs(2),
                // The API server takes it, for CEL reads URLs less strictly than the worker does.
                row(&place, "credential-in-the-url", "http://reader:secret@git.forge.svc/shop.git", &commit).fails(
                    User,
                    "GitSourceInvalid",
                    "belongs in a Secret",
                ),
                row(&place, "key-for-a-url-of-http", url, &commit)
                    .with(&git(json!({"url": "ssh://git@git.forge.svc/shop.git"})))
                    .fails(User, "GitAuthenticationFailed", "ssh-privatekey"),
                row(&place, "missing-submodule", url, &with_module)
                    .with(&git(json!({"submodules": "Recursive"})))
                    .fails(User, "SubmoduleUnavailable", "lib"),
                // The control: the same commit without its submodules.
                row(&place, "without-submodules", url, &with_module).succeeds(),
            ];
        let outcomes = run(&place, rows, async |_| ()).await;
        for outcome in outcomes.iter().filter_map(|o| o.failure()) {
            let text = json!(outcome).to_string();
            assert!(!text.contains("not-the-password") && !text.contains("reader:secret"), "{text}");
        }
    })
    .await;
}
