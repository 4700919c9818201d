//! What goes wrong ends in a reason and a sentence, and never reaches a user of the application.

use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use serde_json::json;
use switchyard_api::{
    Build, Pipeline, Rollout,
    build::{Class, Failure, Phase},
    condition::{READY, State},
};
use switchyard_e2e::{
    app::{GIT, PUSH, Page, Source, build, pipeline, released_rollout},
    forge::Repository,
    load::Load,
    place::{Place, in_a_namespace},
};

/// More than a code word.
#[track_caller]
fn assert_is_a_sentence(text: &str) {
    assert!(text.len() > 15 && text.trim().contains(' '), "that is no sentence: {text:?}");
}

/// The Build's end, which has to be a failure that says why.
async fn failure(place: &Place, name: &str, seconds: u64) -> Failure {
    let build = place
        .until_object::<Build>(name, "it has ended", seconds, |build| {
            let phase = build.status.as_ref().and_then(|s| s.phase);
            matches!(phase, Some(Phase::Failed | Phase::Succeeded))
        })
        .await;
    println!("{}", place.table().await);
    let status = build.status.unwrap();
    assert_eq!(status.phase, Some(Phase::Failed));
    let failure = status.failure.expect("a failed Build says why");
    println!("{}", json!(failure));
    assert_is_a_sentence(&failure.message);
    let ready = status.conditions.iter().find(|c| c.kind == READY).expect("a Ready condition");
    assert_eq!((ready.status, ready.reason.as_str()), (State::False, failure.reason.as_str()));
    failure
}

