//! What a step of a build pod says when it ends: its termination message.
//!
//! A pod's containers share 12 KiB of termination messages and each gets at most 4 KiB, so a report is kept under
//! [`MAX_BYTES`]. The text comes out of a container that ran beside a stranger's Dockerfile: it is parsed with a cap,
//! unknown fields are ignored, and a digest in it is a claim until the registry has been asked.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The largest report that is written or read, in bytes.
pub const MAX_BYTES: usize = 3 * 1024;

/// The longest commit subject in a report, in bytes of UTF-8.
pub const MAX_SUBJECT: usize = 120;

/// The longest message of a failure in a report, in bytes of UTF-8.
pub const MAX_MESSAGE: usize = 1024;

/// How one step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Report {
    /// The source is in place and is the commit that was asked for.
    Cloned(Cloned),
    /// The registry serves the image under every tag listed.
    Pushed(Pushed),
    /// What a check left is kept in a registry.
    Saved(Saved),
    /// A judgement of somebody else, such as a quality gate, is good.
    Passed(Passed),
    /// The step ended without its result.
    Failed(Failed),
}

/// What the clone step found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Cloned {
    /// The full commit hash, verified in the clone.
    pub commit: String,
    /// The branch the build was asked for, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The version by Conventional Commits, if the build has a rule for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The committer's time, in seconds since 1970-01-01T00:00:00Z.
    #[serde(default)]
    pub committed: i64,
    /// The first line of the commit message, at most [`MAX_SUBJECT`] bytes.
    #[serde(default)]
    pub subject: String,
}

/// What the push step left in the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pushed {
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The tags that point at it.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The manifest, the config and every layer together, in bytes.
    #[serde(default)]
    pub size_bytes: u64,
    /// What the scan found, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Findings>,
}

/// What a check left, as one artifact in a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Saved {
    /// Of its manifest.
    pub digest: String,
    /// Before compression, in bytes.
    #[serde(default)]
    pub size_bytes: u64,
}

/// A step that had nothing to leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passed {
    /// One sentence for people.
    #[serde(default)]
    pub message: String,
}

/// How many vulnerabilities a scan counts, by severity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Findings {
    pub critical: u32,
    pub high: u32,
    pub medium: u32,
    pub low: u32,
    pub unknown: u32,
    /// Of all these: for how many a version of the package is out that mends it.
    pub fixable: u32,
}

/// Why a step ended without its result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// For programs and columns.
    pub reason: Reason,
    /// One sentence for people; no secret's value is in it.
    #[serde(default)]
    pub message: String,
    /// What the scan found, if that is why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan: Option<Findings>,
}

/// Who can do something about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The spec, a credential or the source: another try gives the same answer until a person changes something.
    User,
    /// A rule of the spec was broken: the scan, the quality gate.
    Policy,
    /// The world around the build: tried again as often as the build's `retries` allow.
    Infrastructure,
}

/// Declares each reason once, with its class, so that neither the words nor the classes can drift apart.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $class:ident,)+) => {
        /// Why a step ended without its result, in the words people see.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
            /// A reason this version does not know: the worker is of another version.
            #[serde(other)]
            Unknown,
        }

        impl Reason {
            /// Every reason a worker of this version gives.
            pub const ALL: &'static [Reason] = &[$(Reason::$name,)+];

            /// The constant as people see it.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$name => stringify!($name),)+
                    Reason::Unknown => "Unknown",
                }
            }

            /// Whether another try without a person's change can help.
            pub fn class(self) -> Class {
                match self {
                    $(Reason::$name => Class::$class,)+
                    Reason::Unknown => Class::Infrastructure,
                }
            }
        }
    };
}

