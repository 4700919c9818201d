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

use super::{
    builds::Course,
    history::Change,
    judge::{self, Violation},
    scene::{Check, Scene, Told},
};
use crate::place::Place;

/// The Rollout or the Build of every story.
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
    /// A Build in which all is well.
    Build,
    /// The first attempt at its image is evicted, the second is good.
    BuildRetried,
    /// Its check fails, and nothing else may run.
    BuildFailed,
    /// Somebody cancels it while its image builds.
    BuildCancelled,
    /// Somebody cancels it before anything of it runs.
    BuildWithdrawn,
    /// It says that it pushed what the registry does not serve.
    BuildMistaken,
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Workload {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let names = Self::all().map(Self::name).collect::<Vec<_>>().join(", ");
        Self::all().find(|w| w.name() == s).with_context(|| format!("{s:?} is no workload: {names}"))
    }
}

/// How a story ends.
pub enum End {
    Rollout(Live),
    Build(Course),
}

/// What a Rollout comes to.
pub struct Live {
    pub live: &'static str,
    /// Revisions that were given up.
    pub rejected: &'static [&'static str],
}

impl Workload {
    /// Of a Rollout: their pods may be played or real.
    pub const ROLLOUTS: [Self; 6] =
        [Self::Deploy, Self::Update, Self::NeverReady, Self::FailedCheck, Self::Aborted, Self::Superseded];
    /// Of a Build: their pods are played.
    pub const BUILDS: [Self; 6] = [
        Self::Build,
        Self::BuildRetried,
        Self::BuildFailed,
        Self::BuildCancelled,
        Self::BuildWithdrawn,
        Self::BuildMistaken,
    ];

    pub fn all() -> impl Iterator<Item = Self> {
        Self::ROLLOUTS.into_iter().chain(Self::BUILDS)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Update => "update",
            Self::NeverReady => "never-ready",
            Self::FailedCheck => "failed-check",
            Self::Aborted => "aborted",
            Self::Superseded => "superseded",
            Self::Build => "build",
            Self::BuildRetried => "build-retried",
            Self::BuildFailed => "build-failed",
            Self::BuildCancelled => "build-cancelled",
            Self::BuildWithdrawn => "build-withdrawn",
            Self::BuildMistaken => "build-mistaken",
        }
    }

    pub fn end(self) -> End {
        let live = |live, rejected| End::Rollout(Live { live, rejected });
        match self {
            Self::Deploy => live("blue", &[]),
            Self::Update => live("green", &[]),
            Self::NeverReady | Self::FailedCheck | Self::Aborted => live("blue", &["green"]),
            Self::Superseded => live("grey", &[]),
            Self::Build => End::Build(Course::Good),
            Self::BuildRetried => End::Build(Course::Evicted),
            Self::BuildFailed => End::Build(Course::CheckFails),
            Self::BuildCancelled => End::Build(Course::Cancelled),
            Self::BuildWithdrawn => End::Build(Course::Withdrawn),
            Self::BuildMistaken => End::Build(Course::Mistaken),
        }
    }

    /// What is live before the writes are counted: none if nothing is.
    fn blue(self) -> Option<&'static str> {
        match self {
            Self::Update | Self::NeverReady | Self::FailedCheck | Self::Aborted | Self::Superseded => Some("blue"),
            Self::Deploy
            | Self::Build
            | Self::BuildRetried
            | Self::BuildFailed
            | Self::BuildCancelled
            | Self::BuildWithdrawn
            | Self::BuildMistaken => None,
        }
    }

    pub fn before(self) -> Option<End> {
        self.blue().map(|live| End::Rollout(Live { live, rejected: &[] }))
    }

    pub async fn prepare(self, scene: &Scene<'_>) -> Result<()> {
        match self.blue() {
            None => Ok(()),
            Some(blue) => scene.apply(&Told::of(blue)).await,
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
            Self::Build => Course::Good.tell(scene).await,
            Self::BuildRetried => Course::Evicted.tell(scene).await,
            Self::BuildFailed => Course::CheckFails.tell(scene).await,
            Self::BuildCancelled => Course::Cancelled.tell(scene).await,
            Self::BuildWithdrawn => Course::Withdrawn.tell(scene).await,
            Self::BuildMistaken => Course::Mistaken.tell(scene).await,
        }
    }

    /// Everything in the history of such a story that must never happen.
    pub async fn judge(self, scene: &Scene<'_>, history: &[Change]) -> Result<Vec<Violation>> {
        match self.end() {
            End::Rollout(_) => Ok(judge::judge(history, &judge::Subject { name: NAME.to_owned(), drain: DRAIN })),
            End::Build(_) => {
                let served = scene.registry.context("a Build is judged by what a registry serves")?.served().await?;
                Ok(judge::build::judge(history, &judge::build::Subject { name: NAME.to_owned(), served }))
            }
        }
    }
}

impl End {
    /// It has come to that, and nothing is left to do.
    pub async fn is_there(&self, place: &Place) -> bool {
        match self {
            Self::Rollout(live) => live.is_there(place).await,
            Self::Build(course) => course.is_over(place).await,
        }
    }
}

impl Live {
    /// What is live has its pods, and all else has none.
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
