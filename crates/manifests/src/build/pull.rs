//! The credential that pulls: of base images, of kept layers, of a mirror of Trivy's database. Never the one that pushes
//! the image.

use serde_json::json;
use switchyard_api::{
    Build,
    build::{LayerCache, SecretRef},
};

use super::container::{Container, Volume, option};
use crate::Settings;

/// Where `login` reads from.
const REGISTRIES: &str = "/credentials/registries";
/// Where it writes to, and nobody else is.
const DOCKER: &str = "/credentials/docker";

/// What pulls in the containers of one pod, in the order of the spec: of two that name the same registry, the first
/// counts.
pub struct PullCredential<'a> {
    secrets: Vec<&'a SecretRef>,
}

impl<'a> PullCredential<'a> {
    pub fn of(build: &'a Build, cache: Option<&'a LayerCache>) -> Self {
        let cache = cache.and_then(|cache| cache.secret_ref.as_ref());
        let mut secrets: Vec<&SecretRef> = vec![];
        for secret in build.spec.recipe.image_pull_secrets.iter().chain(cache) {
            if !secrets.contains(&secret) {
                secrets.push(secret);
            }
        }
        Self { secrets }
    }

    /// Makes one file of several, since whoever pulls reads one. None: there are not several.
    pub fn login(&self, settings: &Settings) -> Option<Container> {
        if self.secrets.len() < 2 {
            return None;
        }
        let mut args = vec!["login".to_owned()];
        args.extend((0..self.secrets.len()).map(|index| option("--from", &format!("{REGISTRIES}/{index}.json"))));
        args.push(option("--into", DOCKER));
        let container = Container::worker("login", settings, &args)
            .reads(&Volume::registries("registry-credentials", &self.secrets), REGISTRIES)
            .writes(&Volume::memory("pull"), DOCKER);
        Some(container)
    }

    /// Gives it to a container that finds it by `DOCKER_CONFIG`. Nothing, where there is none.
    pub fn give(&self, container: Container, path: &str) -> Container {
        let volume = match self.secrets.as_slice() {
            [] => return container,
            [one] => Volume::registry("pull-credential", one, "config.json"),
            [..] => Volume::memory("pull"),
        };
        container.reads(&volume, path).environment(&json!([{"name": "DOCKER_CONFIG", "value": path}]))
    }
}