reasons! {
    /// The URL, a ref or a commit in the spec cannot be used.
    GitSourceInvalid => User,
    /// The Git credential is missing, refused, or not of the kind the URL needs.
    GitAuthenticationFailed => User,
    /// The server knows no such repository, or hides it from this credential.
    GitRepositoryNotFound => User,
    /// The server could not be reached, or answered with an error of its own.
    GitHostUnreachable => Infrastructure,
    /// The repository has no such branch or tag.
    GitRefNotFound => User,
    /// The repository does not have the commit (any more).
    CommitNotFound => User,
    /// The server shows another SSH host key than `known_hosts` has.
    GitHostKeyChanged => User,
    /// `known_hosts` has no key for the server.
    GitHostKeyUnknown => User,
    /// Git ended in a way that has no reason of its own; the message has its last lines.
    GitFailed => Infrastructure,
    /// The repository or a tag of the image is not a valid name, or no tag is left.
    ImageNameInvalid => User,
    /// The registry knows the credential and does not let it push there.
    PushDenied => User,
    /// The registry refuses the credential, or wants one and there is none.
    RegistryUnauthorized => User,
    /// The credential file is not a valid `.dockerconfigjson`.
    RegistryCredentialInvalid => User,
    /// The registry has no such repository and does not create one at a push.
    RegistryRepositoryNotFound => User,
    /// The registry answered 429.
    RegistryRateLimited => Infrastructure,
    /// The registry answered with an error of its own (5xx) or against the protocol.
    RegistryUnavailable => Infrastructure,
    /// No connection to the registry: name, address, TLS or time.
    RegistryUnreachable => Infrastructure,
    /// The build left no valid OCI layout.
    LayoutInvalid => Infrastructure,
    /// The registry serves another digest than was pushed: something else pushes that tag, and another try would only
    /// take it away again.
    DigestMismatch => User,
    /// Nothing of the wanted paths changed since the base: no failure, but the end of the Build.
    NothingChanged => User,
    /// A submodule cannot be had.
    SubmoduleUnavailable => User,
    /// The registry does not let a tag be moved.
    TagImmutable => User,
    /// A check left no such artifact, or one that is no file or folder of the source.
    ArtifactMissing => User,
    /// What a check left is larger than is kept.
    ArtifactTooLarge => User,
    /// The image to accept is not in its registry.
    ImageNotFound => User,
    /// The scan found what `scan.failOn` names.
    VulnerableImage => Policy,
    /// The scan left no report that can be read.
    ScanInvalid => Infrastructure,
    /// The quality gate of SonarQube did not pass.
    QualityGateFailed => Policy,
    /// SonarQube refuses the token, or does not let it see the project.
    SonarQubeUnauthorized => User,
    /// SonarQube could not compute the analysis.
    SonarQubeAnalysisFailed => User,
    /// SonarQube does not answer, or answers with an error of its own, or not in time.
    SonarQubeUnavailable => Infrastructure,
    /// No space is left where the step writes.
    DiskFull => Infrastructure,
    /// The pod was asked to stop: cancelled, evicted, or its node is being drained.
    Stopped => Infrastructure,
    /// A file the step needs could not be read or written.
    StepFailed => Infrastructure,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A termination message that is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// The container ended without a message.
    Empty,
    /// Longer than any report.
    TooLong(usize),
    /// Not a report.
    Malformed(String),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Empty => f.write_str("the step left no report"),
            Unreadable::TooLong(bytes) => write!(f, "the step left {bytes} bytes, more than a report may have"),
            Unreadable::Malformed(why) => write!(f, "the step left something that is no report: {why}"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Report {
    /// Reads a termination message.
    pub fn parse(text: &str) -> Result<Self, Unreadable> {
        let text = text.trim();
        if text.is_empty() {
            return Err(Unreadable::Empty);
        }
        if text.len() > MAX_BYTES {
            return Err(Unreadable::TooLong(text.len()));
        }
        serde_json::from_str(text).map_err(|error| Unreadable::Malformed(error.to_string()))
    }

    /// The termination message, at most [`MAX_BYTES`]: texts are cut first, then the last tags are left out.
    pub fn to_message(&self) -> String {
        let mut report = self.clone();
        match &mut report {
            Report::Cloned(cloned) => cut(&mut cloned.subject, MAX_SUBJECT),
            Report::Failed(failed) => cut(&mut failed.message, MAX_MESSAGE),
            Report::Passed(passed) => cut(&mut passed.message, MAX_MESSAGE),
            Report::Pushed(_) | Report::Saved(_) => {}
        }
        loop {
            let text = serde_json::to_string(&report).unwrap_or_default();
            if text.len() <= MAX_BYTES {
                return text;
            }
            // Escapes can make a short text long; names are capped elsewhere, so this ends.
            let shorter = match &mut report {
                Report::Pushed(pushed) => pushed.tags.pop().is_some(),
                Report::Cloned(cloned) => halve(&mut cloned.subject) || cloned.branch.take().is_some(),
                Report::Failed(failed) => halve(&mut failed.message),
                Report::Passed(passed) => halve(&mut passed.message),
                Report::Saved(_) => false,
            };
            if !shorter {
                return String::new();
            }
        }
    }
}

/// Cuts at a character boundary and marks the cut.
fn cut(text: &mut String, max: usize) {
    if text.len() > max {
        text.truncate(text.floor_char_boundary(max.saturating_sub('…'.len_utf8())));
        text.push('…');
    }
}

fn halve(text: &mut String) -> bool {
    let half = text.floor_char_boundary(text.len() / 2);
    let shorter = half < text.len();
    text.truncate(half);
    shorter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pushed(tags: usize) -> Report {
        Report::Pushed(Pushed {
            digest: format!("sha256:{}", "a".repeat(64)),
            tags: (0..tags).map(|n| format!("main-{n:07}")).collect(),
            size_bytes: 12,
            scan: Some(Findings { critical: 1, fixable: 1, ..Findings::default() }),
        })
    }

    fn failed(message: &str) -> Report {
        Report::Failed(Failed { reason: Reason::GitHostUnreachable, message: message.to_owned(), scan: None })
    }

    #[test]
    fn a_report_reads_back() {
        let cloned = Report::Cloned(Cloned {
            commit: "7f".repeat(20),
            branch: Some("main".to_owned()),
            version: Some("1.2.3".to_owned()),
            committed: 1_700_000_000,
            subject: "feat: sell shoes".to_owned(),
        });
        for report in [cloned, pushed(2), failed("no")] {
            assert_eq!(Report::parse(&report.to_message()), Ok(report));
        }
    }

    #[test]
    fn the_words_are_the_documented_ones() {
        assert_eq!(
            failed("no route").to_message(),
            r#"{"kind":"Failed","reason":"GitHostUnreachable","message":"no route"}"#
        );
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{reason}\""));
        }
    }

    #[test]
    fn a_newer_worker_is_understood() {
        let text = r#"{"kind":"Failed","reason":"MoonPhase","message":"full","extra":[1]}"#;
        let Ok(Report::Failed(failure)) = Report::parse(text) else { panic!("not read: {text}") };
        assert_eq!((failure.reason, failure.reason.class()), (Reason::Unknown, Class::Infrastructure));
    }

    #[test]
    fn strange_input_is_an_error() {
        assert_eq!(Report::parse(" \n"), Err(Unreadable::Empty));
        assert_eq!(Report::parse(&"x".repeat(4096)), Err(Unreadable::TooLong(4096)));
        for text in
            ["{}", "null", "[]", "\u{0}", "{\"kind\":\"Pushed\"}", "{\"kind\":\"Gone\"}", "OOM killed", "{\"kind\":"]
        {
            assert!(matches!(Report::parse(text), Err(Unreadable::Malformed(_))), "{text}");
        }
    }

    #[test]
    fn a_message_never_outgrows_its_share() {
        for report in [pushed(900), failed(&"é".repeat(5000)), failed(&"\u{1}".repeat(5000))] {
            let text = report.to_message();
            assert!(text.len() <= MAX_BYTES, "{} bytes", text.len());
            assert!(Report::parse(&text).is_ok(), "{text}");
        }
        assert!(failed(&"é".repeat(5000)).to_message().ends_with("…\"}"));
    }
}
