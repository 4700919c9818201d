//! Runs `git`: a clean environment, capped output, a time limit, and nothing left behind.

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};

use crate::credentials::Kind;
use crate::error::{Asked, classify};
use crate::{Error, Remote, Scheme};

/// What may come out of one command; a history of a million commits is longer, and is refused.
const MAX_STDOUT: usize = 64 * 1024 * 1024;
/// How much of the end of standard error is kept.
const MAX_STDERR: usize = 16 * 1024;
/// A transfer under 1000 bytes a second for this long is over.
const LOW_SPEED_SECONDS: &str = "30";
/// Passed on from our own environment: where programs, proxies and trusted authorities are.
const PASSED_ON: [&str; 11] = [
    "PATH",
    "TMPDIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "ALL_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
];
/// Answers for the password from its environment, to `get` alone: it stores and erases nothing.
const HELPER: &str = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \"$SWITCHYARD_GIT_USERNAME\" \
                      \"$SWITCHYARD_GIT_PASSWORD\"; }; f";

/// A private place to run Git for one remote. Dropped, it takes the keys it wrote with it.
pub(crate) struct Session<'a> {
    remote: &'a Remote,
    home: tempfile::TempDir,
    ssh_command: Option<String>,
    ca: Option<PathBuf>,
}

impl<'a> Session<'a> {
    pub(crate) fn open(remote: &'a Remote) -> Result<Self, Error> {
        let io = |error: std::io::Error| Error::io("prepare a place for git", &error);
        let private = std::fs::Permissions::from_mode(0o700);
        let home = tempfile::Builder::new().prefix("switchyard-git-").permissions(private).tempdir().map_err(io)?;
        let ssh_command = match (remote.url.scheme(), &remote.credentials.kind) {
            (Scheme::Ssh, Kind::Ssh { key, known_hosts }) => {
                let key = private_file(home.path(), "key", key).map_err(io)?;
                let known_hosts = private_file(home.path(), "known_hosts", known_hosts).map_err(io)?;
                Some(ssh_command(&key, &known_hosts))
            }
            (Scheme::Ssh, Kind::None | Kind::Basic { .. }) => {
                return Err(Error::BadCredentials("an ssh URL needs a Secret with ssh-privatekey and known_hosts"));
            }
            (Scheme::Http | Scheme::Https, Kind::Ssh { .. }) => {
                return Err(Error::BadCredentials("it holds an SSH key, and the URL is not ssh"));
            }
            (Scheme::Http | Scheme::Https, Kind::None | Kind::Basic { .. }) => None,
        };
        let ca = match &remote.credentials.ca {
            Some(pem) => Some(private_file(home.path(), "ca.crt", pem).map_err(io)?),
            None => None,
        };
        Ok(Self { remote, home, ssh_command, ca })
    }

    /// A scratch directory that goes with the session.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A command that talks to the remote; `asked` is for the error. Returns its standard output.
    pub(crate) async fn remote(
        &self,
        directory: Option<&Path>,
        arguments: &[&str],
        limit: Duration,
        asked: Asked<'_>,
    ) -> Result<String, Error> {
        let mut command = self.command(directory, arguments);
        let protocol = self.remote.url.scheme().as_str();
        let origin = self.remote.url.origin();
        let speed = [("http.lowSpeedLimit", "1000"), ("http.lowSpeedTime", LOW_SPEED_SECONDS)];
        let mut config: Vec<(String, String)> =
            speed.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        if let (Kind::Basic { username, password }, Scheme::Http | Scheme::Https) =
            (&self.remote.credentials.kind, self.remote.url.scheme())
        {
            // Bound to scheme, host and port: git asks nobody for the host a redirect leads to.
            config.push((format!("credential.{origin}.helper"), HELPER.to_owned()));
            command.env("SWITCHYARD_GIT_USERNAME", username).env("SWITCHYARD_GIT_PASSWORD", password);
        }
        command.env("GIT_ALLOW_PROTOCOL", protocol);
        if let Some(ssh) = &self.ssh_command {
            command.env("GIT_SSH_COMMAND", ssh).env("GIT_SSH_VARIANT", "ssh");
        }
        if let Some(ca) = &self.ca {
            command.env("GIT_SSL_CAINFO", ca);
        }
        set_config(&mut command, directory, &config);
        self.run(command, limit, asked).await?.text(asked)
    }

    /// A command on what is here already; it may use no protocol and sees no credential.
    pub(crate) async fn local(
        &self,
        directory: Option<&Path>,
        arguments: &[&str],
        limit: Duration,
        asked: Asked<'_>,
    ) -> Result<String, Error> {
        self.run(self.offline(directory, arguments), limit, asked).await?.text(asked)
    }

