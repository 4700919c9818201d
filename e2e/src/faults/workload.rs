//! What the operator is at while it is let down: stories that end in one known way.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::{Context as _, Error, Result, bail};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::ResourceExt as _;
use serde_json::{Value, json};
use switchyard_api::{
    GROUP, Rollout, VERSION,
    condition::{READY, State},
    names::{ANNOTATION_SWITCH, LABEL_REVISION},
};

use crate::place::Place;

/// The Rollout of every story.
pub const NAME: &str = "shop";
/// After which a revision that served may lose its pods.
pub const DRAIN: Duration = Duration::from_secs(2);
/// Stories wait for each other's steps no longer than this.
const STEP: Duration = Duration::from_mins(2);
const LOOK: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// The first deployment.
    Deploy,
    /// Blue is live, and green follows.
    Update,
    /// Green never gets ready and is given up.
    NeverReady,
    /// While green is nominated, grey is wanted instead.
    Superseded,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Workload {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let names = Self::ALL.map(Self::name).join(", ");
        Self::ALL.into_iter().find(|w| w.name() == s).with_context(|| format!("{s:?} is no workload: {names}"))
    }
}

/// How a story ends.
pub struct End {
    pub live: &'static str,
    /// Revisions that were given up.
    pub rejected: &'static [&'static str],
}

impl Workload {
    pub const ALL: [Self; 4] = [Self::Deploy, Self::Update, Self::NeverReady, Self::Superseded];

    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Update => "update",
            Self::NeverReady => "never-ready",
            Self::Superseded => "superseded",
        }
    }

    pub fn end(self) -> End {
        match self {
            Self::Deploy => End { live: "blue", rejected: &[] },
            Self::Update => End { live: "green", rejected: &[] },
            Self::NeverReady => End { live: "blue", rejected: &["green"] },
            Self::Superseded => End { live: "grey", rejected: &[] },
        }
    }

    /// What is there before the writes are counted: none if it is nothing.
    pub fn before(self) -> Option<End> {
        match self {
            Self::Deploy => None,
            Self::Update | Self::NeverReady | Self::Superseded => Some(End { live: "blue", rejected: &[] }),
        }
    }

    pub async fn prepare(self, place: &Place) -> Result<()> {
        match self.before() {
            None => Ok(()),
            Some(end) => apply(place, &Spec::of(end.live)).await,
        }
    }

    pub async fn tell(self, place: &Place) -> Result<()> {
        match self {
            Self::Deploy => apply(place, &Spec::of("blue")).await,
            Self::Update => apply(place, &Spec::of("green")).await,
            Self::NeverReady => apply(place, &Spec::of("green").image("never-ready").deadline("6s")).await,
            Self::Superseded => {
                apply(place, &Spec::of("green")).await?;
                until(place, "green is nominated, or was", async || {
                    let green = deployments(place).await.into_iter().find(|d| text_of(d) == "green")?;
                    let revision = green.labels().get(LABEL_REVISION)?.clone();
                    let service = place.find::<Service>(NAME).await?;
                    let record: Value = serde_json::from_str(service.annotations().get(ANNOTATION_SWITCH)?).ok()?;
                    let place = ["candidate", "live"].into_iter().find(|place| record[*place] == revision);
                    place.map(drop)
                })
                .await?;
                apply(place, &Spec::of("grey")).await
            }
        }
    }
}

impl End {
    /// It has come to that, and nothing is left to do: what is live has its pods, and all else has none.
    pub async fn is_there(&self, place: &Place) -> bool {
        let Some(rollout) = place.find::<Rollout>(NAME).await else { return false };
        let Some(status) = &rollout.status else { return false };
        let ready = status.conditions.iter().any(|c| c.kind == READY && c.status == State::True);
        let deployments = deployments(place).await;
        let text = |revision: &str| {
            let of = |d: &&Deployment| d.labels().get(LABEL_REVISION).is_some_and(|r| r == revision);
            deployments.iter().find(of).map(text_of)
        };
        let live = status.live.as_ref().filter(|live| live.confirmed).and_then(|live| text(live.revision.as_str()));
        let mut rejected: Vec<_> = status.rejected.iter().filter_map(|r| text(r.revision.as_str())).collect();
        rejected.sort();
        let retired = deployments.iter().filter(|d| text_of(d) != self.live).all(|d| {
            let replicas = d.spec.as_ref().and_then(|s| s.replicas);
            replicas == Some(0) && d.status.as_ref().and_then(|s| s.replicas).unwrap_or(0) == 0
        });
        let selected = place.find::<Service>(NAME).await.and_then(|s| s.spec?.selector?.get(LABEL_REVISION).cloned());
        rollout.metadata.generation == Some(status.observed_generation)
            && ready
            && live.as_deref() == Some(self.live)
            && selected.and_then(|revision| text(&revision)).as_deref() == Some(self.live)
            && rejected == self.rejected
            && status.next.is_none()
            && retired
    }
}

async fn deployments(place: &Place) -> Vec<Deployment> {
    place.list::<Deployment>("").await
}

/// What the revision is called in the story.
fn text_of(deployment: &Deployment) -> String {
    let pod = deployment.spec.as_ref().and_then(|s| s.template.spec.as_ref());
    let variables = pod.and_then(|p| p.containers.first()).and_then(|c| c.env.clone()).unwrap_or_default();
    variables.into_iter().find(|v| v.name == "TEXT").and_then(|v| v.value).unwrap_or_default()
}

/// Looks until it is so.
async fn until<T>(place: &Place, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> Result<T> {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    match tokio::time::timeout(STEP, looking).await {
        Ok(found) => Ok(found),
        Err(_) => bail!("in {} it did not come to this: {what}", place.namespace),
    }
}

async fn apply(place: &Place, spec: &Spec) -> Result<()> {
    let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{}/rollouts/{NAME}", place.namespace);
    place.put(&path, &spec.rollout()).await
}

/// A revision, by what is said of it in the story.
struct Spec {
    text: &'static str,
    image: &'static str,
    deadline: &'static str,
}

impl Spec {
    fn of(text: &'static str) -> Self {
        Self { text, image: "ready", deadline: "10m" }
    }

    fn image(self, image: &'static str) -> Self {
        Self { image, ..self }
    }

    fn deadline(self, deadline: &'static str) -> Self {
        Self { deadline, ..self }
    }

    fn rollout(&self) -> Value {
        let delay = "1s";
        json!({
            "apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Rollout",
            "metadata": {"name": NAME},
            "spec": {
                "replicas": 2,
                "template": {"spec": {"containers": [{
                    "name": "page", "image": self.image,
                    "env": [{"name": "TEXT", "value": self.text}],
                    "ports": [{"name": "http", "containerPort": 8080}],
                    "readinessProbe": {"httpGet": {"path": "/healthz", "port": "http"}},
                }]}},
                "service": {"spec": {"ports": [{"name": "http", "port": 80, "targetPort": "http"}]}},
                "strategy": {"blueGreen": {"scaleDownDelay": delay, "drain": {"duration": format!("{}s", DRAIN.as_secs()), "preStop": "None"}}},
                "progressDeadline": self.deadline,
            },
        })
    }
}
