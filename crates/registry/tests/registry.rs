//! Against a stand-in on loopback: what each answer of a registry means, and that a push changes nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod support;

use std::time::Duration;

use support::{Manner, Standin, digest, layout, start};
use switchyard_registry::{Digest, Error, Layout, Login, Reference, Registry, parse_reference};

fn registry(standin: &Standin) -> Registry {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Registry::new([standin.host.clone()]).unwrap()
}

fn image(standin: &Standin, rest: &str) -> Reference {
    parse_reference(&format!("{}/acme/shop{rest}", standin.host)).unwrap()
}

fn with_manifest(manner: Manner) -> (Standin, Digest) {
    let standin = start(manner);
    let content = br#"{"schemaVersion":2}"#.to_vec();
    let digest = Digest::of(&content);
    let mut stored = standin.stored.lock().unwrap();
    stored.manifests.insert("1.0".to_owned(), content.clone());
    stored.manifests.insert(digest.to_string(), content);
    drop(stored);
    (standin, digest)
}

fn ann() -> Login {
    Login::new("ann", "secret")
}

fn bearer() -> Manner {
    Manner { bearer: true, ..Manner::default() }
}

fn basic() -> Manner {
    Manner { basic: true, ..Manner::default() }
}

#[tokio::test]
async fn a_tag_and_a_digest_resolve() {
    for manner in [Manner::default(), Manner { mute: true, ..Manner::default() }] {
        let (standin, digest) = with_manifest(manner);
        let registry = registry(&standin);
        for rest in [":1.0".to_owned(), format!("@{digest}")] {
            assert_eq!(registry.resolve(&image(&standin, &rest), None).await, Ok(digest.clone()), "{rest}");
        }
        let gone = registry.resolve(&image(&standin, ":2.0"), None).await.unwrap_err();
        assert_eq!(gone, Error::NotFound { registry: standin.host.clone(), what: "acme/shop:2.0".to_owned() });
    }
}

#[tokio::test]
async fn a_login_is_used_and_a_wrong_one_is_never_an_anonymous_one() {
    for manner in [bearer(), basic()] {
        let (standin, digest) = with_manifest(manner);
        let (registry, image) = (registry(&standin), image(&standin, ":1.0"));
        assert_eq!(registry.resolve(&image, Some(&ann())).await, Ok(digest));
        for login in [None, Some(Login::new("ann", "wrong"))] {
            let refused = registry.resolve(&image, login.as_ref()).await.unwrap_err();
            assert!(matches!(refused, Error::Unauthorized { .. }), "{refused:?}");
            assert!(!refused.to_string().contains("wrong"));
        }
    }
}

#[tokio::test]
async fn refusals_have_names() {
    let refused = |status, headers| Manner { refuse: Some(("HEAD", status, headers)), ..Manner::default() };
    let ask = async |manner| {
        let (standin, _) = with_manifest(manner);
        registry(&standin).resolve(&image(&standin, ":1.0"), None).await.unwrap_err()
    };
    for (headers, expected) in [
        ("Retry-After: 7\r\n", Some(7)),
        ("Retry-After: 999999\r\n", Some(3600)),
        ("Retry-After: soon\r\n", None),
        ("", None),
    ] {
        let many = ask(refused("429 Too Many Requests", headers)).await;
        let Error::TooManyRequests { retry_after, .. } = many else { panic!("{many:?}") };
        assert_eq!(retry_after, expected.map(Duration::from_secs), "{headers:?}");
    }
    assert!(matches!(ask(refused("403 Forbidden", "")).await, Error::Denied { .. }));
    assert!(matches!(ask(refused("503 Service Unavailable", "")).await, Error::ServerError { .. }));
    assert!(matches!(ask(refused("204 No Content", "")).await, Error::ServerError { .. }));
    let flood = ask(Manner { flood: Some(5 * 1024 * 1024), ..Manner::default() }).await;
    assert!(matches!(flood, Error::ServerError { .. }), "{flood:?}");
    let token = Manner { realm: Some("gopher://x/".to_owned()), ..bearer() };
    assert!(matches!(ask(token).await, Error::ServerError { .. }));
}

#[tokio::test]
async fn nobody_there_is_unreachable() {
    let nobody = Standin { host: "127.0.0.1:9".to_owned(), stored: std::sync::Arc::default() };
    let down = registry(&nobody).resolve(&image(&nobody, ":1.0"), None).await.unwrap_err();
    assert!(matches!(&down, Error::Unreachable { why, .. } if why.contains("refused")), "{down:?}");
}

#[tokio::test]
async fn tls_is_spoken_unless_the_registry_is_named_insecure() {
    let (standin, _) = with_manifest(basic());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let strict = Registry::new(["127.0.0.1".to_owned()]).unwrap();
    let refused = strict.resolve(&image(&standin, ":1.0"), Some(&ann())).await.unwrap_err();
    assert!(matches!(refused, Error::Unreachable { .. }), "{refused:?}");
    assert!(standin.stored.lock().unwrap().requests.iter().all(|request| !request.contains("somebody")));
}

