//! A `kubernetes.io/dockerconfigjson` Secret, matched to images as the kubelet does.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::{Error, Reference};

/// A Secret holds at most 1 MiB.
const MAX_CONFIG: usize = 1024 * 1024;
/// With or without padding: both are written by tools in use.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Who we are to one registry.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub(crate) username: String,
    pub(crate) password: String,
}

impl Login {
    /// A user and a password or token.
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: password.to_owned() }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(hidden)")
    }
}

/// Logins by registry, or by registry and the beginning of a path.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    logins: BTreeMap<String, Login>,
}

#[derive(Deserialize)]
struct Config {
    auths: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    auth: String,
    #[serde(default)]
    identitytoken: String,
}

impl Credentials {
    /// No login for any registry.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads the value of `.dockerconfigjson`.
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let bad = |why: String| Error::BadCredentials(why);
        if json.len() > MAX_CONFIG {
            return Err(bad("it is larger than 1 MiB".to_owned()));
        }
        // serde_json's own words could quote the value: line and column are enough.
        let config: Config = serde_json::from_slice(json).map_err(|error| {
            bad(format!("no .dockerconfigjson with \"auths\" (line {}, column {})", error.line(), error.column()))
        })?;
        let mut logins = BTreeMap::new();
        for (key, entry) in config.auths {
            let key = key_of(&key);
            let login = entry.login().map_err(|why| bad(format!("the entry of {key} {why}")))?;
            logins.insert(key, login);
        }
        Ok(Self { logins })
    }

    /// The login for an image: of the entries whose registry is the image's and whose path begins its repository, the
    /// one with the longest path. A `*` stands for one part of a host name.
    pub fn login(&self, image: &Reference) -> Option<&Login> {
        let (registry, repository) = (canonical(image.registry()), image.repository());
        self.logins
            .iter()
            .filter(|(key, _)| {
                let (host, path) = key.split_once('/').unwrap_or((key.as_str(), ""));
                same_host(host, registry) && begins(path, repository)
            })
            // Among equals the one without a star.
            .max_by_key(|(key, _)| (key.split_once('/').map_or(0, |(_, path)| path.len()), !key.contains('*')))
            .map(|(_, login)| login)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.logins.keys()).finish()
    }
}

impl Entry {
    fn login(self) -> Result<Login, &'static str> {
        if !self.username.is_empty() && !self.password.is_empty() {
            return Ok(Login { username: self.username, password: self.password });
        }
        if self.auth.is_empty() {
            return Err(if self.identitytoken.is_empty() {
                "has neither username and password nor auth"
            } else {
                "has an identitytoken, which is not supported: use a username and a password"
            });
        }
        let decoded = BASE64.decode(self.auth.trim()).map_err(|_| "has an auth that is no base64")?;
        let decoded = String::from_utf8(decoded).map_err(|_| "has an auth that is not UTF-8")?;
        let (username, password) = decoded.split_once(':').ok_or("has an auth without a colon in it")?;
        let password = password.trim_end_matches('\0');
        Ok(Login { username: username.to_owned(), password: password.to_owned() })
    }
}

/// `https://index.docker.io/v1/` and the like as `docker.io`.
pub(crate) fn key_of(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let (host, path) = key.split_once('/').unwrap_or((key, ""));
    let path = path.trim_end_matches('/');
    let host = host.to_ascii_lowercase();
    let host = canonical(&host);
    // The addresses that old tools wrote for a whole registry.
    if path.is_empty() || path == "v1" || path == "v2" { host.to_owned() } else { format!("{host}/{path}") }
}

fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => "docker.io",
        other => other,
    }
}

/// The port belongs to the host; a star covers one label, never a dot.
fn same_host(pattern: &str, host: &str) -> bool {
    let (pattern, pattern_port) = pattern.split_once(':').map_or((pattern, None), |(name, port)| (name, Some(port)));
    let (host, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
    let (patterns, labels): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), host.split('.').collect());
    pattern_port == port
        && patterns.len() == labels.len()
        && patterns.iter().zip(&labels).all(|(pattern, label)| match pattern.split_once('*') {
            Some((before, after)) => {
                let rest = label.strip_prefix(before).unwrap_or_default();
                label.starts_with(before) && rest.ends_with(after)
            }
            None => pattern.eq_ignore_ascii_case(label),
        })
}

