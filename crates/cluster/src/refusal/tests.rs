//! Each body was answered by a Kubernetes 1.34 API server, except those that say otherwise.

use serde_json::{Value, json};

use super::*;

fn answered(body: &Value) -> kube::Error {
    kube::Error::Api(serde_json::from_value::<Status>(body.clone()).unwrap().boxed())
}

fn failure(code: u16, reason: &str, message: &str, details: &Value) -> Value {
    json!({"kind": "Status", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": message, "details": details})
}

fn deployment() -> Value {
    json!({"name": "d", "group": "apps", "kind": "deployments"})
}

fn unavailable(retry_after_seconds: Option<u64>) -> Refusal {
    Refusal::Unavailable { retry_after_seconds }
}

#[test]
fn another_version_is_stale() {
    let modified = "Operation cannot be fulfilled on deployments.apps \"d\": the object has been modified; please apply your changes to the latest version and try again";
    let uid = "Operation cannot be fulfilled on deployments.apps \"d\": uid mismatch: the provided object specified uid a1cc15db-4ef1-4012-a85f-8d88fb19fe25, and no existing object was found";
    let precondition = "Operation cannot be fulfilled on Deployment.apps \"d\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (682). The object might have been modified";
    for message in [modified, uid, precondition] {
        assert_eq!(refusal(&answered(&failure(409, "Conflict", message, &deployment()))), Refusal::Stale);
    }
    let exists = failure(409, "AlreadyExists", "deployments.apps \"d\" already exists", &deployment());
    assert_eq!(refusal(&answered(&exists)), Refusal::Stale);
    let gone = failure(404, "NotFound", "deployments.apps \"d\" not found", &deployment());
    assert_eq!(refusal(&answered(&gone)), Refusal::Stale);
}

#[test]
fn another_object_of_the_name_is_stale() {
    let cause = json!({"reason": "FieldValueInvalid", "message": "Invalid value: \"0\": field is immutable", "field": "metadata.uid"});
    let details = json!({"name": "d", "group": "apps", "kind": "Deployment", "causes": [cause, cause]});
    let body = failure(422, "Invalid", "Deployment.apps \"d\" is invalid: metadata.uid: Invalid value", &details);
    assert_eq!(refusal(&answered(&body)), Refusal::Stale);
    assert_eq!(patch_refusal(&answered(&body)), Refusal::Stale);
}

#[test]
fn another_manager_is_named() {
    for message in [
        "conflict with \"kubectl\" using apps/v1",
        "conflict with \"kubectl\" with subresource \"scale\" using apps/v1",
    ] {
        let cause = json!({"reason": "FieldManagerConflict", "message": message, "field": ".spec.replicas"});
        let details = json!({"causes": [cause]});
        let body = failure(409, "Conflict", "Apply failed with 1 conflict: conflict with \"kubectl\"", &details);
        assert_eq!(refusal(&answered(&body)), Refusal::Owned("kubectl".into()));
    }
}

#[test]
fn only_a_patch_is_stale_for_a_test_that_fails() {
    let body = failure(422, "Invalid", "the server rejected our request due to an error in our request", &json!({}));
    assert_eq!(patch_refusal(&answered(&body)), Refusal::Stale);
    assert!(matches!(refusal(&answered(&body)), Refusal::Invalid(_)));

    let cause = json!({"reason": "FieldValueInvalid", "message": "Invalid value: -1: must be greater than or equal to 0", "field": "spec.replicas"});
    let details = json!({"name": "d", "group": "apps", "kind": "Deployment", "causes": [cause]});
    let message =
        "Deployment.apps \"d\" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0";
    assert_eq!(patch_refusal(&answered(&failure(422, "Invalid", message, &details))), Refusal::Invalid(message.into()));
}

#[test]
fn no_object_is_quoted() {
    let message = " \"\" is invalid: patch: Invalid value: \"{\\\"spec\\\":{\\\"password\\\":\\\"hunter2\\\"}}\": json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32";
    let details = json!({"causes": [{"reason": "FieldValueInvalid", "message": message, "field": "patch"}]});
    let said = "json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32";
    let body = failure(422, "Invalid", message, &details);
    assert_eq!(patch_refusal(&answered(&body)), Refusal::Invalid(said.into()));
}

#[test]
fn rights_and_quota_keep_their_words() {
    let quota = "secrets \"s\" is forbidden: exceeded quota: q, requested: count/secrets=1, used: count/secrets=0, limited: count/secrets=0";
    let terminating = "configmaps \"late\" is forbidden: unable to create new content in namespace probe because it is being terminated";
    for message in [quota, terminating] {
        let body = failure(403, "Forbidden", message, &json!({"name": "s", "kind": "secrets"}));
        assert_eq!(refusal(&answered(&body)), Refusal::Denied(message.into()));
    }
}

#[test]
fn a_kind_that_is_not_served_is_not_stale() {
    let kind = failure(404, "NotFound", "the server could not find the requested resource", &json!({}));
    assert!(matches!(refusal(&answered(&kind)), Refusal::Denied(_)));
    // The plain text `404 page not found`, as kube makes a Status of it.
    let group =
        kube::Error::Api(Status::failure("404 page not found", "Failed to parse error data").with_code(404).boxed());
    assert!(matches!(refusal(&group), Refusal::Denied(_)));
}

#[test]
fn a_field_that_the_stored_schema_lacks_is_no_passing_trouble() {
    let message = "failed to create typed patch object (shop/shop; switchyard.dev/v1alpha1, Kind=Rollout): \
                   .status.memory.held: field not declared in schema";
    let body = failure(500, "InternalError", message, &json!({}));
    let Refusal::Invalid(told) = refusal(&answered(&body)) else { panic!("tried again for ever, and nobody told") };
    assert!(told.contains("held") && told.contains("switchyard-crds"), "{told}");
}

#[test]
fn what_no_server_takes_is_invalid() {
    for (code, reason) in [(400, "BadRequest"), (413, "RequestEntityTooLarge"), (422, "Invalid")] {
        let body = failure(code, reason, "no", &json!({}));
        assert_eq!(refusal(&answered(&body)), Refusal::Invalid("no".into()));
    }
}

/// Not quoted from a server: it does not do so on request.
#[test]
fn trouble_is_unavailable() {
    let asked = failure(429, "TooManyRequests", "later", &json!({"retryAfterSeconds": 7}));
    assert_eq!(refusal(&answered(&asked)), unavailable(Some(7)));
    for code in [408, 429, 500, 502, 503, 504] {
        assert_eq!(refusal(&answered(&failure(code, "", "trouble", &json!({})))), unavailable(None), "{code}");
    }
    let counting = json!({"name": "q", "kind": "resourcequotas"});
    let quota = failure(409, "Conflict", "Operation cannot be fulfilled on resourcequotas \"q\"", &counting);
    assert_eq!(refusal(&answered(&quota)), unavailable(None));
    assert_eq!(refusal(&kube::Error::Service("cut".into())), unavailable(None));
    let half = kube::Error::SerdeError(serde_json::from_str::<Value>("{").unwrap_err());
    assert_eq!(refusal(&half), unavailable(None));
}
