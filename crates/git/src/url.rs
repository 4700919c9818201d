//! Where a repository is. A whitelist, stricter than Git's own reading, so that Git and we cannot disagree about the
//! host that a credential is for.

use std::fmt;

use crate::Error;

const MAX_URL: usize = 2048;

/// How the repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Plain HTTP, for Git servers inside the cluster.
    Http,
    /// HTTPS.
    Https,
    /// SSH, also written `user@host:path`.
    Ssh,
}

impl Scheme {
    /// As it stands before `://` and in Git's list of allowed protocols.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
            Scheme::Ssh => "ssh",
        }
    }

    fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
            Scheme::Ssh => 22,
        }
    }
}

/// A checked URL without credentials in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Url {
    text: String,
    scheme: Scheme,
    host: String,
    port: Option<u16>,
}

impl Url {
    /// Accepts `https://host[:port]/path`, `http://…`, `ssh://[user@]host[:port]/path` and `user@host:path`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        check(text).map_err(|why| Error::BadUrl { why })
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host's name or address in lower case, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if the URL names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether a credential for one is good for the other: the same scheme, host and port.
    pub(crate) fn same_origin(&self, other: &Url) -> bool {
        let port = |url: &Url| url.port.unwrap_or(url.scheme.default_port());
        (self.scheme, &self.host, port(self)) == (other.scheme, &other.host, port(other))
    }

    /// What `text` means beside this URL: `../lib.git` is another repository on the same host, anything that does not
    /// begin with a dot is a URL of its own.
    pub(crate) fn join(&self, text: &str) -> Result<Url, Error> {
        if !text.starts_with("./") && !text.starts_with("../") {
            return Url::parse(text);
        }
        let start = match self.text.split_once("://") {
            Some((scheme, rest)) => rest.find('/').map(|slash| scheme.len().saturating_add(3).saturating_add(slash)),
            None => self.text.find(':').map(|colon| colon.saturating_add(1)),
        };
        let (head, path) = self.text.split_at(start.unwrap_or(self.text.len()));
        let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    let above = Error::BadUrl { why: "the relative URL leads above the root of the host" };
                    parts.pop().ok_or(above)?;
                }
                name => parts.push(name),
            }
        }
        let slash = if path.starts_with('/') { "/" } else { "" };
        Url::parse(&format!("{head}{slash}{}", parts.join("/")))
    }

    /// `scheme://host[:port]`: what a credential is bound to.
    pub(crate) fn origin(&self) -> String {
        match self.port {
            Some(port) => format!("{}://{}:{port}", self.scheme.as_str(), self.host),
            None => format!("{}://{}", self.scheme.as_str(), self.host),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn check(text: &str) -> Result<Url, &'static str> {
    if text.len() > MAX_URL {
        return Err("the URL is longer than 2048 bytes");
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\\\"'`<>|{}^?#".contains(&byte)) {
        return Err("the URL has a character that no repository URL needs");
    }
    let (scheme, rest) = match text.split_once("://") {
        Some(("https", rest)) => (Scheme::Https, rest),
        Some(("http", rest)) => (Scheme::Http, rest),
        Some(("ssh", rest)) => (Scheme::Ssh, rest),
        Some(_) => return Err("the URL must start with https://, http:// or ssh://"),
        None => return scp_like(text),
    };
    let (authority, path) = rest.split_once('/').ok_or("the URL has no path")?;
    if path.trim_matches('/').is_empty() {
        return Err("the URL has no path");
    }
    let address = match (scheme, authority.rsplit_once('@')) {
        (Scheme::Http | Scheme::Https, Some(_)) => {
            return Err("the URL has a credential in it, which belongs in a Secret");
        }
        (Scheme::Ssh, Some((user, address))) => {
            check_user(user)?;
            address
        }
        (Scheme::Http | Scheme::Https | Scheme::Ssh, None) => authority,
    };
    let (host, port) = host_and_port(address)?;
    Ok(Url { text: text.to_owned(), scheme, host, port })
}

fn scp_like(text: &str) -> Result<Url, &'static str> {
    const SHAPE: &str = "the URL must be https://…, http://…, ssh://… or user@host:path";
    let (user, rest) = text.split_once('@').ok_or(SHAPE)?;
    let (host, path) = rest.split_once(':').ok_or(SHAPE)?;
    check_user(user)?;
    if path.is_empty() || path.starts_with(['-', ':']) {
        return Err("the path after the host cannot be used");
    }
    let (host, port) = host_and_port(host)?;
    Ok(Url { text: text.to_owned(), scheme: Scheme::Ssh, host, port })
}

fn check_user(user: &str) -> Result<(), &'static str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if user.contains(':') {
        return Err("the URL has a password in it, which belongs in a Secret");
    }
    if user.is_empty() || user.starts_with('-') || !user.bytes().all(plain) {
        return Err("the user before @ cannot be used");
    }
    Ok(())
}

