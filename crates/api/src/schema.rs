//! Schemas that a Rust type alone does not say.

use schemars::{Schema, SchemaGenerator, json_schema};

/// A pod template: the user's JSON, kept as it is. Declared is only what rules at apply must see; everything else is
/// preserved unread (declaring it would make the CRD too large for client-side apply, and a default beneath it would
/// change what is hashed).
pub fn template(_: &mut SchemaGenerator) -> Schema {
    let container = json_schema!({
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {"type": "string", "maxLength": 63},
            "image": {"type": "string", "maxLength": 1024},
            "readinessProbe": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
        "x-kubernetes-preserve-unknown-fields": true,
    });
    json_schema!({
        "type": "object",
        "description": "A PodTemplateSpec (core/v1). The image of a container named in `images` may be left out.",
        "required": ["spec"],
        "properties": {
            "metadata": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
            "spec": {
                "type": "object",
                "required": ["containers"],
                "properties": {
                    "containers": {"type": "array", "minItems": 1, "maxItems": 32, "items": container},
                    "initContainers": {"type": "array", "maxItems": 32, "items": container},
                },
                "x-kubernetes-preserve-unknown-fields": true,
            },
        },
        "x-kubernetes-preserve-unknown-fields": true,
    })
}

/// A map of strings such as annotations.
pub fn string_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "maxProperties": 64, "additionalProperties": {"type": "string", "maxLength": 4096}})
}

/// A port's number or name.
pub fn int_or_string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true})
}

/// Part of a pod spec that is passed on unread.
pub fn opaque_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A list of such objects.
pub fn opaque_objects(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array", "maxItems": 64,
        "items": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
    })
}

/// Conditions: a list keyed by type, so that two writers can own one each.
pub fn conditions(generator: &mut SchemaGenerator) -> Schema {
    let condition = generator.subschema_for::<crate::condition::Condition>();
    json_schema!({
        "type": "array", "maxItems": 16, "items": condition,
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"],
    })
}
