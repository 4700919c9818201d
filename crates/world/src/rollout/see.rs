//! What a controller sees of a cluster.

use std::collections::BTreeMap;

use switchyard_api::Revision;
use switchyard_decide::rollout::{self as decide, Observed, Seen, Selects};

use super::{Child, Cluster, Command, Deployment, Endpoints, Pods, Preview, Rollout, Service, Setting};

/// Where every pod here listens: whoever measures is not modelled, only what comes of it.
const ADDRESS: decide::Address =
    decide::Address { ip: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), ports: vec![] };

impl Cluster {
    pub fn see(&self) -> Observed {
        Observed {
            now: self.now,
            started: self.setting.started,
            name: self.setting.name.clone(),
            uid: self.setting.uid.clone(),
            order: self.rollout.order.clone(),
            memory: self.rollout.memory.clone(),
            offers: self.setting.offers.clone(),
            service_name: self.setting.name.rsplit('/').next().unwrap_or_default().to_owned(),
            revisions: self.children.iter().map(|(r, child)| (*r, self.see_child(*r, child))).collect(),
            service: self.service.as_ref().map(|s| self.see_service(s)),
            preview: self.preview.as_ref().filter(|_| self.previews()).map(|p| decide::Preview {
                version: p.version.clone(),
                foreign: p.foreign.clone(),
                selects: p.selects.clone(),
            }),
            commands: self.commands.values().filter(|c| c.answer.is_none()).map(|c| c.order.clone()).collect(),
            answers: self.answers.clone(),
            refused: None,
        }
    }

    fn see_child(&self, revision: Revision, child: &Child) -> Seen {
        let pods = self.endpoints.pods.get(&revision);
        Seen {
            deployment: child.deployment.as_ref().map(|d| decide::Deployment {
                version: d.version.clone(),
                created: d.created,
                claim: d.claim.clone(),
                replicas: d.replicas,
                // That is how an observer knows: the controllers' own observedGeneration, and then the pods.
                current: pods.is_none_or(|p| p.under == d.claim),
                releases: d.releases.clone(),
            }),
            exposed: child.exposed,
            ready: if child.exposed { self.ready(revision) } else { 0 },
            problem: None,
            conflict: child.conflict.clone(),
            addresses: vec![ADDRESS; usize::try_from(self.ready(revision)).unwrap_or(0)],
            jobs: child.jobs.clone(),
        }
    }

    fn see_service(&self, service: &Service) -> decide::Service {
        let listed = match &self.endpoints.listed {
            Selects::Revision(r) => BTreeMap::from([(*r, self.ready(*r))]),
            Selects::Nobody | Selects::Foreign(_) => BTreeMap::new(),
        };
        decide::Service {
            version: service.version.clone(),
            foreign: service.foreign.clone(),
            record: service.record.clone(),
            selects: service.selects.clone(),
            listed,
            strangers: i32::from(matches!(self.endpoints.listed, Selects::Foreign(_))),
        }
    }
}

/// A cluster in which exactly this is seen, to ask what would happen next.
impl From<&Observed> for Cluster {
    fn from(seen: &Observed) -> Self {
        let Observed { now, started, name, service_name: _, uid, order, memory, .. } = seen;
        let Observed { offers, revisions, service, preview, commands, answers, .. } = seen;
        let version = |v: &switchyard_decide::Version| v.as_str().parse().unwrap_or(0);
        Self {
            now: *now,
            setting: Setting { name: name.clone(), uid: uid.clone(), started: *started, offers: offers.clone() },
            rollout: Rollout {
                version: switchyard_decide::Version::new("1"),
                order: order.clone(),
                memory: memory.clone(),
                says_paused: false,
            },
            service: service.as_ref().map(|s| Service {
                version: s.version.clone(),
                foreign: s.foreign.clone(),
                record: s.record.clone(),
                selects: s.selects.clone(),
            }),
            gone: None,
            preview: preview.as_ref().map(|p| Preview {
                version: p.version.clone(),
                foreign: p.foreign.clone(),
                selects: p.selects.clone(),
            }),
            commands: commands.iter().map(|c| (c.uid.clone(), Command { order: c.clone(), answer: None })).collect(),
            answers: answers.clone(),
            children: revisions
                .iter()
                .map(|(r, seen)| {
                    let deployment = seen.deployment.as_ref().map(|d| Deployment {
                        version: d.version.clone(),
                        created: d.created,
                        claim: d.claim.clone(),
                        replicas: d.replicas,
                        releases: d.releases.clone(),
                    });
                    let versions = seen.deployment.as_ref().map_or(0, |d| version(&d.version));
                    let Seen { exposed, conflict, jobs, .. } = seen.clone();
                    (*r, Child { deployment, exposed, conflict, jobs, versions, ..Child::default() })
                })
                .collect(),
            endpoints: Endpoints {
                pods: revisions
                    .iter()
                    .filter_map(|(r, seen)| Some((*r, seen, seen.deployment.as_ref()?)))
                    .filter(|(_, _, d)| d.replicas > 0)
                    .map(|(r, seen, d)| (r, Pods { ready: seen.ready, under: d.claim.clone().filter(|_| d.current) }))
                    .collect(),
                listed: service
                    .as_ref()
                    .and_then(|s| s.listed.iter().find(|(_, n)| **n > 0).map(|(r, _)| Selects::Revision(*r)))
                    .unwrap_or(Selects::Nobody),
            },
        }
    }
}
