//! Orders, as a person gives them.

use serde_json::{Value, json};
use switchyard_api::{
    Build, Command, Rollout,
    command::{CommandState, CommandStatus},
};

use crate::{
    place::{Place, suffix},
    process::{feed, run},
};

impl Place {
    /// Orders something of a Rollout, in the name of whoever runs the tests, and waits for the answer.
    pub async fn order(&self, rollout: &str, kind: &str, revision: Option<&str>) -> CommandStatus {
        let name = self.give_order(rollout, kind, revision).await;
        self.answer(&name).await
    }

    /// Orders it and goes on. The Command's name.
    pub async fn give_order(&self, rollout: &str, kind: &str, revision: Option<&str>) -> String {
        let uid = self.find::<Rollout>(rollout).await.and_then(|r| r.metadata.uid).unwrap();
        let target = json!({"kind": "Rollout", "name": rollout, "uid": uid});
        self.command(kind, &json!({"revision": revision, "targetRef": target})).await
    }

    /// Ends a Build, in the name of whoever runs the tests, and waits until that is done.
    pub async fn cancel(&self, build: &str, reason: &str) {
        let uid = self.find::<Build>(build).await.and_then(|b| b.metadata.uid).unwrap();
        let target = json!({"kind": "Build", "name": build, "uid": uid});
        let name = self.command("Cancel", &json!({"reason": reason, "targetRef": target})).await;
        let status = self.answer(&name).await;
        assert_eq!(status.state, CommandState::Done, "{}", status.message);
    }

    async fn command(&self, kind: &str, spec: &Value) -> String {
        let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
        let user = run(&mut self.kubectl(&whoami)).await.unwrap();
        let name = format!("{}-{}", kind.to_lowercase(), suffix());
        let mut spec = spec.clone();
        spec["user"] = json!(user);
        spec["type"] = json!(kind);
        let command = json!({"apiVersion": "switchyard.dev/v1alpha1", "kind": "Command", "metadata": {"name": name},
            "spec": spec});
        feed(&mut self.kubectl(&["create", "-f", "-"]), &command.to_string()).await.unwrap();
        name
    }

    pub async fn answer(&self, name: &str) -> CommandStatus {
        let answered = |c: &Command| c.status.as_ref().is_some_and(|s| s.state.is_final());
        let command = self.until_object::<Command>(name, "it is answered", 60, answered).await;
        let status = command.status.unwrap();
        println!("{name}: {:?}, {}", status.state, status.message);
        status
    }

    /// Orders it, and it is done.
    pub async fn order_done(&self, rollout: &str, kind: &str, revision: Option<&str>) {
        let status = self.order(rollout, kind, revision).await;
        assert_eq!(status.state, CommandState::Done, "{}", status.message);
    }
}
