//! An operator that runs beside the cluster rather than in it, for one namespace, behind the proxy that kills it.

use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use serde_json::json;
use tokio::process::Child;

use crate::{
    app::PULL,
    ground::{SYSTEM, root},
    install::binary,
    place::Place,
    process::{self, run, tail},
    proxy::{Plan, Proxy, Upstream, Write},
};

/// DNS of the cluster, by its usual address.
const DNS: &str = "198.19.0.10";

/// The operator, the proxy it speaks through, and whoever starts it again.
pub struct Hosted {
    pub proxy: Arc<Proxy>,
    pub log: PathBuf,
    process: Arc<Mutex<Option<Child>>>,
    supervisor: tokio::task::JoinHandle<Result<()>>,
}

impl Hosted {
    /// Starts an operator for this namespace, with the same rights as the installed one, and the Lease in this
    /// namespace. No other operator may look at it meanwhile.
    pub async fn start(place: &Place, plan: Plan) -> Result<Self> {
        let folder = root().join("target/e2e/hosted").join(&place.namespace);
        std::fs::create_dir_all(&folder)?;
        allow_lease(place).await?;
        let process: Arc<Mutex<Option<Child>>> = Arc::default();
        let victim = process.clone();
        let kill = move || {
            if let Some(child) = victim.lock().unwrap().as_mut() {
                child.start_kill().expect("a child that nobody waited for can be killed");
            }
        };
        let upstream = Upstream::new(place.ground.setting("API_SERVER"), &place.ground.certificate_authority()?)?;
        let proxy = Arc::new(Proxy::start(SocketAddr::from(([127, 0, 0, 1], 0)), upstream, kill).await?);
        proxy.plan(plan);
        let settings = Settings::write(place, &folder, &proxy.url()).await?;
        *process.lock().unwrap() = Some(settings.spawn()?);
        let log = settings.log.clone();
        let supervisor = tokio::spawn(supervise(place.clone(), settings, process.clone(), proxy.clone()));
        Ok(Self { proxy, log, process, supervisor })
    }

    /// Everything that it wrote, and where the fault struck.
    pub fn writes(&self) -> (Vec<Write>, Option<Write>) {
        (self.proxy.writes(), self.proxy.struck())
    }

    /// Ends the operator; an error if it had ended by itself.
    pub async fn stop(mut self) -> Result<()> {
        if self.supervisor.is_finished() {
            return (&mut self.supervisor).await.context("the supervisor")?;
        }
        self.supervisor.abort();
        let child = self.process.lock().unwrap().take();
        match child {
            Some(mut child) => child.kill().await.context("end the operator"),
            None => Ok(()),
        }
    }

    /// The end of its log.
    pub fn tail(&self) -> String {
        tail(&std::fs::read_to_string(&self.log).unwrap_or_default(), 30)
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        // The child, if any, ends as its value is dropped.
        self.supervisor.abort();
    }
}

/// Starts it again after the fault. That it ends otherwise is an error.
async fn supervise(
    place: Place,
    settings: Settings,
    process: Arc<Mutex<Option<Child>>>,
    proxy: Arc<Proxy>,
) -> Result<()> {
    loop {
        // The child is looked at rather than waited for, since the proxy must be able to kill it at any moment.
        let ended = match process.lock().unwrap().as_mut() {
            Some(child) => child.try_wait().context("look at the operator")?,
            None => return Ok(()),
        };
        let Some(status) = ended else {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            continue;
        };
        if proxy.struck().is_none() || status.signal() != Some(9) {
            bail!("the operator ended by itself, with {status}: see {}", settings.log.display());
        }
        // Its Lease would hold the next one up for as long as it lasts. That nobody holds it any more is known here.
        let _ = place.api::<Lease>().delete("switchyard", &kube::api::DeleteParams::default()).await;
        proxy.reopen();
        *process.lock().unwrap() = Some(settings.spawn()?);
    }
}

