//! The program as a pod runs it: real Git over HTTP, a stand-in for the registry, and the termination message.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../git/tests/support/mod.rs"]
mod git;
#[path = "../../registry/tests/support/mod.rs"]
mod registry;

mod pod;

use std::path::Path;
use std::process::Command;

use pod::{Pod, reason};
use switchyard_api::report::{Reason, Report};

#[test]
fn a_commit_becomes_a_digest() {
    let mut repository = git::Repository::new();
    repository.commit("one");
    repository.run(&["tag", "v1.4.0"]);
    let commit = repository.commit("feat: sell shoes");
    let manner = git::Manner { authorization: Some("Basic Z2l0Omh1bnRlcjI=".to_owned()), ..git::Manner::default() };
    let server = git::serve(repository.root.path(), manner);

    let pod = Pod::new();
    pod.write("git/password", "hunter2\n");
    let secret = pod.path("git");
    let (code, report, said) =
        pod.clone(&server.origin, &commit, &["--branch", "trunk", "--credentials", &secret, "--tag-prefix", "v"]);
    let Report::Cloned(cloned) = report else { panic!("{said}") };
    assert_eq!((code, cloned.version.as_deref(), cloned.branch.as_deref()), (0, Some("1.5.0"), Some("trunk")));
    assert_eq!((cloned.commit.as_str(), cloned.subject.as_str()), (commit.as_str(), "feat: sell shoes"));
    assert!(Path::new(&pod.path("src/file")).exists());
    // How names are resolved, for those that come after a stranger.
    let kept = std::fs::read(pod.path("steps/resolv.conf")).unwrap();
    assert_eq!(kept, std::fs::read("/etc/resolv.conf").unwrap_or_default());
    assert!(!said.contains("hunter2"), "{said}");

    let standin = registry::start(registry::Manner { bearer: true, ..registry::Manner::default() });
    let expected = registry::layout(Path::new(&pod.path("out")), &[b"one", b"two"]);
    let config = format!(r#"{{"auths":{{"{}":{{"username":"ann","password":"secret"}}}}}}"#, standin.host);
    let config = pod.write("docker/.dockerconfigjson", &config);
    let tags = ["--tag", "$(version)", "--tag", "$(branch)-$(short)", "--credentials", &config];
    let (code, report, said) = pod.push(&standin.host, &tags);
    let Report::Pushed(pushed) = report else { panic!("{said}") };
    assert_eq!((code, pushed.digest.as_str()), (0, expected.as_str()));
    assert_eq!(pushed.tags, ["1.5.0".to_owned(), format!("trunk-{}", &commit[..7])]);
    assert!(standin.stored.lock().unwrap().manifests.contains_key("1.5.0"));
    assert!(!said.contains("secret") && !said.contains("YW5uOnNlY3JldA"), "{said}");
}

#[test]
fn a_clone_that_cannot_be_says_why() {
    let mut repository = git::Repository::new();
    let commit = repository.commit("one");
    let server = git::serve(repository.root.path(), git::Manner::default());
    let fails = |server: &git::Server, commit: &str, more: &[&str]| {
        let pod = Pod::new();
        let (code, report, _) = pod.clone(&server.origin, commit, more);
        assert_eq!(code, 1);
        assert!(!Path::new(&pod.path("steps/clone.json")).exists());
        reason(report)
    };
    assert_eq!(fails(&server, &"1".repeat(40), &[]), Reason::CommitNotFound);
    assert_eq!(fails(&server, "main", &[]), Reason::GitSourceInvalid);
    assert_eq!(fails(&server, &commit, &["--branch=--upload-pack=x"]), Reason::GitSourceInvalid);
    assert_eq!(fails(&server, &commit, &["--credentials", "/nowhere"]), Reason::GitAuthenticationFailed);
    let manner = git::Manner { authorization: Some("Basic no".to_owned()), ..git::Manner::default() };
    assert_eq!(fails(&git::serve(repository.root.path(), manner), &commit, &[]), Reason::GitAuthenticationFailed);
    let empty = tempfile::tempdir().unwrap();
    let server = git::serve(empty.path(), git::Manner::default());
    assert_eq!(fails(&server, &commit, &[]), Reason::GitRepositoryNotFound);
    let nobody = git::Server { origin: "http://127.0.0.1:9".to_owned(), requests: std::sync::Arc::default() };
    assert_eq!(fails(&nobody, &commit, &[]), Reason::GitHostUnreachable);
}

#[test]
fn a_push_that_cannot_be_says_why() {
    let handover = format!(r#"{{"commit":"{}"}}"#, "7".repeat(40));
    let fails = |manner: registry::Manner, layout: bool, more: &[&str]| {
        let (pod, standin) = (Pod::new(), registry::start(manner));
        pod.write("steps/clone.json", &handover);
        if layout {
            registry::layout(Path::new(&pod.path("out")), &[b"one"]);
        }
        let (code, report, _) = pod.push(&standin.host, more);
        assert_eq!(code, 1);
        reason(report)
    };
    let refuse =
        |method, status| registry::Manner { refuse: Some((method, status, "")), ..registry::Manner::default() };
    let basic = registry::Manner { basic: true, ..registry::Manner::default() };
    assert_eq!(fails(basic, true, &[]), Reason::RegistryUnauthorized);
    assert_eq!(fails(refuse("POST", "403 Forbidden"), true, &[]), Reason::PushDenied);
    assert_eq!(fails(refuse("POST", "404 Not Found"), true, &[]), Reason::RegistryRepositoryNotFound);
    assert_eq!(fails(refuse("PUT", "429 Slow"), true, &[]), Reason::RegistryRateLimited);
    assert_eq!(fails(refuse("PUT", "502 Bad Gateway"), true, &[]), Reason::RegistryUnavailable);
    assert_eq!(fails(registry::Manner::default(), false, &[]), Reason::LayoutInvalid);
    assert_eq!(fails(registry::Manner::default(), true, &["--tag", "$(moon)"]), Reason::ImageNameInvalid);
    assert_eq!(fails(registry::Manner::default(), true, &["--credentials", "/nowhere"]), Reason::StepFailed);
    let corrupt = registry::Manner { corrupt: true, ..registry::Manner::default() };
    assert_eq!(fails(corrupt, true, &[]), Reason::DigestMismatch);

    let pod = Pod::new();
    pod.write("steps/clone.json", &handover);
    registry::layout(Path::new(&pod.path("out")), &[b"one"]);
    assert_eq!(reason(pod.push("127.0.0.1:9", &[]).1), Reason::RegistryUnreachable);
}

#[test]
fn arguments_that_make_no_step_are_reported_too() {
    let pod = Pod::new();
    for arguments in [&["clone"][..], &["--moon"], &["push", "--tag"]] {
        let (code, report, _) = pod.run(arguments);
        assert_eq!((code, reason(report)), (1, Reason::StepFailed), "{arguments:?}");
    }
}

#[test]
fn a_step_that_is_asked_to_stop_stops() {
    let empty = tempfile::tempdir().unwrap();
    let server = git::serve(empty.path(), git::Manner { silent: true, ..git::Manner::default() });
    let pod = Pod::new();
    let (url, into, steps) = (format!("{}/shop.git", server.origin), pod.path("src"), pod.path("steps"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_switchyard-worker"))
        .args(["clone", "--url", &url, "--commit", &"1".repeat(40), "--into", &into, "--steps", &steps])
        .env("SWITCHYARD_TERMINATION_LOG", pod.path("message"))
        .spawn()
        .unwrap();
    while server.requests.lock().unwrap().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let message = std::fs::read_to_string(pod.path("message")).unwrap();
    assert_eq!(reason(Report::parse(&message).unwrap()), Reason::Stopped);
}
