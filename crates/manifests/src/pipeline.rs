//! What a Pipeline owns: Builds.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use switchyard_api::{
    Build, BuildSpec, CommitId, GROUP, Pipeline, VERSION,
    build::{BuildSource, GitCommit},
    names,
    pipeline::GitSource,
};

use crate::{label_value, uid};

/// The Build of one commit: complete, so that it never reads the Pipeline it came from. `base`: the commit that its paths
/// are compared with.
pub fn build(pipeline: &Pipeline, name: &str, commit: &CommitId, branch: &str, base: Option<&CommitId>) -> Build {
    let GitSource { url, reference: _, secret_ref, interval: _, submodules, paths } = &pipeline.spec.source.git;
    let git = GitCommit {
        url: url.clone(),
        commit: commit.clone(),
        branch: Some(branch.to_owned()),
        secret_ref: secret_ref.clone(),
        submodules: *submodules,
        base: base.cloned(),
        paths: paths.clone(),
    };
    let source = BuildSource { git: Some(git), registry: None };
    let owner = pipeline.metadata.name.clone().unwrap_or_default();
    let mut build = Build::new(name, BuildSpec { source, recipe: pipeline.spec.build.clone() });
    build.metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: pipeline.metadata.namespace.clone(),
        labels: Some(BTreeMap::from([
            (names::LABEL_PIPELINE.to_owned(), label_value(&owner)),
            (names::LABEL_OWNER_UID.to_owned(), uid(&pipeline.metadata)),
            (names::LABEL_MANAGED_BY.to_owned(), names::MANAGED_BY.to_owned()),
        ])),
        owner_references: Some(vec![OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: "Pipeline".to_owned(),
            name: owner,
            uid: uid(&pipeline.metadata),
            controller: Some(true),
            block_owner_deletion: None,
        }]),
        ..ObjectMeta::default()
    };
    build
}
