//! The controls: what a script does that switches by hand. One that waits as it should, and others that differ from it in
//! one thing each; so whatever they lose is lost for want of that.

use std::time::Duration;

use anyhow::{Context as _, Result};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Pod, Service},
};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use switchyard_api::names::LABEL_REVISION;
use switchyard_e2e::place::Place;

use crate::{
    run::Switcher,
    settings::{DRAIN, REPLICAS, SCALE_DOWN_DELAY, SWITCH_LIMIT},
    subject::{NAME, deployment, headless, live, revision},
    witness::Witness,
};

/// When the selector is moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Once the slices of green's own Service list all its pods.
    Slices,
    /// Once its pods say of themselves that they are ready.
    Pods,
    /// As soon as green is created.
    None,
}

pub struct Naive {
    pub image: String,
    pub guard: Guard,
    /// Blue keeps its pods for as long as Switchyard is told to keep them; or it loses them at the switch.
    pub drain: bool,
}

impl Naive {
    /// The one that waits, and those that do not.
    pub fn all(image: &str) -> [Self; 4] {
        [(Guard::Slices, true), (Guard::None, true), (Guard::Pods, true), (Guard::Slices, false)]
            .map(|(guard, drain)| Self { image: image.to_owned(), guard, drain })
    }

    /// Whether it has to lose requests, or the bench would not see a loss. (A pod's own status and the slices are rarely
    /// more than milliseconds apart on a cluster of one node, so that one may be lucky.)
    pub fn must_fail(&self) -> bool {
        self.guard == Guard::None || !self.drain
    }

    async fn is_ready(&self, place: &Place, witness: &Witness, release: u32) -> Result<()> {
        let revision = revision(release);
        match self.guard {
            Guard::None => Ok(()),
            Guard::Slices => {
                let what = "the slices list all pods";
                witness.until(what, SWITCH_LIMIT, |seen| seen.ready.get(&revision).map(drop)).await
            }
            Guard::Pods => {
                let pods = async {
                    while ready_pods(place, &revision).await < usize::from(REPLICAS) {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                };
                tokio::time::timeout(SWITCH_LIMIT, pods).await.context("the pods do not get ready")
            }
        }
    }
}

async fn ready_pods(place: &Place, revision: &str) -> usize {
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
    };
    place.list::<Pod>(&format!("{LABEL_REVISION}={revision}")).await.iter().filter(|pod| is_ready(pod)).count()
}

impl Switcher for Naive {
    fn name(&self) -> String {
        let what = match (self.guard, self.drain) {
            (Guard::Slices, true) => "with slice guard and drain",
            (Guard::None, _) => "no slice guard, switches at creation",
            (Guard::Pods, _) => "no slice guard, switches when pods say they are ready",
            (Guard::Slices, false) => "no drain, blue ends at the switch",
        };
        format!("naive switcher, {what}")
    }

    async fn release(&self, place: &Place, witness: &Witness, release: u32) -> Result<()> {
        for object in [deployment(&self.image, release), headless(release)] {
            place.apply(&object).await?;
        }
        let params = PatchParams::default();
        if release == 0 {
            return place.apply(&live(0)).await;
        }
        self.is_ready(place, witness, release).await?;
        place.api::<Service>().patch(NAME, &params, &Patch::Merge(live(release))).await.context("move the selector")?;
        let blue = format!("{NAME}-{}", revision(release - 1));
        if self.drain {
            // Not before green serves at all, or that would be a fault of another kind.
            let green = revision(release);
            let what = "green is listed";
            witness.until(what, SWITCH_LIMIT, |seen| seen.alone.get(&green).map(drop)).await?;
            tokio::time::sleep(SCALE_DOWN_DELAY + DRAIN).await;
        }
        let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
        place.api::<Deployment>().patch_scale(&blue, &params, &none).await.context("scale blue to zero")?;
        // What was before that is gone by now.
        if let Some(before) = release.checked_sub(2) {
            let name = format!("{NAME}-{}", revision(before));
            place.api::<Deployment>().delete(&name, &DeleteParams::background()).await?;
            place.api::<Service>().delete(&name, &DeleteParams::default()).await?;
        }
        let green = revision(release);
        witness.until("green is listed", SWITCH_LIMIT, |seen| seen.alone.get(&green).map(drop)).await
    }
}
