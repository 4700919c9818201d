//! What a repository can make our own containers do: those that hold credentials while they read what a stranger wrote.

use serde_json::json;
use switchyard_api::build::Class::{Infrastructure, User};
use switchyard_e2e::{
    app::PUSH,
    forge::Repository,
    known::search,
    listener::{Listener, Manner},
    place::{Place, in_a_namespace},
    process,
    rows::{Row, row, run},
};

use crate::credentials;

const DOCKERFILE: &str = "FROM scratch\nCOPY Dockerfile /\n";

async fn repository<'a>(place: &'a Place, name: &str) -> Repository<'a> {
    let repository = Repository::create(&place.ground, &format!("{}/{name}", place.namespace)).await.unwrap();
    repository.write("Dockerfile", DOCKERFILE).await.unwrap();
    repository
}

/// A Build of a repository with one submodule at this URL.
async fn submodule(place: &Place, name: &'static str, url: &str) -> Row {
    let repository = repository(place, name).await;
    repository.write(".gitmodules", &format!("[submodule \"lib\"]\n\tpath = lib\n\turl = {url}\n")).await.unwrap();
    let commit = repository.push("feat: begin").await.unwrap();
    let linked = repository.link("lib", &commit, "feat: a submodule").await.unwrap();
    row(place, name, &repository.url, &linked).with(&json!({"source": {"git": {"submodules": "Recursive"}}})).fails(
        User,
        "SubmoduleUnavailable",
        "lib",
    )
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_credential_goes_to_no_other_host() {
    in_a_namespace("hostile-hosts", async |place| {
        place.equip().await;
        let ground = &place.ground;
        let listener = async |manner| Listener::start(ground, manner).await.unwrap();
        let (of_module, of_source, of_redirect) = (
            listener(Manner::WantsPassword).await,
            listener(Manner::WantsPassword).await,
            listener(Manner::WantsPassword).await,
        );
        let sends_on = listener(Manner::Redirects(of_redirect.url.clone())).await;
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let at = |name: &'static str, listener: &Listener| {
            row(&place, name, &format!("{}/shop.git", listener.url), commit).with(&json!({"retries": 0}))
        };
        let rows = vec![
            submodule(&place, "submodule-elsewhere", &format!("{}/lib.git", of_module.url)).await,
            // The control: where the source itself is there, the credential is for that host, and is sent.
            at("source-elsewhere", &of_source).fails(User, "GitRepositoryNotFound", "198.18.0.1"),
            at("source-redirected", &sends_on),
        ];
        run(&place, rows, async |_| ()).await;
        let [git, ..] = credentials(ground);
        assert!(!of_module.heard().is_empty() && !sends_on.heard().is_empty(), "they were asked");
        assert_eq!(of_module.credentials(), [""; 0], "a submodule's host");
        assert_eq!(of_redirect.credentials(), [""; 0], "where a redirect leads");
        assert!(of_source.credentials().iter().any(|sent| git.is_in(sent)), "{:?}", of_source.heard());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn links_lead_nowhere() {
    in_a_namespace("hostile-links", async |place| {
        place.equip().await;
        let python = place.ground.setting("IMAGE_BASE_PYTHON");
        let repository = repository(&place, "shop").await;
        let config = "/credentials/registry/.dockerconfigjson";
        repository.symlink("stolen", config).await.unwrap();
        repository.symlink("reports", "/credentials/registry").await.unwrap();
        repository.symlink("git", "/credentials/git/password").await.unwrap();
        // `push` finds at /out/index.json a link to what it holds; Kaniko writes through it into a file of its own.
        let planted = format!("FROM {python}\nRUN mkdir -p /credentials/registry && ln -s {config} /out/index.json\n");
        repository.write("planted/Dockerfile", &planted).await.unwrap();
        repository.write("copies/Dockerfile", "FROM scratch\nCOPY git stolen /\n").await.unwrap();
        let commit = repository.push("feat: links").await.unwrap();
        let of = |name: &'static str| row(&place, name, &repository.url, &commit);
        let dockerfile = |path: &str| json!({"dockerfile": {"path": path}});
        let keeps = |name: &'static str, path: &str| {
            let row = of(name).check(&place, &["true"], &json!({}));
            row.checks(|checks| checks[0]["artifacts"] = json!([path])).fails(User, "ArtifactMissing", path)
        };
        let rows = vec![
            keeps("artifact-link", "stolen"),
            keeps("artifact-behind-a-link", "reports/.dockerconfigjson"),
            of("layout-link").image(&dockerfile("planted/Dockerfile")).fails(Infrastructure, "LayoutInvalid", "no plain file"),
            of("copied-link").image(&dockerfile("copies/Dockerfile")),
            of("dockerfile-link").image(&dockerfile("git")).fails(User, "DockerfileMissing", "dockerfile.path"),
        ];
        run(&place, rows, async |_| ()).await;
        let (count, found) = search(&place, &credentials(&place.ground)).await.unwrap();
        println!("{count} places searched");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), []);

        // The control: whoever holds the credential and follows the link has it.
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "follows"},
            "spec": {"restartPolicy": "Never", "imagePullSecrets": [{"name": "registry-pull"}],
                "volumes": [{"name": "push", "secret": {"secretName": PUSH}}, {"name": "src", "emptyDir": {}}],
                "containers": [{"name": "follows", "image": python,
                    "command": ["sh", "-c", format!("ln -s {config} /src/stolen && cat /src/stolen >&2 && cat /src/stolen >/dev/termination-log")],
                    "volumeMounts": [{"name": "push", "mountPath": "/credentials/registry"}, {"name": "src", "mountPath": "/src"}]}]}});
        place.apply(&pod).await.unwrap();
        let followed = async || {
            let (_, found) = search(&place, &credentials(&place.ground)).await.ok()?;
            found.iter().any(|f| f.place == "pods/follows" && f.known == "push").then_some(())
        };
        place.until("the search finds what the link led to", 60, followed).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the test cluster"]