/// Whole path parts only: a login for `acme` is none for `acme-evil`.
fn begins(path: &str, repository: &str) -> bool {
    path.is_empty() || repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The user that goes with an image, given entries whose users are their own keys.
    fn user(keys: &[&str], image: &str) -> Option<String> {
        let auths: BTreeMap<&str, serde_json::Value> =
            keys.iter().map(|key| (*key, serde_json::json!({"username": key, "password": "p"}))).collect();
        let json = serde_json::json!({ "auths": auths }).to_string();
        let credentials = Credentials::parse(json.as_bytes()).unwrap();
        credentials.login(&crate::parse_reference(image).unwrap()).map(|login| login.username.clone())
    }

    #[test]
    fn a_login_goes_to_its_registry_alone() {
        let rows: &[(&[&str], &str, Option<&str>)] = &[
            (&["ghcr.io"], "ghcr.io/acme/shop", Some("ghcr.io")),
            (&["ghcr.io"], "evil-ghcr.io/acme/shop", None),
            (&["ghcr.io"], "ghcr.io.evil.dev/acme/shop", None),
            (&["https://ghcr.io/v2/"], "ghcr.io/acme/shop", Some("https://ghcr.io/v2/")),
            (&["r.dev:5000"], "r.dev:5000/shop", Some("r.dev:5000")),
            (&["r.dev"], "r.dev:5000/shop", None),
            (&["r.dev:5000"], "r.dev/shop", None),
            (&["https://index.docker.io/v1/"], "acme/shop", Some("https://index.docker.io/v1/")),
            (&["docker.io"], "docker.io/acme/shop", Some("docker.io")),
            (&["r.dev", "r.dev/acme", "r.dev/acme/shop"], "r.dev/acme/shop", Some("r.dev/acme/shop")),
            (&["r.dev", "r.dev/acme"], "r.dev/acme/cart", Some("r.dev/acme")),
            (&["r.dev/acme"], "r.dev/acme-evil/shop", None),
            (&["*.r.dev"], "eu.r.dev/shop", Some("*.r.dev")),
            (&["*.r.dev"], "a.b.r.dev/shop", None),
            (&["*.r.dev", "eu.r.dev"], "eu.r.dev/shop", Some("eu.r.dev")),
            (&[], "r.dev/shop", None),
        ];
        for (keys, image, expected) in rows {
            assert_eq!(user(keys, image).as_deref(), *expected, "{keys:?} {image}");
        }
    }

    #[test]
    fn auth_is_decoded() {
        for (auth, expected) in [
            ("YW5uOnA6dw==", Some(("ann", "p:w"))),
            ("YW5uOnA6dw", Some(("ann", "p:w"))),
            ("???", None),
            ("YW5u", None),
        ] {
            let json = format!(r#"{{"auths":{{"r.dev":{{"auth":"{auth}"}}}}}}"#);
            let login = Credentials::parse(json.as_bytes())
                .ok()
                .and_then(|credentials| credentials.login(&crate::parse_reference("r.dev/x").unwrap()).cloned());
            assert_eq!(login, expected.map(|(username, password)| Login::new(username, password)), "{auth}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_not_quoted() {
        for json in [
            "",
            "{}",
            "[]",
            r#"{"auths":{"r.dev":{}}}"#,
            r#"{"auths":{"r.dev":"hunter2"}}"#,
            r#"{"auths":{"r.dev":{"username":5,"password":"hunter2"}}}"#,
            r#"{"auths":{"r.dev":{"identitytoken":"hunter2"}}}"#,
        ] {
            let error = Credentials::parse(json.as_bytes()).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let credentials = Credentials::parse(br#"{"auths":{"r.dev":{"username":"u","password":"hunter2"}}}"#).unwrap();
        let login = credentials.login(&crate::parse_reference("r.dev/x").unwrap());
        assert!(!format!("{credentials:?} {login:?}").contains("hunter2"));
    }
}
