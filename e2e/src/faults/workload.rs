//! What the operator is at while it is let down: stories that end in one known way.

use std::{fmt, str::FromStr, time::Duration};

use anyhow::{Context as _, Error, Result};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::ResourceExt as _;
use switchyard_api::{
    Rollout,
    condition::{READY, State},
    names::LABEL_REVISION,
};

use super::scene::{Check, Scene, Told};
use crate::place::Place;

/// The Rollout of every story.
pub const NAME: &str = "shop";
/// After which a revision that served may lose its pods.
pub const DRAIN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workload {
    /// The first deployment.
    Deploy,
    /// Blue is live, and green follows.
    Update,
    /// Green never gets ready and is given up.
    NeverReady,
    /// Green is live, its check fails, and blue is live again.
    FailedCheck,
    /// Green is live and its check still runs, when somebody gives it up.
    Aborted,
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
    pub const ALL: [Self; 6] =
        [Self::Deploy, Self::Update, Self::NeverReady, Self::FailedCheck, Self::Aborted, Self::Superseded];

    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Update => "update",
            Self::NeverReady => "never-ready",
            Self::FailedCheck => "failed-check",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
        }
    }

    pub fn end(self) -> End {
        match self {
            Self::Deploy => End { live: "blue", rejected: &[] },
            Self::Update => End { live: "green", rejected: &[] },
            Self::NeverReady | Self::FailedCheck | Self::Aborted => End { live: "blue", rejected: &["green"] },
            Self::Superseded => End { live: "grey", rejected: &[] },
        }
    }

    /// What is there before the writes are counted: none if it is nothing.
    pub fn before(self) -> Option<End> {
        match self {
            Self::Deploy => None,
            Self::Update | Self::NeverReady | Self::FailedCheck | Self::Aborted | Self::Superseded => {
                Some(End { live: "blue", rejected: &[] })
            }
        }
    }

    pub async fn prepare(self, scene: &Scene<'_>) -> Result<()> {
        match self.before() {
            None => Ok(()),
            Some(end) => scene.apply(&Told::of(end.live)).await,
        }
    }

    pub async fn tell(self, scene: &Scene<'_>) -> Result<()> {
        let green = Told::of("green");
        match self {
            Self::Deploy => scene.apply(&Told::of("blue")).await,
            Self::Update => scene.apply(&green).await,
            Self::NeverReady => scene.apply(&green.never_ready()).await,
            Self::FailedCheck => scene.apply(&green.checked(Check::Fails)).await,
            Self::Aborted => {
                scene.apply(&green.checked(Check::Lasts)).await?;
                let revision = scene.until_in_place("green", &["live"]).await?;
                scene.abort(&revision).await
            }
            Self::Superseded => {
                scene.apply(&green).await?;
                scene.until_in_place("green", &["candidate", "live"]).await?;
                scene.apply(&Told::of("grey")).await
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

pub(super) async fn deployments(place: &Place) -> Vec<Deployment> {
    place.list::<Deployment>("").await
}

/// What the revision is called in the story.
pub(super) fn text_of(deployment: &Deployment) -> String {
    let pod = deployment.spec.as_ref().and_then(|s| s.template.spec.as_ref());
    let variables = pod.and_then(|p| p.containers.first()).and_then(|c| c.env.clone()).unwrap_or_default();
    variables.into_iter().find(|v| v.name == "TEXT").and_then(|v| v.value).unwrap_or_default()
}