async fn a_repository_runs_nothing_in_the_container_that_clones() {
    in_a_namespace("hostile-git", async |place| {
        place.equip().await;
        let odd = "ext::sh -c 'touch${IFS}/src/pwned'";
        let hooked = repository(&place, "hooked").await;
        // What would run if Git took its settings, hooks or filters from the files of a commit.
        let trap = "#!/bin/sh\ntouch /src/pwned\n";
        for hook in ["hooks/post-checkout", ".githooks/post-checkout", "git/hooks/post-checkout"] {
            hooked.write(hook, trap).await.unwrap();
        }
        hooked.write(".gitconfig", "[core]\n\thooksPath = .githooks\n\tfsmonitor = touch /src/pwned\n").await.unwrap();
        hooked.write(".gitattributes", "*.txt filter=trap\n").await.unwrap();
        hooked.write("page.txt", "hello\n").await.unwrap();
        let commit = hooked.push("feat: traps").await.unwrap();
        let looks =
            ["sh", "-c", "! test -e /src/pwned && ! test -e /src/.git/hooks && ! grep -r trap /src/.git/config"];
        let rows = vec![
            row(&place, "hooked", &hooked.url, &commit).check(&place, &looks, &json!({})).succeeds().jobs(2),
            submodule(&place, "submodule-command", odd).await,
            submodule(&place, "submodule-file", "file:///credentials/git").await,
            submodule(&place, "submodule-above", "../../../../etc").await,
        ];
        run(&place, rows, async |_| ()).await;

        // The control: Git as it is, told to allow all of it, does run what the URL says.
        let folder = std::env::temp_dir().join(format!("{}-control", place.namespace));
        std::fs::create_dir_all(&folder).unwrap();
        let mut git = place.ground.command("git");
        git.current_dir(&folder).args(["-c", "protocol.ext.allow=always", "ls-remote", "ext::sh -c touch% pwned"]);
        process::refused(&mut git, "").await.unwrap();
        let ran = folder.join("pwned").exists();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(ran, "the URL is a command");
    })
    .await;
}