#[tokio::test]
async fn a_push_changes_no_byte_and_sends_nothing_twice() {
    let directory = tempfile::tempdir().unwrap();
    let big = vec![7; 3_000_000];
    let expected = layout(directory.path(), &[b"one", &big, b"one"]);
    let opened = Layout::open(directory.path()).await.unwrap();
    let tags = ["1.2.3".to_owned(), "main-7f3a91c".to_owned()];
    for manner in [Manner::default(), basic(), bearer(), Manner { no_location: true, ..Manner::default() }] {
        let standin = start(manner);
        let (registry, repository) = (registry(&standin), image(&standin, ""));
        let login = ann();
        let push = || registry.push_layout(&opened, &repository, &tags, Some(&login));
        let pushed = push().await.unwrap();
        assert_eq!(pushed.digest.as_str(), expected);
        assert!(pushed.uploaded > 3_000_000 && pushed.size > pushed.uploaded);
        {
            let stored = standin.stored.lock().unwrap();
            assert_eq!((stored.blobs.len(), stored.manifests.len()), (3, 3));
            assert!(stored.manifests.values().all(|manifest| digest(manifest) == expected));
        }
        assert_eq!(push().await.unwrap().uploaded, 0);
    }
}

#[tokio::test]
async fn a_push_that_is_refused_says_why() {
    let directory = tempfile::tempdir().unwrap();
    layout(directory.path(), &[b"one"]);
    let opened = Layout::open(directory.path()).await.unwrap();
    let push = async |manner, login: Option<Login>| {
        let standin = start(manner);
        let tags = ["1.0".to_owned()];
        let repository = image(&standin, "");
        registry(&standin).push_layout(&opened, &repository, &tags, login.as_ref()).await.unwrap_err()
    };
    let refused = |method, status| Manner { refuse: Some((method, status, "")), ..Manner::default() };
    assert!(matches!(push(basic(), None).await, Error::Unauthorized { .. }));
    assert!(matches!(push(bearer(), Some(Login::new("ann", "no"))).await, Error::Unauthorized { .. }));
    assert!(matches!(push(refused("POST", "403 Forbidden"), None).await, Error::Denied { .. }));
    let unauthorized = Manner { refuse: Some(("POST", "401 Unauthorized", "")), ..bearer() };
    assert!(matches!(push(unauthorized, Some(ann())).await, Error::Denied { .. }));
    assert!(matches!(push(refused("PUT", "429 Too Many Requests"), None).await, Error::TooManyRequests { .. }));
    assert!(matches!(push(refused("PUT", "500 Oops"), None).await, Error::ServerError { .. }));
    let corrupt = push(Manner { corrupt: true, ..Manner::default() }, None).await;
    assert!(matches!(corrupt, Error::Mismatch { .. }), "{corrupt:?}");
}

#[tokio::test]
async fn a_tag_that_is_none_is_refused_before_anything_is_sent() {
    let directory = tempfile::tempdir().unwrap();
    layout(directory.path(), &[b"one"]);
    let opened = Layout::open(directory.path()).await.unwrap();
    let standin = start(Manner::default());
    for tag in ["", "-x", ".x", "a/b", "a:b", "../x", &"a".repeat(129)] {
        let tags = [tag.to_owned()];
        let refused = registry(&standin).push_layout(&opened, &image(&standin, ""), &tags, None).await;
        assert!(matches!(refused, Err(Error::BadReference { .. })), "{tag}");
    }
    assert!(standin.stored.lock().unwrap().requests.is_empty());
}

#[tokio::test]
async fn a_layout_is_not_believed() {
    let broken = async |damage: &dyn Fn(&std::path::Path)| {
        let directory = tempfile::tempdir().unwrap();
        layout(directory.path(), &[b"one", b"two"]);
        damage(directory.path());
        match Layout::open(directory.path()).await {
            Err(Error::BadLayout(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    let blob = |directory: &std::path::Path, content: &[u8]| directory.join("blobs/sha256").join(&digest(content)[7..]);
    let gone = broken(&|directory| std::fs::remove_file(directory.join("index.json")).unwrap()).await;
    assert!(gone.contains("index.json cannot be opened"), "{gone}");
    let empty = broken(&|directory| std::fs::write(directory.join("index.json"), r#"{"manifests":[]}"#).unwrap()).await;
    assert!(empty.contains("0 images"), "{empty}");
    let missing = broken(&|directory| std::fs::remove_file(blob(directory, b"two")).unwrap()).await;
    assert!(missing.contains("cannot be opened"), "{missing}");
    let longer = broken(&|directory| std::fs::write(blob(directory, b"two"), "twoo").unwrap()).await;
    assert!(longer.contains("4 bytes instead of 3"), "{longer}");
    let other = broken(&|directory| std::fs::write(blob(directory, b"two"), "owt").unwrap()).await;
    assert!(other.contains("not what its name says"), "{other}");
    let link = broken(&|directory| {
        std::fs::remove_file(blob(directory, b"two")).unwrap();
        std::fs::write(directory.join("two"), "two").unwrap();
        std::os::unix::fs::symlink(directory.join("two"), blob(directory, b"two")).unwrap();
    })
    .await;
    assert!(link.contains("no plain file"), "{link}");
    let climbs = broken(&|directory| {
        let index = r#"{"manifests":[{"mediaType":"x","digest":"sha256:../../../etc/passwd","size":1}]}"#;
        std::fs::write(directory.join("index.json"), index).unwrap();
    })
    .await;
    assert!(climbs.contains("no sha256 digest"), "{climbs}");
}
