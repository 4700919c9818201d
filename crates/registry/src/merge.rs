//! One registry configuration of several, for a program that reads one.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;
use crate::credentials::key_of;

/// A Secret holds at most 1 MiB.
const MAX_CONFIG: usize = 1024 * 1024;
/// What programs in Go look up for Docker Hub.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

#[derive(Deserialize)]
struct Config {
    auths: Map<String, Value>,
}

/// The `auths` of several values of `.dockerconfigjson`, as one. Where two name one registry, the first is taken. What
/// else stands in them is left out: a credential helper is a program to run.
pub fn merge(configs: &[Vec<u8>]) -> Result<Vec<u8>, Error> {
    let mut auths = Map::new();
    for config in configs {
        if config.len() > MAX_CONFIG {
            return Err(Error::BadCredentials("it is larger than 1 MiB".to_owned()));
        }
        // serde_json's own words could quote the value: line and column are enough.
        let config: Config = serde_json::from_slice(config).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::BadCredentials(format!("no .dockerconfigjson with \"auths\" (line {line}, column {column})"))
        })?;
        for (key, entry) in config.auths {
            let key = match key_of(&key) {
                hub if hub == "docker.io" => DOCKER_HUB.to_owned(),
                other => other,
            };
            if !entry.is_object() {
                return Err(Error::BadCredentials(format!("the entry of {key} is no object")));
            }
            auths.entry(key).or_insert(entry);
        }
    }
    Ok(serde_json::json!({ "auths": auths }).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(configs: &[&str]) -> Result<Value, Error> {
        let configs: Vec<Vec<u8>> = configs.iter().map(|config| config.as_bytes().to_vec()).collect();
        merge(&configs).map(|text| serde_json::from_slice(&text).unwrap())
    }

    #[test]
    fn the_first_of_two_is_taken() {
        let one = r#"{"auths":{"r.dev":{"auth":"MTox"},"https://index.docker.io/v1/":{"auth":"Mjoy"}}}"#;
        let two =
            r#"{"auths":{"https://r.dev/v2/":{"auth":"Mzoz"},"docker.io":{"auth":"NDo0"},"x.dev":{"auth":"NTo1"}}}"#;
        let expected = serde_json::json!({"auths": {
            "r.dev": {"auth": "MTox"}, DOCKER_HUB: {"auth": "Mjoy"}, "x.dev": {"auth": "NTo1"},
        }});
        assert_eq!(merged(&[one, two]), Ok(expected));
        assert_eq!(merged(&[]), Ok(serde_json::json!({"auths": {}})));
    }

    #[test]
    fn programs_to_run_are_left_out() {
        let config = r#"{"auths":{},"credHelpers":{"r.dev":"evil"},"credsStore":"evil","HttpHeaders":{"a":"b"}}"#;
        assert_eq!(merged(&[config]), Ok(serde_json::json!({"auths": {}})));
    }

    #[test]
    fn what_cannot_be_read_is_refused_and_not_quoted() {
        for config in ["", "{}", "hunter2", r#"{"auths":"hunter2"}"#, r#"{"auths":{"r.dev":"hunter2"}}"#] {
            let error = merged(&[config]).unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
