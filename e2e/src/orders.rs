//! Orders to a Rollout, as a person gives them.

use serde_json::json;
use switchyard_api::{
    Command, Rollout,
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
        let whoami = ["auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"];
        let user = run(&mut self.kubectl(&whoami)).await.unwrap();
        let uid = self.find::<Rollout>(rollout).await.and_then(|r| r.metadata.uid).unwrap();
        let name = format!("{}-{}", kind.to_lowercase(), suffix());
        let command = json!({
            "apiVersion": "switchyard.dev/v1alpha1", "kind": "Command", "metadata": {"name": name},
            "spec": {"user": user, "type": kind, "revision": revision,
                "targetRef": {"kind": "Rollout", "name": rollout, "uid": uid}},
        });
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
