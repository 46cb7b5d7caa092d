//! Who exports: the resource that every span and metric of a service carries.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use ulid::Ulid;

/// The version of the semantic conventions whose names are used.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.40.0";

/// A service's resource; each call is another instance.
pub(super) fn resource(service: &str, version: &str) -> Resource {
    let attributes = [
        KeyValue::new("service.namespace", "troupe"),
        KeyValue::new("service.version", version.to_owned()),
        KeyValue::new("service.instance.id", Ulid::generate().to_string()),
    ];
    Resource::builder()
        .with_schema_url(attributes, SCHEMA_URL)
        .with_service_name(service.to_owned())
        .build()
}
