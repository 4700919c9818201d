//! The operator as it is, by a Rollout.

use anyhow::{Context as _, Result};
use kube::api::{Patch, PatchParams};
use switchyard_api::Rollout;
use switchyard_e2e::{
    place::{Place, is_settled},
    timeline::selected,
};

use crate::{
    run::Switcher,
    settings::SWITCH_LIMIT,
    subject::{NAME, rollout},
    witness::Witness,
};

pub struct Guarded {
    pub image: String,
}

impl Switcher for Guarded {
    fn name(&self) -> String {
        "Switchyard".to_owned()
    }

    async fn release(&self, place: &Place, witness: &Witness, release: u32) -> Result<()> {
        let before = witness.look(|seen| seen.selected.len());
        let rollout = rollout(&self.image, release);
        if release == 0 {
            place.apply(&rollout).await?;
        } else {
            let patch = PatchParams::default();
            place.api::<Rollout>().patch(NAME, &patch, &Patch::Merge(rollout)).await.context("patch the Rollout")?;
        }
        let settled = "it is live, and nothing is left to do";
        place.until_object(NAME, settled, SWITCH_LIMIT.as_secs(), is_settled).await;
        let live =
            place.find(NAME).await.as_ref().and_then(selected).context("the live Service selects no revision")?;
        let what = "the watch has seen the switch, and blue was told to end";
        witness
            .until(what, SWITCH_LIMIT, |seen| {
                let (_, last) = seen.selected.last().filter(|_| seen.selected.len() > before)?;
                let blue = before.checked_sub(1).and_then(|place| seen.selected.get(place));
                (*last == live && blue.is_none_or(|(_, blue)| seen.down.contains_key(blue))).then_some(())
            })
            .await
    }
}
