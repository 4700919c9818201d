//! The registry does not take the image, or serves another.

use serde_json::{Value, json};
use switchyard_api::build::Class::{Infrastructure, User};
use switchyard_e2e::{
    app::{GIT, PUSH},
    place::{Place, in_a_namespace},
    registry_proxy::{self, Answer, Asked, RegistryProxy, Rule},
    rows::{Row, path, row, run},
};

use crate::source;

/// Every time.
const ALWAYS: usize = usize::MAX;

/// The credential by which a Build pushes past the proxy.
const FRONT: &str = "registry-front";

fn config(address: &str, user: &str, password: &str) -> String {
    json!({"auths": {address: {"username": user, "password": password}}}).to_string()
}

fn rule(place: &Place, row: &str, asked: Asked, answer: Answer, after: usize, times: usize) -> Rule {
    Rule { repository: path(place, row), asked, answer, after, times }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn registries_that_do_not_take_the_image() {
    in_a_namespace("build-registry", async |place| {
        place.equip().await;
        let ground = &place.ground;
        let address = registry_proxy::address(ground);
        let (user, password) = (ground.setting("REGISTRY_PUSH_USER"), ground.setting("REGISTRY_PUSH_PASSWORD"));
        let registry_of_the_cluster = ground.setting("REGISTRY");
        place.dockerconfig_secret(FRONT, &config(&address, user, password)).await;
        place.dockerconfig_secret("wrong", &config(registry_of_the_cluster, user, "not-the-password")).await;
        place.dockerconfig_secret("empty", &json!({"auths": {registry_of_the_cluster: {}}}).to_string()).await;
        place.grant(&[GIT, PUSH, FRONT, "wrong", "empty"]).await;
        let python = ground.setting("IMAGE_BASE_PYTHON");
        let spoiled = format!("FROM {python}\nRUN mkdir -p /elsewhere /out/blobs && ln -s /elsewhere /out/blobs/sha256\n");
        let (repository, commit) = source(&place, &[("spoiled/Dockerfile", &spoiled)]).await;

        let absent = format!("{registry_of_the_cluster}/{}", path(&place, "absent"));

        let of = |name: &'static str| row(&place, name, &repository.url, &commit);
        let fronted = |name: &'static str| -> Row {
            let repository = format!("{address}/{}", path(&place, name));
            of(name).image(&json!({"repository": repository, "secretRef": {"name": FRONT}}))
        };
        let again: Value = json!({"retries": 1});
        let immutable = "The image tag 'main' already exists in the 'shop' repository and cannot be overwritten because \
                         the repository is immutable.";
        let denied = Answer::Refusal(403, "DENIED", "requested access to the resource is denied");
        let unknown = Answer::Refusal(404, "NAME_UNKNOWN", "repository name not known to registry");
        let taken = Answer::Refusal(400, "TAG_INVALID", immutable);
        let taken_too = Answer::Refusal(412, "PRECONDITION", "Failed to process request due to 'shop:main' configured as immutable.");
        let busy = Answer::Refusal(429, "TOOMANYREQUESTS", "You have reached your pull rate limit.");
        let down = Answer::Refusal(503, "UNAVAILABLE", "service unavailable");
        let tell = |row: &str, asked: Asked, answer: &Answer, after: usize, times: usize| {
            rule(&place, row, asked, answer.clone(), after, times)
        };
        let front = RegistryProxy::start(ground, vec![
            tell("push-refused", Asked::ToUpload, &denied, 0, ALWAYS),
            tell("repository-missing", Asked::ToUpload, &unknown, 0, ALWAYS),
            tell("tag-immutable", Asked::ToTag, &taken, 0, ALWAYS),
            tell("tag-immutable-elsewhere", Asked::ToTag, &taken_too, 0, ALWAYS),
            tell("rate-limited", Asked::ToUpload, &busy, 0, ALWAYS),
            tell("rate-limited-once", Asked::ToUpload, &busy, 0, 1),
            tell("unavailable", Asked::ToUpload, &down, 0, ALWAYS),
            tell("unavailable-once", Asked::ToTag, &down, 0, 1),
            // The worker asks once, when it has pushed; then the operator does.
            tell("moved-at-once", Asked::ForTag, &Answer::OtherDigest, 0, ALWAYS),
            tell("moved-later", Asked::ForTag, &Answer::OtherDigest, 1, ALWAYS),
        ])
        .await
        .unwrap();

        let rows = vec![
            fronted("push-refused").fails(User, "PushDenied", &address),
            fronted("repository-missing").fails(User, "RegistryRepositoryNotFound", &address),
            fronted("tag-immutable").fails(User, "TagImmutable", &address),
            fronted("tag-immutable-elsewhere").fails(User, "TagImmutable", &address),
            fronted("rate-limited").with(&again).fails(Infrastructure, "RegistryRateLimited", &address).jobs(2),
            fronted("rate-limited-once").with(&again).succeeds().jobs(2),
            fronted("unavailable").with(&again).fails(Infrastructure, "RegistryUnavailable", "503").jobs(2),
            fronted("unavailable-once").with(&again).succeeds().jobs(2),
            fronted("moved-at-once").fails(User, "DigestMismatch", "sha256:"),
            fronted("moved-later").fails(User, "DigestMismatch", "sha256:"),
            // The control: past the proxy, with nothing told.
            fronted("undisturbed").succeeds(),
            of("wrong-password").image(&json!({"secretRef": {"name": "wrong"}})).fails(
                User,
                "RegistryUnauthorized",
                registry_of_the_cluster,
            ),
            of("empty-secret").image(&json!({"secretRef": {"name": "empty"}})).fails(
                User,
                "RegistryCredentialInvalid",
                registry_of_the_cluster,
            ),
            of("nobody-there")
                .with(&again)
                .image(&json!({"repository": "registry.nowhere.svc:5000/shop"}))
                .fails(Infrastructure, "RegistryUnreachable", "registry.nowhere.svc")
                .jobs(2),
            of("no-tag").image(&json!({"tags": ["-$(short)"]})).fails(User, "ImageNameInvalid", "tag"),
            of("absent-image")
                .with(&json!({"source": {"git": null, "registry": {"repository": absent, "secretRef": {"name": PUSH},
                    "digest": format!("sha256:{}", "1".repeat(64))}}, "images": null}))
                .fails(User, "ImageNotFound", "sha256:1111")
                .jobs(0),
            of("spoiled-layout").image(&json!({"dockerfile": {"path": "spoiled/Dockerfile"}})).fails(
                Infrastructure,
                "LayoutInvalid",
                "layout",
            ),
        ];
        let outcomes = run(&place, rows, async |_| ()).await;
        println!("{}", front.given().join("\n"));
        for failure in outcomes.iter().filter_map(|o| o.failure()) {
            let text = json!(failure).to_string();
            assert!(!text.contains("not-the-password") && !text.contains(password), "a password in {text}");
        }
    })
    .await;
}
