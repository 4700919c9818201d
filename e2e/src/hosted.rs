//! An operator that runs beside the cluster rather than in it, for one namespace, behind the proxy that lets it down.

use std::{
    net::SocketAddr,
    os::unix::process::ExitStatusExt as _,
    path::PathBuf,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::DeleteParams;
use serde_json::json;
use tokio::{process::Child, time::Instant};

use crate::{
    app::PULL,
    ground::{SYSTEM, root},
    install::binary,
    place::Place,
    process::{self, run, tail},
    proxy::{Fault, Front, Plan, Proxy, Upstream, Write},
};

/// DNS of the test cluster, by its usual address.
const DNS: &str = "198.19.0.10";
/// How often processes are looked at. They are looked at rather than waited for, since the proxy must be able to kill
/// one at any moment.
const LOOK: Duration = Duration::from_millis(20);
/// A new leader that has written nothing for so long is at rest.
const REST: Duration = Duration::from_secs(2);
/// The longest that a write is held for a new leader that finds nothing to write.
const HELD: Duration = Duration::from_secs(8);

/// What an operator needs in order to run.
#[derive(Clone)]
pub struct Setup {
    pub place: Place,
    pub upstream: Upstream,
    /// What it meets instead, and by whose certificate.
    pub front: Front,
    pub authority: Option<String>,
    pub token: String,
    /// Names are resolved by these servers, where anything is to be resolved.
    pub resolver: Option<PathBuf>,
    pub variables: Vec<(&'static str, String)>,
    /// For kubeconfig and log.
    pub folder: PathBuf,
}

impl Setup {
    /// With the same rights as the installed one, and the Lease in this namespace. No other operator may look at it
    /// meanwhile.
    pub async fn of_the_test_cluster(place: &Place) -> Result<Self> {
        let ground = &place.ground;
        let folder = root().join("target/e2e/hosted").join(&place.namespace);
        std::fs::create_dir_all(&folder)?;
        allow_lease(place).await?;
        let token = run(&mut ground.kubectl(&["-n", SYSTEM, "create", "token", "switchyard", "--duration=2h"])).await?;
        let resolver = folder.join("resolv.conf");
        std::fs::write(
            &resolver,
            format!("nameserver {DNS}\nsearch svc.cluster.local cluster.local\noptions ndots:5\n"),
        )?;
        Ok(Self {
            place: place.clone(),
            upstream: Upstream::new(ground.setting("API_SERVER"), &ground.certificate_authority()?)?,
            front: Front::PLAIN,
            authority: None,
            token: token.trim().to_owned(),
            resolver: Some(resolver),
            variables: vec![
                ("SWITCHYARD_WORKER_IMAGE", crate::install::image(ground).await?),
                ("SWITCHYARD_KANIKO_IMAGE", ground.setting("IMAGE_KANIKO").to_owned()),
                ("SWITCHYARD_INSECURE_REGISTRIES", ground.setting("REGISTRY").to_owned()),
                ("SWITCHYARD_IMAGE_PULL_SECRETS", PULL.to_owned()),
                ("SWITCHYARD_TRIVY_IMAGE", ground.setting("IMAGE_TRIVY").to_owned()),
                ("SWITCHYARD_TRIVY_DB_REPOSITORY", ground.setting("TRIVY_DB").to_owned()),
            ],
            folder,
        })
    }
}

/// An operator, the proxy it speaks through, and whoever starts it again.
pub struct Hosted {
    first: Arc<Instance>,
    second: Arc<Mutex<Option<Arc<Instance>>>>,
    supervisor: tokio::task::JoinHandle<Result<()>>,
}

impl Hosted {
    pub async fn start(setup: Setup, plan: Plan) -> Result<Self> {
        let first = Arc::new(Instance::new(&setup, "operator").await?);
        first.proxy.plan(plan);
        first.spawn()?;
        let second = Arc::default();
        let supervisor = tokio::spawn(supervise(setup, first.clone(), Arc::clone(&second)));
        Ok(Self { first, second, supervisor })
    }

    /// Begins to count anew, under this plan.
    pub fn plan(&self, plan: Plan) {
        self.first.proxy.plan(plan);
    }

    /// Everything that was written, by whoever led, and where the fault struck.
    pub fn writes(&self) -> (Vec<Write>, Option<Write>) {
        let mut writes = self.first.proxy.writes();
        if let Some(second) = self.second.lock().unwrap().as_ref() {
            writes.extend(second.proxy.writes());
        }
        (writes, self.first.proxy.struck())
    }

    /// No write is held any more, and whoever was to take over has.
    pub fn is_through(&self) -> bool {
        let Some((fault, _)) = self.first.proxy.plan_of().fault.filter(|(f, _)| f.deposes()) else { return true };
        let Some(struck) = self.first.proxy.struck() else { return true };
        let second = self.second.lock().unwrap();
        second.is_some() && (!fault.holds() || struck.status.is_some())
    }

    /// Ends the operator; an error if it had ended by itself.
    pub async fn stop(mut self) -> Result<()> {
        if self.supervisor.is_finished() {
            return (&mut self.supervisor).await.context("the supervisor")?;
        }
        self.supervisor.abort();
        let second = self.second.lock().unwrap().take();
        for instance in [Some(self.first.clone()), second].into_iter().flatten() {
            let child = instance.process.lock().unwrap().take();
            if let Some(mut child) = child {
                child.kill().await.context("end the operator")?;
            }
        }
        Ok(())
    }

    /// The end of what they said.
    pub fn tail(&self) -> String {
        let second = self.second.lock().unwrap().clone();
        let logs = [Some(self.first.clone()), second].into_iter().flatten().map(|i| i.log.clone());
        logs.map(|log| tail(&std::fs::read_to_string(log).unwrap_or_default(), 30)).collect::<Vec<_>>().join("\n--\n")
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        // The children, if any, end as their values are dropped.
        self.supervisor.abort();
    }
}

/// Starts it again after a kill, and another one where it was to lose its Lease. That it ends otherwise is an error.
async fn supervise(setup: Setup, first: Arc<Instance>, second: Arc<Mutex<Option<Arc<Instance>>>>) -> Result<()> {
    let mut gone = false;
    loop {
        tokio::time::sleep(LOOK).await;
        let struck = first.proxy.struck();
        let fault = first.proxy.plan_of().fault.map(|(fault, _)| fault).filter(|_| struck.is_some());
        if !gone && let Some(status) = first.ended()? {
            match fault {
                Some(fault) if fault.kills() && status.signal() == Some(9) => {
                    release_lease(&setup.place).await;
                    first.proxy.reopen();
                    first.spawn()?;
                }
                // Who finds that it leads no more ends.
                Some(fault) if fault.deposes() && status.code() == Some(1) => gone = true,
                _ => bail!("the operator ended by itself, with {status}: see {}", first.log.display()),
            }
        }
        let Some(fault) = fault.filter(|f| f.deposes()) else { continue };
        let standing = second.lock().unwrap().clone();
        match standing {
            None => {
                let instance = Arc::new(Instance::new(&setup, "second").await?);
                release_lease(&setup.place).await;
                instance.spawn()?;
                *second.lock().unwrap() = Some(instance);
            }
            Some(instance) => {
                if let Some(status) = instance.ended()? {
                    bail!("the second operator ended by itself, with {status}: see {}", instance.log.display());
                }
                if fault.holds() && struck.is_some_and(|w| w.status.is_none()) && instance.has_led(fault) {
                    first.proxy.release();
                }
            }
        }
    }
}

/// Its Lease would hold the next one up for as long as it lasts. That nobody holds it any more, or is not to, is known
/// here.
async fn release_lease(place: &Place) {
    let _ = place.api::<Lease>().delete("switchyard", &DeleteParams::default()).await;
}

/// One process, which may be started again, and its proxy.
struct Instance {
    proxy: Proxy,
    process: Arc<Mutex<Option<Child>>>,
    /// How much it had written, and when it was first seen to have written so much.
    seen: Mutex<(usize, Instant)>,
    began: Instant,
    setup: Setup,
    kubeconfig: PathBuf,
    log: PathBuf,
    name: &'static str,
}

impl Instance {
    async fn new(setup: &Setup, name: &'static str) -> Result<Self> {
        let process: Arc<Mutex<Option<Child>>> = Arc::default();
        let victim = process.clone();
        let kill = move || {
            if let Some(child) = victim.lock().unwrap().as_mut() {
                child.start_kill().expect("a child that nobody waited for can be killed");
            }
        };
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let proxy = Proxy::start(listen, setup.front.clone(), setup.upstream.clone(), kill).await?;
        let mut cluster = json!({"server": proxy.url()});
        if let Some(authority) = &setup.authority {
            let bytes = k8s_openapi::ByteString(authority.clone().into_bytes());
            cluster["certificate-authority-data"] = serde_json::to_value(bytes)?;
        }
        let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "proxy",
            "clusters": [{"name": "proxy", "cluster": cluster}],
            "users": [{"name": "switchyard", "user": {"token": setup.token}}],
            "contexts": [{"name": "proxy", "context": {"cluster": "proxy", "user": "switchyard"}}]});
        let path = setup.folder.join(format!("{name}.kubeconfig"));
        std::fs::write(&path, kubeconfig.to_string())?;
        let now = Instant::now();
        Ok(Self {
            proxy,
            process,
            seen: Mutex::new((0, now)),
            began: now,
            log: setup.folder.join(format!("{name}.log")),
            kubeconfig: path,
            setup: setup.clone(),
            name,
        })
    }

    /// Its names are resolved by its own servers in a mount namespace of its own. The shell becomes the operator, so the
    /// child's pid is the operator's.
    fn spawn(&self) -> Result<()> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = match &self.setup.resolver {
            None => process::command(binary("switchyard-operator")),
            Some(resolver) => {
                let script = r#"mount --bind -- "$1" /etc/resolv.conf && exec "$2""#;
                let mut command = process::command("unshare");
                command.args(["--mount", "--propagation", "private", "--", "sh", "-c", script, "sh"]);
                command.arg(resolver).arg(binary("switchyard-operator"));
                command
            }
        };
        command.env("SWITCHYARD_KUBECONFIG", &self.kubeconfig);
        command.env("SWITCHYARD_WATCH_NAMESPACES", &self.setup.place.namespace);
        command.env("SWITCHYARD_LISTEN", "127.0.0.1:0").env("SWITCHYARD_LOG", "info");
        command.env("POD_NAME", self.name).env("POD_NAMESPACE", &self.setup.place.namespace);
        command.envs(self.setup.variables.iter().map(|(name, value)| (name, value)));
        command.stdout(Stdio::from(log.try_clone()?)).stderr(Stdio::from(log));
        *self.process.lock().unwrap() = Some(command.spawn().context("start the operator")?);
        Ok(())
    }

    fn ended(&self) -> Result<Option<std::process::ExitStatus>> {
        match self.process.lock().unwrap().as_mut() {
            Some(child) => child.try_wait().context("look at the operator"),
            None => Ok(None),
        }
    }

    /// Whether it has led for as long as this fault waits for.
    fn has_led(&self, fault: Fault) -> bool {
        let answered = self.proxy.writes().iter().filter(|w| w.status.is_some()).count();
        let mut seen = self.seen.lock().unwrap();
        if seen.0 != answered {
            *seen = (answered, Instant::now());
        }
        let led = answered > 0 && (fault != Fault::Latest || seen.1.elapsed() > REST);
        led || self.began.elapsed() > HELD && seen.1.elapsed() > REST
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
