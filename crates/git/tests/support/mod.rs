//! Real repositories behind git's own `http-backend`, served on loopback by the smallest HTTP server that will do.
#![allow(dead_code)] // Each test binary uses its part.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

/// A bare repository under `root` and a work tree to fill it from.
pub struct Repository {
    pub root: Arc<tempfile::TempDir>,
    pub work: PathBuf,
    name: String,
    clock: u64,
}

impl Repository {
    /// `shop.git`, empty, with the branch `trunk`.
    pub fn new() -> Self {
        Self::under(Arc::new(tempfile::tempdir().unwrap()), "shop")
    }

    /// Another on the same server.
    pub fn beside(&self, name: &str) -> Self {
        Self::under(self.root.clone(), name)
    }

    fn under(root: Arc<tempfile::TempDir>, name: &str) -> Self {
        let work = root.path().join(format!("{name}-work"));
        let repository = Self { work: work.clone(), root, name: name.to_owned(), clock: 1_700_000_000 };
        let root = repository.root.path();
        git(root, 0, &["init", "-q", "--bare", "-b", "trunk", &format!("{name}.git")]);
        git(root, 0, &["init", "-q", "-b", "trunk", work.to_str().unwrap()]);
        git(&repository.bare(), 0, &["config", "uploadpack.allowFilter", "true"]);
        repository
    }

    pub fn bare(&self) -> PathBuf {
        self.root.path().join(format!("{}.git", self.name))
    }

    /// A file for the next commit.
    pub fn write(&self, path: &str, content: &str) {
        let path = self.work.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A link to another repository's commit, for the next commit of this one.
    pub fn link(&self, path: &str, url: &str, commit: &str) {
        let modules = self.work.join(".gitmodules");
        let before = std::fs::read_to_string(&modules).unwrap_or_default();
        let module = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = \"{url}\"\n");
        std::fs::write(modules, before + &module).unwrap();
        std::fs::create_dir_all(self.work.join(path)).unwrap();
        self.run(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},{path}")]);
    }

    pub fn run(&self, arguments: &[&str]) -> String {
        git(&self.work, self.clock, arguments)
    }

    /// A commit with a file of its own, pushed; returns its hash.
    pub fn commit(&mut self, message: &str) -> String {
        self.clock += 60;
        std::fs::write(self.work.join("file"), format!("{message} at {}", self.clock)).unwrap();
        self.run(&["add", "-A"]);
        self.run(&["commit", "-q", "-m", message]);
        self.push();
        self.run(&["rev-parse", "HEAD"])
    }

    pub fn push(&self) {
        let bare = self.bare();
        self.run(&["push", "-q", "--all", "--force", bare.to_str().unwrap()]);
        self.run(&["push", "-q", "--tags", bare.to_str().unwrap()]);
    }
}

fn git(directory: &Path, clock: u64, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Ann")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "ann@example.com")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_DATE"), format!("{clock} +0000"))))
        .output()
        .unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How the server behaves.
#[derive(Clone, Default)]
pub struct Manner {
    /// `Basic …` that every request must bring.
    pub authorization: Option<String>,
    /// Speaks protocol 0, where only advertised commits are given out.
    pub old_protocol: bool,
    /// Sends everybody to this origin.
    pub redirect: Option<String>,
    /// Answers every request with this status.
    pub status: Option<u16>,
    /// Accepts and never answers.
    pub silent: bool,
}

/// Method, path and the Authorization header of each request.
pub type Requests = Vec<(String, Option<String>)>;

pub struct Server {
    pub origin: String,
    pub requests: Arc<Mutex<Requests>>,
}

/// Serves every repository under `root` until the test process ends.
pub fn serve(root: &Path, manner: Manner) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let requests = Arc::new(Mutex::new(Vec::new()));
    let (root, log) = (root.to_owned(), requests.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (root, manner, log) = (root.clone(), manner.clone(), log.clone());
            std::thread::spawn(move || {
                let _ = answer(stream, &root, &manner, &log);
            });
        }
    });
    Server { origin, requests }
}

fn answer(mut stream: TcpStream, root: &Path, manner: &Manner, log: &Mutex<Requests>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = std::collections::BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
    reader.read_exact(&mut body)?;
    log.lock().unwrap().push((format!("{method} {target}"), headers.get("authorization").cloned()));

    if manner.silent {
        std::thread::sleep(std::time::Duration::from_mins(1));
    }
    if let Some(origin) = &manner.redirect {
        return write!(
            stream,
            "HTTP/1.1 302 Found\r\nLocation: {origin}{target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    if let Some(status) = manner.status {
        return write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    if manner.authorization.is_some() && headers.get("authorization") != manner.authorization.as_ref() {
        return write!(
            stream,
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"git\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        );
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut backend = Command::new("git");
    backend
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", &method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("CONTENT_TYPE", headers.get("content-type").cloned().unwrap_or_default())
        .env("HTTP_CONTENT_ENCODING", headers.get("content-encoding").cloned().unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let (Some(protocol), false) = (headers.get("git-protocol"), manner.old_protocol) {
        backend.env("GIT_PROTOCOL", protocol);
    }
    let mut child = backend.spawn()?;
    child.stdin.take().unwrap().write_all(&body)?;
    let output = child.wait_with_output()?.stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(output.len().saturating_sub(4));
    let (head, content) = (String::from_utf8_lossy(&output[..end]).into_owned(), &output[end + 4..]);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK").to_owned();
    write!(stream, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", content.len())?;
    stream.write_all(content)
}
