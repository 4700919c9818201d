//! What the examples and the documentation show is accepted by the API server as it stands there.

use std::path::Path;

use switchyard_e2e::{
    example::Example,
    ground::root,
    place::{Place, in_a_namespace},
    process::{feed, refused},
};

/// Names of what lies in this folder and ends like this.
fn names(folder: &Path, ending: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name.ends_with(ending)).collect();
    names.sort();
    names
}

fn apply(place: &Place) -> tokio::process::Command {
    place.kubectl(&["apply", "--dry-run=server", "-f", "-"])
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn every_manifest_of_the_examples_is_accepted() {
    in_a_namespace("examples", async |place| {
        let folder = root().join("examples");
        let examples = names(&folder, "");
        assert!(examples.len() >= 2, "{examples:?}");
        for example in examples {
            let manifests = names(&folder.join(&example), ".yaml");
            assert!(manifests.len() >= 4, "{example}: {manifests:?}");
            let filled = Example::of(&example, &place.ground, "https://git.example.com/shop.git");
            for name in manifests {
                let text = filled.manifest(&name).await.unwrap();
                let accepted = feed(&mut apply(&place), &text).await;
                println!("{example}/{name}: {}", accepted.as_deref().unwrap_or_default().trim());
                accepted.unwrap_or_else(|error| panic!("{example}/{name}: {error}"));
                // A field that is not there would be refused: the API server looks at each.
                if name == "rollout.yaml" {
                    let said = refused(&mut apply(&place), &text.replace("replicas:", "replica:")).await.unwrap();
                    assert!(said.contains("unknown field \"spec.replica\""), "{said}");
                }
            }
        }
    })
    .await;
}

/// The blocks of a page that are manifests of our kinds, put into this namespace.
fn manifests(page: &str, namespace: &str) -> Vec<String> {
    let blocks = page.split("\n```yaml\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let ours = blocks.filter(|block| block.starts_with("apiVersion: switchyard.dev/"));
    // Of a Command the API server asks who sends it, and each is created under a new name.
    let applied = ours.filter(|block| !block.contains("\nkind: Command\n"));
    applied
        .map(|block| {
            let lines = block.lines().map(|line| match line.split_once(", namespace: ") {
                Some((start, _)) if line.starts_with("metadata: ") => format!("{start}, namespace: {namespace}}}"),
                _ => line.to_owned(),
            });
            lines.collect::<Vec<_>>().join("\n")
        })
        .collect()
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn every_manifest_of_the_documentation_is_accepted() {
    in_a_namespace("documented", async |place| {
        let spec = root().join("docs/spec");
        let pages = names(&spec, ".md").into_iter().map(|name| spec.join(name)).chain([root().join("README.md")]);
        let (mut wrong, mut count) = (vec![], 0);
        for page in pages {
            let text = std::fs::read_to_string(&page).unwrap();
            for manifest in manifests(&text, &place.namespace) {
                count += 1;
                if let Err(error) = feed(&mut apply(&place), &manifest).await {
                    wrong.push(format!("{}: {error}\n{manifest}", page.display()));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
        assert!(count >= 4, "only {count} were found");
    })
    .await;
}

#[test]
fn a_page_is_searched_for_our_kinds_alone() {
    let page = "\n```yaml\napiVersion: switchyard.dev/v1alpha1\nkind: Build\nmetadata: {name: a, namespace: b}\nspec: {x: 1}\n```\n\
                \n```yaml\napiVersion: v1\nkind: Secret\n```\n\
                \n```yaml\napiVersion: switchyard.dev/v1alpha1\nkind: Command\nspec: {}\n```\n";
    let expected = "apiVersion: switchyard.dev/v1alpha1\nkind: Build\nmetadata: {name: a, namespace: c}\nspec: {x: 1}";
    assert_eq!(manifests(page, "c"), [expected]);
}
