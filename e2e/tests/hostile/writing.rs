//! Where the values of Secrets are written down: nowhere.

use serde_json::json;
use switchyard_api::build::Class::User;
use switchyard_e2e::{
    app::{GIT, PUSH, Page, Source, pipeline, released_rollout},
    forge::Repository,
    known::{Finding, Known, search},
    place::in_a_namespace,
    rows::{row, run},
};

use crate::credentials;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn no_value_of_a_secret_is_written_down() {
    in_a_namespace("hostile-writing", async |place| {
        place.equip().await;
        let ground = &place.ground;
        let own = Known::random("the check's own");
        let wrong = Known::random("a password that is refused");
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"},
            "stringData": {"value": own.plain()}});
        place.apply(&object).await.unwrap();
        place.git_secret("refused", "reader", wrong.plain()).await;
        let registry = ground.setting("REGISTRY");
        let refused = json!({"auths": {registry: {"username": "reader", "password": wrong.plain()}}});
        place.dockerconfig_secret("refused-too", &refused.to_string()).await;
        place.grant(&[GIT, PUSH, "refused", "refused-too"]).await;
        let repository = Repository::create(ground, &format!("{}/shop", place.namespace)).await.unwrap();
        let commit = repository.commit(&Source::good(ground, "one"), "feat: begin").await.unwrap();
        place.apply(&released_rollout(ground, &Page::new("shop", ""), "shop")).await.unwrap();
        place.apply(&pipeline(&place, "shop", &repository.url, &["shop"])).await.unwrap();

        let env = json!({"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "own", "key": "value"}}}]});
        let of = |name: &'static str| row(&place, name, &repository.url, &commit);
        let rows = vec![
            of("uses-it").check(&place, &["sh", "-c", "test -n \"$TOKEN\""], &env).succeeds().jobs(2),
            of("keeps-nothing")
                .check(&place, &["sh", "-c", "test -n \"$TOKEN\" && echo 41.2 >coverage"], &env)
                .checks(|checks| checks[0]["artifacts"] = json!(["coverage"]))
                .succeeds()
                .jobs(2),
            of("refused-git").with(&json!({"source": {"git": {"secretRef": {"name": "refused"}}}})).fails(
                User,
                "GitAuthenticationFailed",
                "git.forge.svc",
            ),
            of("refused-push").image(&json!({"secretRef": {"name": "refused-too"}})).fails(
                User,
                "RegistryUnauthorized",
                registry,
            ),
        ];
        run(&place, rows, async |_| ()).await;
        place.until_healthy("shop", 120).await;
        let mut known = credentials(ground).to_vec();
        known.extend([own, wrong]);
        let (count, found) = search(&place, &known).await.unwrap();
        println!("{count} places searched for {} values", known.len());
        assert!(count > 30, "{count} places are too few to be all");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn control_what_is_written_down_is_found() {
    in_a_namespace("hostile-planted", async |place| {
        place.equip().await;
        let planted = Known::random("planted");
        let repository = Repository::create(&place.ground, &format!("{}/shop", place.namespace)).await.unwrap();
        let copied = Known::random("copied");
        let files = [("Dockerfile", "FROM scratch\nCOPY page.txt /\n".to_owned()), ("page.txt", copied.plain().to_owned())];
        let commit = repository.commit(&files, "feat: begin").await.unwrap();
        let says = format!("echo {} >&2; exit 1", planted.plain());
        let of = |name: &'static str| row(&place, name, &repository.url, &commit);
        let rows = vec![
            of("copies").succeeds(),
            of("says").check(&place, &["sh", "-c", &says], &json!({})).fails(User, "CheckFailed", "1"),
        ];
        run(&place, rows, async |_| ()).await;
        let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "planted"}, "reason": "Planted",
            "message": planted.plain(), "type": "Normal",
            "involvedObject": {"apiVersion": "switchyard.dev/v1alpha1", "kind": "Build", "name": "says", "namespace": place.namespace}});
        place.apply(&event).await.unwrap();
        // The operator's log names what it works on.
        let namespace = Known::value("the namespace", &place.namespace);
        let (_, found) = search(&place, &[planted, copied, namespace]).await.unwrap();
        let has = |place: &str, known: &str| found.iter().any(|f: &Finding| f.place.starts_with(place) && f.known == known);
        for (place, known) in [
            ("builds/says", "planted"),
            ("jobs/says", "planted"),
            ("pods/says", "planted"),
            ("events/planted", "planted"),
            ("blob ", "copied"),
            ("the operator's log", "the namespace"),
            ("log of copies", "the namespace"),
        ] {
            assert!(has(place, known), "{known} was not found in {place}: {found:#?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn what_a_test_prints_of_its_own_secret_is_masked_in_status() {
    in_a_namespace("hostile-printing", async |place| {
        place.equip().await;
        let own = Known::random("its own");
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "own"},
            "stringData": {"value": own.plain()}});
        place.apply(&object).await.unwrap();
        let repository = Repository::create(&place.ground, &format!("{}/shop", place.namespace)).await.unwrap();
        let commit = repository.commit(&Source::good(&place.ground, "one"), "feat: begin").await.unwrap();
        let env = json!({"env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "own", "key": "value"}}}]});
        let prints = "echo \"cloning https://bob:$TOKEN@git.acme.dev/x.git\"; echo \"> Authorization: Bearer $TOKEN\"; \
                      echo \"password=$TOKEN\"; echo \"the rest stays\"; exit 1";
        let barely = "echo $TOKEN; exit 1";
        let of = |name: &'static str, command: &str| {
            let row = row(&place, name, &repository.url, &commit).check(&place, &["sh", "-c", command], &env);
            row.fails(User, "CheckFailed", "exit code 1")
        };
        let outcomes = run(&place, vec![of("careless", prints), of("determined", barely)], async |_| ()).await;
        let log = |n: usize| outcomes[n].failure().and_then(|f| f.log.clone()).unwrap_or_default();
        assert!(log(0).contains("the rest stays") && !own.is_in(&log(0)), "{}", log(0));
        // A net, not a wall: what looks like nothing is not caught. Nor is the pod's own message, which is the cluster's.
        assert!(own.is_in(&log(1)), "{}", log(1));
        let (_, found) = search(&place, &[own]).await.unwrap();
        assert!(found.iter().any(|f| f.place.starts_with("pods/careless")), "{found:?}");
        assert!(!found.iter().any(|f| f.place == "builds/careless"), "{found:?}");
    })
    .await;
}
