//! A pod template as the user wrote it, and what makes two of them the same revision.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{Revision, rollout::ServicePort};

const CONTAINERS: [&str; 2] = ["initContainers", "containers"];

/// Every container of the template, init containers first, with the image written there.
pub fn containers(template: &Value) -> Vec<(String, Option<String>)> {
    let text = |container: &Value, key: &str| container.get(key).and_then(Value::as_str).map(str::to_owned);
    CONTAINERS
        .iter()
        .filter_map(|list| template.get("spec")?.get(*list)?.as_array())
        .flatten()
        .filter_map(|c| Some((text(c, "name")?, text(c, "image"))))
        .collect()
}

/// The template with these images put in, by container.
#[must_use]
pub fn with_images(template: &Value, images: &BTreeMap<String, String>) -> Value {
    let mut template = template.clone();
    for list in CONTAINERS {
        let Some(containers) = template.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut) else {
            continue;
        };
        for container in containers {
            let image = container.get("name").and_then(Value::as_str).and_then(|name| images.get(name)).cloned();
            if let (Some(image), Some(container)) = (image, container.as_object_mut()) {
                container.insert("image".to_owned(), Value::String(image));
            }
        }
    }
    template
}

/// What a template and its ports come to, without the images of the containers that `released` names: those are
/// added by [`revision`]. Over the user's own JSON in canonical form (keys sorted), never over a Rust type and never
/// over defaults, so that no upgrade of ours makes a new revision.
pub fn fingerprint(template: &Value, ports: &[ServicePort], released: &[String]) -> String {
    let without: BTreeMap<String, String> = released.iter().map(|c| (c.clone(), String::new())).collect();
    let mut hash = Sha256::new();
    hash.update(canonical(&with_images(template, &without)));
    hash.update([0]);
    hash.update(canonical(&ports.iter().map(ServicePort::as_written).collect()));
    crate::names::hex(&hash.finalize(), 64)
}

/// The revision: a fingerprint with the image of each released container.
pub fn revision(fingerprint: &str, images: &BTreeMap<String, String>) -> Revision {
    let mut hash = Sha256::new();
    hash.update(fingerprint);
    for (container, image) in images {
        hash.update([0]);
        hash.update(container);
        hash.update([0]);
        hash.update(image);
    }
    Revision::of_hash(&hash.finalize().into())
}

/// JSON with the keys of every object sorted and no blanks. (`serde_json` sorts by itself, unless some crate in the
/// build asks for `preserve_order`: so it is done here.)
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            let members: Vec<String> =
                sorted.into_iter().map(|(k, v)| format!("{}:{}", Value::String(k.clone()), canonical(v))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template() -> Value {
        json!({"spec": {"containers": [{"name": "web", "image": "shop:1", "env": [{"name": "A", "value": "1"}]}],
                        "initContainers": [{"name": "migrate"}]}})
    }

    #[test]
    fn images_go_into_the_containers_named() {
        let images = BTreeMap::from([("migrate".to_owned(), "m@x".to_owned()), ("other".to_owned(), "o".to_owned())]);
        let full = with_images(&template(), &images);
        assert_eq!(containers(&full), [("migrate".into(), Some("m@x".into())), ("web".into(), Some("shop:1".into()))]);
    }

    #[test]
    fn a_revision_changes_with_what_runs_and_with_nothing_else() {
        let released = ["web".to_owned()];
        let image = |i: &str| BTreeMap::from([("web".to_owned(), i.to_owned())]);
        let of = |t: &Value, i: &str| revision(&fingerprint(t, &[], &released), &image(i));
        let mut reordered: Value = serde_json::from_str(
            r#"{"spec":{"initContainers":[{"name":"migrate"}],"containers":[{"env":[{"value":"1","name":"A"}],"image":"shop:1","name":"web"}]}}"#,
        )
        .unwrap();
        assert_eq!(of(&template(), "a"), of(&reordered, "a"), "the order of keys means nothing");
        reordered["spec"]["containers"][0]["image"] = json!("shop:2");
        assert_eq!(
            of(&template(), "a"),
            of(&reordered, "a"),
            "the written image of a released container means nothing"
        );
        assert_ne!(of(&template(), "a"), of(&template(), "b"));
        reordered["spec"]["containers"][0]["env"][0]["value"] = json!("2");
        assert_ne!(of(&template(), "a"), of(&reordered, "a"));
        let ports = [ServicePort { port: 80, ..ServicePort::default() }];
        assert_ne!(
            fingerprint(&template(), &ports, &[]),
            fingerprint(&template(), &[], &[]),
            "ports belong to the revision"
        );
    }

    #[test]
    fn the_fingerprint_of_a_known_template_never_changes() {
        // A different value here re-rolls everybody at the next upgrade.
        assert_eq!(revision(&fingerprint(&template(), &[], &[]), &BTreeMap::new()).as_str(), "mtkswf89d4");
    }
}
