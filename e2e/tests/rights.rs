//! What the operator may do, asked of the API server itself.

use switchyard_e2e::{
    ground::SYSTEM,
    place::{Place, in_a_namespace},
};

impl Rights<'_> {
    async fn may(&self, verb: &str, what: &str) -> bool {
        let who = format!("--as=system:serviceaccount:{SYSTEM}:switchyard");
        let mut kubectl = self.place.kubectl(&["auth", "can-i", verb, &who]);
        // A name with a slash is an object's; a part of a kind is asked for apart.
        match what.split_once('#') {
            Some((kind, part)) => kubectl.arg(kind).arg(format!("--subresource={part}")),
            None => kubectl.arg(what),
        };
        let said = kubectl.output().await.unwrap();
        match String::from_utf8_lossy(&said.stdout).trim() {
            "yes" => true,
            "no" => false,
            other => panic!("{other} {}", String::from_utf8_lossy(&said.stderr)),
        }
    }
}

struct Rights<'a> {
    place: &'a Place,
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn the_operator_reads_no_secret_that_nobody_granted() {
    in_a_namespace("rights", async |place| {
        place.equip().await;
        let rights = Rights { place: &place };
        for verb in ["list", "watch", "create", "update", "patch", "delete", "get"] {
            assert!(!rights.may(verb, "secrets").await, "{verb} secrets");
        }
        assert!(rights.may("get", "secrets/git-reader").await, "the one that the Role names");
        assert!(!rights.may("get", "secrets/registry-pull").await, "it lies beside it, and the Role does not name it");
        assert!(!rights.may("update", "secrets/git-reader").await, "reading was granted, not writing");
    })
    .await;
}

#[tokio::test]
#[ignore = "needs the test cluster"]
async fn the_operator_has_the_rights_that_it_needs_and_few_others() {
    in_a_namespace("rights", async |place| {
        let rights = Rights { place: &place };
        for (verb, what) in [
            ("patch", "rollouts.switchyard.dev#status"),
            ("create", "builds.switchyard.dev"),
            ("patch", "commands.switchyard.dev#status"),
            ("delete", "commands.switchyard.dev"),
            ("create", "jobs.batch"),
            ("patch", "services"),
            ("patch", "deployments.apps#scale"),
            ("watch", "endpointslices.discovery.k8s.io"),
        ] {
            assert!(rights.may(verb, what).await, "it needs {verb} {what}");
        }
        for (verb, what) in [
            ("create", "pods"),
            ("create", "pods#exec"),
            ("create", "serviceaccounts#token"),
            ("patch", "rollouts.switchyard.dev"),
            ("patch", "pipelines.switchyard.dev"),
            ("create", "commands.switchyard.dev"),
            ("promote", "rollouts.switchyard.dev"),
            ("get", "configmaps"),
            ("list", "nodes"),
            ("create", "roles.rbac.authorization.k8s.io"),
            ("escalate", "clusterroles.rbac.authorization.k8s.io"),
            ("impersonate", "users"),
        ] {
            assert!(!rights.may(verb, what).await, "it has no business to {verb} {what}");
        }
    })
    .await;
}
