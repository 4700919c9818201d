//! What is kept beside images, and what comes back: artifacts, referrers, layouts; against a stand-in, and against the
//! distribution project's own registry where its program is at hand.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

mod support;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::{Manner, Standin, digest, layout, start};
use switchyard_registry::{
    ARTIFACT_TYPE, Attachment, Digest, Error, Layout, Login, Reference, Registry, parse_reference,
};

fn registry(host: &str) -> (Registry, Reference) {
    let _ = rustls::crypto::ring::default_provider().install_default();
    (Registry::new([host.to_owned()]).unwrap(), parse_reference(&format!("{host}/acme/shop")).unwrap())
}

fn ann() -> Login {
    Login::new("ann", "secret")
}

fn bearer() -> Manner {
    Manner { bearer: true, ..Manner::default() }
}

struct Files {
    root: tempfile::TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { root: tempfile::tempdir().unwrap() };
        std::fs::write(files.path("report.json"), r#"{"SchemaVersion":2}"#).unwrap();
        std::fs::write(files.path("sbom.json"), r#"{"bomFormat":"CycloneDX"}"#).unwrap();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }
}

fn attachments<'a>(report: &'a Path, sbom: &'a Path) -> [Attachment<'a>; 2] {
    [
        Attachment {
            artifact_type: "application/x.report",
            media_type: "application/json",
            title: "report.json",
            path: report,
        },
        Attachment {
            artifact_type: "application/x.sbom",
            media_type: "application/x.sbom",
            title: "sbom.json",
            path: sbom,
        },
    ]
}

/// An image in the registry, and two files attached to it.
async fn attach(host: &str, files: &Files, login: Option<&Login>) -> (Digest, Result<Vec<Digest>, Error>) {
    let (registry, repository) = registry(host);
    layout(&files.path("out"), &[b"one"]);
    let opened = Layout::open(&files.path("out")).await.unwrap();
    let pushed = registry.push_layout(&opened, &repository, &["1.0".to_owned()], login).await.unwrap();
    let (report, sbom) = (files.path("report.json"), files.path("sbom.json"));
    let attached = registry.attach(&repository, &pushed.digest, &attachments(&report, &sbom), login).await;
    (pushed.digest, attached)
}

fn manifest(standin: &Standin, name: &str) -> Option<Value> {
    let stored = standin.stored.lock().unwrap();
    stored.manifests.get(name).map(|manifest| serde_json::from_slice(manifest).unwrap())
}

#[tokio::test]
async fn what_belongs_to_an_image_names_it_as_its_subject() {
    let files = Files::new();
    for manner in [Manner { referrers: true, ..bearer() }, bearer(), Manner { basic: true, ..Manner::default() }] {
        let lists = manner.referrers;
        let standin = start(manner);
        let (image, attached) = attach(&standin.host, &files, Some(&ann())).await;
        let attached = attached.unwrap();
        for (digest, kind, file) in
            [(&attached[0], "application/x.report", "report.json"), (&attached[1], "application/x.sbom", "sbom.json")]
        {
            let found = manifest(&standin, digest.as_str()).unwrap();
            assert_eq!((&found["artifactType"], &found["subject"]["digest"]), (&json!(kind), &json!(image.as_str())));
            assert_eq!(found["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
            assert_eq!(found["layers"][0]["annotations"]["org.opencontainers.image.title"], file);
            let blob = found["layers"][0]["digest"].as_str().unwrap();
            let stored = standin.stored.lock().unwrap();
            assert_eq!(stored.blobs[blob], std::fs::read(files.path(file)).unwrap());
        }
        let tag = format!("sha256-{}", image.hex());
        if lists {
            assert!(manifest(&standin, &tag).is_none());
        } else {
            let listed = manifest(&standin, &tag).unwrap();
            let digests: Vec<&str> =
                listed["manifests"].as_array().unwrap().iter().map(|m| m["digest"].as_str().unwrap()).collect();
            assert_eq!(digests, attached.iter().map(Digest::as_str).collect::<Vec<_>>());
            assert_eq!(listed["manifests"][1]["artifactType"], "application/x.sbom");
            // Once more is no more.
            let (_, again) = attach(&standin.host, &files, Some(&ann())).await;
            assert_eq!((again.unwrap(), manifest(&standin, &tag).unwrap()), (attached, listed));
        }
    }
}

#[tokio::test]
async fn a_list_that_others_write_keeps_their_lines_and_gets_ours() {
    let files = Files::new();
    let standin = start(Manner { rivals: 2, ..Manner::default() });
    let (image, attached) = attach(&standin.host, &files, None).await;
    let listed = manifest(&standin, &format!("sha256-{}", image.hex())).unwrap();
    let digests: Vec<&str> =
        listed["manifests"].as_array().unwrap().iter().map(|m| m["digest"].as_str().unwrap()).collect();
    let attached = attached.unwrap();
    assert_eq!(digests, ["sha256:rival", attached[0].as_str(), attached[1].as_str()]);
    assert_eq!(listed["annotations"]["by"], "rival");

    let endless = start(Manner { rivals: 100, ..Manner::default() });
    let (_, lost) = attach(&endless.host, &files, None).await;
    assert!(
        matches!(&lost, Err(Error::ServerError { why, .. }) if why.contains("something else writes it")),
        "{lost:?}"
    );
}

#[tokio::test]
async fn a_registry_that_takes_no_artifacts_says_so() {
    let files = Files::new();
    for (status, passes) in
        [("400 Bad Request", false), ("403 Forbidden", false), ("503 Later", true), ("429 Slow", true)]
    {
        let standin = start(Manner { no_artifacts: Some(status), ..Manner::default() });
        let (_, refused) = attach(&standin.host, &files, None).await;
        assert_eq!(refused.unwrap_err().passes(), passes, "{status}");
    }
}

#[tokio::test]
async fn an_artifact_has_a_digest_and_no_tag() {
    let files = Files::new();
    let archive = files.path("archive");
    std::fs::write(&archive, vec![7; 500_000]).unwrap();
    let standin = start(bearer());
    let (registry, repository) = registry(&standin.host);
    let (login, stranger) = (ann(), Login::new("ann", "wrong"));
    let saved = registry.push_artifact(&archive, &repository, Some(&login)).await.unwrap();
    let found = manifest(&standin, saved.digest.as_str()).unwrap();
    assert_eq!((&found["artifactType"], &found["layers"][0]["size"]), (&json!(ARTIFACT_TYPE), &json!(500_000)));
    assert!(standin.stored.lock().unwrap().manifests.keys().all(|name| name.starts_with("sha256:")));
    assert_eq!(registry.push_artifact(&archive, &repository, Some(&login)).await.unwrap(), saved);

    let pull = async |digest: &Digest, cap, login: &Login| {
        let mut content = Vec::new();
        let pulled = registry.pull_artifact(&repository, digest, cap, &mut content, Some(login)).await;
        pulled.map(|()| content)
    };
    assert_eq!(pull(&saved.digest, 500_000, &login).await.unwrap(), vec![7; 500_000]);
    assert!(matches!(pull(&saved.digest, 499_999, &login).await, Err(Error::TooLarge { .. })));
    assert!(matches!(pull(&saved.digest, 500_000, &stranger).await, Err(Error::Unauthorized { .. })));
    assert!(matches!(pull(&Digest::of(b"none"), 1, &login).await, Err(Error::NotFound { .. })));
    // An image is nothing that a check left.
    layout(&files.path("out"), &[b"one"]);
    let opened = Layout::open(&files.path("out")).await.unwrap();
    let image = registry.push_layout(&opened, &repository, &[], Some(&login)).await.unwrap();
    assert!(matches!(pull(&image.digest, 9999, &login).await, Err(Error::ServerError { .. })));
    // The registry serves other bytes than it was given.
    let blob = found["layers"][0]["digest"].as_str().unwrap().to_owned();
    for other in [vec![8; 500_000], vec![7; 499_999], vec![7; 500_001]] {
        standin.stored.lock().unwrap().blobs.insert(blob.clone(), other);
        assert!(matches!(pull(&saved.digest, 500_000, &login).await, Err(Error::ServerError { .. })));
    }
    standin.stored.lock().unwrap().manifests.insert(saved.digest.to_string(), b"{}".to_vec());
    assert!(matches!(pull(&saved.digest, 500_000, &login).await, Err(Error::Mismatch { .. })));
}

#[tokio::test]
async fn an_image_comes_back_as_the_layout_it_was() {
    let files = Files::new();
    let standin = start(bearer());
    let (registry, repository) = registry(&standin.host);
    let login = ann();
    let expected = layout(&files.path("out"), &[b"one", b"two"]);
    let opened = Layout::open(&files.path("out")).await.unwrap();
    let pushed = registry.push_layout(&opened, &repository, &[], Some(&login)).await.unwrap();
    let pull = async |digest: &Digest, into: &str| {
        registry.pull_layout(&repository, digest, &files.path(into), Some(&login)).await
    };

    let pulled = pull(&pushed.digest, "back").await.unwrap();
    assert_eq!((pulled.image.as_str(), pulled.size), (expected.as_str(), opened.size));
    let back = Layout::open(&files.path("back")).await.unwrap();
    assert_eq!((&back.digest, &back.config), (&opened.digest, &opened.config));
    assert_eq!(registry.config(&repository, &pushed.digest, Some(&login)).await.unwrap(), opened.config);

    // Of an index, the image for this machine; and an index of none for Linux.
    let index = |os: &str| {
        let entry = |digest: &str, os: &str| {
            json!({"mediaType": "m", "digest": digest, "size": 1,
            "platform": {"os": os, "architecture": "amd64"}})
        };
        let content = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry(&digest(b"windows"), "windows"), entry(&expected, os)]});
        let content = content.to_string().into_bytes();
        let name = digest(&content);
        standin.stored.lock().unwrap().manifests.insert(name.clone(), content);
        Digest::parse(&name).unwrap()
    };
    let pulled = pull(&index("linux"), "of-index").await.unwrap();
    assert_eq!(pulled.image.as_str(), expected);
    assert_eq!(Layout::open(&files.path("of-index")).await.unwrap().digest, opened.digest);
    assert!(matches!(pull(&index("plan9"), "none").await, Err(Error::ServerError { .. })));
    assert!(matches!(pull(&Digest::of(b"none"), "none").await, Err(Error::NotFound { .. })));
    // What cannot be written.
    std::fs::write(files.path("file"), "").unwrap();
    assert!(matches!(pull(&pushed.digest, "file").await, Err(Error::Io { .. })));
}

