//! What a switch writes, as the API server's audit log has it.

use std::collections::BTreeMap;

use serde::Serialize;
use switchyard_bench::figures::Figures;
use switchyard_e2e::audit::Entry;

/// What a write is for. The log has no bodies, so writes of one kind on one resource are told apart by their number only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Purpose {
    /// Nominate, Select, Drop on the live Service; Claim and Retire on Deployments; Confirm in the status.
    Protocol,
    /// A new revision's objects.
    Revision,
    /// Old revisions beyond the limit of the history are deleted.
    History,
    /// The status, Confirm included: the two are not told apart here.
    Status,
    Event,
    Lease,
    /// Refused by the API server, so nothing was written.
    Refused,
    Other,
}

impl Purpose {
    fn of(entry: &Entry) -> Self {
        let object = &entry.object_ref;
        match (entry.verb.as_str(), object.resource.as_str(), object.subresource.as_str()) {
            (_, "leases", _) => Self::Lease,
            (_, "events", _) => Self::Event,
            _ if entry.response_status.code >= 400 => Self::Refused,
            (_, "rollouts", "status") => Self::Status,
            ("create", "deployments" | "services", "") => Self::Revision,
            ("delete" | "deletecollection", _, _) => Self::History,
            ("patch" | "update", "services", "") | ("patch" | "update", "deployments", "" | "scale") => Self::Protocol,
            _ => Self::Other,
        }
    }

    pub fn meaning(self) -> &'static str {
        match self {
            Self::Protocol => "the protocol: Nominate, Select, Drop on the Service, Claim and Retire on Deployments",
            Self::Revision => "the new revision's Deployment and Service",
            Self::History => "an old revision, beyond `revisionHistoryLimit`",
            Self::Status => "the status; one of these is the protocol's Confirm",
            Self::Event => "Events, apart",
            Self::Lease => "Leases, apart",
            Self::Refused => "refused, nothing written",
            Self::Other => "anything else",
        }
    }
}

/// A kind of write.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub purpose: Purpose,
    /// `patch services`.
    pub what: String,
}

pub type Count = BTreeMap<Kind, u32>;

/// What the operator wrote into this namespace.
pub fn count(entries: &[Entry], namespace: &str) -> Count {
    let mut count = Count::new();
    for entry in entries {
        let object = &entry.object_ref;
        if object.namespace != namespace || !entry.is_write() || !entry.is_of_the_operator() {
            continue;
        }
        let separator = if object.subresource.is_empty() { "" } else { "/" };
        let what = format!("{} {}{separator}{}", entry.verb, object.resource, object.subresource);
        *count.entry(Kind { purpose: Purpose::of(entry), what }).or_default() += 1;
    }
    count
}

/// A kind of write over all switches.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub purpose: Purpose,
    pub what: String,
    pub total: u32,
    pub per_switch: Figures,
}

pub fn rows(switches: &[&Count]) -> Vec<Row> {
    let kinds: std::collections::BTreeSet<&Kind> = switches.iter().flat_map(|count| count.keys()).collect();
    let row = |kind: &Kind| {
        let counts: Vec<u32> = switches.iter().map(|count| count.get(kind).copied().unwrap_or(0)).collect();
        let total = counts.iter().sum();
        let per_switch = Figures::of(counts.into_iter().map(f64::from).collect())?;
        Some(Row { purpose: kind.purpose, what: kind.what.clone(), total, per_switch })
    };
    kinds.into_iter().filter_map(row).collect()
}

/// All that a switch wrote, Events, Leases and refusals aside.
pub fn written(count: &Count, purposes: &[Purpose]) -> u32 {
    count.iter().filter(|(kind, _)| purposes.contains(&kind.purpose)).map(|(_, number)| number).sum()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(verb: &str, resource: &str, subresource: &str, code: i32) -> Entry {
        serde_json::from_value(json!({
            "auditID": "1", "stage": "ResponseComplete", "verb": verb, "requestURI": "/",
            "user": {"username": "system:serviceaccount:switchyard-system:switchyard"},
            "objectRef": {"resource": resource, "subresource": subresource, "namespace": "shop", "name": "shop"},
            "responseStatus": {"code": code}, "requestReceivedTimestamp": "2026-01-01T00:00:00Z",
        }))
        .unwrap()
    }

    #[test]
    fn each_write_counts_for_what_it_is() {
        let mut entries = vec![
            entry("patch", "services", "", 200),
            entry("patch", "services", "", 200),
            entry("patch", "services", "", 409),
            entry("patch", "deployments", "scale", 200),
            entry("create", "deployments", "", 201),
            entry("patch", "rollouts", "status", 200),
            entry("create", "events", "", 201),
            entry("get", "services", "", 200),
        ];
        let count = count(&entries, "shop");
        let by = |purpose| written(&count, &[purpose]);
        assert_eq!([by(Purpose::Protocol), by(Purpose::Revision), by(Purpose::Refused)], [3, 1, 1]);
        assert_eq!([by(Purpose::Status), by(Purpose::Event), by(Purpose::Other)], [1, 1, 0]);
        let rows = rows(&[&count, &Count::new()]);
        let services =
            rows.iter().find(|row| row.what == "patch services" && row.purpose == Purpose::Protocol).unwrap();
        assert_eq!((services.total, services.per_switch.least, services.per_switch.most), (2, 0.0, 2.0));

        // Somebody else's, and another namespace's, are not counted.
        entries[0].user.username = "alice".to_owned();
        assert_eq!(super::count(&entries[..1], "shop").len(), 0);
        assert_eq!(super::count(&entries[1..2], "other").len(), 0);
    }
}
