//! The image cannot be built.

use serde_json::json;
use switchyard_api::build::Class::{Infrastructure, User};
use switchyard_e2e::{
    forge::Repository,
    place::in_a_namespace,
    rows::{row, run},
};

use crate::source;

/// More than the 64 MiB that a container has at /dev/shm: where Kaniko itself meets a full disk, and nobody else does.
const TOO_MUCH: usize = 80 << 20;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn dockerfiles_that_cannot_be_built() {
    in_a_namespace("build-dockerfile", async |place| {
        place.equip().await;
        let registry = place.ground.setting("REGISTRY");
        let python = place.ground.setting("IMAGE_BASE_PYTHON");
        let absent = format!("FROM {registry}/{}/nobody:1\n", place.namespace);
        let failing = format!("FROM {python}\nRUN echo the paint is still wet && exit 137\n");
        let greedy = format!("FROM {python}\nRUN python3 -c \"len(b'x' * (1 << 30))\"\n");
        let (repository, commit) = source(
            &place,
            &[
                ("broken/Dockerfile", "FROM scratch\nCOPPY page.txt /\n"),
                ("failing/Dockerfile", &failing),
                ("absent/Dockerfile", &absent),
                ("private/Dockerfile", &format!("FROM {python}\n")),
                ("unreachable/Dockerfile", "FROM registry.nowhere.svc:5000/base:1\n"),
                ("greedy/Dockerfile", &greedy),
                ("stages/Dockerfile", "FROM scratch AS one\nCOPY page.txt /\n"),
            ],
        )
        .await;
        // Apart, for ten clones of it at a time are more than a small Git server can give.
        let full = Repository::create(&place.ground, &format!("{}/full", place.namespace)).await.unwrap();
        let files =
            [("Dockerfile", "FROM scratch\nCOPY big /dev/shm/big\n".to_owned()), ("big", "\0".repeat(TOO_MUCH))];
        let big = full.commit(&files, "feat: much").await.unwrap();
        let of = |name: &'static str, dockerfile: &str| {
            let context = dockerfile.rsplit_once('/').map_or(".", |(folder, _)| folder);
            row(&place, name, &repository.url, &commit)
                .image(&json!({"dockerfile": {"path": dockerfile, "context": context}}))
        };
        let rows = vec![
            of("missing", "no/such/Dockerfile").fails(User, "DockerfileMissing", "dockerfile.path"),
            of("broken", "broken/Dockerfile").fails(User, "DockerfileInvalid", "COPPY"),
            of("failing", "failing/Dockerfile").fails(User, "BuildFailed", "137"),
            of("absent-base", "absent/Dockerfile").fails(User, "BaseImageUnavailable", "nobody"),
            of("private-base", "private/Dockerfile").with(&json!({"imagePullSecrets": null})).fails(
                User,
                "BaseImageUnavailable",
                "python-flask",
            ),
            of("unreachable-base", "unreachable/Dockerfile")
                .with(&json!({"retries": 1}))
                .fails(Infrastructure, "BaseImageUnreachable", "registry.nowhere.svc")
                .jobs(2),
            of("kaniko-out-of-memory", "greedy/Dockerfile")
                .with(&json!({"pod": {"resources": {"limits": {"memory": "512Mi"}}}}))
                .fails(User, "OutOfMemory", "build"),
            row(&place, "disk-full", &full.url, &big).fails(Infrastructure, "DiskFull", "space"),
            of("missing-stage", "stages/Dockerfile").image(&json!({"dockerfile": {"target": "two"}})).fails(
                User,
                "BuildFailed",
                "two",
            ),
        ];
        let outcomes = run(&place, rows, async |_| ()).await;
        let failing = outcomes.iter().find(|o| o.name == "failing").and_then(|o| o.failure()).unwrap();
        assert!(failing.log.as_ref().is_some_and(|log| log.contains("the paint is still wet")), "{:?}", failing.log);
        assert!(failing.step.starts_with("image/web"), "{}", failing.step);
    })
    .await;
}