    /// The same, for names that need not be UTF-8.
    pub(crate) async fn local_bytes(
        &self,
        directory: Option<&Path>,
        arguments: &[&str],
        limit: Duration,
        asked: Asked<'_>,
    ) -> Result<Vec<u8>, Error> {
        self.run(self.offline(directory, arguments), limit, asked).await?.bytes(asked)
    }

    /// The same with a file as standard input, for commands whose status 1 says that nothing was found.
    pub(crate) async fn local_filter(
        &self,
        directory: Option<&Path>,
        arguments: &[&str],
        input: std::fs::File,
        limit: Duration,
        asked: Asked<'_>,
    ) -> Result<Vec<u8>, Error> {
        let mut command = self.offline(directory, arguments);
        command.stdin(input);
        let ended = self.run(command, limit, asked).await?;
        if ended.status == Some(1) { Ok(Vec::new()) } else { ended.bytes(asked) }
    }

    fn offline(&self, directory: Option<&Path>, arguments: &[&str]) -> Command {
        let mut command = self.command(directory, arguments);
        command.env("GIT_ALLOW_PROTOCOL", "").env("GIT_NO_LAZY_FETCH", "1");
        set_config(&mut command, directory, &[]);
        command
    }

    fn command(&self, directory: Option<&Path>, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(directory.unwrap_or_else(|| self.home.path())).env_clear();
        for name in PASSED_ON {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", self.home.path())
            .env("LC_ALL", "C")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ATTR_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CEILING_DIRECTORIES", directory.and_then(Path::parent).unwrap_or(Path::new("/")))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // A group of its own, so that git's helpers end with it.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    async fn run(&self, mut command: Command, limit: Duration, asked: Asked<'_>) -> Result<Ended, Error> {
        let io = |error: std::io::Error| Error::io("run git", &error);
        let mut group = Group(command.spawn().map_err(io)?);
        let (stdout, stderr) = (group.0.stdout.take(), group.0.stderr.take());
        let run = async {
            let both = tokio::try_join!(read_head(stdout, MAX_STDOUT), read_tail(stderr, MAX_STDERR));
            let (stdout, stderr) = both.map_err(io)?;
            let status = group.0.wait().await.map_err(io)?;
            Ok::<_, Error>((stdout, stderr, status))
        };
        let Ok(ended) = tokio::time::timeout(limit, run).await else {
            let why = format!("git {} took longer than {} s", asked.doing, limit.as_secs());
            return Err(Error::Unreachable { host: asked.host.to_owned(), why });
        };
        let (stdout, stderr, status) = ended?;
        let stderr = self.mask(&String::from_utf8_lossy(&stderr));
        tracing::debug!(status = status.code(), stderr = %stderr.trim_end(), "git {}", asked.doing);
        Ok(Ended { status: status.code(), stdout, stderr })
    }

    fn mask(&self, text: &str) -> String {
        self.remote.credentials.secrets().iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***"))
    }
}

/// How one command ended.
struct Ended {
    /// None when a signal ended it.
    status: Option<i32>,
    /// None when there was too much.
    stdout: Option<Vec<u8>>,
    stderr: String,
}

impl Ended {
    /// The output of a command that succeeded.
    fn bytes(self, asked: Asked<'_>) -> Result<Vec<u8>, Error> {
        if self.status != Some(0) {
            return Err(classify(&self.stderr, self.status, asked));
        }
        self.stdout.ok_or_else(|| {
            let why = format!("more than {} MiB of output", MAX_STDOUT / (1024 * 1024));
            Error::Other { doing: asked.doing.to_owned(), why }
        })
    }

    fn text(self, asked: Asked<'_>) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(&self.bytes(asked)?).into_owned())
    }
}

/// A child and all that it started; ends them when dropped, also when the caller no longer waits.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // `id` is None once the child was waited for: its number may be another's by then.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(id) = id {
            let _ = rustix::process::kill_process_group(id, rustix::process::Signal::KILL);
        }
    }
}

/// The output, or None when there is more than `cap`; read to its end either way.
async fn read_head(stream: Option<impl AsyncRead + Unpin>, cap: usize) -> std::io::Result<Option<Vec<u8>>> {
    let (mut kept, mut over) = (Vec::new(), false);
    read(stream, |piece| {
        over |= kept.len().saturating_add(piece.len()) > cap;
        if !over {
            kept.extend_from_slice(piece);
        }
    })
    .await?;
    Ok((!over).then_some(kept))
}

/// The last `cap` bytes, or a little more.
async fn read_tail(stream: Option<impl AsyncRead + Unpin>, cap: usize) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    read(stream, |piece| {
        kept.extend_from_slice(piece);
        if kept.len() > cap.saturating_mul(2) {
            kept.drain(..kept.len().saturating_sub(cap));
        }
    })
    .await?;
    Ok(kept)
}

