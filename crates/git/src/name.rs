//! Names that may reach a Git process. Whoever holds one of these types holds a checked name.

use std::fmt;

use crate::Error;

/// Longer than any name a person gives, shorter than what a file system refuses.
const MAX_NAME: usize = 200;

/// A full commit hash: 40 lower-case hexadecimal digits (SHA-1) or 64 (SHA-256).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(String);

impl CommitId {
    /// Checks a hash; upper-case digits are lowered.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if !matches!(text.len(), 40 | 64) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            let shown: String = text.chars().take(80).collect();
            return Err(Error::BadName { name: shown, why: "a commit is 40 or 64 hexadecimal digits" });
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    /// The hash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first seven digits, for names and tags.
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }

    /// The hash function, as `git init --object-format` names it.
    pub(crate) fn object_format(&self) -> &'static str {
        if self.0.len() == 64 { "sha256" } else { "sha1" }
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A branch without `refs/heads/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BranchName(String);

/// A tag without `refs/tags/`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagName(String);

/// What stands before `X.Y.Z` in a version tag: usually `v`, may be empty, may hold slashes (`web/v`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TagPrefix(String);

macro_rules! name {
    ($type:ident, $check:expr) => {
        impl $type {
            /// Checks a name by the rules of `git check-ref-format`, and that it is no option.
            pub fn parse(text: &str) -> Result<Self, Error> {
                let check: fn(&str) -> Result<(), &'static str> = $check;
                match check(text) {
                    Ok(()) => Ok(Self(text.to_owned())),
                    Err(why) => Err(Error::BadName { name: text.chars().take(80).collect(), why }),
                }
            }

            /// The name as it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(BranchName, check_ref);
name!(TagName, check_ref);
// A prefix is checked as the tag it would make.
name!(TagPrefix, |prefix| check_ref(&format!("{prefix}0.0.0")));

/// Which ref of a remote.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefName {
    /// Whatever the remote's HEAD points at.
    Head,
    /// A branch.
    Branch(BranchName),
    /// A tag; an annotated one means the commit it points at.
    Tag(TagName),
}

impl RefName {
    /// As Git names it in full.
    pub fn full(&self) -> String {
        match self {
            RefName::Head => "HEAD".to_owned(),
            RefName::Branch(branch) => format!("refs/heads/{branch}"),
            RefName::Tag(tag) => format!("refs/tags/{tag}"),
        }
    }
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefName::Head => f.write_str("HEAD"),
            RefName::Branch(branch) => write!(f, "branch {branch}"),
            RefName::Tag(tag) => write!(f, "tag {tag}"),
        }
    }
}

/// The rules of git-check-ref-format(1) for what follows `refs/heads/`, and no leading `-`.
fn check_ref(name: &str) -> Result<(), &'static str> {
    if name.is_empty() {
        return Err("it is empty");
    }
    if name.len() > MAX_NAME {
        return Err("it is longer than 200 bytes");
    }
    if name.starts_with('-') {
        return Err("it starts with a dash");
    }
    if name == "@" || name == "HEAD" {
        return Err("it is a name that Git keeps for itself");
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c)) {
        return Err("it has a space, a control character or one of ~ ^ : ? * [ \\");
    }
    if name.contains("..") || name.contains("@{") || name.ends_with('.') {
        return Err("it has '..' or '@{', or ends with a dot");
    }
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.strip_suffix(".lock").is_some()) {
        return Err("a part between slashes is empty, starts with a dot or ends with .lock");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_people_use() {
        for name in ["main", "feature/x-1", "release/1.x", "dependabot/npm_and_yarn/a-1.2", "größe", "a@b", "x#1"] {
            assert_eq!(BranchName::parse(name).map(|b| b.as_str().to_owned()), Ok(name.to_owned()));
        }
    }

    #[test]
    fn names_that_git_refuses_or_reads_as_something_else() {
        for name in [
            "",
            "-x",
            "--upload-pack=touch /tmp/x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "@",
            "HEAD",
            "a@{1}",
            "/a",
            "a/",
            "a//b",
            ".a",
            "a/.b",
            "a.lock",
            "a.lock/b",
            "a.",
            "a\nb",
            "a\u{7f}",
            "a\0",
        ] {
            assert!(BranchName::parse(name).is_err(), "{name:?}");
        }
        assert!(BranchName::parse(&"a".repeat(201)).is_err());
    }

    #[test]
    fn our_rules_are_no_wider_than_gits() {
        for name in ["main", "a@b", "x#1", "größe", "a/b.c", "{x}", "a@", "$(id)", "a;b", "a'b", "a\"b"] {
            let ours = BranchName::parse(name).is_ok();
            let full = format!("refs/heads/{name}");
            let git = std::process::Command::new("git").args(["check-ref-format", &full]).status().unwrap().success();
            assert!(!ours || git, "{name}");
        }
    }

    #[test]
    fn prefixes() {
        for prefix in ["", "v", "web/v", "release-"] {
            assert!(TagPrefix::parse(prefix).is_ok(), "{prefix}");
        }
        for prefix in ["-", "v*", "v ", "..", "/"] {
            assert!(TagPrefix::parse(prefix).is_err(), "{prefix}");
        }
    }

    #[test]
    fn commits() {
        let id = CommitId::parse(&"AB".repeat(20)).unwrap();
        assert_eq!((id.as_str(), id.short(), id.object_format()), (&*"ab".repeat(20), "abababa", "sha1"));
        assert_eq!(CommitId::parse(&"0".repeat(64)).unwrap().object_format(), "sha256");
        for text in ["", "abc", "-0", &"g".repeat(40), &"a".repeat(41), "main"] {
            assert!(CommitId::parse(text).is_err(), "{text}");
        }
    }
}
