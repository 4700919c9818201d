//! Answers a registry that asks who we are, by the token protocol or with a user and a password.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_auth::{ChallengeParser, ChallengeRef};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use crate::ask::{capped, success};
use crate::error::of_request;
use crate::{Error, Login, Reference, Registry};

const MAX_TOKEN: usize = 64 * 1024;

/// What a registry's `WWW-Authenticate` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Bearer { realm: String, service: Option<String> },
    Basic,
}

impl Registry {
    /// The value of `Authorization` for this challenge; None when the registry wants a login and there is none, or
    /// asks in a way that nobody speaks.
    pub(crate) async fn answer_challenge(
        &self,
        image: &Reference,
        headers: &HeaderMap,
        login: Option<&Login>,
        actions: &str,
    ) -> Result<Option<HeaderValue>, Error> {
        match (challenge(headers), login) {
            (Some(Challenge::Basic), Some(login)) => header(image, &basic(login)).map(Some),
            (Some(Challenge::Bearer { realm, service }), login) => {
                let token = self.token(image, &realm, service.as_deref(), login, actions).await?;
                header(image, &format!("Bearer {token}")).map(Some)
            }
            (Some(Challenge::Basic) | None, _) => Ok(None),
        }
    }

    /// The registry names the service that gives out its tokens, so the login goes there too; never without TLS, unless
    /// the registry itself is allowed that.
    async fn token(
        &self,
        image: &Reference,
        realm: &str,
        service: Option<&str>,
        login: Option<&Login>,
        actions: &str,
    ) -> Result<String, Error> {
        let registry = image.registry();
        let wrong = |why: &str| Error::ServerError { registry: registry.to_owned(), why: why.to_owned() };
        let realm: reqwest::Url = realm.parse().map_err(|_| wrong("its token service is no URL"))?;
        if realm.scheme() != "https" && !(realm.scheme() == "http" && self.is_insecure(image)) {
            return Err(wrong("its token service does not speak TLS"));
        }
        let scope = format!("repository:{}:{actions}", image.repository());
        let mut request = self.client.get(realm).query(&[("scope", scope.as_str())]);
        if let Some(service) = service {
            request = request.query(&[("service", service)]);
        }
        if let Some(login) = login {
            request = request.header(AUTHORIZATION, header(image, &basic(login))?);
        }
        let answer = request.send().await.map_err(|error| of_request(registry, &error))?;
        let answer = success(registry, image.repository(), answer).await?;
        let body = capped(registry, answer, MAX_TOKEN).await?;
        let body: serde_json::Value = serde_json::from_slice(&body).map_err(|_| wrong("its token is no JSON"))?;
        let token = body.get("token").or_else(|| body.get("access_token")).and_then(|token| token.as_str());
        token
            .filter(|token| !token.is_empty())
            .map(str::to_owned)
            .ok_or_else(|| wrong("its token service gave no token"))
    }
}

fn basic(login: &Login) -> String {
    format!("Basic {}", STANDARD.encode(format!("{}:{}", login.username, login.password)))
}

fn header(image: &Reference, value: &str) -> Result<HeaderValue, Error> {
    let mut value = HeaderValue::from_str(value).map_err(|_| Error::ServerError {
        registry: image.registry().to_owned(),
        why: "its token cannot stand in a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// The first that we can answer, tokens before passwords.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let values: Vec<&str> = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect();
    let all: Vec<ChallengeRef<'_>> = values.iter().flat_map(|value| ChallengeParser::new(value).flatten()).collect();
    let of = |scheme: &str| all.iter().find(|challenge| challenge.scheme.eq_ignore_ascii_case(scheme));
    let bearer = of("bearer").and_then(|challenge| {
        let parameter = |name: &str| {
            challenge
                .params
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.to_unescaped())
        };
        Some(Challenge::Bearer { realm: parameter("realm")?, service: parameter("service") })
    });
    bearer.or_else(|| of("basic").map(|_| Challenge::Basic))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        challenge(&headers)
    }

    #[test]
    fn challenges() {
        let bearer = |realm: &str, service: Option<&str>| {
            Some(Challenge::Bearer { realm: realm.to_owned(), service: service.map(str::to_owned) })
        };
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#;
        assert_eq!(read(&[hub]), bearer("https://auth.docker.io/token", Some("registry.docker.io")));
        assert_eq!(
            read(&["Basic realm=\"r\"", hub]),
            bearer("https://auth.docker.io/token", Some("registry.docker.io"))
        );
        assert_eq!(read(&["bearer realm=\"https://t\""]), bearer("https://t", None));
        assert_eq!(read(&["Basic realm=\"Registry Realm\""]), Some(Challenge::Basic));
        for strange in [&[][..], &["Bearer"], &["Negotiate"], &[",,,\"\""], &["Bearer realm"]] {
            assert_eq!(read(strange), None, "{strange:?}");
        }
    }
}
