//! Leader election: the rules of [`crate::lease`], carried out.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, ResourceExt,
    api::{ObjectMeta, PostParams},
};
use tokio::{sync::watch, task::JoinHandle, time::Instant};

use crate::lease::{Held, Knowledge, News, Step, Terms, leads_for, next, resume};

/// The longest one request may take; a leader's also ends with its time. After one that was lost with its connection
/// there is time for another.
const REQUEST: Duration = Duration::from_secs(4);

/// Whether this replica may act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leadership {
    Standby,
    Leading,
    /// It led and may no longer. What is under way may still arrive, so the process should end at once.
    Lost,
}

/// One candidate for one Lease.
///
/// Use a [`Client`] of its own, so that no queue of other calls delays a renewal.
#[derive(Clone)]
pub struct Election {
    api: Api<Lease>,
    name: String,
    terms: Terms,
    started: Instant,
}

/// A running [`Election`].
pub struct Candidacy {
    election: Election,
    leadership: watch::Receiver<Leadership>,
    task: JoinHandle<()>,
}

impl Election {
    pub fn new(client: Client, namespace: &str, name: &str, terms: Terms) -> Self {
        let api = Api::namespaced(client, namespace);
        Self { api, name: name.to_owned(), terms, started: Instant::now() }
    }

    /// Stands for election until released or lost.
    pub fn start(self) -> Candidacy {
        let (tell, leadership) = watch::channel(Leadership::Standby);
        let task = tokio::spawn(self.clone().run(tell));
        Candidacy { election: self, leadership, task }
    }

    async fn run(self, tell: watch::Sender<Leadership>) {
        let mut known = Knowledge::Nothing;
        let mut step = Step::Read;
        loop {
            let left = leads_for(&known, &self.terms, self.now());
            let limit = left.map_or(REQUEST, |left| left.min(REQUEST));
            let news = match step {
                Step::Wait(time) => {
                    tokio::time::sleep(time.min(limit)).await;
                    step = resume(&known, &self.terms, self.now());
                    continue;
                }
                Step::Lost => {
                    tracing::error!(lease = self.name, identity = self.terms.identity, "leadership lost");
                    tell.send_replace(Leadership::Lost);
                    return;
                }
                Step::Read | Step::Create | Step::Take(_) | Step::Renew(_) => {
                    tokio::time::timeout(limit, self.ask(&step)).await.unwrap_or(News::Silence)
                }
            };
            (known, step) = next(known, &news, &self.terms, self.now());
            if leads_for(&known, &self.terms, self.now()).is_some() {
                let began =
                    tell.send_if_modified(|was| std::mem::replace(was, Leadership::Leading) != Leadership::Leading);
                if began {
                    tracing::info!(lease = self.name, identity = self.terms.identity, "leading");
                }
            }
        }
    }

    async fn ask(&self, step: &Step) -> News {
        let sent = self.now();
        let params = PostParams::default();
        let answer = match step {
            Step::Wait(_) | Step::Lost => return News::Silence,
            Step::Read => {
                return match self.api.get(&self.name).await {
                    Ok(lease) => News::Read(held(&lease)),
                    Err(kube::Error::Api(status)) if status.is_not_found() => News::Absent,
                    Err(error) => self.silence(&error),
                };
            }
            Step::Create => self.api.create(&params, &self.lease(None, 0)).await,
            Step::Take(was) => {
                let transitions = was.transitions.saturating_add(1);
                self.api.replace(&self.name, &params, &self.lease(Some(was), transitions)).await
            }
            Step::Renew(was) => self.api.replace(&self.name, &params, &self.lease(Some(was), was.transitions)).await,
        };
        match answer {
            Ok(lease) => News::Wrote { held: held(&lease), sent },
            Err(kube::Error::Api(status)) if status.code == 409 => News::Beaten,
            // Deleted since. Of a Create it says that the namespace is not there, which another look does not mend.
            Err(kube::Error::Api(status)) if status.code == 404 && *step != Step::Create => News::Beaten,
            Err(error) => self.silence(&error),
        }
    }

    fn silence(&self, error: &kube::Error) -> News {
        tracing::warn!(lease = self.name, %error, "lease request");
        News::Silence
    }

    /// Times in it are for people and other implementations; we compare none.
    fn lease(&self, was: Option<&Held>, transitions: i32) -> Lease {
        let now = Timestamp::now();
        let acquired = was.filter(|was| was.holder == self.terms.identity).and_then(|was| was.acquired).unwrap_or(now);
        Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                resource_version: was.map(|was| was.version.clone()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.terms.identity.clone()),
                lease_duration_seconds: i32::try_from(self.terms.duration.as_secs()).ok(),
                acquire_time: Some(MicroTime(acquired)),
                renew_time: Some(MicroTime(now)),
                lease_transitions: Some(transitions),
                ..LeaseSpec::default()
            }),
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }
}

impl Candidacy {
    /// Follows the outcome. [`Leadership::Leading`] is said once it is so; the deadline of a leader that cannot renew is
    /// kept by the task, which says [`Leadership::Lost`].
    pub fn leadership(&self) -> watch::Receiver<Leadership> {
        self.leadership.clone()
    }

    /// Ends the candidacy; a leader gives the Lease up, so that the next need not wait. All work must have ended.
    pub async fn release(self) {
        self.task.abort();
        if *self.leadership.borrow() != Leadership::Leading {
            return;
        }
        let Election { api, name, terms, .. } = self.election;
        // A renewal that was under way may land in between: then the version is another.
        let give_up = async {
            loop {
                let mut lease = api.get(&name).await?;
                if held(&lease).holder != terms.identity {
                    return Ok::<(), kube::Error>(());
                }
                if let Some(spec) = &mut lease.spec {
                    spec.holder_identity = Some(String::new());
                    spec.lease_duration_seconds = Some(1);
                    spec.renew_time = Some(MicroTime(Timestamp::now()));
                }
                match api.replace(&name, &PostParams::default(), &lease).await {
                    Err(kube::Error::Api(status)) if status.is_conflict() => {}
                    done => return done.map(|_| ()),
                }
            }
        };
        match tokio::time::timeout(REQUEST, give_up).await {
            Ok(Ok(())) => tracing::info!(lease = name, "leadership released"),
            Ok(Err(error)) => tracing::warn!(lease = name, %error, "leadership not released"),
            Err(_) => tracing::warn!(lease = name, "leadership not released within {REQUEST:?}"),
        }
    }
}

fn held(lease: &Lease) -> Held {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or_default();
    Held {
        version: lease.resource_version().unwrap_or_default(),
        holder: spec.holder_identity.unwrap_or_default(),
        duration: Duration::from_secs(seconds),
        transitions: spec.lease_transitions.unwrap_or_default(),
        acquired: spec.acquire_time.map(|time| time.0),
    }
}
