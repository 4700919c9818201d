//! The spec, parsed once into what decisions need.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switchyard_api::{
    Duration, Revision, Rollout,
    check::Check,
    rollout::{Checks, Memory, Promotion},
    template,
};

use switchyard_conditions::{Condition, Variables};

use crate::Mistake;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Order {
    pub replicas: i32,
    /// Template and ports without released images, as a hash.
    pub fingerprint: String,
    pub images: Vec<ImageSlot>,
    pub progress_deadline: Duration,
    pub scale_down_delay: Duration,
    pub drain: Duration,
    pub history_limit: i32,
    /// The live Service exists already: it is not ours to create.
    pub referred: bool,
    pub preview: Option<PreviewOrder>,
    /// The next revision goes live only by a Command.
    pub manual: bool,
    pub promote_after: Duration,
    pub abort_scale_down_delay: Duration,
    pub paused: bool,
    pub checks: Checks,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PreviewOrder {
    /// Its Service, which is ours to create unless it is referred to.
    pub service: String,
    pub referred: bool,
    /// Pods of the next revision until its preview checks passed.
    pub replicas: Option<i32>,
}

/// A container that runs what a Pipeline releases.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageSlot {
    pub container: String,
    /// `namespace/name`.
    pub pipeline: String,
    /// The Pipeline's name of the image; none: its only one.
    pub image: Option<String>,
    /// The template has an image here, which serves until the first release.
    pub written: Option<String>,
}

/// Why no revision is wanted yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    Release { pipeline: String },
    Image { pipeline: String, image: Option<String>, offered: Vec<String> },
}

impl Order {
    pub fn parse(rollout: &Rollout, namespace: &str) -> Result<Self, Mistake> {
        let spec = &rollout.spec;
        let containers: BTreeMap<_, _> = template::containers(&spec.template).into_iter().collect();
        let mut images = vec![];
        for released in &spec.images {
            let reference = &released.pipeline_ref;
            for container in &released.containers {
                let written = containers.get(container).ok_or_else(|| Mistake {
                    field: "spec.images.containers".to_owned(),
                    value: container.clone(),
                    fix: "name a container of the template".to_owned(),
                })?;
                images.push(ImageSlot {
                    container: container.clone(),
                    pipeline: format!("{}/{}", reference.namespace.as_deref().unwrap_or(namespace), reference.name),
                    image: reference.image.clone(),
                    written: written.clone(),
                });
            }
        }
        let released: Vec<String> = images.iter().map(|i| i.container.clone()).collect();
        let blue_green = &spec.strategy.blue_green;
        Ok(Self {
            replicas: spec.replicas,
            fingerprint: template::fingerprint(&spec.template, spec.ports(), &released),
            images,
            progress_deadline: spec.progress_deadline,
            scale_down_delay: blue_green.scale_down_delay,
            drain: blue_green.drain.duration,
            history_limit: spec.revision_history_limit,
            referred: spec.service_ref.is_some(),
            preview: spec.preview.as_ref().zip(rollout.preview_service()).map(|(preview, service)| PreviewOrder {
                service,
                referred: preview.service_ref.is_some(),
                replicas: preview.replicas,
            }),
            manual: blue_green.promotion == Promotion::Manual,
            promote_after: blue_green.promote_after,
            abort_scale_down_delay: blue_green.abort_scale_down_delay,
            paused: spec.paused,
            checks: checked(&spec.checks, &containers)?,
        })
    }

    /// The image of each released container, by what was taken so far.
    pub fn resolve(&self, memory: &Memory) -> Result<BTreeMap<String, String>, Missing> {
        self.images.iter().map(|slot| Ok((slot.container.clone(), slot.resolve(memory)?))).collect()
    }

    pub fn wanted(&self, memory: &Memory) -> Result<Revision, Missing> {
        Ok(template::revision(&self.fingerprint, &self.resolve(memory)?))
    }
}

