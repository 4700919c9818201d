//! The cluster under test.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use tokio::process::Command;

use crate::process::{self, feed, run};

/// Where the operator is installed.
pub const SYSTEM: &str = "switchyard-system";

/// A cluster, its registry and its Git server.
pub struct Ground {
    /// `e2e/cluster/env`, or for another cluster what the user set.
    settings: BTreeMap<String, String>,
    /// With the cluster's own kubectl and helm in front.
    path: String,
    /// What kubectl and helm need to find it, and nothing else.
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    pub client: Client,
}

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("e2e lies in the checkout").to_path_buf()
}

impl Ground {
    /// The cluster that `e2e/cluster/up` made.
    pub async fn of_the_test_cluster() -> Result<Self> {
        let script = r#"settings=$("$1") && eval "$settings" && env -0"#;
        let listing = run(process::command("bash").args(["-c", script, "env"]).arg(root().join("e2e/cluster/env")))
            .await
            .context("the test cluster is not there: `make cluster` makes it")?;
        let all: BTreeMap<String, String> =
            listing.split('\0').filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let kubeconfig = PathBuf::from(all.get("SWITCHYARD_KUBECONFIG").context("env names no kubeconfig")?);
        let client = client(Kubeconfig::read_from(&kubeconfig)?, None).await?;
        Ok(Self {
            path: all.get("PATH").cloned().unwrap_or_default(),
            settings: all.into_iter().filter(|(k, _)| k.starts_with("SWITCHYARD_")).collect(),
            kubeconfig: Some(kubeconfig),
            context: None,
            client,
        })
    }

    /// Another cluster, which the user named: `SWITCHYARD_CONTEXT` of their own kubeconfig.
    pub async fn of_context(context: &str) -> Result<Self> {
        let settings: BTreeMap<String, String> =
            std::env::vars().filter(|(k, _)| k.starts_with("SWITCHYARD_")).collect();
        let kubeconfig = settings.get("SWITCHYARD_KUBECONFIG").map(PathBuf::from);
        let read = match &kubeconfig {
            Some(path) => Kubeconfig::read_from(path)?,
            None => Kubeconfig::read().context("no kubeconfig: name one by SWITCHYARD_KUBECONFIG")?,
        };
        let client = client(read, Some(context)).await?;
        let path = std::env::var("PATH").unwrap_or_default();
        Ok(Self { settings, path, kubeconfig, context: Some(context.to_owned()), client })
    }

    /// One that a test started for itself, whose kubectl lies in this folder.
    pub async fn of_kubeconfig(kubeconfig: &Path, tools: &Path) -> Result<Self> {
        let path = std::env::var("PATH").unwrap_or_default();
        Ok(Self {
            settings: BTreeMap::new(),
            path: format!("{}:{path}", tools.display()),
            kubeconfig: Some(kubeconfig.to_path_buf()),
            context: Some("faults".to_owned()),
            client: client(Kubeconfig::read_from(kubeconfig)?, None).await?,
        })
    }

    /// Whether `e2e/cluster/up` made it.
    pub fn is_ours(&self) -> bool {
        self.context.is_none()
    }

    /// A setting, named without its `SWITCHYARD_`.
    #[track_caller]
    pub fn setting(&self, name: &str) -> &str {
        self.find(name).unwrap_or_else(|| panic!("SWITCHYARD_{name} is not set"))
    }

    pub fn find(&self, name: &str) -> Option<&str> {
        self.settings.get(&format!("SWITCHYARD_{name}")).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// A program that sees the cluster's tools and settings.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = process::command(program);
        command.env("PATH", &self.path);
        for (name, value) in &self.settings {
            command.env(name, value);
        }
        command
    }

    pub fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("kubectl");
        command.args(self.kubeconfig.iter().map(|path| format!("--kubeconfig={}", path.display())));
        command.args(self.context.iter().map(|context| format!("--context={context}")));
        command.args(arguments);
        command
    }

    pub fn helm(&self, arguments: &[&str]) -> Command {
        let mut command = self.command("helm");
        command.args(self.kubeconfig.iter().map(|path| format!("--kubeconfig={}", path.display())));
        command.args(self.context.iter().map(|context| format!("--kube-context={context}")));
        command.args(arguments);
        command
    }

    /// `kubectl apply` of manifests, which may be JSON.
    pub async fn apply(&self, manifests: &str) -> Result<()> {
        feed(&mut self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", "-"]), manifests).await.map(drop)
    }

    /// A program of `e2e/cluster`.
    pub fn tool(&self, name: &str) -> Result<Command> {
        if !self.is_ours() {
            bail!("e2e/cluster/{name} is for the test cluster only");
        }
        let program = root().join("e2e/cluster").join(name);
        ensure!(program.is_file(), "{} is missing", program.display());
        Ok(self.command(program))
    }

    /// The cluster's root certificate, for who speaks to its API server past a kubeconfig.
    pub fn certificate_authority(&self) -> Result<String> {
        let path = self.setting("CA");
        std::fs::read_to_string(path).with_context(|| format!("read {path}"))
    }
}

async fn client(kubeconfig: Kubeconfig, context: Option<&str>) -> Result<Client> {
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.context("read the kubeconfig")?;
    Client::try_from(config).context("make a client")
}