#[tokio::test]
async fn a_tag_that_cannot_be_moved_may_be_set_twice_to_the_same() {
    let files = Files::new();
    let standin = start(Manner { immutable: true, ..bearer() });
    let (registry, repository) = registry(&standin.host);
    let login = ann();
    let push = async |layer: &[u8]| {
        let directory = tempfile::tempdir_in(files.root.path()).unwrap();
        layout(directory.path(), &[layer]);
        let opened = Layout::open(directory.path()).await.unwrap();
        registry.push_layout(&opened, &repository, &["1.0".to_owned()], Some(&login)).await
    };
    let first = push(b"one").await.unwrap();
    assert_eq!(push(b"one").await.unwrap().digest, first.digest);
    let refused = push(b"two").await.unwrap_err();
    assert!(matches!(&refused, Error::TagImmutable { what, .. } if what == "acme/shop:1.0"), "{refused:?}");
}

/// `SWITCHYARD_REGISTRY_PROGRAM` names the program (https://github.com/distribution/distribution, v3).
#[tokio::test]
#[ignore = "needs the distribution project's registry"]
async fn the_real_registry_keeps_all_of_it() {
    let program = std::env::var("SWITCHYARD_REGISTRY_PROGRAM").expect("SWITCHYARD_REGISTRY_PROGRAM names the program");
    let files = Files::new();
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let host = format!("127.0.0.1:{port}");
    let config = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {host}\n",
        files.path("registry").display()
    );
    std::fs::write(files.path("config.yml"), config).unwrap();
    let mut server = std::process::Command::new(program).arg("serve").arg(files.path("config.yml")).spawn().unwrap();
    while tokio::net::TcpStream::connect(&host).await.is_err() {
        assert!(server.try_wait().unwrap().is_none(), "the registry ended");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let (image, attached) = attach(&host, &files, None).await;
    let attached = attached.unwrap();
    let (_, again) = attach(&host, &files, None).await;
    let (registry, repository) = registry(&host);
    let list = parse_reference(&format!("{host}/acme/shop:sha256-{}", image.hex())).unwrap();
    let listed = registry.resolve(&list, None).await;
    let pulled = registry.pull_layout(&repository, &image, &files.path("back"), None).await;
    let saved = registry.push_artifact(&files.path("sbom.json"), &repository, None).await;
    let mut content = Vec::new();
    let fetched = match &saved {
        Ok(saved) => registry.pull_artifact(&repository, &saved.digest, 999, &mut content, None).await,
        Err(error) => Err(error.clone()),
    };
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(again, Ok(attached));
    assert!(listed.is_ok(), "{listed:?}");
    assert_eq!(pulled.unwrap().image, image);
    assert_eq!((fetched, content), (Ok(()), std::fs::read(files.path("sbom.json")).unwrap()));
}
