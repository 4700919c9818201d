//! The control plane that `e2e/faults/control-plane` runs, and a place on it.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Child,
};

use super::{
    observer::Observer,
    registry::Registry,
    scene::{Pods, Scene},
};
use crate::{
    ground::{Ground, root},
    hosted::Setup,
    place::{Place, suffix},
    process,
    proxy::{Front, Upstream},
};

/// Its parts are built the first time.
const START: Duration = Duration::from_mins(20);

/// etcd, API server, controllers, played pods and a registry. They end with this value.
pub struct ControlPlane {
    pub ground: Arc<Ground>,
    pub observer: Observer,
    pub registry: Registry,
    folder: PathBuf,
    upstream: Upstream,
    front: Front,
    authority: String,
    token: String,
    /// It runs until its input ends.
    _process: Child,
}

impl ControlPlane {
    /// Starts one that keeps what it needs in this folder, with our kinds and no operator.
    pub async fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let ports = free_ports::<4>()?;
        let mut command = process::command(root().join("e2e/faults/control-plane"));
        command.arg(folder).args(ports.map(|port| port.to_string()));
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("start the control plane")?;
        let mut lines = BufReader::new(child.stdout.take().context("it has an output")?).lines();
        let ready =
            tokio::time::timeout(START, lines.next_line()).await.context("the control plane is not ready")??;
        ensure!(ready.as_deref() == Some("ready"), "the control plane ended: it says why above");

        let kubeconfig = folder.join("kubeconfig");
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).with_context(|| format!("read {name}"));
        let (authority, token) = (text("ca.crt")?, text("token")?.trim().to_owned());
        let plane = Self {
            ground: Arc::new(Ground::of_kubeconfig(&kubeconfig, folder).await?),
            observer: Observer::start(process::command("curl"), &format!("http://127.0.0.1:{}", ports[0])).await?,
            registry: Registry::with_the_image(ports[3]).await?,
            folder: folder.to_path_buf(),
            upstream: Upstream::new(&format!("https://127.0.0.1:{}", ports[2]), &authority)?,
            front: Front::tls(&text("server.crt")?, &text("server.key")?)?,
            authority,
            token,
            _process: child,
        };
        for file in std::fs::read_dir(root().join("crds"))? {
            plane.ground.apply(&std::fs::read_to_string(file?.path())?).await?;
        }
        Ok(plane)
    }

    /// A namespace of its own, for one operator.
    pub async fn scene(&self) -> Result<Scene<'_>> {
        let place = Place { ground: self.ground.clone(), namespace: format!("f-{}", suffix()) };
        place.post("/api/v1/namespaces", &json!({"metadata": {"name": place.namespace}})).await?;
        let folder = self.folder.join("operators").join(&place.namespace);
        std::fs::create_dir_all(&folder)?;
        let none = || "none".to_owned();
        let setup = Setup {
            place: place.clone(),
            upstream: self.upstream.clone(),
            front: self.front.clone(),
            authority: Some(self.authority.clone()),
            token: self.token.clone(),
            resolver: None,
            variables: vec![
                ("SWITCHYARD_WORKER_IMAGE", none()),
                ("SWITCHYARD_KANIKO_IMAGE", none()),
                ("SWITCHYARD_INSECURE_REGISTRIES", self.registry.host.clone()),
            ],
            folder,
        };
        Ok(Scene { place, setup, observer: &self.observer, pods: Pods::Played, registry: Some(&self.registry) })
    }
}

/// Ports of the loopback that nobody listens on now.
fn free_ports<const N: usize>() -> Result<[u16; N]> {
    let mut ports = [0; N];
    let mut held = Vec::new();
    for port in &mut ports {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}
