//! `kubectl switchyard`, as a person uses it: a Build's log from its first line to its result, and an order.

use k8s_openapi::{ByteString, api::batch::v1::Job};
use kube::{ResourceExt as _, api::DeleteParams};
use serde_json::{Value, json};
use switchyard_api::{Build, build::Phase};
use switchyard_e2e::{
    app::{Source, build},
    forge::Repository,
    ground::root,
    place::{Place, in_a_namespace},
    process::run,
};
use tokio::process::Command;

/// What a run of the plugin came to.
struct Said {
    code: Option<i32>,
    lines: Vec<String>,
    errors: String,
}

impl Said {
    /// The first line that begins like this.
    #[track_caller]
    fn first(&self, start: &str) -> usize {
        let found = self.lines.iter().position(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("no line begins with {start:?}:\n{}", self.lines.join("\n")))
    }

    fn last(&self, start: &str) -> Option<usize> {
        self.lines.iter().rposition(|line| line.starts_with(start))
    }
}

fn plugin(place: &Place, arguments: &[&str]) -> Command {
    let mut command = place.ground.command(root().join("target/debug/kubectl-switchyard"));
    command.args(["--kubeconfig", place.ground.setting("KUBECONFIG"), "--namespace", &place.namespace]);
    command.args(arguments);
    command
}

async fn said(command: &mut Command) -> Said {
    let output = command.output().await.expect("`make test-e2e` builds kubectl-switchyard");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = Said {
        code: output.status.code(),
        lines: text(&output.stdout).lines().map(str::to_owned).collect(),
        errors: text(&output.stderr),
    };
    println!("--- {:?}: {:?}\n{}\n{}", command.as_std(), said.code, said.lines.join("\n"), said.errors);
    said
}

async fn follow(place: &Place, name: &str) -> Said {
    said(&mut plugin(place, &["logs", &format!("build/{name}"), "--follow"])).await
}

async fn repository<'a>(place: &'a Place, name: &str) -> Repository<'a> {
    place.equip().await;
    Repository::create(&place.ground, &format!("{}/{name}", place.namespace)).await.unwrap()
}

