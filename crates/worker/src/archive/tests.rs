use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;

struct Place {
    root: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { root: tempfile::tempdir().unwrap() };
        std::fs::create_dir(place.src()).unwrap();
        std::fs::create_dir(place.root.path().join("credentials")).unwrap();
        std::fs::write(place.root.path().join("credentials/token"), "hunter2").unwrap();
        place
    }

    fn src(&self) -> PathBuf {
        self.root.path().join("src")
    }

    fn source(&self) -> Source {
        Source::root(&self.src()).unwrap()
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.src().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn pack(&self, paths: &[&str]) -> Result<Vec<u8>, Failure> {
        let paths: Vec<String> = paths.iter().map(|path| (*path).to_owned()).collect();
        let mut archive = Vec::new();
        pack(&self.source(), &paths, &mut archive).map(|_| archive)
    }
}

/// A `.tar.gz` of entries as a hostile tool makes them: the path is written into the header as it stands.
fn made(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.set_link_name_literal(content).unwrap();
            header.set_size(0);
            header.set_cksum();
            archive.append(&header, io::empty()).unwrap();
        } else {
            header.set_size(content.len() as u64);
            header.set_cksum();
            archive.append(&header, content.as_bytes()).unwrap();
        }
    }
    archive.into_inner().unwrap().finish().unwrap()
}

#[test]
fn what_is_packed_is_unpacked() {
    let place = Place::new();
    place.write("coverage.xml", "<coverage/>");
    place.write("dist/deep/app", "run");
    place.write("dist/\u{fc}ber", "x");
    place.write("left", "not asked for");
    let app = place.src().join("dist/deep/app");
    std::fs::set_permissions(&app, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::create_dir(place.src().join("dist/empty")).unwrap();
    let archive = place.pack(&["coverage.xml", "dist"]).unwrap();
    assert_eq!(archive, place.pack(&["coverage.xml", "dist"]).unwrap(), "the same files make the same archive");

    let other = Place::new();
    other.write("coverage.xml", "older and longer than the other");
    assert_eq!(unpack(&archive[..], &other.source()).unwrap(), 15);
    let read = |path: &str| std::fs::read_to_string(other.src().join(path)).unwrap();
    assert_eq!(
        (read("coverage.xml"), read("dist/deep/app"), read("dist/\u{fc}ber")),
        ("<coverage/>".into(), "run".into(), "x".into())
    );
    assert!(other.src().join("dist/empty").is_dir() && !other.src().join("left").exists());
    let mode = |path: &str| std::fs::metadata(other.src().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("coverage.xml"), mode("dist/deep/app"), mode("dist/deep")), (0o664, 0o775, 0o775));
}

#[test]
fn what_is_packed_stands_below_the_source_and_is_no_link() {
    let place = Place::new();
    place.write("dist/app", "x");
    place.write(".git/config", "x");
    symlink("../credentials/token", place.src().join("token")).unwrap();
    symlink("../credentials", place.src().join("folder")).unwrap();
    symlink("/proc/self/environ", place.src().join("dist/environ")).unwrap();
    for path in [
        "none",
        "token",
        "folder",
        "folder/token",
        "dist",
        "dist/environ",
        "/etc/hostname",
        "..",
        "../credentials",
        ".",
        ".git",
    ] {
        let refused = place.pack(&[path]).unwrap_err();
        assert_eq!(refused.reason, Reason::ArtifactMissing, "{path}: {refused:?}");
    }
    assert!(place.pack(&["dist/app"]).is_ok());
}

#[test]
fn what_is_too_large_is_not_kept() {
    let place = Place::new();
    place.write("one", "x");
    let big = File::create(place.src().join("big")).unwrap();
    big.set_len(MAX_CONTENT).unwrap();
    assert!(place.pack(&["big"]).is_ok());
    assert_eq!(place.pack(&["one", "big"]).unwrap_err().reason, Reason::ArtifactTooLarge);
    let deep = vec!["d"; MAX_DEPTH + 2].join("/");
    place.write(&format!("{deep}/file"), "x");
    assert_eq!(place.pack(&["d"]).unwrap_err().reason, Reason::ArtifactTooLarge);
}

#[test]
fn what_leads_out_of_the_source_is_not_made() {
    let target = tempfile::tempdir().unwrap();
    let target = target.path().join("target");
    let absolute = target.to_str().unwrap().to_owned();
    for (path, kind, content) in [
        ("../credentials/token", EntryType::Regular, "evil"),
        ("a/../../credentials/token", EntryType::Regular, "evil"),
        (absolute.as_str(), EntryType::Regular, "evil"),
        (".git/config", EntryType::Regular, "evil"),
        (".git/hooks", EntryType::Directory, ""),
        ("link", EntryType::Symlink, "../credentials"),
        ("hard", EntryType::Link, "../credentials/token"),
        ("device", EntryType::Char, ""),
        ("pipe", EntryType::Fifo, ""),
    ] {
        let place = Place::new();
        std::fs::create_dir(place.src().join(".git")).unwrap();
        let refused = unpack(&made(&[(path, kind, content)])[..], &place.source());
        assert_eq!(refused.unwrap_err().reason, Reason::StepFailed, "{path}");
        assert!(
            !target.exists() && std::fs::symlink_metadata(place.src().join(path)).is_err() || path.starts_with(".."),
            "{path}"
        );
        let token = std::fs::read_to_string(place.root.path().join("credentials/token")).unwrap();
        assert_eq!(token, "hunter2", "{path}");
    }
}

#[test]
fn a_link_of_the_source_is_replaced_and_never_followed() {
    let place = Place::new();
    symlink("../credentials/token", place.src().join("token")).unwrap();
    symlink("../credentials", place.src().join("folder")).unwrap();
    let token = || std::fs::read_to_string(place.root.path().join("credentials/token")).unwrap();
    unpack(&made(&[("token", EntryType::Regular, "new")])[..], &place.source()).unwrap();
    assert_eq!(std::fs::read_to_string(place.src().join("token")).unwrap(), "new");
    let refused = unpack(&made(&[("folder/token", EntryType::Regular, "evil")])[..], &place.source());
    assert!(refused.is_err());
    let refused = unpack(&made(&[("folder", EntryType::Directory, "")])[..], &place.source());
    assert!(refused.is_err());
    assert_eq!(token(), "hunter2");
}

#[test]
fn a_bomb_is_cut() {
    let zeros = "\0".repeat(usize::try_from(MAX_CONTENT).unwrap() + 1);
    let place = Place::new();
    let refused = unpack(&made(&[("bomb", EntryType::Regular, &zeros)])[..], &place.source()).unwrap_err();
    assert_eq!(refused.reason, Reason::ArtifactTooLarge);
    assert!(!place.src().join("bomb").exists());
    for broken in [&b""[..], b"no gzip", &made(&[("a", EntryType::Regular, "x")])[..20]] {
        assert!(unpack(broken, &place.source()).is_err());
    }
}
