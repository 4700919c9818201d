//! Where a story is told, and what is said there: on played pods or on real ones.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::core::v1::Service;
use kube::{Resource, ResourceExt as _};
use serde_json::{Value, json};
use switchyard_api::{
    GROUP, Rollout, VERSION,
    names::{ANNOTATION_SWITCH, LABEL_REVISION},
};

use super::{
    observer::Observer,
    registry::Registry,
    workload::{DRAIN, NAME, deployments, text_of},
};
use crate::{app::Page, hosted::Setup, place::Place};

/// A story waits for a step of the operator's no longer than this: a watch that falls silent holds it up for 55 s.
pub(super) const STEP: Duration = Duration::from_mins(2);
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// A namespace, how an operator of it is started, and who hears what happens there.
pub struct Scene<'a> {
    pub place: Place,
    pub setup: Setup,
    pub observer: &'a Observer,
    pub pods: Pods,
    /// Where there are played ones, who answers for the image that they push.
    pub registry: Option<&'a Registry>,
}

/// Who runs pods, and by what name we are known there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pods {
    /// kwok, as `e2e/faults/stages.yaml` says.
    Played,
    /// The kubelet of the test cluster.
    Real,
}

/// A revision, by what is said of it in the story.
pub struct Told {
    text: &'static str,
    ready: bool,
    check: Option<Check>,
}

/// What becomes of the Job that looks at the live revision.
#[derive(Clone, Copy, Debug)]
pub enum Check {
    Fails,
    /// It does not end by itself.
    Lasts,
}

impl Told {
    pub fn of(text: &'static str) -> Self {
        Self { text, ready: true, check: None }
    }

    #[must_use]
    pub fn never_ready(self) -> Self {
        Self { ready: false, ..self }
    }

    #[must_use]
    pub fn checked(self, check: Check) -> Self {
        Self { check: Some(check), ..self }
    }
}

impl Scene<'_> {
    pub async fn apply(&self, told: &Told) -> Result<()> {
        let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{}/rollouts/{NAME}", self.place.namespace);
        self.place.put(&path, &self.rollout(told)).await
    }

    fn rollout(&self, told: &Told) -> Value {
        let drain = format!("{}s", DRAIN.as_secs());
        // No fault may take so long that it looks like a bad revision; a bad one need not take long.
        let deadline = if told.ready { "10m" } else { "6s" };
        let page = Page::new(NAME, told.text).replicas(2).blue_stays("1s", &drain).progress_deadline(deadline);
        let mut rollout = match self.pods {
            Pods::Real if told.ready => page.rollout(&self.place.ground),
            Pods::Real => page.unhealthy().rollout(&self.place.ground),
            Pods::Played => page.rollout_of(if told.ready { "ready" } else { "never-ready" }),
        };
        rollout["spec"]["strategy"]["blueGreen"]["abortScaleDownDelay"] = "1s".into();
        if let Some(check) = told.check {
            let command = match (check, self.pods) {
                (Check::Fails, Pods::Played) => vec!["fail"],
                (Check::Lasts, Pods::Played) => vec!["last"],
                (Check::Fails, Pods::Real) => vec!["false"],
                (Check::Lasts, Pods::Real) => vec!["sleep", "600"],
            };
            let job = json!({"fromContainer": "page", "command": command});
            rollout["spec"]["checks"] = json!({"live": [{"name": "look", "job": job}]});
        }
        rollout
    }

    /// Waits until the revision has one of these places in the live Service's record; the revision.
    pub async fn until_in_place(&self, text: &str, places: &[&str]) -> Result<String> {
        let look = async || {
            let deployment = deployments(&self.place).await.into_iter().find(|d| text_of(d) == text)?;
            let revision = deployment.labels().get(LABEL_REVISION)?.clone();
            let service = self.place.find::<Service>(NAME).await?;
            let record: Value = serde_json::from_str(service.annotations().get(ANNOTATION_SWITCH)?).ok()?;
            places.iter().any(|place| record[*place] == revision).then_some(revision)
        };
        let looking = async {
            loop {
                if let Some(revision) = look().await {
                    return revision;
                }
                tokio::time::sleep(LOOK).await;
            }
        };
        match tokio::time::timeout(STEP, looking).await {
            Ok(revision) => Ok(revision),
            Err(_) => bail!("{text} did not become {} within {} s", places.join(" or "), STEP.as_secs()),
        }
    }

    /// Somebody orders that this revision is given up.
    pub async fn abort(&self, revision: &str) -> Result<()> {
        let rollout = self.place.find::<Rollout>(NAME).await.context("the Rollout is there")?;
        self.order("abort", "Abort", &rollout, Some(revision)).await
    }

    /// Somebody gives a Command of this name.
    pub async fn order<K>(&self, name: &str, order: &str, target: &K, revision: Option<&str>) -> Result<()>
    where
        K: Resource<DynamicType = ()>,
    {
        let user = match self.pods {
            Pods::Played => "everybody",
            Pods::Real => "admin",
        };
        let command = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "Command", "metadata": {"name": name},
            "spec": {"user": user, "type": order, "revision": revision,
                "targetRef": {"kind": K::kind(&()), "name": NAME, "uid": target.meta().uid}}});
        let path = format!("/apis/{GROUP}/{VERSION}/namespaces/{}/commands", self.place.namespace);
        self.place.post(&path, &command).await
    }
}
