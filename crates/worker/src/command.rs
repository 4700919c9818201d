//! What the worker can be asked to do.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

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
    /// Pushes an OCI layout and asks the registry for what it then serves.
    Push(Push),
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
    /// Seconds for the whole step.
    #[arg(long, default_value_t = 900)]
    pub limit: u64,
}

#[derive(Debug, Args)]
pub struct Push {
    /// The directory with index.json and blobs.
    #[arg(long)]
    pub layout: PathBuf,
    /// The image's name without tag or digest.
    #[arg(long, allow_hyphen_values = true)]
    pub repository: String,
    /// A tag, in which $(version), $(branch), $(short) and $(commit) are replaced.
    #[arg(long = "tag", allow_hyphen_values = true)]
    pub tags: Vec<String>,
    /// Where the clone step left clone.json.
    #[arg(long)]
    pub steps: PathBuf,
    /// A mounted .dockerconfigjson.
    #[arg(long)]
    pub credentials: Option<PathBuf>,
    /// A registry (host[:port]) that is spoken to without TLS.
    #[arg(long = "insecure-registry")]
    pub insecure_registries: Vec<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        super::Arguments::command().debug_assert();
    }
}
