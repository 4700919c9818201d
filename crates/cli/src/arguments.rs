//! What can be asked for.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand};
use switchyard_api::Revision;

/// Follows a Build through all its steps, and gives orders to Builds and Rollouts.
#[derive(Debug, Parser)]
#[command(name = "kubectl-switchyard", bin_name = "kubectl switchyard", version)]
pub struct Arguments {
    #[command(flatten)]
    pub cluster: Cluster,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Which cluster, as kubectl is told.
#[derive(Debug, Args)]
pub struct Cluster {
    /// Default: that of the context.
    #[arg(short, long, global = true)]
    pub namespace: Option<String>,
    /// Of the kubeconfig. Default: its current one.
    #[arg(long, global = true)]
    pub context: Option<String>,
    /// Default: what KUBECONFIG names, or ~/.kube/config.
    #[arg(long, global = true)]
    pub kubeconfig: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Prints the log of every step of a Build, in the order in which they run.
    Logs(Logs),
    /// Ends a Build.
    Cancel(Cancel),
    /// Lets the revision go live that waits for it.
    Promote(OfRevision),
    /// Gives a revision up: it does not go live, or traffic goes back.
    Abort(OfRevision),
    /// Tries a revision again that was given up.
    Retry(OfRevision),
    /// Goes back to a revision, and stays there until `resume`.
    Rollback(OfRevision),
    /// Lets new revisions go live again after a rollback.
    Resume(Resume),
}

#[derive(Debug, Args)]
pub struct Logs {
    /// build/NAME
    #[arg(value_name = "build/NAME")]
    pub build: BuildName,
    /// Until the Build is finished; the exit code is then its result: 0 if it succeeded or was skipped, 1 if not.
    #[arg(short, long)]
    pub follow: bool,
    /// Only this one: check/NAME or image/NAME.
    #[arg(long)]
    pub step: Option<String>,
}

#[derive(Debug, Args)]
pub struct Cancel {
    /// build/NAME
    #[arg(value_name = "build/NAME")]
    pub build: BuildName,
    /// For people: it stands in the record of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct OfRevision {
    /// rollout/NAME
    #[arg(value_name = "rollout/NAME")]
    pub rollout: RolloutName,
    /// Default: the one that is on its way; of `retry`, the one that was given up last. `rollback` has none.
    #[arg(long)]
    pub revision: Option<Revision>,
    /// For people: it stands in the record of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct Resume {
    /// rollout/NAME
    #[arg(value_name = "rollout/NAME")]
    pub rollout: RolloutName,
    /// For people: it stands in the record of the order.
    #[arg(long)]
    pub reason: Option<String>,
}

/// The name of a Build, given as `build/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildName(pub String);
/// The name of a Rollout, given as `rollout/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutName(pub String);

impl FromStr for BuildName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        named(text, &["build", "builds", "bld"]).map(Self)
    }
}

impl FromStr for RolloutName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        named(text, &["rollout", "rollouts", "ro"]).map(Self)
    }
}

/// The name behind one of these kinds. It becomes part of a URL, so it is held to what a name may be.
fn named(text: &str, kinds: &[&str]) -> Result<String, String> {
    let wanted = kinds.first().copied().unwrap_or_default();
    let found = text.split_once('/').filter(|(kind, _)| kinds.contains(&kind.trim_end_matches(".switchyard.dev")));
    let Some((_, name)) = found else { return Err(format!("expected {wanted}/NAME")) };
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    if name.is_empty() || name.starts_with('.') || !name.chars().all(fits) {
        return Err(format!("{name:?} is no name of a {wanted}"));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let words = std::iter::once("kubectl-switchyard").chain(line.split_whitespace());
        Arguments::try_parse_from(words).map_err(|error| error.to_string())
    }

    #[test]
    fn clap_finds_no_contradiction() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn what_kubectl_would_understand_is_understood() {
        let arguments = parse("logs build/shop-1 -f -n shop --step image/web --context prod").unwrap();
        let Verb::Logs(logs) = arguments.verb else { panic!("{:?}", arguments.verb) };
        assert_eq!((logs.build.0.as_str(), logs.follow, logs.step.as_deref()), ("shop-1", true, Some("image/web")));
        assert_eq!(arguments.cluster.namespace.as_deref(), Some("shop"));
        assert_eq!(arguments.cluster.context.as_deref(), Some("prod"));
        for line in ["logs builds.switchyard.dev/shop", "-n shop cancel bld/shop", "promote rollout/shop --reason x"] {
            assert!(parse(line).is_ok(), "{line}");
        }
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for (line, words) in [
            ("logs shop-1", "expected build/NAME"),
            ("logs rollout/shop", "expected build/NAME"),
            ("logs build/", "is no name of a build"),
            ("logs build/a/b", "is no name of a build"),
            ("logs build/..", "is no name of a build"),
            ("promote build/shop", "expected rollout/NAME"),
            ("promote rollout/shop --revision main", "is not a revision"),
        ] {
            let said = parse(line).unwrap_err();
            assert!(said.contains(words), "{line}: {said}");
        }
    }
}