fn host_and_port(address: &str) -> Result<(String, Option<u16>), &'static str> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (inside, after) = rest.split_once(']').ok_or("the host has an opening bracket and no closing one")?;
            inside.parse::<std::net::Ipv6Addr>().map_err(|_| "between the brackets is no IPv6 address")?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or("after the closing bracket only a port may follow")?),
            };
            (format!("[{}]", inside.to_ascii_lowercase()), port)
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host.to_ascii_lowercase(), Some(port)),
            None => (address.to_ascii_lowercase(), None),
        },
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    if !host.starts_with('[') && (host.is_empty() || host.starts_with(['-', '.']) || !host.bytes().all(plain)) {
        return Err("the host cannot be used");
    }
    let port = match port {
        None => None,
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|port| *port > 0).ok_or("the port is no number from 1 to 65535")?)
        }
        Some(_) => return Err("the port is no number from 1 to 65535"),
    };
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_people_use() {
        for (text, scheme, origin) in [
            ("https://github.com/acme/shop.git", Scheme::Https, "https://github.com"),
            ("https://Git.Acme.dev:8443/a/b/", Scheme::Https, "https://git.acme.dev:8443"),
            ("http://gitea.git.svc:3000/acme/shop", Scheme::Http, "http://gitea.git.svc:3000"),
            ("https://dev.azure.com/acme/My%20Shop/_git/shop", Scheme::Https, "https://dev.azure.com"),
            ("http://[::1]:8080/x", Scheme::Http, "http://[::1]:8080"),
            ("ssh://git@github.com/acme/shop.git", Scheme::Ssh, "ssh://github.com"),
            ("ssh://git.acme.dev:2222/~me/shop", Scheme::Ssh, "ssh://git.acme.dev:2222"),
            ("git@github.com:acme/shop.git", Scheme::Ssh, "ssh://github.com"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.scheme(), url.origin().as_str(), url.as_str()), (scheme, origin, text));
        }
    }

    #[test]
    fn urls_that_reach_no_process() {
        for text in [
            "",
            "-x",
            "--upload-pack=/bin/sh",
            "/etc/passwd",
            "./x",
            "file:///x",
            "ext::sh -c x",
            "git://h/x",
            "ftp://h/x",
            "HTTPS://h/x",
            "https://",
            "https:///x",
            "https://h",
            "https://h/",
            "https://-h/x",
            "https://h:0/x",
            "https://h:99999/x",
            "https://h:/x",
            "https://h:8x/x",
            "https://user@h/x",
            "https://u:p@h/x",
            "https://good.dev\\@bad.dev/x",
            "https://h/x?y",
            "https://h/x#y",
            "https://h/a b",
            "https://h/\u{fc}",
            "https://h/x\ny",
            "ssh://-oProxyCommand=x@h/x",
            "ssh://-oProxyCommand=x/x",
            "ssh://u:p@h/x",
            "-oX@h:x",
            "git@-oX:x",
            "git@h:",
            "git@h:-x",
            "git@h::x",
            "h:x",
            "https://[::1/x",
            "https://[x]/x",
            "https://[::1]8/x",
            "https://a@b@c/x",
            "ssh://a@b@c/x",
        ] {
            assert!(Url::parse(text).is_err(), "{text:?}");
        }
        assert!(Url::parse(&format!("https://h/{}", "a".repeat(2048))).is_err());
    }

    #[test]
    fn relative_urls_stay_on_their_host() {
        let rows = [
            ("https://h/acme/shop.git", "../lib.git", Some("https://h/acme/lib.git")),
            ("https://h/acme/shop.git/", "../../other/lib", Some("https://h/other/lib")),
            ("https://h/acme/shop", "./lib", Some("https://h/acme/shop/lib")),
            ("git@h:acme/shop.git", "../lib.git", Some("git@h:acme/lib.git")),
            ("ssh://git@h:2222/acme/shop", "../lib", Some("ssh://git@h:2222/acme/lib")),
            ("https://h/acme/shop", "https://other/lib", Some("https://other/lib")),
            ("https://h/acme/shop", "../../../lib", None),
            ("https://h/acme/shop", "../..", None),
            ("git@h:shop", "../../lib", None),
            ("git@h:shop", "../-x", None),
            ("https://h/acme/shop", "-x", None),
            ("https://h/acme/shop", "--upload-pack=/bin/sh", None),
            ("https://h/acme/shop", "/etc", None),
            ("https://h/acme/shop", "file:///etc", None),
            ("https://h/acme/shop", "ext::sh -c id", None),
            ("https://h/acme/shop", "", None),
        ];
        for (base, text, expected) in rows {
            let joined = Url::parse(base).unwrap().join(text).ok();
            assert_eq!(joined.as_ref().map(Url::as_str), expected, "{base} {text}");
        }
    }

    #[test]
    fn a_credential_is_good_for_one_scheme_host_and_port() {
        let same = |one: &str, other: &str| Url::parse(one).unwrap().same_origin(&Url::parse(other).unwrap());
        assert!(same("https://h/a", "https://H:443/b"));
        assert!(same("git@h:a", "ssh://other@h/b"));
        for other in
            ["http://h/a", "https://h:8443/a", "https://h.evil.dev/a", "https://g/a", "ssh://git@h/a", "git@h:a"]
        {
            assert!(!same("https://h/a", other), "{other}");
        }
    }
}
