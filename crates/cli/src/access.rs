//! The cluster, and what its API server says when it says no.

use std::time::Duration;

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Config, Resource,
    config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError},
    core::Status,
};

use crate::arguments::Cluster;

/// The longest that a call may take. (A log that is followed is silent for as long as its container is.)
const CALL: Duration = Duration::from_secs(30);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read the kubeconfig: {0}")]
    Kubeconfig(#[from] Box<KubeconfigError>),
    #[error("find a cluster: {0}")]
    Unconfigured(#[from] Box<InferConfigError>),
    #[error("make a client: {0}")]
    Client(Box<kube::Error>),
    #[error("there is no {0}")]
    Missing(String),
    #[error("the cluster does not know {0}: is Switchyard installed in it?")]
    Unknown(String),
    /// The right that is missing, how to look, and what the server said.
    #[error("forbidden: this takes the right to {right}\n  kubectl auth can-i {right}\n{said}")]
    Forbidden { right: String, said: String },
    #[error("{asked}: {said}")]
    Refused { asked: String, said: String },
    #[error("{asked}: no answer within {} s", CALL.as_secs())]
    Overdue { asked: String },
    #[error("{asked}: {why}")]
    Unanswered { asked: String, why: String },
    #[error("{0}")]
    Mistaken(String),
    #[error("write: {0}")]
    Write(std::io::Error),
    #[error("nobody reads on")]
    Closed,
}

impl Error {
    /// Another try may have an answer.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Overdue { .. } | Self::Unanswered { .. } => true,
            Self::Kubeconfig(_)
            | Self::Unconfigured(_)
            | Self::Client(_)
            | Self::Missing(_)
            | Self::Unknown(_)
            | Self::Forbidden { .. }
            | Self::Refused { .. }
            | Self::Mistaken(_)
            | Self::Write(_)
            | Self::Closed => false,
        }
    }
}

/// What is about to be asked, in the words of rights.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub verb: &'static str,
    /// `builds.switchyard.dev`, `pods/log`.
    pub resource: &'static str,
    pub name: Option<&'a str>,
}

impl Asked<'_> {
    fn right(&self, namespace: &str) -> String {
        // kubectl takes a subresource by an option of its own.
        let (resource, subresource) = self.resource.split_once('/').unwrap_or((self.resource, ""));
        let name = self.name.filter(|_| self.verb != "list").map(|name| format!("/{name}")).unwrap_or_default();
        let option = if subresource.is_empty() { String::new() } else { format!(" --subresource={subresource}") };
        format!("{} {resource}{name}{option} --namespace {namespace}", self.verb)
    }

    /// What an error of the client means.
    fn error(&self, namespace: &str, error: kube::Error) -> Error {
        let name = self.name.map(|name| format!(" {name}")).unwrap_or_default();
        let asked = format!("{} {}{name}", self.verb, self.resource);
        let kube::Error::Api(status) = error else {
            return Error::Unanswered { asked, why: chain(&error) };
        };
        let Status { code, message, details, .. } = *status;
        let names_it = details.is_some_and(|details| !details.name.is_empty());
        match code {
            401 => Error::Refused { asked, said: format!("the cluster does not know who you are: {message}") },
            403 => Error::Forbidden { right: self.right(namespace), said: message },
            404 if names_it => Error::Missing(format!("{}{name} in the namespace {namespace}", self.resource)),
            404 => Error::Unknown(self.resource.to_owned()),
            408 | 429 | 500.. => Error::Unanswered { asked, why: message },
            _ => Error::Refused { asked, said: message },
        }
    }
}

/// An error and what brought it about: the outermost of a client's errors says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

/// A cluster and a namespace of it.
#[derive(Clone)]
pub struct Access {
    client: Client,
    pub namespace: String,
}

impl Access {
    pub async fn open(cluster: &Cluster) -> Result<Self, Error> {
        let options = KubeConfigOptions { context: cluster.context.clone(), ..KubeConfigOptions::default() };
        let mut config = match &cluster.kubeconfig {
            Some(path) => {
                let kubeconfig = Kubeconfig::read_from(path).map_err(Box::new)?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(Box::new)?
            }
            None if options.context.is_some() => Config::from_kubeconfig(&options).await.map_err(Box::new)?,
            None => Config::infer().await.map_err(Box::new)?,
        };
        // By itself the client would try for minutes without a word.
        config.default_retry = false;
        let namespace = cluster.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|error| Error::Client(Box::new(error)))?;
        Ok(Self { client, namespace })
    }

    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn everywhere<K>(&self) -> Api<K>
    where
        K: Resource,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// The answer to a call, or in words why there is none.
    pub async fn call<T>(&self, asked: Asked<'_>, call: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
        match tokio::time::timeout(CALL, call).await {
            Ok(answer) => answer.map_err(|error| asked.error(&self.namespace, error)),
            Err(_) => Err(Error::Overdue { asked: format!("{} {}", asked.verb, asked.resource) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: Asked<'_> = Asked { verb: "get", resource: "pods/log", name: Some("shop-1-image-web-1-x") };
    const BUILD: Asked<'_> = Asked { verb: "get", resource: "builds.switchyard.dev", name: Some("shop-1") };

    fn status(code: u16, name: &str) -> kube::Error {
        let details = serde_json::json!({"name": name});
        let status = serde_json::json!({"code": code, "message": "the server says so", "details": details});
        kube::Error::Api(Box::new(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn who_may_not_is_told_which_right_it_takes_and_how_to_look() {
        let said = LOG.error("shop", status(403, "shop-1-image-web-1-x")).to_string();
        let look = "kubectl auth can-i get pods/shop-1-image-web-1-x --subresource=log --namespace shop";
        assert!(said.contains(look) && said.ends_with("the server says so"), "{said}");
        let list = Asked { verb: "list", resource: "pods", name: None };
        let said = list.error("shop", status(403, "")).to_string();
        assert!(said.contains("the right to list pods --namespace shop"), "{said}");
    }

    #[test]
    fn an_object_that_is_missing_is_told_from_a_kind_that_is() {
        let said = BUILD.error("shop", status(404, "shop-1")).to_string();
        assert_eq!(said, "there is no builds.switchyard.dev shop-1 in the namespace shop");
        let said = BUILD.error("shop", status(404, "")).to_string();
        assert_eq!(said, "the cluster does not know builds.switchyard.dev: is Switchyard installed in it?");
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        for (code, passing) in [(400, false), (401, false), (403, false), (404, false), (429, true), (503, true)] {
            assert_eq!(BUILD.error("shop", status(code, "shop-1")).is_passing(), passing, "{code}");
        }
    }
}