/// A repository with one commit of these files.
async fn repository<'a>(place: &'a Place, files: &[(&str, String)]) -> (Repository<'a>, String) {
    let repository = Repository::create(&place.ground, &format!("{}/shop", place.namespace)).await.unwrap();
    let commit = repository.commit(files, "feat: something").await.unwrap();
    (repository, commit)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_failing_test_stops_the_line() {
    in_a_namespace("failing-test", async |place| {
        place.equip().await;
        let mut files = Source::good(&place.ground, "one");
        files.push(("test_wrong.py", "def test_wrong():\n    assert 1 + 1 == 3, 'arithmetic is off'\n".to_owned()));
        let (repository, _) = repository(&place, &files).await;
        place.apply(&released_rollout(&place.ground, &Page::new("shop", ""), "shop")).await.unwrap();
        place.apply(&pipeline(&place, "shop", &repository.url, &["shop"])).await.unwrap();
        let build = place.until("a Build", 20, async || place.list::<Build>("").await.pop()).await;

        let failure = failure(&place, &build.name_any(), 90).await;
        assert_eq!((failure.class, failure.step.as_str()), (Class::User, "check/unit: check"));
        assert!(failure.log.as_deref().is_some_and(|log| log.contains("arithmetic is off")), "{:?}", failure.log);
        let jobs = place.list::<Job>("").await;
        assert_eq!(jobs.len(), 1, "a failing test is not tried again, and no image is built");

        let pipeline = place
            .until_object::<Pipeline>("shop", "it says that the build failed", 20, |pipeline| {
                let conditions = pipeline.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
                conditions.iter().any(|c| c.reason == "BuildFailed")
            })
            .await;
        let status = pipeline.status.unwrap();
        assert!(status.releases.is_empty(), "nothing was released");
        let ready = status.conditions.iter().find(|c| c.kind == READY).unwrap();
        assert_eq!(ready.status, State::True, "a red test is no fault of the Pipeline: {}", ready.message);
        let rollout = place.find::<Rollout>("shop").await.unwrap().status.unwrap();
        assert!(rollout.live.is_none() && rollout.next.is_none());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn refused_git_credentials_are_named_by_pipeline_and_build() {
    in_a_namespace("failing-git", async |place| {
        place.equip().await;
        let (repository, commit) = repository(&place, &Source::good(&place.ground, "one")).await;
        place.git_secret(GIT, "reader", "not-the-password").await;
        place.apply(&pipeline(&place, "shop", &repository.url, &["shop"])).await.unwrap();
        place.apply(&build(&place, "by-hand", &repository.url, &commit)).await.unwrap();

        let failure = failure(&place, "by-hand", 90).await;
        assert_eq!(failure.class, Class::User);
        assert_eq!(failure.reason, "GitAuthenticationFailed");
        assert!(failure.message.contains("git.forge.svc"), "who refuses? {}", failure.message);
        let pipeline = place
            .until_object::<Pipeline>("shop", "it says that Git refuses it", 30, |pipeline| {
                let conditions = pipeline.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
                conditions.iter().any(|c| c.kind == READY && c.status == State::False)
            })
            .await;
        let status = pipeline.status.unwrap();
        let ready = status.conditions.iter().find(|c| c.kind == READY).unwrap();
        println!("{}: {}", ready.reason, ready.message);
        assert_eq!(ready.reason, "SourceUnreachable");
        assert_is_a_sentence(&ready.message);
        for text in [&ready.message, &failure.message] {
            assert!(!text.contains("not-the-password"), "a password stands in status: {text}");
        }
        assert_eq!(place.list::<Build>("").await.len(), 1, "nothing was seen, so nothing is built");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_secret_that_nobody_granted_is_asked_for() {
    in_a_namespace("failing-grant", async |place| {
        place.equip().await;
        place.grant(&[PUSH]).await;
        place.apply(&pipeline(&place, "shop", "http://git.forge.svc/none.git", &["shop"])).await.unwrap();
        let pipeline = place
            .until_object::<Pipeline>("shop", "it says that it may not read the Secret", 30, |pipeline| {
                let conditions = pipeline.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
                conditions.iter().any(|c| c.reason == "SecretNotReadable")
            })
            .await;
        let conditions = json!(pipeline.status.unwrap().conditions).to_string();
        assert!(conditions.contains(GIT) && conditions.contains("resourceNames"), "the Role to apply: {conditions}");

        // Granted, it goes on by itself: the next obstacle is that there is no such repository.
        place.grant(&[PUSH, GIT]).await;
        place
            .until_object::<Pipeline>("shop", "it reads the Secret", 60, |pipeline| {
                let conditions = pipeline.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
                conditions.iter().any(|c| c.reason == "SourceUnreachable")
            })
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn an_unhealthy_green_never_goes_live() {
    in_a_namespace("failing-green", async |place| {
        place.equip_to_pull().await;
        let page = |text: &str| Page::new("shop", text).progress_deadline("10s");
        place.apply(&page("blue").rollout(&place.ground)).await.unwrap();
        let blue = place.until_healthy("shop", 90).await.status.unwrap().live.unwrap().revision;
        let load = Load::new(place.address_of("shop").await, 50).start().unwrap();

        place.apply(&page("green").unhealthy().rollout(&place.ground)).await.unwrap();
        let rollout = place
            .until_object::<Rollout>("shop", "green is rejected", 60, |rollout| {
                rollout.status.as_ref().is_some_and(|s| !s.rejected.is_empty())
            })
            .await;
        println!("{}", place.table().await);
        let status = rollout.status.unwrap();
        let rejected = &status.rejected[0];
        assert_ne!(rejected.revision, blue);
        assert_eq!(rejected.reason, "ProgressDeadlineExceeded");
        assert_is_a_sentence(&rejected.message);
        assert_eq!(status.live.map(|live| live.revision), Some(blue), "blue is still live");
        let green = rejected.revision.to_string();
        place.until("green's pods are gone", 60, async || place.pods_of(&green).await.is_empty().then_some(())).await;

        // The next good one goes live as if nothing had been.
        place.apply(&page("better").rollout(&place.ground)).await.unwrap();
        let better = place
            .until_object::<Rollout>("shop", "the better one is live", 90, |rollout| {
                let live = rollout.status.as_ref().and_then(|s| s.live.as_ref());
                live.is_some_and(|live| live.revision != blue && live.revision.as_str() != green && live.confirmed)
            })
            .await;
        assert!(better.status.unwrap().live.unwrap().ready >= 1);
        let report = load.stop().await.from_first_answer();
        println!("{report}");
        report.assert_flawless(500);
        assert!(!report.served().keys().any(|pod| pod.contains(&green)), "green answered: {report}");
    })
    .await;
}