/// How it is started, each time the same.
struct Settings {
    kubeconfig: PathBuf,
    resolver: PathBuf,
    log: PathBuf,
    namespace: String,
    variables: Vec<(&'static str, String)>,
}

impl Settings {
    async fn write(place: &Place, folder: &std::path::Path, url: &str) -> Result<Self> {
        let ground = &place.ground;
        let token = run(&mut ground.kubectl(&["-n", SYSTEM, "create", "token", "switchyard", "--duration=2h"])).await?;
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": {"server": url}}],
            "users": [{"name": "switchyard", "user": {"token": token.trim()}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "switchyard"}}]});
        let settings = Self {
            kubeconfig: folder.join("kubeconfig"),
            resolver: folder.join("resolv.conf"),
            log: folder.join("operator.log"),
            namespace: place.namespace.clone(),
            variables: vec![
                ("SWITCHYARD_WORKER_IMAGE", crate::install::image(ground).await?),
                ("SWITCHYARD_KANIKO_IMAGE", ground.setting("IMAGE_KANIKO").to_owned()),
                ("SWITCHYARD_INSECURE_REGISTRIES", ground.setting("REGISTRY").to_owned()),
                ("SWITCHYARD_IMAGE_PULL_SECRETS", PULL.to_owned()),
            ],
        };
        std::fs::write(&settings.kubeconfig, kubeconfig.to_string())?;
        let resolver = format!("nameserver {DNS}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n");
        std::fs::write(&settings.resolver, resolver)?;
        Ok(settings)
    }

    /// In a mount namespace of its own, where names are resolved by the cluster's DNS. The shell becomes the operator, so
    /// the child's pid is the operator's.
    fn spawn(&self) -> Result<Child> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let script = r#"mount --bind -- "$1" /etc/resolv.conf && exec "$2""#;
        let mut command = process::command("unshare");
        command.args(["--mount", "--propagation", "private", "--", "sh", "-c", script, "sh"]);
        command.arg(&self.resolver).arg(binary("switchyard-operator"));
        command.env("SWITCHYARD_KUBECONFIG", &self.kubeconfig);
        command.env("SWITCHYARD_WATCH_NAMESPACES", &self.namespace);
        command.env("SWITCHYARD_LISTEN", "127.0.0.1:0").env("SWITCHYARD_LOG", "info");
        command.env("POD_NAME", "hosted").env("POD_NAMESPACE", &self.namespace);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        command.spawn().context("start the operator")
    }
}

/// The Lease of an operator lies in its own namespace; this one's is the test's.
async fn allow_lease(place: &Place) -> Result<()> {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "switchyard-lease"},
        "rules": [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["create", "get", "update"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "switchyard-lease"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "switchyard-lease"},
        "subjects": [{"kind": "ServiceAccount", "name": "switchyard", "namespace": SYSTEM}]});
    for object in [role, binding] {
        place.apply(&object).await?;
    }
    Ok(())
}

/// Takes the installed operator away for as long as `work` takes: two at once would not be a test of one.
pub async fn without_the_installed_one<T>(work: impl AsyncFnOnce() -> T) -> T {
    use futures::FutureExt as _;
    let ground = crate::ground::Ground::of_the_test_cluster().await.unwrap();
    let replicas = async |count: &str| {
        let scale = ["-n", SYSTEM, "scale", "deployment/switchyard", count];
        run(&mut ground.kubectl(&scale)).await.unwrap();
    };
    replicas("--replicas=0").await;
    let gone =
        ["-n", SYSTEM, "wait", "pods", "--for=delete", "--selector=app.kubernetes.io/name=switchyard", "--timeout=60s"];
    run(&mut ground.kubectl(&gone)).await.unwrap();
    let ended = std::panic::AssertUnwindSafe(work()).catch_unwind().await;
    replicas("--replicas=1").await;
    let ready = ["-n", SYSTEM, "rollout", "status", "deployment/switchyard", "--timeout=60s"];
    run(&mut ground.kubectl(&ready)).await.unwrap();
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
