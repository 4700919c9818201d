//! What goes in and out of checks: submodules, wanted paths, artifacts, logins.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[path = "../../git/tests/support/mod.rs"]
mod git;
mod pod;
#[path = "../../registry/tests/support/mod.rs"]
mod registry;

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use pod::{Pod, reason};
use switchyard_api::report::{Reason, Report};

fn access<'a>(standin: &'a registry::Standin, repository: &'a str) -> [&'a str; 4] {
    ["--repository", repository, "--insecure-registry", &standin.host]
}

fn save(pod: &Pod, standin: &registry::Standin, paths: &[&str]) -> Report {
    let (from, repository) = (pod.path("src"), format!("{}/acme/shop", standin.host));
    let mut arguments = vec!["save", "--from", &from];
    arguments.extend(access(standin, &repository));
    arguments.extend(paths.iter().flat_map(|path| ["--path", path]));
    pod.run(&arguments).1
}

fn fetch(pod: &Pod, standin: &registry::Standin, digests: &[&str]) -> Report {
    let (into, repository) = (pod.path("src"), format!("{}/acme/shop", standin.host));
    let mut arguments = vec!["fetch", "--into", &into];
    arguments.extend(access(standin, &repository));
    arguments.extend(digests.iter().flat_map(|digest| ["--digest", digest]));
    pod.run(&arguments).1
}

