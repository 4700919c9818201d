//! Where the demo plays: the test cluster, or one that the user named.

use std::{net::SocketAddr, process::Stdio, sync::Arc};

use anyhow::{Context as _, Result, bail};
use serde_json::json;
use switchyard_e2e::{
    forge::Repository,
    ground::{Ground, root},
    install,
    load::Load,
    place::Place,
    process::run,
    tell::Teller,
};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
};

/// Requests a second: on the test cluster, and on somebody's own.
const RATE: u32 = 300;
const LIGHT: u32 = 10;

pub struct Target {
    pub ground: Arc<Ground>,
}

impl Target {
    pub async fn find(tell: &Teller) -> Result<Self> {
        let ground = match std::env::var("SWITCHYARD_CONTEXT").ok().filter(|context| !context.is_empty()) {
            None => Ground::of_the_test_cluster().await?,
            Some(context) => {
                tell.say(&format!("on the cluster of your context {context:?}, with light load"));
                let ground = Ground::of_context(&context).await?;
                require(&ground)?;
                ground
            }
        };
        Ok(Self { ground: Arc::new(ground) })
    }

    /// Whether `make cluster` made it.
    pub fn is_ours(&self) -> bool {
        self.ground.is_ours()
    }

    pub async fn install(&self, tell: &Teller) -> Result<()> {
        if self.is_ours() {
            return install::install(&self.ground).await;
        }
        let image = match self.ground.find("IMAGE") {
            Some(image) => image.to_owned(),
            None => self.push_image(tell).await?,
        };
        let (repository, tag) = image.rsplit_once(':').context("SWITCHYARD_IMAGE is not NAME:TAG")?;
        install::charts(&self.ground, &json!({"image": {"repository": repository, "tag": tag}})).await
    }

    /// With the user's own docker, which is logged in to their registry.
    async fn push_image(&self, tell: &Teller) -> Result<String> {
        let image = format!("{}/switchyard:demo", self.ground.setting("REGISTRY"));
        tell.say(&format!("building and pushing {image} with docker"));
        let mut build = self.ground.command("docker");
        run(build.current_dir(root()).args(["build", "--quiet", "--tag", &image, "."])).await?;
        run(self.ground.command("docker").args(["push", "--quiet", &image])).await?;
        Ok(image)
    }

    pub async fn repository(&self) -> Result<Repository<'_>> {
        let repository = if self.is_ours() {
            Repository::create(&self.ground, "shop").await?
        } else {
            let url = self.ground.setting("GIT_URL").to_owned();
            Repository::at(&self.ground, url.clone(), url).await?
        };
        repository.fetch("main").await?;
        Ok(repository)
    }

    /// How the application is reached from here.
    pub async fn way_to(&self, place: &Place, service: &str) -> Result<Way> {
        if self.is_ours() {
            let address = place.address_of(service).await;
            return Ok(Way { load: Load::new(address, RATE), _proxy: None });
        }
        // Through the API server, which finds an endpoint of the Service for each request. (A port-forward would stay
        // with the pod that it began with.)
        let mut proxy = place.kubectl(&["proxy", "--port=0"]);
        let mut child = proxy.stdout(Stdio::piped()).spawn().context("start kubectl proxy")?;
        let output = child.stdout.take().context("the output of kubectl proxy")?;
        let line = BufReader::new(output).lines().next_line().await?.context("kubectl proxy said nothing")?;
        let address: SocketAddr = line
            .rsplit_once(' ')
            .and_then(|(_, address)| address.parse().ok())
            .with_context(|| format!("kubectl proxy says {line:?}"))?;
        let path = format!("/api/v1/namespaces/{}/services/{service}:http/proxy/", place.namespace);
        Ok(Way { load: Load::new(address, LIGHT).path(&path), _proxy: Some(child) })
    }
}

/// Load that may be started; what it goes through ends with it.
pub struct Way {
    pub load: Load,
    _proxy: Option<Child>,
}

/// All of what another cluster needs is named at once.
fn require(ground: &Ground) -> Result<()> {
    let wanted = [
        ("REGISTRY", "where images are pushed, such as ghcr.io/you"),
        ("REGISTRY_PUSH_USER", "who may push there"),
        ("REGISTRY_PUSH_PASSWORD", "their password or token"),
        ("REGISTRY_PULL_USER", "who may pull from there"),
        ("REGISTRY_PULL_PASSWORD", "their password or token"),
        ("GIT_URL", "a repository for the demo, over https; commits are added to its branch main"),
        ("GIT_WRITER_USER", "who may push to it"),
        ("GIT_WRITER_PASSWORD", "their password or token"),
        ("GIT_READER_USER", "who may read it"),
        ("GIT_READER_PASSWORD", "their password or token"),
    ];
    let missing: Vec<String> = wanted
        .iter()
        .filter(|(name, _)| ground.find(name).is_none())
        .map(|(name, what)| format!("  SWITCHYARD_{name}: {what}"))
        .collect();
    if !missing.is_empty() {
        bail!("with SWITCHYARD_CONTEXT these are needed too:\n{}", missing.join("\n"));
    }
    Ok(())
}