async fn read(stream: Option<impl AsyncRead + Unpin>, mut take: impl FnMut(&[u8])) -> std::io::Result<()> {
    let Some(mut stream) = stream else { return Ok(()) };
    let mut buffer = vec![0; 8192];
    loop {
        let length = stream.read(&mut buffer).await?;
        match buffer.get(..length) {
            None | Some([]) => return Ok(()),
            Some(piece) => take(piece),
        }
    }
}

/// Configuration by environment: nothing is written to a file that stays, nothing stands in an argument.
fn set_config(command: &mut Command, directory: Option<&Path>, more: &[(String, String)]) {
    let fixed = [
        ("credential.helper", ""),
        ("credential.useHttpPath", "false"),
        ("core.askPass", ""),
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("fetch.recurseSubmodules", "false"),
        ("submodule.recurse", "false"),
        ("transfer.bundleURI", "false"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        ("advice.detachedHead", "false"),
        // Only before the first answer; what follows stays on the host that gave it.
        ("http.followRedirects", "initial"),
        ("http.userAgent", concat!("switchyard/", env!("CARGO_PKG_VERSION"))),
    ];
    // The directory is a volume that another user made; it is ours all the same.
    let owned = directory.map(|directory| ("safe.directory".to_owned(), directory.to_string_lossy().into_owned()));
    let all = fixed.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let mut count: usize = 0;
    for (key, value) in all.chain(owned).chain(more.iter().cloned()) {
        command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
        count = count.saturating_add(1);
    }
    command.env("GIT_CONFIG_COUNT", count.to_string());
}

/// ssh with the given key and hosts and nothing else. Our own paths stand in it, no text of a user.
fn ssh_command(key: &Path, known_hosts: &Path) -> String {
    format!(
        "ssh -F /dev/null -i '{}' -o IdentitiesOnly=yes -o UserKnownHostsFile='{}' -o GlobalKnownHostsFile=/dev/null \
         -o StrictHostKeyChecking=yes -o BatchMode=yes -o PasswordAuthentication=no -o ConnectTimeout=15 \
         -o ServerAliveInterval=10 -o ServerAliveCountMax=3 -o UpdateHostKeys=no",
        key.display(),
        known_hosts.display()
    )
}

fn private_file(directory: &Path, name: &str, content: &[u8]) -> std::io::Result<PathBuf> {
    let path = directory.join(name);
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    file.write_all(content)?;
    Ok(path)
}

/// A path as an argument; ours are UTF-8.
pub(crate) fn text(path: &Path) -> Result<&str, Error> {
    let path: &OsStr = path.as_ref();
    path.to_str().ok_or_else(|| Error::Io { doing: "name a directory", why: "its path is not UTF-8".to_owned() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{Credentials, Url};

    fn remote(url: &str, data: &[(&str, &str)]) -> Remote {
        let data: BTreeMap<_, _> =
            data.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
        Remote { url: Url::parse(url).unwrap(), credentials: Credentials::from_data(&data).unwrap() }
    }

    #[test]
    fn a_password_is_masked_wherever_git_says_it() {
        let remote = remote("https://h/x", &[("password", "hunter2")]);
        let session = Session::open(&remote).unwrap();
        assert_eq!(session.mask("fatal: 'https://git:hunter2@h/x' hunter2"), "fatal: 'https://git:***@h/x' ***");
    }

    #[test]
    fn a_key_is_private_while_it_is_there_and_gone_afterwards() {
        let remote = remote("git@h:x", &[("ssh-privatekey", "KEY"), ("known_hosts", "h k v")]);
        let session = Session::open(&remote).unwrap();
        let home = session.home.path().to_owned();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&home), mode(&home.join("key"))), (0o700, 0o600));
        drop(session);
        assert!(!home.exists());
    }

    #[tokio::test]
    async fn git_sees_no_environment_and_no_configuration_but_ours() {
        let remote = remote("https://h/x", &[("password", "hunter2")]);
        let session = Session::open(&remote).unwrap();
        let asked = Asked { doing: "config", host: "h", object: "" };
        let limit = Duration::from_secs(10);
        // The shell that git runs an alias with shows the environment git has.
        let list = ["-c", "alias.env=!env", "env"];
        let local = session.local(None, &list, limit, asked).await.unwrap();
        assert!(!local.contains("hunter2"), "{local}");
        let cargo = std::env::vars().filter(|(name, _)| name.starts_with("CARGO_")).count();
        assert!(cargo > 0 && !local.contains("CARGO_"), "{local}");
        let origins = session.remote(None, &["config", "--list", "--show-origin"], limit, asked).await.unwrap();
        assert!(origins.lines().all(|line| line.starts_with("command line:")), "{origins}");
        assert!(origins.contains("credential.https://h.helper=") && !origins.contains("hunter2"), "{origins}");
    }
}
