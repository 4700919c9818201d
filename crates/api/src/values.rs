//! Strings that must not be mistaken for one another, and the two units of time.

use std::{fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Malformed {
    #[error("{0:?} is not a digest (sha256: and 64 hexadecimal digits)")]
    Digest(String),
    #[error("{0:?} is not a commit (40 or 64 hexadecimal digits)")]
    Commit(String),
    #[error("{0:?} is not a revision (a letter and nine characters of {ALPHABET})")]
    Revision(String),
    #[error("{0:?} is not a duration such as 90s, 5m or 1h30m")]
    Duration(String),
    #[error("{0:?} is not a time as in RFC 3339")]
    Timestamp(String),
}

/// Letters and digits that neither spell words nor, at ten characters with a leading letter, read as a YAML number.
const ALPHABET: &str = "bcdfghjkmnpqrstvwxz2456789";
const REVISION: &str = "^[bcdfghjkmnpqrstvwxz][bcdfghjkmnpqrstvwxz2456789]{9}$";
const LETTERS: &[u8] = b"bcdfghjkmnpqrstvwxz";
const LETTERS_AND_DIGITS: &[u8] = ALPHABET.as_bytes();

fn hexadecimal(s: &str) -> bool {
    s.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A string type with one rule: construction parses, and the schema says the same to the API server.
macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $malformed:ident, $pattern:expr, $max:expr, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);
        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl FromStr for $name {
            type Err = Malformed;
            fn from_str(s: &str) -> Result<Self, Malformed> {
                let valid: fn(&str) -> bool = $valid;
                if valid(s) { Ok(Self(s.to_owned())) } else { Err(Malformed::$malformed(s.to_owned())) }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.serialize_str(&self.0)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(D::Error::custom)
            }
        }
        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({"type": "string", "pattern": $pattern, "maxLength": $max})
            }
        }
    };
}

text! {
    /// The digest of an image's manifest, `sha256:` and 64 hexadecimal digits (OCI image specification 1.1).
    Digest, Digest, "^sha256:[0-9a-f]{64}$", 71,
    |s| s.strip_prefix("sha256:").is_some_and(|hex| hex.len() == 64 && hexadecimal(hex))
}
text! {
    /// A Git commit by its full name: 40 hexadecimal digits (SHA-1) or 64 (SHA-256).
    CommitId, Commit, "^([0-9a-f]{40}|[0-9a-f]{64})$", 64,
    |s| (s.len() == 40 || s.len() == 64) && hexadecimal(s)
}
impl CommitId {
    /// Seven digits, as people and Git show a commit.
    pub fn short(&self) -> &str {
        self.0.get(..7).unwrap_or(&self.0)
    }
}

/// A revision of a Rollout: its pod template with images resolved, as ten characters.
///
/// Copied around freely, so it holds its characters itself.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision([u8; 10]);

impl Revision {
    /// The revision that stands for these bytes, a cryptographic hash of what is deployed.
    pub fn of_hash(hash: &[u8; 32]) -> Self {
        let mut characters = [b'b'; 10];
        for (i, (character, byte)) in characters.iter_mut().zip(hash).enumerate() {
            let alphabet = if i == 0 { LETTERS } else { LETTERS_AND_DIGITS };
            if let Some(chosen) = alphabet.iter().cycle().nth(usize::from(*byte)) {
                *character = *chosen;
            }
        }
        Self(characters)
    }
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}
impl FromStr for Revision {
    type Err = Malformed;
    fn from_str(s: &str) -> Result<Self, Malformed> {
        let bytes: [u8; 10] = s.as_bytes().try_into().map_err(|_| Malformed::Revision(s.to_owned()))?;
        let fine =
            bytes.iter().all(|b| LETTERS_AND_DIGITS.contains(b)) && bytes.first().is_some_and(|b| LETTERS.contains(b));
        if fine { Ok(Self(bytes)) } else { Err(Malformed::Revision(s.to_owned())) }
    }
}
impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl fmt::Debug for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
impl Serialize for Revision {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}
impl<'de> Deserialize<'de> for Revision {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}
impl JsonSchema for Revision {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Revision".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": REVISION, "maxLength": 10})
    }
}

/// A moment, to the millisecond: finer would only make equal facts look different.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    pub fn from_millisecond(millisecond: i64) -> Self {
        Self(millisecond)
    }
    pub fn as_millisecond(self) -> i64 {
        self.0
    }
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }
    /// How long after `earlier` this is; zero if it is before.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}
