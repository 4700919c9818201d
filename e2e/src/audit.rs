//! What the API server wrote down about who asked it for what.

use std::{
    collections::BTreeSet,
    fmt,
    io::{Read as _, Seek as _, SeekFrom},
};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use switchyard_api::Timestamp;

use crate::ground::{Ground, SYSTEM};

/// A request that was answered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    #[serde(rename = "auditID")]
    pub id: String,
    pub stage: String,
    pub verb: String,
    #[serde(rename = "requestURI")]
    pub uri: String,
    pub user: User,
    #[serde(default)]
    pub object_ref: Object,
    #[serde(default)]
    pub response_status: Response,
    pub request_received_timestamp: Timestamp,
}

#[derive(Clone, Debug, Deserialize)]
pub struct User {
    pub username: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Object {
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Response {
    pub code: i32,
}

impl Entry {
    pub fn is_write(&self) -> bool {
        !["get", "list", "watch"].contains(&self.verb.as_str())
    }

    pub fn is_of_the_operator(&self) -> bool {
        self.user.username == format!("system:serviceaccount:{SYSTEM}:switchyard")
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} -> {}", self.request_received_timestamp, self.verb, self.uri, self.response_status.code)
    }
}

/// The log from one moment on.
pub struct AuditLog {
    path: String,
    from: u64,
    since: Timestamp,
}

impl AuditLog {
    /// From now on.
    pub fn from_now(ground: &Ground) -> Self {
        let path = ground.setting("AUDIT_LOG").to_owned();
        let from = std::fs::metadata(&path).map_or(0, |m| m.len());
        Self { path, from, since: jiff::Timestamp::now().into() }
    }

    /// What was asked since, each request once.
    pub fn entries(&self) -> Result<Vec<Entry>> {
        let mut file = std::fs::File::open(&self.path).with_context(|| format!("open {}", self.path))?;
        // Shorter than it was: the API server began a new one.
        let from = if file.metadata()?.len() < self.from { 0 } else { self.from };
        file.seek(SeekFrom::Start(from))?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let mut known = BTreeSet::new();
        let entries = text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok());
        Ok(entries.filter(|e| e.request_received_timestamp >= self.since && known.insert(e.id.clone())).collect())
    }

    pub fn of_the_operator(&self) -> Result<Vec<Entry>> {
        Ok(self.entries()?.into_iter().filter(Entry::is_of_the_operator).collect())
    }
}
