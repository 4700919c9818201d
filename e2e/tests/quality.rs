//! A quality gate is a gate. The server and the scanner stand in for SonarQube's: each answer can be had of them, at once.
//! With the real ones: `sonarqube.rs`.

use serde_json::{Value, json};
use switchyard_api::build::Class::{Infrastructure, Policy, User};
use switchyard_e2e::{
    forge::Repository,
    place::{Place, in_a_namespace},
    registry::Registry,
    rows::{path, row, run},
    sonarqube::{Manner, StandIn, publish_scanner},
};

const TOKEN: &str = "squ_0123456789abcdef0123456789abcdef01234567";
/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// A repository with an image that takes no time, and one page; its URL and commit.
async fn source(place: &Place, name: &str, page: &str) -> (String, String) {
    let repository = Repository::create(&place.ground, &format!("{}/{name}", place.namespace)).await.unwrap();
    let files = [("Dockerfile", "FROM scratch\nCOPY page.py /\n".to_owned()), ("page.py", page.to_owned())];
    let commit = repository.commit(&files, "feat: a page").await.unwrap();
    (repository.url.clone(), commit)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_quality_gate_is_a_gate() {
    in_a_namespace("quality", async |place| {
        place.equip().await;
        publish_scanner(&place.ground).await.unwrap();
        let manners = [("broken", Manner::Breaks), ("hidden", Manner::Hides), ("busy", Manner::IsBusy)];
        let server = StandIn::start(&place.ground, TOKEN, &manners).await.unwrap();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "sonar"},
            "stringData": {"token": TOKEN, "another": format!("{TOKEN}0")}});
        place.apply(&secret).await.unwrap();
        let good = source(&place, "good", "print('hello')\n").await;
        let flawed = source(&place, "flawed", "# FIXME: greet\nprint('')  # FIXME: empty\n").await;

        // The name of each is that of its project.
        let gated = |name: &'static str, source: &(String, String), more: &Value| {
            let sonar = json!({"url": server.url, "projectKey": name, "timeout": "5s",
                "token": {"secretKeyRef": {"name": "sonar", "key": "token"}}});
            row(&place, name, &source.0, &source.1)
                .with(&json!({"checks": [{"name": "quality", "sonarQube": sonar}]}))
                .checks(|checks| {
                    checks[0]["sonarQube"].as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
                })
        };
        let plain = json!({});
        let another = json!({"token": {"secretKeyRef": {"name": "sonar", "key": "another"}}});
        let rows = vec![
            gated("good", &good, &plain).succeeds().jobs(2),
            gated("flawed", &flawed, &plain).fails(
                Policy,
                "QualityGateFailed",
                "quality gate Stand-in way: violations 2 is greater than 0",
            ),
            // The scanner is the first to be refused, and the first to meet nobody.
            gated("refused", &good, &another).fails(User, "SonarQubeUnauthorized", "HTTP 401"),
            gated("hidden", &good, &plain).fails(User, "SonarQubeUnauthorized", "Insufficient privileges"),
            gated("broken", &good, &plain).fails(User, "SonarQubeAnalysisFailed", "the report is damaged"),
            gated("busy", &good, &plain).fails(Infrastructure, "SonarQubeUnavailable", "status 503"),
            gated("unreachable", &good, &json!({"url": NOWHERE}))
                .with(&json!({"retries": 1}))
                .fails(Infrastructure, "SonarQubeUnavailable", "Connection refused")
                .jobs(2),
        ];
        let outcomes = run(&place, rows, async |_| ()).await;

        let sent = server.analyses();
        let of = |project: &str| sent.iter().filter(|a| a.project == project).map(|a| a.violations).collect::<Vec<_>>();
        assert_eq!((of("good"), of("flawed"), of("refused")), (vec![0], vec![2], vec![]), "{sent:?}");
        let registry = Registry::of(&place.ground);
        for outcome in &outcomes {
            let tags = registry.tags(&path(&place, outcome.name)).await.unwrap();
            assert_eq!(tags.len(), usize::from(outcome.name == "good"), "{}: {tags:?}", outcome.name);
            let told = serde_json::to_string(&outcome.build.status).unwrap();
            assert!(!told.contains(TOKEN), "{}: {told}", outcome.name);
        }
    })
    .await;
}
