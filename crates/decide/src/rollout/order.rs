//! The spec, parsed once into what decisions need.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use switchyard_api::{
    Duration, Revision,
    rollout::{Memory, RolloutSpec},
    template,
};

use crate::Mistake;

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Order {
    pub replicas: i32,
    /// Template and ports without released images, as a hash.
    pub fingerprint: String,
    pub images: Vec<ImageSlot>,
    pub progress_deadline: Duration,
    pub scale_down_delay: Duration,
    pub drain: Duration,
    pub history_limit: i32,
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
    pub fn parse(spec: &RolloutSpec, namespace: &str) -> Result<Self, Mistake> {
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
            fingerprint: template::fingerprint(&spec.template, &spec.service.spec.ports, &released),
            images,
            progress_deadline: spec.progress_deadline,
            scale_down_delay: blue_green.scale_down_delay,
            drain: blue_green.drain.duration,
            history_limit: spec.revision_history_limit,
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
