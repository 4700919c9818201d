//! `docs/spec` has a page for each kind: nothing that a user can write, or read as a reason, may be missing there.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use kube::CustomResourceExt;
use serde_json::Value;
use switchyard_api::{
    Build, Command, Pipeline, Rollout,
    command::{CommandState, CommandType, TargetKind},
    report::Reason,
};

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page(kind: &str) -> String {
    fs::read_to_string(repository().join("docs/spec").join(format!("{kind}.md"))).unwrap()
}

/// Whether the page has the word in code: alone, or as part of a path such as `source.git.url`.
fn says(page: &str, word: &str) -> bool {
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    // Blocks in three backquotes are examples, and count too.
    page.replace("```", "`").split('`').skip(1).step_by(2).any(|code| code.split(part).any(|w| w == word))
}

/// The names of all fields beneath a schema that is ours. What users pass on to Kubernetes is not.
fn fields(schema: &Value, found: &mut BTreeSet<String>) {
    for (name, below) in schema["properties"].as_object().into_iter().flatten() {
        found.insert(name.clone());
        if name != "template" {
            fields(below, found);
        }
    }
    if schema["items"].is_object() {
        fields(&schema["items"], found);
    }
}

#[test]
fn every_field_is_on_its_kinds_page() {
    let kinds = [
        ("pipeline", Pipeline::crd()),
        ("build", Build::crd()),
        ("rollout", Rollout::crd()),
        ("command", Command::crd()),
    ];
    for (kind, crd) in kinds {
        let schema = serde_json::to_value(&crd).unwrap()["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();
        let mut names = BTreeSet::new();
        fields(&schema["properties"]["spec"], &mut names);
        names.extend(schema["properties"]["status"]["properties"].as_object().unwrap().keys().cloned());
        // Said once, on the page of Build: a Pipeline's recipe is the same.
        let mut text = page(kind);
        if kind == "pipeline" {
            text.push_str(&page("build"));
        }
        // In every status, as Kubernetes has it.
        names.remove("observedGeneration");
        let missing: Vec<&String> = names.iter().filter(|n| !says(&text, n)).collect();
        assert!(missing.is_empty(), "not in docs/spec/{kind}.md: {missing:?}");
    }
}

#[test]
fn every_reason_of_a_failed_build_is_in_its_table() {
    let page = page("build");
    let ours = switchyard_decide::build::REASONS.iter().map(|(reason, ..)| *reason);
    let missing: Vec<&str> =
        ours.chain(Reason::ALL.iter().map(|r| r.as_str())).filter(|reason| !says(&page, reason)).collect();
    assert!(missing.is_empty(), "not in docs/spec/build.md: {missing:?}");
}

#[test]
fn every_command_is_on_its_page_with_its_verb_and_known_to_the_admission_policy() {
    let page = page("command");
    let policy = fs::read_to_string(repository().join("charts/switchyard/templates/commands.yaml")).unwrap();
    // As an entry of a map of CEL.
    let entry = |key: String, value: &str| format!("'{key}': '{value}'");
    let mut missing = Vec::new();
    for kind in CommandType::ALL {
        missing.extend([format!("{kind:?}"), kind.verb().to_owned()].into_iter().filter(|word| !says(&page, word)));
        missing.extend(Some(entry(format!("{kind:?}"), kind.verb())).filter(|entry| !policy.contains(entry)));
    }
    for kind in TargetKind::ALL {
        missing.extend(Some(entry(format!("{kind:?}"), kind.resource())).filter(|entry| !policy.contains(entry)));
    }
    let states = [CommandState::Pending, CommandState::Done, CommandState::Refused, CommandState::Stale];
    missing.extend(states.map(|state| format!("{state:?}")).into_iter().filter(|word| !says(&page, word)));
    assert!(missing.is_empty(), "neither in docs/spec/command.md nor in the policy: {missing:?}");
}

#[test]
fn every_reason_of_a_condition_is_on_some_page() {
    let pages = ["pipeline", "build", "rollout"].map(page).concat();
    let source = fs::read_to_string(repository().join("crates/api/src/condition.rs")).unwrap();
    let (_, reasons) = source.split_once("pub mod reason {").unwrap();
    let (reasons, _) = reasons.split_once('}').unwrap();
    let reasons: Vec<&str> = reasons.lines().filter_map(|l| l.split('"').nth(1)).collect();
    assert!(reasons.len() > 10, "{reasons:?}");
    let missing: Vec<&&str> = reasons.iter().filter(|r| !says(&pages, r)).collect();
    assert!(missing.is_empty(), "on no page of docs/spec: {missing:?}");
}

#[test]
fn a_word_counts_whole_and_in_code() {
    let page = "`source.git.url` and `a[]`\n```yaml\nkey: {name: x}\n```\nplain";
    for word in ["source", "url", "a", "key", "name"] {
        assert!(says(page, word), "{word}");
    }
    for word in ["sour", "and", "plain"] {
        assert!(!says(page, word), "{word}");
    }
}

/// All Rust files beneath a folder.
fn sources(folder: &std::path::Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
}

/// What a page names that is not there: `room::file::test`, `room::file::CONSTANT`, either with a folder before the file
/// where a room has two of that name, and `permit: what a veto says`.
fn unfounded(page: &str) -> Vec<String> {
    let mut files = vec![];
    for folder in ["crates", "e2e", "xtask"] {
        sources(&repository().join(folder), &mut files);
    }
    let files: Vec<(PathBuf, String)> =
        files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect();
    let has = |room: &str, below: &[&str], file: &str, text: &str| {
        let folder = repository().join(if room == "e2e" { "e2e".into() } else { format!("crates/{room}") });
        let here = |path: &PathBuf| {
            path.starts_with(&folder)
                && path.file_stem().is_some_and(|s| s == file)
                && below.iter().all(|part| path.iter().any(|p| p == *part))
        };
        files.iter().any(|(path, source)| here(path) && source.contains(text))
    };
    let founded = |code: &str| {
        if let Some(veto) = code.strip_prefix("permit: ") {
            return has("decide", &[], "permit", &format!("\"{veto}\""));
        }
        match code.split("::").collect::<Vec<_>>()[..] {
            [room, ref below @ .., file, name] if below.len() < 2 => {
                let constant = name.starts_with(char::is_uppercase);
                has(room, below, file, &if constant { format!("const {name}: ") } else { format!("fn {name}(") })
            }
            _ => true,
        }
    };
    let named = page.split('`').skip(1).step_by(2);
    named.filter(|code| !code.ends_with("...") && !founded(code)).map(str::to_owned).collect()
}

#[test]
fn every_test_that_a_page_names_exists() {
    for (path, word, at_least) in [
        ("docs/guarantees.md", "world::properties::", 10),
        ("docs/spec/build.md", "e2e::", 20),
        ("docs/security.md", "e2e::", 8),
        ("docs/spec/rollout.md", "e2e::", 10),
    ] {
        let page = fs::read_to_string(repository().join(path)).unwrap();
        assert!(page.matches(word).count() > at_least, "is {path} the page?");
        assert_eq!(unfounded(&page), [""; 0], "{path} names what is not there");
    }
}

/// By reason, the class that the table of failures on the page of Build gives it; waiting ones have no column for it.
fn classes(page: &str) -> BTreeMap<&str, &str> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let classes = ["User", "Policy", "Infrastructure", "Timeout", "Cancelled", "Lost"];
    cells
        .filter(|cells| cells.len() > 3 && classes.contains(&cells[2]))
        .flat_map(|cells| {
            cells[1].split(", ").map(move |reason| (reason.trim_matches('`'), cells[2])).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn every_reason_has_its_class_on_the_page() {
    let page = page("build");
    let told = classes(&page);
    assert!(told.len() > 40, "{told:?}");
    let ours = switchyard_decide::build::REASONS.iter().map(|(reason, class, _)| (*reason, format!("{class:?}")));
    let workers = Reason::ALL.iter().map(|r| (r.as_str(), format!("{:?}", r.class())));
    for (reason, class) in ours.chain(workers) {
        if let Some(told) = told.get(reason) {
            assert_eq!(*told, class, "{reason}");
        }
    }
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    let page = "`world::switching::no_drain`, `world::switching::no_such`, `permit: a selector that is not ours`, `permit: ours`, \
                `world::properties::SERVES`, `world::properties::NONE`, `e2e::switch::gone`, `paused`, \
                `world::build_model::properties::ALONE`, `world::rollout_model::properties::ALONE`";
    let wrong = [
        "world::switching::no_such",
        "permit: ours",
        "world::properties::NONE",
        "e2e::switch::gone",
        "world::rollout_model::properties::ALONE",
    ];
    assert_eq!(unfounded(page), wrong);
}