/// Checks that can be made.
fn checked(checks: &Checks, containers: &BTreeMap<String, Option<String>>) -> Result<Checks, Mistake> {
    let jobs = checks.preview.iter().chain(&checks.live).filter_map(|c| Some((&c.name, c.job.as_ref()?)));
    for (name, job) in jobs {
        if !containers.contains_key(&job.from_container) {
            return Err(Mistake {
                field: format!("spec.checks ({name}): job.fromContainer"),
                value: job.from_container.clone(),
                fix: "name a container of the template".to_owned(),
            });
        }
    }
    for check in checks.preview.iter().chain(&checks.live) {
        readable(check)?;
    }
    Ok(checks.clone())
}

/// A condition that does not read well would be found out only after the pods are there.
fn readable(check: &Check) -> Result<(), Mistake> {
    let http = check.http.as_ref().and_then(|h| Some((h.success_condition.as_ref()?, Variables::Http, "http")));
    let prometheus = check.prometheus.as_ref().map(|p| (&p.success_condition, Variables::Value, "prometheus"));
    for (text, variables, kind) in http.into_iter().chain(prometheus) {
        Condition::parse(text, variables).map_err(|why| Mistake {
            field: format!("spec.checks ({}): {kind}.successCondition", check.name),
            value: text.clone(),
            fix: why.to_string(),
        })?;
    }
    Ok(())
}

impl ImageSlot {
    fn resolve(&self, memory: &Memory) -> Result<String, Missing> {
        let Some(taken) = memory.taken.get(&self.pipeline) else {
            return self.written.clone().ok_or_else(|| Missing::Release { pipeline: self.pipeline.clone() });
        };
        let found = match &self.image {
            Some(name) => taken.images.get(name),
            None if taken.images.len() == 1 => taken.images.values().next(),
            None => None,
        };
        found.cloned().ok_or_else(|| Missing::Image {
            pipeline: self.pipeline.clone(),
            image: self.image.clone(),
            offered: taken.images.keys().cloned().collect(),
        })
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Release { pipeline } => write!(f, "Pipeline {pipeline} to release its first build"),
            Self::Image { pipeline, image: Some(image), offered } => {
                write!(f, "Pipeline {pipeline} to release an image {image} (it has {})", offered.join(", "))
            }
            Self::Image { pipeline, image: None, offered } => write!(
                f,
                "spec.images.pipelineRef.image to say which image of Pipeline {pipeline} is meant (it has {})",
                offered.join(", ")
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parsed(check: &serde_json::Value) -> Result<Order, Mistake> {
        let rollout = json!({
            "apiVersion": "switchyard.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"},
            "spec": {
                "template": {"spec": {"containers": [{"name": "web", "image": "shop:1"}]}},
                "service": {"spec": {"ports": [{"port": 80}]}},
                "checks": {"live": [check]},
            },
        });
        Order::parse(&serde_json::from_value(rollout).unwrap(), "shop")
    }

    #[test]
    fn a_condition_that_does_not_read_well_is_a_mistake() {
        let http = |condition: &str| json!({"name": "smoke", "http": {"path": "/", "successCondition": condition}});
        let prometheus = |condition: &str| {
            json!({"name": "errors", "prometheus": {
                "address": "http://p:9090", "query": "up", "successCondition": condition}})
        };
        for good in [http("status == 200"), prometheus("value < 0.01")] {
            parsed(&good).unwrap();
        }
        for (wrong, said) in [
            (
                http("value < 0.01"),
                "spec.checks (smoke): http.successCondition: \"value < 0.01\": unknown variable value: \
                 there is status, body, json",
            ),
            (
                prometheus("value"),
                "spec.checks (errors): prometheus.successCondition: \"value\": its result is not true or false",
            ),
        ] {
            assert_eq!(parsed(&wrong).unwrap_err().to_string(), said);
        }
    }
}
