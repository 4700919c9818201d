//! A stand-in for a registry: blobs and manifests in memory, and on order the ways a registry can refuse. The real one
//! is asked in the end-to-end tests.
#![allow(dead_code)] // Each test binary uses its part.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use sha2::Digest as _;

/// How the stand-in behaves. "ann:secret" is the only login it knows.
#[derive(Clone, Default)]
pub struct Manner {
    pub basic: bool,
    /// Gives out tokens itself; without a login one that lets nobody in.
    pub bearer: bool,
    /// Names a token service of another scheme than it speaks.
    pub realm: Option<String>,
    /// Answers requests of this method with this status and these headers and body.
    pub refuse: Option<(&'static str, &'static str, &'static str)>,
    /// Says no digest in answers to HEAD.
    pub mute: bool,
    /// Serves this many bytes as every manifest.
    pub flood: Option<usize>,
    /// Keeps another manifest than it was given.
    pub corrupt: bool,
    /// Names no location after a manifest was set.
    pub no_location: bool,
    /// Lists referrers itself, and says so.
    pub referrers: bool,
    /// Lets no tag be set twice, and says so as ECR does.
    pub immutable: bool,
    /// Somebody else overwrites the list of referrers so many times.
    pub rivals: usize,
    /// Answers a manifest that is no image with this status.
    pub no_artifacts: Option<&'static str>,
    /// The code in the body of a refusal.
    pub code: Option<&'static str>,
}

#[derive(Default)]
pub struct Stored {
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub manifests: BTreeMap<String, Vec<u8>>,
    pub requests: Vec<String>,
    rivals: usize,
}

pub struct Standin {
    /// `127.0.0.1:port`.
    pub host: String,
    pub stored: Arc<Mutex<Stored>>,
}

pub fn digest(content: &[u8]) -> String {
    format!("sha256:{:x}", sha2::Sha256::digest(content))
}

pub fn start(manner: Manner) -> Standin {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let stored: Arc<Mutex<Stored>> = Arc::default();
    let (name, shared) = (host.clone(), stored.clone());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (manner, name, shared) = (manner.clone(), name.clone(), shared.clone());
            std::thread::spawn(move || {
                let _ = answer(&stream, &manner, &name, &shared);
            });
        }
    });
    Standin { host, stored }
}

