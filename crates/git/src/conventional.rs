//! A version for every commit, by Conventional Commits 1.0.0 and SemVer 2.0.0.
//!
//! Start at the highest release tag `<prefix>X.Y.Z` that the commit reaches, and walk the first-parent line from there
//! to the commit. Each step of that line raises the version once, by the strongest change that it brings (a merge
//! brings all commits of the branch it merges):
//!
//! | change | from 1.0.0 on | before 1.0.0 |
//! |---|---|---|
//! | breaking: `type!:`, or a footer `BREAKING CHANGE:` or `BREAKING-CHANGE:` | major | minor |
//! | `feat:` | minor | patch |
//! | everything else, conventional or not | patch | patch |
//!
//! A tagged commit has its tag's version. Without any tag the first commit is 0.1.0, as the SemVer FAQ has it; 1.0.0 is
//! never reached by itself but by a tag. Tags with a pre-release or build part do not count.
//!
//! So versions rise strictly along the first-parent line, and no two commits of it share one, until a person tags a
//! lower one. Two branches may give one version to two commits: images are told apart by digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A release: X.Y.Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u64,
    pub minor: u64,
    pub patch: u64,
}

impl Version {
    /// Where a history without a tag begins.
    pub const FIRST: Version = Version { major: 0, minor: 1, patch: 0 };

    /// Exactly three numbers without leading zeros.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|part| {
            let plain = part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            plain.then(|| part.parse::<u64>().ok()).flatten()
        });
        let version = Version { major: numbers.next()??, minor: numbers.next()??, patch: numbers.next()?? };
        numbers.next().is_none().then_some(version)
    }

    /// The version after a change.
    #[must_use]
    pub fn raised(self, change: Change) -> Self {
        let Version { major, minor, patch } = self;
        let change = match (change, major) {
            (Change::Breaking, 0) => Change::Feature,
            (Change::Feature | Change::Other, 0) | (Change::Other, _) => Change::Other,
            (Change::Breaking, _) => Change::Breaking,
            (Change::Feature, _) => Change::Feature,
        };
        match change {
            Change::Breaking => Version { major: major.saturating_add(1), minor: 0, patch: 0 },
            Change::Feature => Version { major, minor: minor.saturating_add(1), patch: 0 },
            Change::Other => Version { major, minor, patch: patch.saturating_add(1) },
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// What a commit says about itself; the greater is the stronger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    Other,
    Feature,
    Breaking,
}

impl Change {
    /// Reads a whole commit message.
    pub fn of(message: &str) -> Self {
        let mut lines = message.lines();
        let (kind, bang) = header(lines.next().unwrap_or_default()).unwrap_or_default();
        // Items 11 to 16 of the specification: upper case, at the start of a line, a value after it.
        let breaking = lines.any(|line| {
            ["BREAKING CHANGE: ", "BREAKING-CHANGE: "]
                .iter()
                .any(|token| line.strip_prefix(token).is_some_and(|value| !value.trim().is_empty()))
        });
        if bang || breaking {
            Change::Breaking
        } else if kind.eq_ignore_ascii_case("feat") {
            Change::Feature
        } else {
            Change::Other
        }
    }
}

/// `type(scope)!: description` as its type and whether the `!` stands there.
fn header(line: &str) -> Option<(&str, bool)> {
    let (head, description) = line.split_once(": ")?;
    let (head, bang) = head.strip_suffix('!').map_or((head, false), |head| (head, true));
    let kind = match head.split_once('(') {
        Some((kind, scope)) => {
            scope.strip_suffix(')').filter(|scope| !scope.is_empty())?;
            kind
        }
        None => head,
    };
    let word = !kind.is_empty() && kind.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_');
    (word && !description.trim().is_empty()).then_some((kind, bang))
}

/// A commit since the last tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    pub id: String,
    /// In Git's order: the first is the line the commit was made on.
    pub parents: Vec<String>,
    pub message: String,
}

/// The highest release among tag names.
pub fn highest<'a>(tags: impl IntoIterator<Item = &'a str>, prefix: &str) -> Option<(Version, &'a str)> {
    tags.into_iter().filter_map(|tag| Some((Version::parse(tag.strip_prefix(prefix)?)?, tag))).max()
}

/// The version of `head`, given every commit that it reaches and the tagged one does not, in any order.
pub fn version(tagged: Option<Version>, commits: &[Commit], head: &str) -> Version {
    let by_id: BTreeMap<&str, &Commit> = commits.iter().map(|commit| (commit.id.as_str(), commit)).collect();
    let mut line: Vec<&Commit> = Vec::new();
    let mut next = by_id.get(head);
    // A history has no cycles; the bound holds for input that is none.
    while let Some(commit) = next.filter(|_| line.len() < commits.len()) {
        line.push(commit);
        next = commit.parents.first().and_then(|parent| by_id.get(parent.as_str()));
    }
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    let mut current = tagged;
    for commit in line.iter().rev() {
        let change = brought(commit, &by_id, &mut seen);
        current = Some(current.map_or(Version::FIRST, |version| version.raised(change)));
    }
    current.unwrap_or(Version::FIRST)
}

