//! What the worker can be asked to do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use switchyard_api::build::Severity;

/// The steps of a Switchyard build that run in a pod.
#[derive(Debug, Parser)]
#[command(name = "switchyard-worker", disable_version_flag = true)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Puts one commit into a directory and verifies it.
    Clone(Clone),
    /// Brings back what earlier checks left.
    Fetch(Fetch),
    /// Keeps what a check left, as an artifact in a registry.
    Save(Save),
    /// Makes one registry configuration of several.
    Login(Login),
    /// Pushes an OCI layout and asks the registry for what it then serves.
    Push(Push),
    /// Brings an image from its registry, as an OCI layout.
    Pull(Pull),
    /// Judges what a scan found in an image that is in its registry already.
    Accept(Accept),
    /// Waits for the quality gate of a SonarQube server.
    Quality(Quality),
    /// Prints the version of this program.
    Version,
}

#[derive(Debug, Args)]
pub struct Clone {
    /// https://…, http://…, ssh://… or user@host:path, without a credential in it.
    #[arg(long, allow_hyphen_values = true)]
    pub url: String,
    /// The full commit hash.
    #[arg(long, allow_hyphen_values = true)]
    pub commit: String,
    /// The branch the commit was seen on.
    #[arg(long, allow_hyphen_values = true)]
    pub branch: Option<String>,
    /// An empty directory, or one that an earlier try left.
    #[arg(long)]
    pub into: PathBuf,
    /// A mounted Secret: username and password, or ssh-privatekey and `known_hosts`.
    #[arg(long)]
    pub credentials: Option<PathBuf>,
    /// Finds the version from tags with this prefix; may be empty.
    #[arg(long, allow_hyphen_values = true)]
    pub tag_prefix: Option<String>,
    /// Where clone.json is left for the push step; no container in between may mount it.
    #[arg(long)]
    pub steps: PathBuf,
    /// Fetches the submodules, and theirs.
    #[arg(long)]
    pub submodules: bool,
    /// Ends the build if no wanted path differs from this commit; one that cannot be had differs.
    #[arg(long, allow_hyphen_values = true)]
    pub base: Option<String>,
    /// A pattern as in .gitignore, from the root of the source: wanted paths. Without any, every path is wanted.
    #[arg(long = "include", allow_hyphen_values = true)]
    pub include: Vec<String>,
    /// A pattern as in .gitignore, from the root of the source: paths that are not wanted.
    #[arg(long = "exclude", allow_hyphen_values = true)]
    pub exclude: Vec<String>,
    /// Seconds for the whole step.
    #[arg(long, default_value_t = 900)]
    pub limit: u64,
}

#[derive(Debug, Args)]
pub struct Fetch {
    #[command(flatten)]
    pub registry: RegistryAccess,
    /// The digest of an artifact that `save` left; later ones replace files of earlier ones.
    #[arg(long = "digest", required = true)]
    pub digests: Vec<String>,
    /// The root of the source.
    #[arg(long)]
    pub into: PathBuf,
}

#[derive(Debug, Args)]
pub struct Save {
    #[command(flatten)]
    pub registry: RegistryAccess,
    /// The root of the source.
    #[arg(long)]
    pub from: PathBuf,
    /// A file or folder below it.
    #[arg(long = "path", required = true, allow_hyphen_values = true)]
    pub paths: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Login {
    /// A mounted .dockerconfigjson; where two name one registry, the first is used.
    #[arg(long = "from", required = true)]
    pub from: Vec<PathBuf>,
    /// Where config.json is written.
    #[arg(long)]
    pub into: PathBuf,
}

#[derive(Debug, Args)]
pub struct Push {
    /// The directory with index.json and blobs.
    #[arg(long)]
    pub layout: PathBuf,
    #[command(flatten)]
    pub registry: RegistryAccess,
    /// A tag, in which $(version), $(branch), $(short) and $(commit) are replaced.
    #[arg(long = "tag", allow_hyphen_values = true)]
    pub tags: Vec<String>,
    /// Where the clone step left clone.json.
    #[arg(long)]
    pub steps: PathBuf,
    /// Where the scan left report.json and sbom.json, which are judged before anything is pushed.
    #[arg(long)]
    pub scan: Option<PathBuf>,
    #[command(flatten)]
    pub gate: Gate,
}

#[derive(Debug, Args)]
pub struct Pull {
    #[command(flatten)]
    pub registry: RegistryAccess,
    /// The digest of the image, or of an index of several.
    #[arg(long)]
    pub digest: String,
    /// Where index.json and blobs are written.
    #[arg(long)]
    pub layout: PathBuf,
}

#[derive(Debug, Args)]
pub struct Accept {
    #[command(flatten)]
    pub registry: RegistryAccess,
    /// The digest of the image, or of an index of several.
    #[arg(long)]
    pub digest: String,
    /// Where the scan left report.json and sbom.json.
    #[arg(long)]
    pub scan: PathBuf,
    #[command(flatten)]
    pub gate: Gate,
}

#[derive(Debug, Args)]
pub struct Quality {
    /// The server's own address, with its web context if it has one.
    #[arg(long)]
    pub url: String,
    /// The key of the project that the analysis must be of.
    #[arg(long, allow_hyphen_values = true)]
    pub project: String,
    /// What the scanner left: report-task.txt. An absolute path, without a link in it.
    #[arg(long)]
    pub task_file: PathBuf,
    /// The file with the token.
    #[arg(long)]
    pub token_file: PathBuf,
    /// How long the server may take.
    #[arg(long, default_value_t = 300)]
    pub timeout_seconds: u64,
}

/// Which repository, and who we are to its registry.
#[derive(Debug, Args)]
pub struct RegistryAccess {
    /// The image's name without tag or digest.
    #[arg(long, allow_hyphen_values = true)]
    pub repository: String,
    /// A mounted .dockerconfigjson.
    #[arg(long)]
    pub credentials: Option<PathBuf>,
    /// A registry (host[:port]) that is spoken to without TLS.
    #[arg(long = "insecure-registry")]
    pub insecure_registries: Vec<String>,
}

/// Which findings of a scan are too many.
#[derive(Debug, Args)]
pub struct Gate {
    /// A severity as Trivy writes it: one finding of it is too many.
    #[arg(long = "fail-on", value_parser = severity)]
    pub fail_on: Vec<Severity>,
    /// Findings that no version of the package mends do not count.
    #[arg(long)]
    pub ignore_unfixed: bool,
}

fn severity(text: &str) -> Result<Severity, String> {
    let known = Severity::ALL.into_iter().find(|severity| severity.as_trivy() == text);
    known.ok_or_else(|| format!("the severities are {}", Severity::ALL.map(Severity::as_trivy).join(", ")))
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn severities_are_those_of_trivy() {
        let parse = |severity: &str| {
            let fixed =
                ["worker", "accept", "--repository", "r.dev/x", "--digest", "d", "--scan", "/scan", "--fail-on"];
            Arguments::try_parse_from(fixed.iter().chain([&severity]))
        };
        for severity in Severity::ALL {
            let Ok(Arguments { command: Command::Accept(accept) }) = parse(severity.as_trivy()) else { panic!() };
            assert_eq!(accept.gate.fail_on, [severity]);
        }
        for wrong in ["Critical", "high", "", "SEVERE"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
