//! Answers the questions of Pipelines: Git servers, with Secrets read by name.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use switchyard_decide::{Measured, Unreachable, pipeline};
use switchyard_git as git;
use switchyard_probes::Asker;

use crate::telemetry::{Metrics, Reply};

/// Whom a user lets read a Secret: the operator's own account.
#[derive(Clone, Debug)]
pub struct Account {
    pub namespace: String,
    pub name: String,
}

/// Reads single Secrets. The operator has no right to list them, nor to any that nobody granted.
#[derive(Clone)]
pub struct Secrets {
    pub client: Client,
    pub account: Account,
}

impl Secrets {
    pub async fn read(&self, namespace: &str, name: &str) -> Result<BTreeMap<String, Vec<u8>>, Unreachable> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        match secrets.get(name).await {
            Ok(secret) => Ok(secret.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)).collect()),
            Err(kube::Error::Api(status)) if status.code == 403 => {
                Err(Unreachable::Secret(self.how_to_allow(namespace, name)))
            }
            Err(kube::Error::Api(status)) if status.is_not_found() => {
                Err(Unreachable::Secret(format!("Secret {namespace}/{name} does not exist")))
            }
            Err(error) => Err(Unreachable::Network(format!("Secret {namespace}/{name} could not be read: {error}"))),
        }
    }

    /// The exact YAML that would let the operator read this one Secret.
    fn how_to_allow(&self, namespace: &str, name: &str) -> String {
        let Account { namespace: operator, name: account } = &self.account;
        let metadata = format!("metadata: {{name: switchyard-reads-{name}, namespace: {namespace}}}");
        format!(
            "the operator may not read Secret {namespace}/{name}. Apply this to allow it:\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\n{metadata}\n\
             rules: [{{apiGroups: [\"\"], resources: [secrets], resourceNames: [{name}], verbs: [get]}}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n{metadata}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: switchyard-reads-{name}}}\n\
             subjects: [{{kind: ServiceAccount, name: {account}, namespace: {operator}}}]"
        )
    }
}

/// Asks Git servers which commit a branch is at.
pub struct AskGit {
    pub secrets: Secrets,
}

impl Asker<pipeline::Question> for AskGit {
    async fn ask(&self, namespace: &str, question: &pipeline::Question) -> Result<Measured, Unreachable> {
        let pipeline::Question::Head { url, branch, secret } = question;
        let credentials = match secret {
            Some(name) => git::Credentials::from_data(&self.secrets.read(namespace, name).await?)
                .map_err(|e| Unreachable::Secret(format!("Secret {namespace}/{name}: {e}")))?,
            None => git::Credentials::none(),
        };
        let url = git::Url::parse(url).map_err(|e| git_error(&e))?;
        let name = match branch {
            Some(branch) => git::RefName::Branch(git::BranchName::parse(branch).map_err(|e| git_error(&e))?),
            None => git::RefName::Head,
        };
        let listed = git::list_ref(&git::Remote { url, credentials }, &name).await.map_err(|e| git_error(&e))?;
        let branch = listed.branch.map_or_else(|| "HEAD".to_owned(), |b| b.to_string());
        let commit = listed
            .commit
            .as_str()
            .parse()
            .map_err(|e: switchyard_api::values::Malformed| Unreachable::Network(e.to_string()))?;
        Ok(Measured::Head { branch, commit })
    }
}

fn git_error(error: &git::Error) -> Unreachable {
    let message = error.to_string();
    match error {
        git::Error::AuthenticationRefused { .. }
        | git::Error::BadCredentials(_)
        | git::Error::HostKeyChanged { .. }
        | git::Error::HostKeyUnknown { .. } => Unreachable::Credentials(message),
        git::Error::RepositoryNotFound { .. }
        | git::Error::RefNotFound { .. }
        | git::Error::CommitNotFound { .. }
        | git::Error::BadUrl { .. }
        | git::Error::BadName { .. } => Unreachable::Missing(message),
        git::Error::Unreachable { .. }
        | git::Error::Io { .. }
        | git::Error::NoSpace { .. }
        | git::Error::Submodule { .. }
        | git::Error::Other { .. } => Unreachable::Network(message),
    }
}

/// Counts what comes back.
pub struct Counted<Q> {
    pub asker: Q,
    pub kind: &'static str,
    pub metrics: Arc<Metrics>,
}
impl<T, Q> Asker<T> for Counted<Q>
where
    T: Sync,
    Q: Asker<T>,
{
    async fn ask(&self, namespace: &str, question: &T) -> Result<Measured, Unreachable> {
        let answer = self.asker.ask(namespace, question).await;
        self.metrics.question(self.kind, if answer.is_ok() { Reply::Known } else { Reply::Unreachable });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_that_may_not_be_read_comes_with_the_yaml_that_allows_it() {
        let (service, mut server) =
            tower_test::mock::pair::<http::Request<kube::client::Body>, http::Response<kube::client::Body>>();
        let answer = tokio::spawn(async move {
            let (_, send) = server.next_request().await.unwrap();
            let body = serde_json::json!({"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403});
            let body = kube::client::Body::from(body.to_string().into_bytes());
            send.send_response(http::Response::builder().status(403).body(body).unwrap());
        });
        let account = Account { namespace: "switchyard-system".into(), name: "switchyard".into() };
        let secrets = Secrets { client: Client::new(service, "default"), account };
        let Err(Unreachable::Secret(message)) = secrets.read("shop", "shop-git").await else { panic!("not refused") };
        answer.await.unwrap();
        assert!(
            message.contains("resourceNames: [shop-git]") && message.contains("namespace: switchyard-system"),
            "{message}"
        );
    }
}
