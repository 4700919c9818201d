//! The whole path: `git push`, a test, Kaniko, the registry, one environment after the other.

use switchyard_api::{Build, Pipeline, Rollout, build::Phase, names::ANNOTATION_STEP};
use switchyard_e2e::{
    app::{Page, Source, pipeline, released_rollout},
    forge::Repository,
    load::Load,
    place::{Place, in_a_namespace},
    process::run,
    tell::Teller,
};

use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::ResourceExt as _;

/// The value under a heading of `kubectl get KIND NAME`.
async fn column(place: &Place, kind: &str, name: &str, heading: &str) -> String {
    let table = run(&mut place.kubectl(&["get", kind, name])).await.unwrap();
    let (headings, row) = table.split_once('\n').unwrap();
    let start = headings.find(heading).unwrap_or_else(|| panic!("no column {heading}:\n{table}"));
    let next = headings[start + heading.len()..].find(|c: char| !c.is_whitespace());
    let end = next.map_or(row.len(), |n| (start + heading.len() + n).min(row.len()));
    row.get(start.min(row.len())..end).unwrap_or_default().trim().to_owned()
}

fn live_build(rollout: &Rollout) -> Option<String> {
    Some(rollout.status.as_ref()?.live.as_ref()?.releases.first()?.build.clone())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_push_goes_live_in_one_environment_after_the_other() {
    in_a_namespace("push", async |place| {
        let tell = Teller::new();
        let ground = place.ground.clone();
        place.equip().await;
        let repository = Repository::create(&ground, &format!("{}/shop", place.namespace)).await.unwrap();
        repository.commit(&Source::good(&ground, "one"), "feat: a first page").await.unwrap();
        for name in ["staging", "production"] {
            place.apply(&released_rollout(&ground, &Page::new(name, ""), "shop")).await.unwrap();
        }

        // Before there is a Pipeline the Rollouts say what they miss.
        let waiting = place
            .until_object::<Rollout>("staging", "it says that it waits for a release", 20, |rollout| {
                rollout.status.as_ref().is_some_and(|s| s.waiting_for.iter().any(|w| w.contains("shop")))
            })
            .await;
        tell.say(&place.table().await);
        assert!(waiting.status.unwrap().live.is_none());

        place.apply(&pipeline(&place, "shop", &repository.url, &["staging", "production"])).await.unwrap();
        let build = place.until("a Build of the head", 20, async || place.list::<Build>("").await.pop()).await;
        let name = build.name_any();
        let short = build.spec.source.git.as_ref().unwrap().commit.short();
        assert!(name.starts_with(&format!("shop-{short}-")), "{name}");
        for (phase, seconds) in [(Phase::Checking, 30), (Phase::Building, 90), (Phase::Succeeded, 120)] {
            // A phase may be over before it is looked at; what it may not do is end badly, or stay.
            let build = place
                .until_object::<Build>(&name, "the next phase of the Build", seconds, |build| {
                    build.status.as_ref().and_then(|s| s.phase).is_some_and(|p| p as u8 >= phase as u8)
                })
                .await;
            let status = build.status.unwrap();
            assert_ne!(status.phase, Some(Phase::Failed), "{:?}", status.failure);
            assert_eq!(column(&place, "build", &name, "COMMIT").await, short);
            tell.say(&place.table().await);
        }

        // Production's release may not be published before staging serves its own.
        place
            .until("staging serves the build", 60, async || {
                let staging = place.find::<Rollout>("staging").await?;
                let shop = place.find::<Pipeline>("shop").await?;
                let released = shop.status?.releases.iter().any(|r| r.environment == "production");
                let serves = live_build(&staging).as_ref() == Some(&name);
                assert!(serves || !released, "production got its release while staging did not serve it");
                serves.then_some(())
            })
            .await;
        tell.say(&place.table().await);
        let production = place.until_healthy("production", 60).await;
        let staging = place.until_healthy("staging", 60).await;
        assert_eq!((live_build(&staging), live_build(&production)), (Some(name.clone()), Some(name.clone())));

        // What runs is, by digest, what the Build reported.
        let reported = place.find::<Build>(&name).await.unwrap().status.unwrap().images[0].clone();
        let revision = production.status.as_ref().unwrap().live.as_ref().unwrap().revision.to_string();
        let pods = place.pods_of(&revision).await;
        assert!(!pods.is_empty());
        for pod in &pods {
            assert_eq!(image(pod), format!("{}@{}", reported.repository, reported.digest));
        }
        let load = Load::new(place.address_of("production").await, 50).most(100).start().unwrap().finish().await;
        load.from_first_answer().assert_flawless(50);

        // One Job for each step, and the columns tell the end of the story.
        let jobs = place.list::<Job>("").await;
        let mut steps: Vec<String> =
            jobs.iter().filter_map(|j| j.annotations().get(ANNOTATION_STEP).cloned()).collect();
        steps.sort();
        assert_eq!(steps, ["check/unit/1", "image/web/1"]);
        let pipeline = place
            .until_object::<Pipeline>("shop", "it says that both environments run it", 30, |pipeline| {
                pipeline.status.as_ref().is_some_and(|s| s.waiting_for.is_empty())
            })
            .await;
        tell.say(&place.table().await);
        let summary = pipeline.status.unwrap().summary.unwrap();
        assert!(summary.contains("staging") && summary.contains("production"), "{summary}");
        for (kind, object, heading, value) in [
            ("pipeline", "shop", "READY", "True"),
            ("build", name.as_str(), "PHASE", "Succeeded"),
            ("rollout", "staging", "READY", "True"),
            ("rollout", "staging", "PHASE", "Healthy"),
            ("rollout", "staging", "PODS", "1/1"),
            ("rollout", "production", "LIVE", revision.as_str()),
            ("rollout", "production", "WAITING FOR", ""),
        ] {
            assert_eq!(column(&place, kind, object, heading).await, value, "{kind} {object} {heading}");
        }
    })
    .await;
}

fn image(pod: &Pod) -> String {
    pod.spec.as_ref().unwrap().containers[0].image.clone().unwrap()
}