fn answer(stream: &TcpStream, manner: &Manner, host: &str, stored: &Mutex<Stored>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut words = first.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "authorization" => value.clone_into(&mut authorization),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let who = if authorization.is_empty() { "nobody" } else { "somebody" };
    let mut stored = stored.lock().unwrap();
    stored.requests.push(format!("{method} {target} {who}"));
    let reply = |status: &str, headers: &str, body: &[u8]| {
        let mut stream = stream;
        write!(stream, "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
        if method == "HEAD" { Ok(()) } else { stream.write_all(body) }
    };

    // "ann:secret" in base64.
    let login = "Basic YW5uOnNlY3JldA==";
    if target.starts_with("/token") {
        return match authorization.as_str() {
            "" => reply("200 OK", "", br#"{"token":"guest"}"#),
            given if given == login => reply("200 OK", "", br#"{"access_token":"ann"}"#),
            _ => reply("401 Unauthorized", "", br#"{"details":"incorrect username or password"}"#),
        };
    }
    let realm = manner.realm.clone().unwrap_or_else(|| format!("http://{host}/token"));
    let challenge = if manner.basic {
        Some((login, "WWW-Authenticate: Basic realm=\"r\"\r\n".to_owned()))
    } else {
        manner.bearer.then(|| ("Bearer ann", format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\n")))
    };
    if let Some((wanted, challenge)) = challenge
        && authorization != wanted
    {
        return reply(
            "401 Unauthorized",
            &challenge,
            br#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#,
        );
    }
    if let Some((refused, status, headers)) = manner.refuse
        && refused == method
        && target != "/v2/"
    {
        let code = manner.code.unwrap_or("X");
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"not today"}}]}}"#);
        return reply(status, headers, body.as_bytes());
    }
    if target == "/v2/" {
        return reply("200 OK", "", b"{}");
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let last = path.rsplit('/').next().unwrap_or_default().to_owned();
    match (method, path.contains("/manifests/")) {
        ("HEAD" | "GET", true) => match (stored.manifests.get(&last), manner.flood) {
            (_, Some(bytes)) => reply("200 OK", "", &vec![b' '; bytes]),
            (Some(manifest), None) if manner.mute => reply("200 OK", "", manifest),
            (Some(manifest), None) => {
                let kind: serde_json::Value = serde_json::from_slice(manifest).unwrap_or_default();
                let kind = kind["mediaType"].as_str().unwrap_or("application/octet-stream");
                let digest = digest(manifest);
                reply("200 OK", &format!("Docker-Content-Digest: {digest}\r\nContent-Type: {kind}\r\n"), manifest)
            }
            (None, None) => reply("404 Not Found", "", b""),
        },
        ("PUT", true) => {
            let (status, headers, said) = set_manifest(manner, &mut stored, &last, body);
            reply(status, &headers, said.as_bytes())
        }
        ("HEAD" | "GET", false) if stored.blobs.contains_key(&last) => reply("200 OK", "", &stored.blobs[&last]),
        ("POST", false) => reply("202 Accepted", "Location: /v2/upload/1?state=x\r\n", b""),
        ("PUT", false) => {
            let named = query.split('&').find_map(|pair| pair.strip_prefix("digest=")).unwrap().replace("%3A", ":");
            if named != digest(&body) {
                return reply("400 Bad Request", "", br#"{"errors":[{"code":"DIGEST_INVALID"}]}"#);
            }
            stored.blobs.insert(named, body);
            reply("201 Created", "Location: /v2/x\r\n", b"")
        }
        _ => reply("404 Not Found", "", b""),
    }
}

/// Keeps a manifest, or does not; returns status, headers and body of the answer.
fn set_manifest(manner: &Manner, stored: &mut Stored, name: &str, mut body: Vec<u8>) -> (&'static str, String, String) {
    if manner.corrupt {
        body.push(b'\n');
    }
    let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    if let (Some(status), true) = (manner.no_artifacts, parsed.get("artifactType").is_some()) {
        let said = r#"{"errors":[{"code":"MANIFEST_INVALID","message":"not an image"}]}"#;
        return (status, String::new(), said.to_owned());
    }
    if manner.immutable && !name.starts_with("sha256:") && stored.manifests.contains_key(name) {
        let why = "The image tag already exists in the repository and cannot be overwritten because the repository is \
                   immutable.";
        let said = format!(r#"{{"errors":[{{"code":"TAG_INVALID","message":"{why}"}}]}}"#);
        return ("400 Bad Request", String::new(), said);
    }
    stored.manifests.insert(name.to_owned(), body);
    if name.starts_with("sha256-") && stored.rivals < manner.rivals {
        stored.rivals += 1;
        let rival = serde_json::json!({"schemaVersion": 2, "manifests": [{"digest": "sha256:rival", "size": 1}],
            "mediaType": "application/vnd.oci.image.index.v1+json", "annotations": {"by": "rival"}});
        stored.manifests.insert(name.to_owned(), rival.to_string().into_bytes());
    }
    let location = if manner.no_location { "" } else { "Location: /v2/x\r\n" };
    let subject = match parsed["subject"]["digest"].as_str() {
        Some(subject) if manner.referrers => format!("OCI-Subject: {subject}\r\n"),
        _ => String::new(),
    };
    ("201 Created", format!("{location}{subject}"), String::new())
}

/// An OCI layout as Kaniko writes one, with these layers; returns the image's digest.
pub fn layout(directory: &Path, layers: &[&[u8]]) -> String {
    let blobs = directory.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |kind: &str, content: &[u8]| {
        let digest = digest(content);
        std::fs::write(blobs.join(&digest[7..]), content).unwrap();
        serde_json::json!({"mediaType": kind, "digest": digest, "size": content.len()})
    };
    let config = put("application/vnd.docker.container.image.v1+json", br#"{"architecture":"amd64","os":"linux"}"#);
    let layers: Vec<_> =
        layers.iter().map(|layer| put("application/vnd.docker.image.rootfs.diff.tar.gzip", layer)).collect();
    let kind = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest =
        serde_json::json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}).to_string();
    let image = put(kind, manifest.as_bytes());
    let index = serde_json::json!({"schemaVersion": 2, "manifests": [image]});
    std::fs::write(directory.join("index.json"), index.to_string()).unwrap();
    std::fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    digest(manifest.as_bytes())
}
