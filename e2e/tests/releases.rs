//! What a Rollout takes of a Pipeline, and what it says while there is nothing to take.

use switchyard_api::Rollout;
use switchyard_e2e::{
    app::{Page, pipeline, released_rollout},
    place::in_a_namespace,
    shop::{reason, until_it_waits},
};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn what_keeps_a_release_away_is_told() {
    in_a_namespace("releases", async |place| {
        place.equip().await;
        let nowhere = "http://git.forge.svc/none.git";
        let name = format!("{}/shop", place.namespace);
        place.apply(&released_rollout(&place.ground, &Page::new("shop", ""), "shop")).await.unwrap();
        let told: [(&[&str], String); 3] = [
            (&[], format!("Pipeline {name}, which does not exist")),
            (&["another"], format!("Pipeline {name} to name this Rollout: none of its environments has {name}")),
            (&["shop"], format!("Pipeline {name} to release its first build")),
        ];
        for (environments, words) in told {
            if !environments.is_empty() {
                place.apply(&pipeline(&place, "shop", nowhere, environments)).await.unwrap();
            }
            let rollout: Rollout = until_it_waits(&place, &words).await;
            assert_eq!(reason(&rollout, "Progressing"), "AwaitingRelease");
            assert_eq!(reason(&rollout, "Reconciling"), "AwaitingRelease", "and nobody hangs on it");
        }
    })
    .await;
}