/// Its Jobs go, and their pods with them.
async fn without_pods(place: &Place) {
    for job in place.list::<Job>("").await {
        place.api::<Job>().delete(&job.name_any(), &DeleteParams::background()).await.unwrap();
    }
    place
        .until("its pods are gone", 60, async || {
            let pods = place.list::<k8s_openapi::api::core::v1::Pod>("").await;
            pods.is_empty().then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_build_is_followed_from_its_first_line_to_its_result() {
    in_a_namespace("logs", async |place| {
        let repository = repository(&place, "shop").await;
        let commit = repository.commit(&Source::good(&place.ground, "one"), "feat: a first page").await.unwrap();
        place.apply(&build(&place, "shop", &repository.url, &commit)).await.unwrap();

        // Before there is a pod, and until the end.
        let followed = follow(&place, "shop").await;
        assert_eq!(followed.code, Some(0));
        let steps = [
            "check/unit clone | ",
            "check/unit check | ",
            "image/web clone | ",
            "image/web build | ",
            "image/web push | ",
        ];
        let places: Vec<usize> = steps.iter().map(|step| followed.first(step)).collect();
        assert!(places.is_sorted(), "{places:?}");
        for pair in steps.windows(2) {
            assert!(followed.last(pair[0]) < Some(followed.first(pair[1])), "{pair:?}: one after the other");
        }
        assert!(followed.lines[followed.first(steps[0])].contains("cloning"), "from the first line");
        assert!(followed.lines[followed.first(steps[1])..].iter().any(|line| line.contains("1 passed")));
        let result = followed.first("build/shop Succeeded");
        let image = &place.find::<Build>("shop").await.unwrap().status.unwrap().images[0];
        assert!(followed.lines[result + 1].contains(image.digest.as_str()), "{}", followed.lines[result + 1]);

        // Afterwards the same is there to be read, and a step by itself.
        let read = said(&mut plugin(&place, &["logs", "build/shop"])).await;
        let of_steps =
            |said: &Said| -> Vec<String> { said.lines.iter().filter(|line| line.contains(" | ")).cloned().collect() };
        assert_eq!(of_steps(&read), of_steps(&followed));
        let one = said(&mut plugin(&place, &["logs", "build/shop", "--step", "image/web"])).await;
        assert_eq!(one.first("image/web clone | "), 0);
        assert_eq!((one.last("check/unit"), one.code), (None, Some(0)));

        // Without its pods, what is known is said.
        without_pods(&place).await;
        let gone = said(&mut plugin(&place, &["logs", "build/shop"])).await;
        assert!(gone.lines[gone.first("check/unit: its pod ")].ends_with(" is gone"));
        assert!(gone.first("image/web: its pod ") < gone.first("build/shop Succeeded"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_build_that_fails_ends_with_why_and_its_last_lines_outlive_its_pods() {
    in_a_namespace("logs-failed", async |place| {
        let repository = repository(&place, "shop").await;
        let mut source = Source::good(&place.ground, "one");
        source[1].1 = "def test_text():\n    assert 1 == 2, 'no such luck'\n".to_owned();
        let commit = repository.commit(&source, "feat: a page that is not tested well").await.unwrap();
        place.apply(&build(&place, "shop", &repository.url, &commit)).await.unwrap();

        let followed = follow(&place, "shop").await;
        assert_eq!(followed.code, Some(1));
        assert!(followed.lines[followed.first("check/unit check | ")..].iter().any(|l| l.contains("no such luck")));
        assert!(followed.first("build/shop Failed, CheckFailed: check/unit") > followed.last("check/unit").unwrap());
        assert_eq!(followed.last("image/web"), None, "it never ran");

        without_pods(&place).await;
        let gone = said(&mut plugin(&place, &["logs", "build/shop"])).await;
        assert_eq!(gone.code, Some(0), "what there is was printed");
        let kept = gone.first("check/unit: its last lines were");
        assert!(gone.lines[kept..].iter().any(|l| l.starts_with("check/unit") && l.contains("no such luck")));
        assert_eq!(follow(&place, "shop").await.code, Some(1), "and its result is what it was");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_build_is_cancelled_in_the_name_of_who_orders_it() {
    in_a_namespace("logs-cancel", async |place| {
        let repository = repository(&place, "shop").await;
        let commit = repository.commit(&Source::good(&place.ground, "one"), "feat: a first page").await.unwrap();
        let mut slow = build(&place, "slow", &repository.url, &commit);
        slow["spec"]["checks"][0]["job"]["command"] = json!(["sh", "-c", "echo here I am; sleep 600"]);
        place.apply(&slow).await.unwrap();
        let waits = tokio::spawn({
            let place = place.clone();
            async move { follow(&place, "slow").await }
        });
        place
            .until("the check runs", 120, async || {
                let logs = said(&mut plugin(&place, &["logs", "build/slow"])).await;
                logs.last("check/unit check | here I am")
            })
            .await;
        let cancelled = said(&mut plugin(&place, &["cancel", "build/slow", "--reason", "INC-42"])).await;
        assert_eq!(cancelled.code, Some(0), "{}", cancelled.errors);
        assert!(cancelled.first("command/cancel-") < cancelled.first("Done: "));
        let phase = |build: &Build| build.status.as_ref().is_some_and(|s| s.phase == Some(Phase::Cancelled));
        place.until_object::<Build>("slow", "it is cancelled", 60, phase).await;
        let followed = waits.await.unwrap();
        assert_eq!(followed.code, Some(1));
        let result = &followed.lines[followed.first("build/slow Cancelled")];
        assert!(result.contains("INC-42"), "{result}");
    })
    .await;
}

/// A kubeconfig of the namespace's default account.
async fn kubeconfig_of_nobody(place: &Place) -> Value {
    let ground = &place.ground;
    let token = run(&mut place.kubectl(&["create", "token", "default"])).await.unwrap();
    let authority = ByteString(ground.certificate_authority().unwrap().into_bytes());
    json!({"apiVersion": "v1", "kind": "Config", "current-context": "nobody",
        "clusters": [{"name": "test", "cluster": {
            "server": ground.setting("API_SERVER"), "certificate-authority-data": authority}}],
        "users": [{"name": "nobody", "user": {"token": token.trim()}}],
        "contexts": [{"name": "nobody", "context": {
            "cluster": "test", "user": "nobody", "namespace": place.namespace}}]})
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn whoever_asks_for_what_is_not_there_or_not_theirs_is_told_so() {
    in_a_namespace("logs-refused", async |place| {
        let missing = said(&mut plugin(&place, &["logs", "build/nope", "-f"])).await;
        assert_eq!(missing.code, Some(2));
        let words = format!("there is no builds.switchyard.dev nope in the namespace {}", place.namespace);
        assert!(missing.errors.contains(&words), "{}", missing.errors);

        let url = "http://127.0.0.1:1/shop.git";
        place.apply(&build(&place, "shop", url, &"c".repeat(40))).await.unwrap();
        let step = said(&mut plugin(&place, &["logs", "build/shop", "--step", "image/api"])).await;
        assert_eq!(step.code, Some(2));
        assert!(step.errors.contains("has no step image/api: it has check/unit, image/web"), "{}", step.errors);

        let file = std::env::temp_dir().join(format!("{}.kubeconfig", place.namespace));
        std::fs::write(&file, kubeconfig_of_nobody(&place).await.to_string()).unwrap();
        let as_nobody = async |arguments: &[&str]| {
            let mut command = place.ground.command(root().join("target/debug/kubectl-switchyard"));
            said(command.arg("--kubeconfig").arg(&file).args(arguments)).await
        };
        // The namespace comes with the context.
        let said = as_nobody(&["logs", "build/shop"]).await;
        assert_eq!(said.code, Some(2));
        let right = format!("kubectl auth can-i get builds.switchyard.dev/shop --namespace {}", place.namespace);
        assert!(said.errors.contains(&right), "{}", said.errors);
        // One right more, and it is the next that is missing.
        let rules = json!([{"apiGroups": ["switchyard.dev"], "resources": ["builds"], "verbs": ["get"]}]);
        let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
            "metadata": {"name": "builds"}, "rules": rules});
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "builds"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "builds"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": place.namespace}]});
        for object in [role, binding] {
            place.apply(&object).await.unwrap();
        }
        place
            .until("the next right is named", 20, async || {
                as_nobody(&["logs", "build/shop"]).await.errors.contains("the right to list pods").then_some(())
            })
            .await;
        std::fs::remove_file(&file).unwrap();
    })
    .await;
}