#[test]
fn what_one_check_leaves_another_finds() {
    let standin = registry::start(registry::Manner::default());
    let kept = |files: &[(&str, &str)]| {
        let pod = Pod::new();
        for (path, content) in files {
            pod.write(&format!("src/{path}"), content);
        }
        let paths: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let report = save(&pod, &standin, &paths);
        let Report::Saved(saved) = report else { panic!("{report:?}") };
        (saved.digest, saved.size_bytes)
    };
    let (unit, bytes) = kept(&[("coverage.xml", "<c/>"), ("dist/app", "app")]);
    let (late, _) = kept(&[("coverage.xml", "<later/>")]);
    assert_eq!(bytes, 7);

    let pod = Pod::new();
    pod.write("src/coverage.xml", "of the commit");
    let report = fetch(&pod, &standin, &[&unit, &late]);
    assert!(matches!(report, Report::Passed(_)), "{report:?}");
    let read = |path: &str| std::fs::read_to_string(pod.path(path)).unwrap();
    assert_eq!((read("src/coverage.xml"), read("src/dist/app")), ("<later/>".to_owned(), "app".to_owned()));
    let left: Vec<_> = std::fs::read_dir(pod.path("src")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
    assert_eq!(reason(fetch(&pod, &standin, &[&format!("sha256:{}", "0".repeat(64))])), Reason::ArtifactMissing);
}

#[test]
fn a_link_to_a_credential_is_not_kept() {
    let standin = registry::start(registry::Manner::default());
    let pod = Pod::new();
    let secret = pod.write("credentials/token", "hunter2");
    pod.write("src/dist/app", "app");
    symlink(&secret, pod.path("src/token")).unwrap();
    symlink(pod.path("credentials"), pod.path("src/folder")).unwrap();
    symlink("/proc/self/environ", pod.path("src/dist/environ")).unwrap();
    for path in ["token", "folder", "folder/token", "dist", "../credentials/token", secret.as_str(), "none"] {
        assert_eq!(reason(save(&pod, &standin, &[path])), Reason::ArtifactMissing, "{path}");
    }
    assert!(standin.stored.lock().unwrap().requests.is_empty());
    std::fs::File::create(pod.path("src/big")).unwrap().set_len(65 * 1024 * 1024).unwrap();
    assert_eq!(reason(save(&pod, &standin, &["big"])), Reason::ArtifactTooLarge);
}

#[test]
fn several_logins_become_one_file_for_its_owner_alone() {
    let pod = Pod::new();
    let one = pod.write("one/.dockerconfigjson", r#"{"auths":{"r.dev":{"auth":"MTox"}}}"#);
    let two = pod.write("two/.dockerconfigjson", r#"{"auths":{"r.dev":{"auth":"Mjoy"},"x.dev":{"auth":"Mzoz"}}}"#);
    let into = pod.path("docker");
    for _ in 0..2 {
        let (_, report, said) = pod.run(&["login", "--from", &one, "--from", &two, "--into", &into]);
        assert!(matches!(report, Report::Passed(_)), "{said}");
        assert!(!said.contains("MTox") && !said.contains("Mzoz"), "{said}");
    }
    let merged = std::fs::read_to_string(pod.path("docker/config.json")).unwrap();
    assert_eq!(merged, r#"{"auths":{"r.dev":{"auth":"MTox"},"x.dev":{"auth":"Mzoz"}}}"#);
    let mode = std::fs::metadata(pod.path("docker/config.json")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let broken = pod.write("broken", r#"{"auths":"hunter2"}"#);
    let (_, report, said) = pod.run(&["login", "--from", &one, "--from", &broken, "--into", &into]);
    assert_eq!(reason(report), Reason::RegistryCredentialInvalid);
    assert!(!said.contains("hunter2"), "{said}");
    assert_eq!(reason(pod.run(&["login", "--from", "/nowhere", "--into", &into]).1), Reason::StepFailed);
}

#[test]
fn a_commit_that_changes_nothing_wanted_is_not_built() {
    let mut repository = git::Repository::new();
    let base = repository.commit("one");
    repository.write("docs/a.md", "x");
    let commit = repository.commit("two");
    let server = git::serve(repository.root.path(), git::Manner::default());
    let build = |more: &[&str]| {
        let pod = Pod::new();
        let (_, report, said) = pod.clone(&server.origin, &commit, more);
        assert_eq!(Path::new(&pod.path("steps/clone.json")).exists(), matches!(report, Report::Cloned(_)));
        (report, said)
    };
    let skipped = |more: &[&str]| reason(build(&[&["--base", &base], more].concat()).0);
    assert_eq!(skipped(&["--exclude", "docs/**", "--exclude", "/file"]), Reason::NothingChanged);
    assert_eq!(skipped(&["--include", "-x"]), Reason::NothingChanged);
    assert_eq!(skipped(&["--include", ""]), Reason::GitSourceInvalid);
    let missing = "1".repeat(40);
    let all = ["--exclude", "*"];
    for more in [
        &["--base", &base][..],
        &["--base", &base, "--include", "docs/"],
        // Lost by a force-push: everything counts as changed.
        &[&["--base", &missing], &all[..]].concat(),
        &all,
    ] {
        let (report, said) = build(more);
        assert!(matches!(report, Report::Cloned(_)), "{more:?}: {said}");
    }
    assert!(build(&["--base", &missing]).1.contains("taking everything as changed"));
}

#[test]
fn submodules_come_when_they_are_asked_for() {
    let mut shop = git::Repository::new();
    let mut lib = shop.beside("lib");
    let wanted = lib.commit("lib");
    shop.link("lib", "../lib.git", &wanted);
    let commit = shop.commit("shop");
    shop.link("evil", "ext::sh -c id", &wanted);
    let evil = shop.commit("evil");
    let manner = git::Manner { authorization: Some("Basic Z2l0Omh1bnRlcjI=".to_owned()), ..git::Manner::default() };
    let server = git::serve(shop.root.path(), manner);
    let clone = |commit: &str, more: &[&str]| {
        let pod = Pod::new();
        pod.write("git/password", "hunter2");
        let secret = pod.path("git");
        let (_, report, said) = pod.clone(&server.origin, commit, &[&["--credentials", &secret], more].concat());
        assert!(!said.contains("hunter2"), "{said}");
        (report, Path::new(&pod.path("src/lib/file")).exists())
    };
    assert!(matches!(clone(&commit, &["--submodules"]), (Report::Cloned(_), true)));
    assert!(matches!(clone(&commit, &[]), (Report::Cloned(_), false)));
    assert_eq!(reason(clone(&evil, &["--submodules"]).0), Reason::SubmoduleUnavailable);
}

/// Writes until the disk is full, in a file system of its own.
#[test]
#[ignore = "needs root, to mount a small tmpfs"]
fn a_full_disk_is_its_own_reason() {
    struct Small(String);
    impl Drop for Small {
        fn drop(&mut self) {
            let _ = std::process::Command::new("umount").arg(&self.0).status();
        }
    }
    let small = |pod: &Pod, name: &str| {
        std::fs::create_dir_all(pod.path(name)).unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=256k", "none", &pod.path(name)];
        assert!(std::process::Command::new("mount").args(mount).status().unwrap().success());
        Small(pod.path(name))
    };
    let noise: String =
        (0..400_000_u32).map(|n| char::from(33 + (n.wrapping_mul(2_654_435_761) >> 25) as u8 % 90)).collect();

    let mut repository = git::Repository::new();
    repository.write("big", &noise);
    let commit = repository.commit("big");
    let server = git::serve(repository.root.path(), git::Manner::default());
    let pod = Pod::new();
    let _src = small(&pod, "src");
    let (_, report, said) = pod.clone(&server.origin, &commit, &[]);
    assert_eq!(reason(report), Reason::DiskFull, "{said}");

    let standin = registry::start(registry::Manner::default());
    let full = Pod::new();
    full.write("src/big", &noise);
    let saved = save(&full, &standin, &["big"]);
    let Report::Saved(saved) = saved else { panic!("{saved:?}") };
    let pod = Pod::new();
    let _src = small(&pod, "src");
    assert_eq!(reason(fetch(&pod, &standin, &[&saved.digest])), Reason::DiskFull);

    full.write("steps/clone.json", &format!(r#"{{"commit":"{}"}}"#, "7".repeat(40)));
    registry::layout(Path::new(&full.path("out")), &[noise.as_bytes()]);
    let Report::Pushed(pushed) = full.push(&standin.host, &[]).1 else { panic!() };
    let pod = Pod::new();
    let _out = small(&pod, "out");
    let (layout, repository) = (pod.path("out"), format!("{}/acme/shop", standin.host));
    let pull =
        [&["pull", "--digest", &pushed.digest, "--layout", &layout][..], &access(&standin, &repository)].concat();
    assert_eq!(reason(pod.run(&pull).1), Reason::DiskFull);
}
