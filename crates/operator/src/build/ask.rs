//! Answers the questions of Builds: what a registry serves, and why a pod does not start.

use k8s_openapi::api::core::v1::Event;
use kube::{Api, api::ListParams};
use switchyard_api::Digest;
use switchyard_decide::{Measured, Unreachable, build::Question};
use switchyard_probes::Asker;
use switchyard_registry as registry;

use super::stuck;
use crate::ask::Secrets;

/// Of one object: there is one for each thing that goes wrong, however often it does.
const EVENTS: u32 = 100;

pub struct AskForBuilds {
    pub secrets: Secrets,
    pub registry: registry::Registry,
}

impl Asker<Question> for AskForBuilds {
    async fn ask(&self, namespace: &str, question: &Question) -> Result<Measured, Unreachable> {
        match question {
            Question::Serves { image: _, repository, tag, digest, secret } => {
                self.serves(namespace, repository, tag.as_deref(), digest, secret.as_deref()).await
            }
            Question::Why { job: _, uid, pod: None } => self.why(namespace, &format!("involvedObject.uid={uid}")).await,
            Question::Why { job: _, uid: _, pod: Some(pod) } => {
                self.why(namespace, &format!("involvedObject.kind=Pod,involvedObject.name={pod}")).await
            }
        }
    }
}

impl AskForBuilds {
    /// Under its tag; or the digest itself, where there is none.
    async fn serves(
        &self,
        namespace: &str,
        repository: &str,
        tag: Option<&str>,
        digest: &Digest,
        secret: Option<&str>,
    ) -> Result<Measured, Unreachable> {
        let text = match tag {
            Some(tag) => format!("{repository}:{tag}"),
            None => format!("{repository}@{digest}"),
        };
        let image = registry::parse_reference(&text).map_err(|e| registry_error(&e))?;
        let credentials = match secret {
            Some(name) => {
                let data = self.secrets.read(namespace, name).await?;
                let config = data.get(".dockerconfigjson").ok_or_else(|| {
                    Unreachable::Secret(format!("Secret {namespace}/{name} has no .dockerconfigjson"))
                })?;
                registry::Credentials::parse(config)
                    .map_err(|e| Unreachable::Secret(format!("Secret {namespace}/{name}: {e}")))?
            }
            None => registry::Credentials::none(),
        };
        let served = self.registry.resolve(&image, credentials.login(&image)).await.map_err(|e| registry_error(&e))?;
        let digest = served
            .as_str()
            .parse()
            .map_err(|e: switchyard_api::values::Malformed| Unreachable::Network(e.to_string()))?;
        Ok(Measured::Digest(digest))
    }

    /// By the Events of what this selector names: of the Job, as long as it has no pod, then of the pod.
    async fn why(&self, namespace: &str, of: &str) -> Result<Measured, Unreachable> {
        let events: Api<Event> = Api::namespaced(self.secrets.client.clone(), namespace);
        let found = events.list(&ListParams::default().fields(of).limit(EVENTS)).await;
        let found = found.map_err(|error| Unreachable::Network(format!("Events could not be read: {error}")))?;
        Ok(Measured::Problem(stuck::of_events(&found.items)))
    }
}

fn registry_error(error: &registry::Error) -> Unreachable {
    let message = error.to_string();
    match error {
        registry::Error::Unauthorized { .. } | registry::Error::Denied { .. } | registry::Error::BadCredentials(_) => {
            Unreachable::Credentials(message)
        }
        registry::Error::NotFound { .. } | registry::Error::BadReference { .. } => Unreachable::Missing(message),
        registry::Error::TooManyRequests { .. }
        | registry::Error::ServerError { .. }
        | registry::Error::Unreachable { .. }
        | registry::Error::TagImmutable { .. }
        | registry::Error::NoSpace { .. }
        | registry::Error::Io { .. }
        | registry::Error::TooLarge { .. }
        | registry::Error::BadLayout(_)
        | registry::Error::Mismatch { .. } => Unreachable::Network(message),
    }
}

#[cfg(test)]
mod tests {
    use kube::Client;
    use serde_json::{Value, json};
    use switchyard_decide::build::reasons::{QUOTA_EXCEEDED, SECRET_MISSING};

    use super::*;
    use crate::ask::Account;

    /// What is answered to a question where the API server has these Events, and what it was asked.
    async fn asked(question: Question, events: Value) -> (Result<Measured, Unreachable>, String) {
        let (service, mut server) =
            tower_test::mock::pair::<http::Request<kube::client::Body>, http::Response<kube::client::Body>>();
        let path = tokio::spawn(async move {
            let (request, send) = server.next_request().await.unwrap();
            let body = json!({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": events});
            send.send_response(http::Response::new(kube::client::Body::from(body.to_string().into_bytes())));
            request.uri().to_string()
        });
        // As main does, before any client of ours: an error says that one is installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let account = Account { namespace: "switchyard-system".into(), name: "switchyard".into() };
        let secrets = Secrets { client: Client::new(service, "default"), account };
        let asker = AskForBuilds { secrets, registry: registry::Registry::new([]).unwrap() };
        let answer = asker.ask("shop", &question).await;
        (answer, path.await.unwrap())
    }

    fn event(reason: &str, message: &str) -> Value {
        json!({"metadata": {}, "involvedObject": {}, "reason": reason, "message": message})
    }

    #[tokio::test]
    async fn events_are_asked_for_of_the_job_and_then_of_its_pod() {
        let why =
            |pod: Option<&str>| Question::Why { job: "j".into(), uid: "j-uid".into(), pod: pod.map(str::to_owned) };
        let quota = event("FailedCreate", "Error creating: pods \"p\" is forbidden: exceeded quota: small");
        let (answer, path) = asked(why(None), json!([quota])).await;
        let Ok(Measured::Problem(Some(problem))) = answer else { panic!("{answer:?}") };
        assert_eq!(problem.reason, QUOTA_EXCEEDED);
        assert!(
            path.starts_with("/api/v1/namespaces/shop/events?") && path.contains("involvedObject.uid%3Dj-uid"),
            "{path}"
        );

        let mount = event("FailedMount", "MountVolume.SetUp failed for volume \"g\" : secret \"shop-git\" not found");
        let (answer, path) = asked(why(Some("p-x7k2p")), json!([mount])).await;
        let Ok(Measured::Problem(Some(problem))) = answer else { panic!("{answer:?}") };
        assert_eq!(problem.reason, SECRET_MISSING);
        assert!(path.contains("involvedObject.name%3Dp-x7k2p"), "{path}");

        assert_eq!(asked(why(None), json!([])).await.0, Ok(Measured::Problem(None)));
    }
}
