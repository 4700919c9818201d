//! Answers that the API server never gave, and writes without what makes them conditional.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::Body;

fn status(code: StatusCode) -> Value {
    let reason = match code {
        StatusCode::CONFLICT => "Conflict",
        StatusCode::TOO_MANY_REQUESTS => "TooManyRequests",
        StatusCode::GONE => "Expired",
        _ => "InternalError",
    };
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason,
        "message": format!("{} said the proxy", code.as_u16()), "code": code.as_u16()});
    if code == StatusCode::TOO_MANY_REQUESTS {
        status["details"] = json!({"retryAfterSeconds": 1});
    }
    status
}

/// A refusal, as the API server words it.
pub fn refusal(code: StatusCode) -> Response<Body> {
    let mut answer = in_json(code, status(code).to_string());
    if code == StatusCode::TOO_MANY_REQUESTS {
        answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    answer
}

/// What the API server answers to a watch from a version that it no longer has: not a status but an event.
pub fn too_old() -> Response<Body> {
    let event = json!({"type": "ERROR", "object": status(StatusCode::GONE)});
    in_json(StatusCode::OK, format!("{event}\n"))
}

fn in_json(code: StatusCode, text: String) -> Response<Body> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The body of a write without what makes it conditional: the tests of a JSON Patch, the version and uid in other
/// bodies, the preconditions of a deletion. What is not JSON stays as it is.
pub fn unconditional(method: &Method, kind: Option<&HeaderValue>, body: &Bytes) -> Bytes {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else { return body.clone() };
    let is_patch = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/json-patch+json"));
    match &mut value {
        Value::Array(operations) if is_patch => operations.retain(|operation| operation["op"] != "test"),
        Value::Object(options) if method == Method::DELETE => {
            options.remove("preconditions");
        }
        Value::Object(object) => {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("resourceVersion");
                metadata.remove("uid");
            }
        }
        _ => {}
    }
    Bytes::from(value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loosened(method: &Method, kind: &'static str, body: &Value) -> Value {
        let kind = HeaderValue::from_static(kind);
        serde_json::from_slice(&unconditional(method, Some(&kind), &Bytes::from(body.to_string()))).unwrap()
    }

    #[test]
    fn every_kind_of_write_loses_its_conditions() {
        let patch = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
            {"op": "add", "path": "/spec/replicas", "value": 0}]);
        let left = loosened(&Method::PATCH, "application/json-patch+json", &patch);
        assert_eq!(left, json!([patch[1]]));
        let object = json!({"metadata": {"name": "a", "uid": "u", "resourceVersion": "7"}, "status": {}});
        let left = json!({"metadata": {"name": "a"}, "status": {}});
        assert_eq!(loosened(&Method::PATCH, "application/apply-patch+yaml", &object), left);
        assert_eq!(loosened(&Method::PUT, "application/json", &object), left);
        let options = json!({"propagationPolicy": "Background", "preconditions": {"uid": "u"}});
        let left = json!({"propagationPolicy": "Background"});
        assert_eq!(loosened(&Method::DELETE, "application/json", &options), left);
    }

    #[test]
    fn what_is_no_json_stays_as_it_is() {
        let body = Bytes::from_static(b"k8s\0\x0a");
        assert_eq!(unconditional(&Method::PUT, None, &body), body);
    }
}
