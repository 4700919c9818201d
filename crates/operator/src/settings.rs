//! What the installation says, from the environment.

use std::{collections::BTreeSet, env, net::SocketAddr, path::PathBuf};

use switchyard_cluster::caches::Scope;
use switchyard_manifests as manifests;

use crate::ask::Account;

/// Where health and metrics are served unless said otherwise.
const LISTEN: &str = "0.0.0.0:8080";
/// As `scan` of a Build, in JSON.
const DEFAULT_SCAN: &str = "SWITCHYARD_DEFAULT_SCAN";
/// The Lease that the replicas compete for.
pub const LEASE: &str = "switchyard";

#[derive(Clone, Debug)]
pub struct Settings {
    pub kubeconfig: Option<PathBuf>,
    pub scope: Scope,
    pub listen: SocketAddr,
    pub pod: String,
    pub account: Account,
    pub builds: manifests::Settings,
    /// Where the log of a container is once its pod is gone: with `{namespace}`, `{pod}` and `{container}`.
    pub log_url: Option<String>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Unusable {
    #[error("{0} is not set")]
    Missing(&'static str),
    #[error("{0} is {1:?}, which is no address and port")]
    Address(&'static str, String),
    #[error("{0} is no scan as a Build has one: {1}")]
    Scan(&'static str, String),
}

impl Settings {
    pub fn from_env() -> Result<Self, Unusable> {
        Self::read(|name| env::var(name).ok())
    }

    fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, Unusable> {
        let text = |name: &str| get(name).filter(|value| !value.is_empty());
        let needed = |name: &'static str| text(name).ok_or(Unusable::Missing(name));
        let list = |name: &str| {
            let value = text(name).unwrap_or_default();
            value.split(',').map(str::trim).filter(|s| !s.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let namespaces: BTreeSet<String> = list("SWITCHYARD_WATCH_NAMESPACES").into_iter().collect();
        let scan = text(DEFAULT_SCAN).map(|json| serde_json::from_str(&json)).transpose();
        let listen = text("SWITCHYARD_LISTEN").unwrap_or_else(|| LISTEN.to_owned());
        Ok(Self {
            kubeconfig: text("SWITCHYARD_KUBECONFIG").map(PathBuf::from),
            scope: if namespaces.is_empty() { Scope::Cluster } else { Scope::Namespaces(namespaces) },
            listen: listen.parse().map_err(|_| Unusable::Address("SWITCHYARD_LISTEN", listen.clone()))?,
            pod: text("POD_NAME").unwrap_or_else(|| "switchyard".to_owned()),
            account: Account {
                namespace: text("POD_NAMESPACE").unwrap_or_else(|| "switchyard-system".to_owned()),
                name: text("POD_SERVICE_ACCOUNT").unwrap_or_else(|| "switchyard".to_owned()),
            },
            builds: manifests::Settings {
                worker_image: needed("SWITCHYARD_WORKER_IMAGE")?,
                kaniko_image: needed("SWITCHYARD_KANIKO_IMAGE")?,
                insecure_registries: list("SWITCHYARD_INSECURE_REGISTRIES"),
                image_pull_secrets: list("SWITCHYARD_IMAGE_PULL_SECRETS"),
                // These two only some Builds need; what has no image the API server refuses by name.
                trivy_image: text("SWITCHYARD_TRIVY_IMAGE").unwrap_or_default(),
                trivy_db_repository: text("SWITCHYARD_TRIVY_DB_REPOSITORY"),
                trivy_java_db_repository: text("SWITCHYARD_TRIVY_JAVA_DB_REPOSITORY"),
                default_scan: scan.map_err(|error| Unusable::Scan(DEFAULT_SCAN, error.to_string()))?,
                sonar_scanner_image: text("SWITCHYARD_SONAR_SCANNER_IMAGE").unwrap_or_default(),
            },
            log_url: text("SWITCHYARD_LOG_URL_TEMPLATE"),
        })
    }
}

#[cfg(test)]
mod tests {
    use switchyard_api::build::Severity;

    use super::*;

    #[test]
    fn what_is_left_out_has_a_default_and_what_is_needed_is_named() {
        let images = |name: &str| name.ends_with("_IMAGE").then(|| "image".to_owned());
        let settings = Settings::read(images).unwrap();
        assert_eq!(settings.scope, Scope::Cluster);
        assert_eq!(settings.listen.port(), 8080);
        assert_eq!(Settings::read(|_| None).unwrap_err(), Unusable::Missing("SWITCHYARD_WORKER_IMAGE"));
        let named = |name: &str| match name {
            "SWITCHYARD_WATCH_NAMESPACES" => Some("shop, staging,".to_owned()),
            _ => images(name),
        };
        let wanted = ["shop", "staging"].map(str::to_owned).into();
        assert_eq!(Settings::read(named).unwrap().scope, Scope::Namespaces(wanted));
        assert_eq!((settings.builds.default_scan, settings.log_url), (None, None));
    }

    #[test]
    fn a_scan_for_all_is_written_as_that_of_a_build() {
        let with = |scan: &'static str| {
            Settings::read(move |name| match name {
                DEFAULT_SCAN => Some(scan.to_owned()),
                _ => name.ends_with("_IMAGE").then(|| "image".to_owned()),
            })
        };
        let scan = with(r#"{"failOn": ["Critical"], "ignoreUnfixed": true}"#).unwrap().builds.default_scan.unwrap();
        assert_eq!((scan.fail_on.as_slice(), scan.ignore_unfixed), ([Severity::Critical].as_slice(), true));
        for wrong in ["true", r#"{"failOn": ["Severe"]}"#, "{"] {
            assert!(matches!(with(wrong), Err(Unusable::Scan(DEFAULT_SCAN, _))), "{wrong}");
        }
    }
}
