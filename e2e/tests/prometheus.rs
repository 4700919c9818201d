//! Live checks by the numbers of a real Prometheus. Constant queries are enough to show what each answer means: nothing is
//! scraped. `make test-all` builds the Prometheus and runs these.

use kube::ResourceExt as _;
use serde_json::{Value, json};
use switchyard_api::{
    Rollout,
    rollout::{CheckState, CheckStatus},
};
use switchyard_e2e::{
    app::{PULL, Page},
    load::{Load, Mode},
    place::{Place, in_a_namespace},
    timeline::Timeline,
};

/// As `e2e/cluster/prometheus` publishes it.
const IMAGE: &str = "prometheus:v3.10.0";

/// Starts a Prometheus, and says where it answers.
async fn prometheus(place: &Place) -> String {
    place.equip_to_pull().await;
    let image = format!("{}/{IMAGE}", place.ground.setting("REGISTRY"));
    let labels = json!({"app": "prometheus"});
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "prometheus", "labels": labels},
        "spec": {"imagePullSecrets": [{"name": PULL}], "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "prometheus", "image": image,
                "readinessProbe": {"httpGet": {"path": "/-/ready", "port": 9090}, "periodSeconds": 1}}]}});
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "prometheus"},
        "spec": {"selector": labels, "ports": [{"port": 9090}]}});
    for object in [pod, service] {
        place.apply(&object).await.unwrap();
    }
    place
        .until_object::<k8s_openapi::api::core::v1::Pod>("prometheus", "it is ready", 60, |pod| {
            let conditions = pod.status.iter().flat_map(|s| s.conditions.iter().flatten());
            conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True")
        })
        .await;
    format!("http://prometheus.{}.svc:9090", place.namespace)
}

fn page(place: &Place, name: &str, text: &str, live: &[Value]) -> Value {
    let mut rollout = Page::new(name, text).blue_stays("2s", "3s").rollout(&place.ground);
    rollout["spec"]["checks"] = json!({"live": live});
    rollout
}

fn asked(address: &str, query: &str, condition: &str, no_data: &str) -> Value {
    json!({"name": "errors", "prometheus": {"address": address, "query": query, "successCondition": condition,
        "noData": no_data, "interval": "1s", "count": 2}})
}

fn errors(rollout: &Rollout) -> Option<&CheckStatus> {
    rollout.status.as_ref()?.checks.iter().find(|c| c.name == "errors")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn traffic_goes_back_when_a_live_check_fails_and_no_request_does() {
    in_a_namespace("prometheus-back", async |place| {
        let address = prometheus(&place).await;
        let good = asked(&address, "vector(0.005)", "value < 0.01", "Wait");
        place.apply(&page(&place, "shop", "blue", &[good])).await.unwrap();
        let blue = place.until_healthy("shop", 120).await.status.unwrap().live.unwrap().revision.to_string();
        let timeline = Timeline::of(&place, "shop").await;
        let load = Load::new(place.address_of("shop").await, 100).modes(&[Mode::Fresh]).start().unwrap();

        let bad = asked(&address, "vector(0.034)", "value < 0.01", "Wait");
        place.apply(&page(&place, "shop", "green", &[bad])).await.unwrap();
        timeline.reaches(3).await;
        let gone = |rollout: &Rollout| rollout.status.as_ref().is_some_and(|s| !s.rejected.is_empty());
        let rollout = place.until_object::<Rollout>("shop", "green was given up", 60, gone).await;
        println!("{}", place.table().await);
        let rejected = &rollout.status.as_ref().unwrap().rejected[0];
        assert_eq!(rejected.message, "check errors failed after the switch: value 0.034 does not meet value < 0.01");
        assert_eq!(timeline.revisions(), [blue.clone(), rejected.revision.to_string(), blue], "there and back");
        let report = load.stop().await;
        println!("through the switch and back: {report}");
        report.assert_flawless(200);
    })
    .await;
}

/// What a check ends in, for one query each: all side by side.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn each_answer_means_what_the_page_says() {
    in_a_namespace("prometheus-answers", async |place| {
        let address = prometheus(&place).await;
        let table = [
            ("vector", "vector(0.02)", "value < 1", "Wait", CheckState::Passed, "value 0.02"),
            ("scalar", "scalar(vector(2))", "value == 2", "Wait", CheckState::Passed, "value 2"),
            ("infinite", "1/0", "value < 1", "Pass", CheckState::Failed, "value inf does not meet value < 1"),
            (
                "empty-wait",
                "vector(1) > 2",
                "value < 1",
                "Wait",
                CheckState::Inconclusive,
                "no data: the result is empty",
            ),
            ("empty-pass", "vector(1) > 2", "value < 1", "Pass", CheckState::Passed, "no data: the result is empty"),
            ("empty-fail", "vector(1) > 2", "value < 1", "Fail", CheckState::Failed, "no data: the result is empty"),
            ("nan-wait", "0/0", "value < 1", "Wait", CheckState::Inconclusive, "no data: the result is NaN"),
            ("nan-pass", "0/0", "value < 1", "Pass", CheckState::Passed, "no data: the result is NaN"),
            ("nan-fail", "vector(0)/0", "value < 1", "Fail", CheckState::Failed, "no data: the result is NaN"),
            (
                "series",
                "label_replace(vector(1), \"a\", \"b\", \"\", \"\") or vector(2)",
                "value < 3",
                "Fail",
                CheckState::Inconclusive,
                "value needs exactly one series, and there are 2",
            ),
            (
                "all",
                "label_replace(vector(1), \"a\", \"b\", \"\", \"\") or vector(2)",
                "values.all(v, v < 3)",
                "Fail",
                CheckState::Passed,
                "2 values",
            ),
            ("mistake", "sum(", "value < 1", "Fail", CheckState::Inconclusive, "parse error"),
            (
                "range",
                "vector(1)[5m:1m]",
                "value < 1",
                "Fail",
                CheckState::Inconclusive,
                "the result is a range, and a number is needed",
            ),
        ];
        for (name, query, condition, no_data, ..) in &table {
            let live = [asked(&address, query, condition, no_data)];
            place.apply(&page(&place, name, name, &live)).await.unwrap();
        }
        for (name, _, _, _, state, words) in table {
            let so = |rollout: &Rollout| errors(rollout).is_some_and(|c| c.state == state);
            let rollout = place.until_object::<Rollout>(name, "the check came to its end", 180, so).await;
            let check = errors(&rollout).unwrap();
            assert!(check.message.contains(words), "{}: {}", rollout.name_any(), check.message);
            let confirmed = rollout.status.as_ref().and_then(|s| s.live.as_ref()).is_some_and(|l| l.confirmed);
            assert_eq!(confirmed, state == CheckState::Passed, "{name}: {:?}", rollout.status);
        }
    })
    .await;
}
