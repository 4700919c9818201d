//! Who we are to a Git server, as Kubernetes keeps it in a Secret.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;
use std::path::Path;

use crate::Error;

/// The keys that are read from a Secret; any other is left alone.
const KEYS: [&str; 5] = ["username", "password", "ssh-privatekey", "known_hosts", "ca.crt"];

/// A Secret holds at most 1 MiB in all; nothing we read needs more than this.
const MAX_FILE: u64 = 256 * 1024;

/// A credential for one remote, and optionally the authority that signed its certificate.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    pub(crate) kind: Kind,
    /// PEM; trusted instead of the system's authorities.
    pub(crate) ca: Option<Vec<u8>>,
}

#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) enum Kind {
    #[default]
    None,
    Basic {
        username: String,
        password: String,
    },
    Ssh {
        key: Vec<u8>,
        known_hosts: Vec<u8>,
    },
}

impl Credentials {
    /// No credential.
    pub fn none() -> Self {
        Self::default()
    }

    /// From the data of a Secret: `username` and `password` (kubernetes.io/basic-auth), or `ssh-privatekey` and
    /// `known_hosts` (kubernetes.io/ssh-auth), and with either `ca.crt`. A password alone goes with the user `git`,
    /// which is what token logins accept.
    pub fn from_data(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, Error> {
        let get = |key: &str| data.get(key).filter(|value| !value.is_empty());
        let ca = get("ca.crt").cloned();
        let kind = match (get("password"), get("ssh-privatekey")) {
            (Some(_), Some(_)) => return Err(Error::BadCredentials("it has both a password and an ssh-privatekey")),
            (Some(password), None) => {
                let username = get("username").map_or(Ok("git".to_owned()), |value| line(value))?;
                Kind::Basic { username, password: line(password)? }
            }
            (None, Some(key)) => {
                let known_hosts = get("known_hosts").ok_or(Error::BadCredentials(
                    "it has an ssh-privatekey and no known_hosts, so the server could not be told from another",
                ))?;
                let mut key = key.clone();
                // ssh refuses a key whose last line does not end.
                if !key.ends_with(b"\n") {
                    key.push(b'\n');
                }
                Kind::Ssh { key, known_hosts: known_hosts.clone() }
            }
            (None, None) if ca.is_some() => Kind::None,
            (None, None) => return Err(Error::BadCredentials("it has neither a password nor an ssh-privatekey")),
        };
        Ok(Self { kind, ca })
    }

    /// From a directory with one file per key, as a Secret is mounted.
    pub fn from_directory(directory: &Path) -> Result<Self, Error> {
        let mut data = BTreeMap::new();
        for key in KEYS {
            let file = match std::fs::File::open(directory.join(key)) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::Io { doing: "open the Git credential", why: error.to_string() }),
            };
            let mut value = Vec::new();
            file.take(MAX_FILE.saturating_add(1))
                .read_to_end(&mut value)
                .map_err(|error| Error::Io { doing: "read the Git credential", why: error.to_string() })?;
            if u64::try_from(value.len()).is_ok_and(|length| length > MAX_FILE) {
                return Err(Error::BadCredentials("one of its values is larger than 256 KiB"));
            }
            data.insert(key.to_owned(), value);
        }
        Self::from_data(&data)
    }

    /// Texts that no message may hold.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        match &self.kind {
            Kind::Basic { password, .. } => vec![password],
            Kind::None | Kind::Ssh { .. } => Vec::new(),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::None => "Credentials(none)",
            Kind::Basic { .. } => "Credentials(basic, hidden)",
            Kind::Ssh { .. } => "Credentials(ssh, hidden)",
        })
    }
}

/// One line of text: line ends at its end are an editor's; one inside would be a line of its own to Git's credential
/// protocol.
fn line(value: &[u8]) -> Result<String, Error> {
    let text =
        std::str::from_utf8(value).map_err(|_| Error::BadCredentials("its username or password is not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() || text.contains(|c: char| c.is_control()) {
        return Err(Error::BadCredentials("its username or password is empty or has a line break in it"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect()
    }

    fn basic(username: &str, password: &str) -> Kind {
        Kind::Basic { username: username.to_owned(), password: password.to_owned() }
    }

    fn kind(pairs: &[(&str, &str)]) -> Option<Kind> {
        Credentials::from_data(&data(pairs)).ok().map(|credentials| credentials.kind)
    }

    #[test]
    fn secrets_as_kubernetes_types_them() {
        assert!(kind(&[("username", "ann"), ("password", "p w\n")]) == Some(basic("ann", "p w")));
        assert!(kind(&[("password", "ghp_x")]) == Some(basic("git", "ghp_x")));
        assert!(
            kind(&[("ssh-privatekey", "KEY"), ("known_hosts", "h k v")])
                == Some(Kind::Ssh { key: b"KEY\n".to_vec(), known_hosts: b"h k v".to_vec() })
        );
        assert!(kind(&[("ca.crt", "PEM")]) == Some(Kind::None));
    }

    #[test]
    fn secrets_that_cannot_be_used() {
        for pairs in [
            &[][..],
            &[("username", "ann")],
            &[("password", "")],
            &[("password", "a\nhost=evil")],
            &[("username", "a\nb"), ("password", "p")],
            &[("password", "a\0b")],
            &[("ssh-privatekey", "KEY")],
            &[("ssh-privatekey", "KEY"), ("known_hosts", "h"), ("password", "p")],
        ] {
            assert!(kind(pairs).is_none(), "{pairs:?}");
        }
        assert!(Credentials::from_data(&BTreeMap::from([("password".to_owned(), vec![0xff])])).is_err());
    }

    #[test]
    fn a_mounted_secret() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("password"), "hunter2\n").unwrap();
        let credentials = Credentials::from_directory(directory.path()).unwrap();
        assert!(credentials.kind == basic("git", "hunter2"));
        assert!(!format!("{credentials:?}").contains("hunter2"));
        std::fs::write(directory.path().join("password"), "x".repeat(300_000)).unwrap();
        assert!(Credentials::from_directory(directory.path()).is_err());
        assert!(Credentials::from_directory(&directory.path().join("gone")).is_err());
    }
}
