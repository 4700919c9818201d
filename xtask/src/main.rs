//! `cargo run -p xtask -- crds` writes what is generated from `crates/api`; `... crds --check` says what is stale.

use std::{fs, path::Path, process::ExitCode};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use switchyard_api::{Build, Command, Pipeline, Rollout};

/// Where the CRDs stand: for `kubectl apply -f crds/`, and in the chart that installs them.
const FOLDERS: [&str; 2] = ["crds", "charts/switchyard-crds/templates"];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["crds"] => crds(false),
        ["crds", "--check"] => crds(true),
        _ => {
            eprintln!("usage: xtask crds [--check]");
            ExitCode::from(2)
        }
    }
}

fn crds(check: bool) -> ExitCode {
    let mut stale = false;
    for crd in [Pipeline::crd(), Build::crd(), Rollout::crd(), Command::crd()] {
        for folder in FOLDERS {
            let path = Path::new(folder).join(format!("{}.yaml", crd.spec.names.plural));
            let wanted = match render(crd.clone(), folder.starts_with("charts")) {
                Ok(text) => text,
                Err(why) => {
                    eprintln!("{}: cannot be rendered: {why}", path.display());
                    return ExitCode::FAILURE;
                }
            };
            if fs::read_to_string(&path).is_ok_and(|found| found == wanted) {
                continue;
            }
            if check {
                eprintln!("{} is not what crates/api says: run `make generate`", path.display());
                stale = true;
            } else if let Err(why) = fs::create_dir_all(folder).and_then(|()| fs::write(&path, wanted)) {
                eprintln!("{}: cannot be written: {why}", path.display());
                return ExitCode::FAILURE;
            }
        }
    }
    if stale { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn render(mut crd: CustomResourceDefinition, in_chart: bool) -> Result<String, String> {
    if in_chart {
        // Removing the chart must not take everybody's pipelines with it.
        let annotations = crd.metadata.annotations.get_or_insert_default();
        annotations.insert("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    }
    let value = serde_json::to_value(&crd).map_err(|e| e.to_string())?;
    let yaml = serde_saphyr::to_string(&value).map_err(|e| e.to_string())?;
    // Helm would take braces in a description for its own.
    let yaml = if in_chart { yaml.replace("{{", "{{ \"{{\" }}") } else { yaml };
    Ok(format!("# Generated from crates/api by `make generate`. Do not edit.\n{yaml}"))
}