/// The strongest change among a commit and those that nobody on the line brought before.
fn brought<'a>(commit: &'a Commit, by_id: &BTreeMap<&'a str, &'a Commit>, seen: &mut BTreeSet<&'a str>) -> Change {
    let mut strongest = Change::Other;
    let mut waiting = vec![commit];
    while let Some(commit) = waiting.pop() {
        if seen.insert(&commit.id) {
            strongest = strongest.max(Change::of(&commit.message));
            waiting.extend(commit.parents.iter().filter_map(|parent| by_id.get(parent.as_str()).copied()));
        }
    }
    strongest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_message_says() {
        let rows = [
            ("feat: sell shoes", Change::Feature),
            ("FEAT(cart): sell shoes", Change::Feature),
            ("fix: a typo", Change::Other),
            ("perf(db): faster", Change::Other),
            ("feat!: another API", Change::Breaking),
            ("chore(deps)!: drop node 16", Change::Breaking),
            ("refactor: x\n\nBREAKING CHANGE: the port moved", Change::Breaking),
            ("fix: x\n\nbody\n\nReviewed-by: Z\nBREAKING-CHANGE: y", Change::Breaking),
            ("fix: x\n\nbreaking change: y", Change::Other),
            ("fix: x\n\nno BREAKING CHANGE: here", Change::Other),
            ("feature: no such type", Change::Other),
            ("feat:no space", Change::Other),
            ("feat: ", Change::Other),
            ("feat(): empty scope", Change::Other),
            ("feat sell: shoes", Change::Other),
            ("Merge branch 'x'", Change::Other),
            ("Update feat: x", Change::Other),
            ("", Change::Other),
            ("größe!: x", Change::Breaking),
        ];
        for (message, change) in rows {
            assert_eq!(Change::of(message), change, "{message:?}");
        }
    }

    #[test]
    fn raising() {
        let rows = [
            ("1.2.3", Change::Breaking, "2.0.0"),
            ("1.2.3", Change::Feature, "1.3.0"),
            ("1.2.3", Change::Other, "1.2.4"),
            ("0.2.3", Change::Breaking, "0.3.0"),
            ("0.2.3", Change::Feature, "0.2.4"),
            ("0.0.0", Change::Other, "0.0.1"),
        ];
        for (from, change, to) in rows {
            assert_eq!(Version::parse(from).unwrap().raised(change).to_string(), to, "{from} {change:?}");
        }
        let last = Version { major: 1, minor: 0, patch: u64::MAX };
        assert_eq!(last.raised(Change::Other), last);
    }

    #[test]
    fn tags() {
        let tags =
            ["v1.9.0", "v1.10.0", "v2.0.0-rc.1", "v3", "v01.0.0", "w9.0.0", "v1.2.3.4", "vx", "v+1.0.0", "5.0.0"];
        assert_eq!(highest(tags, "v").map(|(_, tag)| tag), Some("v1.10.0"));
        assert_eq!(highest(tags, "").map(|(_, tag)| tag), Some("5.0.0"));
        assert_eq!(highest(["v99999999999999999999.0.0"], "v"), None);
    }

    fn commit(id: &str, parents: &[&str], message: &str) -> Commit {
        let parents = parents.iter().map(|parent| (*parent).to_owned()).collect();
        Commit { id: id.to_owned(), parents, message: message.to_owned() }
    }

    fn version_of(tag: Option<&str>, commits: &[Commit], head: &str) -> String {
        version(tag.map(|tag| Version::parse(tag).unwrap()), commits, head).to_string()
    }

    #[test]
    fn each_commit_has_its_own_and_a_higher_one() {
        let commits = [
            commit("a", &["tagged"], "fix: x"),
            commit("b", &["a"], "feat: x"),
            commit("c", &["b"], "docs: x"),
            commit("d", &["c"], "feat!: x"),
        ];
        let all: Vec<String> = ["tagged", "a", "b", "c", "d"]
            .iter()
            .enumerate()
            .map(|(n, head)| version_of(Some("1.0.0"), &commits[..n], head))
            .collect();
        assert_eq!(all, ["1.0.0", "1.0.1", "1.1.0", "1.1.1", "2.0.0"]);
    }

    #[test]
    fn a_history_without_a_tag_begins_at_0_1_0() {
        let commits = [commit("a", &[], "feat!: x"), commit("b", &["a"], "feat: y"), commit("c", &["b"], "fix!: z")];
        assert_eq!(version_of(None, &commits[..1], "a"), "0.1.0");
        assert_eq!(version_of(None, &commits[..2], "b"), "0.1.1");
        assert_eq!(version_of(None, &commits, "c"), "0.2.0");
    }

    #[test]
    fn a_merge_is_one_step_as_strong_as_its_branch() {
        // tagged - a - m - z
        //        \ f - g /
        let commits = [
            commit("z", &["m"], "fix: z"),
            commit("m", &["a", "g"], "Merge pull request #1"),
            commit("g", &["f"], "fix: g"),
            commit("f", &["tagged"], "feat: f"),
            commit("a", &["tagged"], "fix: a"),
        ];
        assert_eq!(version_of(Some("1.0.0"), &commits, "m"), "1.1.0");
        assert_eq!(version_of(Some("1.0.0"), &commits, "z"), "1.1.1");
    }

    #[test]
    fn what_is_no_history_ends_too() {
        let commits = [commit("a", &["b"], "x"), commit("b", &["a"], "x")];
        assert_eq!(version_of(Some("1.0.0"), &commits, "a"), "1.0.2");
        assert_eq!(version_of(Some("1.0.0"), &commits, "nowhere"), "1.0.0");
    }
}
