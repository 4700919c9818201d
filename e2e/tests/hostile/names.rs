//! The containers of a pod share the file that says who resolves names for them. Whoever changes it sends those that come
//! later elsewhere, with what they hold.

use std::net::Ipv4Addr;

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use switchyard_e2e::{
    app::{PULL, PUSH},
    forge::Repository,
    listener::{Listener, Manner},
    names::Names,
    place::{Place, in_a_namespace},
    rows::{row, run},
};

use crate::credentials;

/// A pod as it would be: first somebody else's container, then one that holds a credential and asks the registry.
fn unguarded(place: &Place, turns: &str) -> Value {
    let image = place.ground.setting("IMAGE_BASE_PYTHON");
    let registry = place.ground.setting("REGISTRY");
    let asks = format!(
        "import json, urllib.request\n\
        login = json.load(open('/credentials/.dockerconfigjson'))['auths']['{registry}']['auth']\n\
        request = urllib.request.Request('http://{registry}/v2/', headers={{'Authorization': 'Basic ' + login}})\n\
        urllib.request.urlopen(request, timeout=10)\n"
    );
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "unguarded"},
        "spec": {"restartPolicy": "Never", "imagePullSecrets": [{"name": PULL}],
            "volumes": [{"name": "push", "secret": {"secretName": PUSH}}],
            "initContainers": [{"name": "turns", "image": image, "command": ["sh", "-c", turns]}],
            "containers": [{"name": "asks", "image": image, "command": ["python3", "-c", asks],
                "volumeMounts": [{"name": "push", "mountPath": "/credentials"}]}]}})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn nobody_turns_another_container_elsewhere() {
    in_a_namespace("hostile-names", async |place| {
        place.equip().await;
        let ground = &place.ground;
        let here: Ipv4Addr = ground.setting("HOST_ADDRESS").parse().unwrap();
        let _names = Names::start(here, here).await.unwrap();
        let port = ground.setting("REGISTRY").rsplit_once(':').unwrap().1.parse().unwrap();
        let collects = Listener::at(ground, port, Manner::WantsPassword).await.unwrap();
        let [_, push, _] = credentials(ground);

        let host = ground.setting("REGISTRY").rsplit_once(':').unwrap().0;
        let turns = format!("echo 'nameserver {here}' >/etc/resolv.conf; echo '{here} {host}' >>/etc/hosts");
        let repository = Repository::create(ground, &format!("{}/shop", place.namespace)).await.unwrap();
        let python = ground.setting("IMAGE_BASE_PYTHON");
        let files = [("Dockerfile", format!("FROM {python}\nRUN {turns}\n"))];
        let commit = repository.commit(&files, "feat: elsewhere").await.unwrap();
        let keeps = format!("{turns}; echo 41.2 >coverage");
        let again = format!("while :; do {turns}; sleep 0.1; done");
        let service = json!([{"name": "turns", "image": python, "command": ["sh", "-c", again]}]);
        let rows = vec![
            row(&place, "dockerfile", &repository.url, &commit).succeeds(),
            row(&place, "test", &repository.url, &commit)
                .check(&place, &["sh", "-c", &keeps], &json!({"services": service}))
                .checks(|checks| checks[0]["artifacts"] = json!(["coverage"]))
                .succeeds()
                .jobs(2),
        ];
        run(&place, rows, async |_| ()).await;
        assert_eq!(collects.credentials(), [""; 0], "{:?}", collects.heard());

        // The control: this is how a credential gets lost.
        place.apply(&unguarded(&place, &turns)).await.unwrap();
        let ended = |pod: &Pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Failed"));
        place.until_object::<Pod>("unguarded", "it has asked", 60, ended).await;
        assert!(collects.credentials().iter().any(|sent| push.is_in(sent)), "{:?}", collects.heard());
    })
    .await;
}