impl From<jiff::Timestamp> for Timestamp {
    fn from(t: jiff::Timestamp) -> Self {
        Self(t.as_millisecond())
    }
}
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(t) => t.fmt(f),
            Err(_) => write!(f, "{} ms after 1970", self.0),
        }
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Timestamp {
    type Err = Malformed;
    fn from_str(s: &str) -> Result<Self, Malformed> {
        s.parse::<jiff::Timestamp>().map(Self::from).map_err(|_| Malformed::Timestamp(s.to_owned()))
    }
}
impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}
impl JsonSchema for Timestamp {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Timestamp".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "date-time"})
    }
}

/// A length of time as people write it: hours, minutes, seconds and milliseconds, `1h30m`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(std::time::Duration);

impl Duration {
    pub const ZERO: Self = Self(std::time::Duration::ZERO);
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }
    pub const fn from_mins(minutes: u64) -> Self {
        Self(std::time::Duration::from_secs(minutes.saturating_mul(60)))
    }
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(std::time::Duration::from_millis(milliseconds))
    }
    pub fn as_millis(self) -> u128 {
        self.0.as_millis()
    }
    pub fn as_secs(self) -> u64 {
        self.0.as_secs()
    }
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
    pub fn std(self) -> std::time::Duration {
        self.0
    }
}
impl FromStr for Duration {
    type Err = Malformed;
    fn from_str(s: &str) -> Result<Self, Malformed> {
        let malformed = || Malformed::Duration(s.to_owned());
        let mut rest = s;
        let mut total = std::time::Duration::ZERO;
        if rest.is_empty() {
            return Err(malformed());
        }
        while !rest.is_empty() {
            let digits = rest.len().saturating_sub(rest.trim_start_matches(|c: char| c.is_ascii_digit()).len());
            let (number, tail) = rest.split_at_checked(digits).ok_or_else(malformed)?;
            let units = tail.len().saturating_sub(tail.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len());
            let (unit, tail) = tail.split_at_checked(units).ok_or_else(malformed)?;
            let milliseconds: u64 = match unit {
                "h" => 3_600_000,
                "m" => 60_000,
                "s" => 1_000,
                "ms" => 1,
                _ => return Err(malformed()),
            };
            let number: u64 = number.parse().map_err(|_| malformed())?;
            let part = number.checked_mul(milliseconds).ok_or_else(malformed)?;
            total = total.checked_add(std::time::Duration::from_millis(part)).ok_or_else(malformed)?;
            rest = tail;
        }
        Ok(Self(total))
    }
}
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0.as_millis();
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, milliseconds) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            let whole = left.checked_div(milliseconds).unwrap_or(0);
            if whole > 0 {
                write!(f, "{whole}{unit}")?;
            }
            left = left.checked_rem(milliseconds).unwrap_or(0);
        }
        Ok(())
    }
}
impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(D::Error::custom)
    }
}
impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }
    fn inline_schema() -> bool {
        true
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^([0-9]{1,9}(h|m|s|ms))+$", "maxLength": 32})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, milliseconds) in [("0s", 0), ("90s", 90_000), ("5m", 300_000), ("1h30m", 5_400_000), ("250ms", 250)]
        {
            assert_eq!(text.parse::<Duration>().unwrap().as_millis(), milliseconds, "{text}");
        }
        for text in ["", "30d", "5", "m", "-1s", "1.5h", "5 m", "99999999999999999999s"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
        assert_eq!(Duration::from_secs(5_400).to_string(), "1h30m");
    }

    #[test]
    fn a_revision_never_reads_as_a_number() {
        for byte in 0..=255 {
            let r = Revision::of_hash(&[byte; 32]);
            assert!(r.as_str().as_bytes()[0].is_ascii_alphabetic());
            assert_eq!(r.as_str().parse::<Revision>().unwrap(), r);
        }
        assert!("1234567890".parse::<Revision>().is_err());
        assert!("short".parse::<Revision>().is_err());
    }

    #[test]
    fn digests_and_commits_are_exact() {
        let hex = "a".repeat(64);
        assert!(format!("sha256:{hex}").parse::<Digest>().is_ok());
        assert!(format!("sha256:{}", "A".repeat(64)).parse::<Digest>().is_err());
        assert!(hex.parse::<Digest>().is_err());
        assert!("c".repeat(40).parse::<CommitId>().is_ok());
        assert!("c".repeat(41).parse::<CommitId>().is_err());
        assert!("--upload-pack=x".parse::<CommitId>().is_err());
    }

    #[test]
    fn time_is_kept_to_the_millisecond() {
        let t: Timestamp = "2026-01-02T03:04:05.678901Z".parse().unwrap();
        assert_eq!(t.to_string(), "2026-01-02T03:04:05.678Z");
        assert_eq!(serde_json::from_value::<Timestamp>(serde_json::json!(t)).unwrap(), t);
        assert_eq!(t.plus(Duration::from_secs(5)).since(t), Duration::from_secs(5));
        assert_eq!(t.since(t.plus(Duration::from_secs(5))), Duration::ZERO);
    }
}
