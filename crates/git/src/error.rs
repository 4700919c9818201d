//! What can go wrong with a remote, told apart by what a person would do about it.

use std::io::ErrorKind;

/// Why Git did not give what it was asked for. No credential is in any of these texts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The URL is none that we use.
    #[error("cannot use this Git URL: {why}")]
    BadUrl { why: &'static str },
    /// A branch, tag, prefix or commit that is no valid name.
    #[error("cannot use the Git name {name:?}: {why}")]
    BadName { name: String, why: &'static str },
    /// The Secret has not what it should.
    #[error("cannot use the Git credential: {0}")]
    BadCredentials(&'static str),
    /// No answer, or the server's own trouble: DNS, connection, TLS, time, 429, 5xx.
    #[error("cannot reach {host}: {why}")]
    Unreachable { host: String, why: String },
    /// The server wants another credential than it was given, or one at all.
    #[error("{host} refuses the Git credential: {why}")]
    AuthenticationRefused { host: String, why: String },
    /// The server knows no such repository, or hides it from this credential.
    #[error("{host} has no such repository, or hides it from this credential: {why}")]
    RepositoryNotFound { host: String, why: String },
    /// The repository has no such ref.
    #[error("the repository has no {name}")]
    RefNotFound { name: String },
    /// The repository does not give out this commit.
    #[error("the repository does not have commit {commit}")]
    CommitNotFound { commit: String },
    /// The server's SSH key is another than `known_hosts` says.
    #[error("the SSH host key of {host} is another than known_hosts has: it was replaced, or this is not {host}")]
    HostKeyChanged { host: String },
    /// `known_hosts` has no line for the server.
    #[error("known_hosts has no SSH host key for {host}")]
    HostKeyUnknown { host: String },
    /// No space is left on our own disk.
    #[error("no space is left to {doing}")]
    NoSpace { doing: String },
    /// A submodule cannot be had.
    #[error("cannot get the submodule {path:?}: {why}")]
    Submodule { path: String, why: Box<Error> },
    /// Our own disk or process table.
    #[error("cannot {doing}: {why}")]
    Io { doing: &'static str, why: String },
    /// Git said something else.
    #[error("git {doing} ended with {why}")]
    Other { doing: String, why: String },
}

impl Error {
    /// An error of our own disk.
    pub(crate) fn io(doing: &'static str, error: &std::io::Error) -> Self {
        if matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded) {
            Error::NoSpace { doing: doing.to_owned() }
        } else {
            Error::Io { doing, why: error.to_string() }
        }
    }
}

/// What a row of the table stands for.
#[derive(Clone, Copy)]
enum Sign {
    NoSpace,
    HostKeyChanged,
    HostKeyUnknown,
    Unreachable,
    Authentication,
    Repository,
    Ref,
    Commit,
}

/// Git's, ssh's and the big hosts' own words under `LC_ALL=C`, in lower case. The first row that is found decides: what
/// names the cause stands before what merely follows from it.
const SIGNS: &[(&str, Sign)] = &[
    ("no space left on device", Sign::NoSpace),
    ("disk quota exceeded", Sign::NoSpace),
    ("out of diskspace", Sign::NoSpace),
    ("remote host identification has changed", Sign::HostKeyChanged),
    ("host key is known for", Sign::HostKeyUnknown),
    ("host key verification failed", Sign::HostKeyUnknown),
    ("could not resolve", Sign::Unreachable),
    ("failed to connect to", Sign::Unreachable),
    ("couldn't connect to server", Sign::Unreachable),
    ("connection refused", Sign::Unreachable),
    ("connection timed out", Sign::Unreachable),
    ("operation timed out", Sign::Unreachable),
    ("operation too slow", Sign::Unreachable),
    ("timed out after", Sign::Unreachable),
    ("network is unreachable", Sign::Unreachable),
    ("no route to host", Sign::Unreachable),
    ("name resolution", Sign::Unreachable),
    ("name or service not known", Sign::Unreachable),
    ("connection reset by", Sign::Unreachable),
    ("ssl certificate problem", Sign::Unreachable),
    ("server certificate verification failed", Sign::Unreachable),
    ("gnutls", Sign::Unreachable),
    ("openssl", Sign::Unreachable),
    ("requested url returned error: 429", Sign::Unreachable),
    ("requested url returned error: 5", Sign::Unreachable),
    ("empty reply from server", Sign::Unreachable),
    ("authentication failed for", Sign::Authentication),
    ("could not read username", Sign::Authentication),
    ("could not read password", Sign::Authentication),
    ("permission denied (", Sign::Authentication),
    ("too many authentication failures", Sign::Authentication),
    ("requested url returned error: 401", Sign::Authentication),
    ("requested url returned error: 403", Sign::Authentication),
    ("http basic: access denied", Sign::Authentication),
    ("couldn't find remote ref", Sign::Ref),
    ("not our ref", Sign::Commit),
    ("unadvertised object", Sign::Commit),
    ("repository not found", Sign::Repository),
    ("requested url returned error: 404", Sign::Repository),
    ("does not appear to be a git repository", Sign::Repository),
    ("could not be found or you don't have permission", Sign::Repository),
    ("not valid: is this a git repository", Sign::Repository),
    ("' not found", Sign::Repository),
    ("kex_exchange_identification", Sign::Unreachable),
    ("connection closed by", Sign::Unreachable),
    ("remote end hung up", Sign::Unreachable),
    ("early eof", Sign::Unreachable),
    ("rpc failed", Sign::Unreachable),
];

/// What was tried, for the texts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub doing: &'a str,
    pub host: &'a str,
    /// The ref or the commit that was asked for.
    pub object: &'a str,
}

/// Reads Git's last words, masked already. What a server says (`remote: …`) counts only when Git itself says nothing
/// that we know: a server is a stranger.
pub(crate) fn classify(stderr: &str, status: Option<i32>, asked: Asked<'_>) -> Error {
    let (theirs, ours): (Vec<&str>, Vec<&str>) =
        stderr.lines().map(str::trim).filter(|line| !line.is_empty()).partition(|line| line.starts_with("remote:"));
    let host = asked.host.to_owned();
    let found = [&ours, &theirs].into_iter().find_map(|lines| {
        SIGNS.iter().find_map(|(words, sign)| {
            let line = lines.iter().find(|line| line.to_ascii_lowercase().contains(words))?;
            Some((*sign, short(line)))
        })
    });
    match found {
        Some((Sign::NoSpace, _)) => Error::NoSpace { doing: format!("{} the source", asked.doing) },
        Some((Sign::HostKeyChanged, _)) => Error::HostKeyChanged { host },
        Some((Sign::HostKeyUnknown, _)) => Error::HostKeyUnknown { host },
        Some((Sign::Unreachable, why)) => Error::Unreachable { host, why },
        Some((Sign::Authentication, why)) => Error::AuthenticationRefused { host, why },
        Some((Sign::Repository, why)) => Error::RepositoryNotFound { host, why },
        Some((Sign::Ref, _)) => Error::RefNotFound { name: asked.object.to_owned() },
        Some((Sign::Commit, _)) => Error::CommitNotFound { commit: asked.object.to_owned() },
        None => Error::Other { doing: asked.doing.to_owned(), why: last_words(&ours, &theirs, status) },
    }
}

fn last_words(ours: &[&str], theirs: &[&str], status: Option<i32>) -> String {
    let lines = if ours.is_empty() { theirs } else { ours };
    let ended = status.map_or_else(|| "a signal".to_owned(), |status| format!("status {status}"));
    match lines {
        [] => format!("{ended} and said nothing"),
        [.., before, last] => format!("{ended}: {}; {}", short(before), short(last)),
        [last] => format!("{ended}: {}", short(last)),
    }
}

fn short(line: &str) -> String {
    line.trim_start_matches("fatal: ").chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(stderr: &str) -> &'static str {
        match classify(stderr, Some(128), Asked { doing: "ls-remote", host: "git.acme.dev", object: "branch x" }) {
            Error::Unreachable { .. } => "unreachable",
            Error::AuthenticationRefused { .. } => "authentication",
            Error::RepositoryNotFound { .. } => "repository",
            Error::RefNotFound { .. } => "ref",
            Error::CommitNotFound { .. } => "commit",
            Error::HostKeyChanged { .. } => "changed",
            Error::HostKeyUnknown { .. } => "unknown key",
            Error::NoSpace { .. } => "no space",
            Error::Other { .. } => "other",
            Error::BadUrl { .. }
            | Error::BadName { .. }
            | Error::BadCredentials(_)
            | Error::Submodule { .. }
            | Error::Io { .. } => "ours",
        }
    }

    const SSH_TAIL: &str = "fatal: Could not read from remote repository.\n\nPlease make sure you have the correct \
                            access rights\nand the repository exists.\n";

    #[test]
    fn the_words_of_git_and_of_hosts() {
        let rows = [
            ("unreachable", "fatal: unable to access 'https://nope.invalid/x/': Could not resolve host: nope.invalid"),
            (
                "unreachable",
                "fatal: unable to access 'https://127.0.0.1:9/x/': Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn't connect to server",
            ),
            (
                "unreachable",
                "fatal: unable to access 'https://h/x/': SSL certificate problem: unable to get local issuer certificate",
            ),
            (
                "unreachable",
                "fatal: unable to access 'https://h/x/': server certificate verification failed. CAfile: none CRLfile: none",
            ),
            ("unreachable", "fatal: unable to access 'https://h/x/': The requested URL returned error: 503"),
            ("unreachable", "fatal: unable to access 'https://h/x/': The requested URL returned error: 429"),
            (
                "unreachable",
                "fatal: unable to access 'https://h/x/': Operation too slow. Less than 1000 bytes/sec transferred the last 30 seconds",
            ),
            (
                "unreachable",
                "error: RPC failed; curl 56 GnuTLS recv error (-54): Error in the pull function.\nfatal: early EOF",
            ),
            (
                "authentication",
                "remote: Invalid username or token. Password authentication is not supported for Git operations.\nfatal: Authentication failed for 'https://github.com/acme/shop.git/'",
            ),
            ("authentication", "fatal: could not read Username for 'https://github.com': terminal prompts disabled"),
            (
                "authentication",
                "remote: HTTP Basic: Access denied. The provided password or token is incorrect\nfatal: Authentication failed for 'https://gitlab.com/a/b.git/'",
            ),
            (
                "authentication",
                "remote: Write access to repository not granted.\nfatal: unable to access 'https://github.com/a/b/': The requested URL returned error: 403",
            ),
            (
                "repository",
                "remote: Repository not found.\nfatal: repository 'https://github.com/acme/nope/' not found",
            ),
            ("repository", "fatal: https://h/x/info/refs not valid: is this a git repository?"),
            ("ref", "fatal: couldn't find remote ref refs/heads/nope"),
            ("commit", "fatal: git upload-pack: not our ref 1111\nfatal: remote error: upload-pack: not our ref 1111"),
            ("commit", "error: Server does not allow request for unadvertised object 1111"),
            ("no space", "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output"),
            (
                "no space",
                "error: unable to write file big\nfatal: sha1 file '.git/index.lock' write error. Out of diskspace",
            ),
            ("no space", "error: unable to write file big: Disk quota exceeded\nfatal: unable to checkout"),
            ("other", "fatal: the moon is full"),
            ("other", ""),
        ];
        for (expected, text) in rows {
            assert_eq!(kind(text), expected, "{text}");
        }
        let ssh_rows = [
            ("unreachable", "ssh: connect to host 127.0.0.1 port 9: Connection refused"),
            ("unreachable", "ssh: Could not resolve hostname nope.invalid: Name or service not known"),
            ("unreachable", "kex_exchange_identification: Connection closed by remote host"),
            ("authentication", "git@github.com: Permission denied (publickey)."),
            ("repository", "ERROR: Repository not found."),
            (
                "repository",
                "remote: \nremote: ERROR: The project you were looking for could not be found or you don't have permission to view it.\nremote: ",
            ),
            ("repository", "fatal: 'acme/nope' does not appear to be a git repository"),
            (
                "unknown key",
                "No ED25519 host key is known for github.com and you have requested strict checking.\nHost key verification failed.",
            ),
            (
                "changed",
                "@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@\nOffending ED25519 key in /tmp/x:1\nHost key verification failed.",
            ),
        ];
        for (expected, text) in ssh_rows {
            assert_eq!(kind(&format!("{text}\n{SSH_TAIL}")), expected, "{text}");
        }
    }

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let of = |code| Error::io("write", &std::io::Error::from_raw_os_error(code));
        // ENOSPC, EDQUOT and EIO.
        assert_eq!(of(28), Error::NoSpace { doing: "write".to_owned() });
        assert_eq!(of(122), Error::NoSpace { doing: "write".to_owned() });
        assert!(matches!(of(5), Error::Io { .. }));
    }

    #[test]
    fn a_server_cannot_talk_over_git() {
        let text = "remote: REMOTE HOST IDENTIFICATION HAS CHANGED\nfatal: Authentication failed for 'https://h/x/'";
        assert_eq!(kind(text), "authentication");
    }

    #[test]
    fn what_is_not_known_is_quoted_and_short() {
        let asked = Asked { doing: "fetch", host: "h", object: "x" };
        let text = format!("fatal: one\u{1b}[31m\n{}", "y".repeat(900));
        let message = classify(&text, Some(128), asked).to_string();
        assert!(message.starts_with("git fetch ended with status 128: one[31m; yyy"), "{message}");
        assert!(message.len() < 300);
    }
}
