//! What the API's document says about the texts in these shapes.

use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Object, Schema, SchemaType, Type};

/// The name of a suite.
#[derive(ToSchema)]
#[schema(pattern = "^[a-z0-9][a-z0-9-]{0,63}$", example = "stable")]
pub struct SuiteName(pub String);

/// The name of a component.
#[derive(ToSchema)]
#[schema(pattern = "^[a-z0-9][a-z0-9-]{0,63}$", example = "main")]
pub struct ComponentName(pub String);

/// The name of a package (Debian Policy 5.6.1).
#[derive(ToSchema)]
#[schema(pattern = "^[a-z0-9][a-z0-9+.-]{1,127}$", example = "hi")]
pub struct PackageName(pub String);

/// A version of a package (Debian Policy 5.6.12).
#[derive(ToSchema)]
#[schema(pattern = "^([0-9]{1,9}:)?[0-9]([A-Za-z0-9.+~-]*[A-Za-z0-9.+~])?$", max_length = 256, example = "1.3.0-1")]
pub struct Version(pub String);

/// An architecture, as `dpkg --print-architecture` prints it, or `all`.
#[derive(ToSchema)]
#[schema(pattern = "^[a-z0-9][a-z0-9-]{0,63}$", example = "amd64")]
pub struct Architecture(pub String);

/// Lower-case hex.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{64}$", example = "94edb1639ec866eb6f1b9b3c8d9f0e2b5a5d0d5f9b0e4c1f8e7d6c5b4a392817")]
pub struct Sha256(pub String);

/// A token's id; its secret is something else.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{16}$", example = "716d5d10d064114f")]
pub struct TokenId(pub String);

/// The name of a thing.
#[derive(ToSchema)]
#[schema(pattern = "^[a-zA-Z0-9:_-]{1,128}$", example = "lamp-1")]
pub struct ThingName(pub String);

/// The name of a thing group.
#[derive(ToSchema)]
#[schema(pattern = "^[a-zA-Z0-9:_-]{1,128}$", example = "kitchen")]
pub struct GroupName(pub String);

/// The name of a user.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Za-z0-9][A-Za-z0-9@._-]{0,63}$", example = "anna")]
pub struct UserName(pub String);

/// The name of a policy.
#[derive(ToSchema)]
#[schema(pattern = "^[A-Za-z0-9+=,.@_-]{1,128}$", example = "standard")]
pub struct PolicyName(pub String);

/// A policy's document, JSON as text.
#[derive(ToSchema)]
#[schema(
    max_length = 32768,
    example = r#"{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iot:Connect","Resource":"*"}}"#
)]
pub struct PolicyDocument(pub String);

/// The name of a thing type.
#[derive(ToSchema)]
#[schema(pattern = "^[a-zA-Z0-9:_-]{1,128}$", example = "lamp")]
pub struct ThingTypeName(pub String);

/// The name of an attribute.
#[derive(ToSchema)]
#[schema(pattern = "^[a-zA-Z0-9_.,@/:#-]{1,128}$", example = "color")]
pub struct AttributeName(pub String);

/// What something is for.
#[derive(ToSchema)]
#[schema(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$", max_length = 2028)]
pub struct Description(pub String);

/// A query in the syntax of AWS IoT fleet indexing.
#[derive(ToSchema)]
#[schema(min_length = 1, max_length = 1000, example = "thingTypeName:lamp AND attributes.color:warm")]
pub struct QueryString(pub String);

/// Names and values.
#[must_use]
pub fn attributes() -> Object {
    let text = |pattern: &str| Object::builder().schema_type(Type::String).pattern(Some(pattern));
    let value = text("^[a-zA-Z0-9_.,@/:#=\\[\\]-]{0,800}$").build();
    Object::builder()
        .schema_type(Type::Object)
        .property_names(Some(text("^[a-zA-Z0-9_.,@/:#-]{1,128}$").build()))
        .additional_properties(Some(RefOr::T(Schema::Object(value))))
        .max_properties(Some(50))
        .build()
}

/// A whole number, or none.
#[must_use]
pub fn expected_version() -> Object {
    Object::builder()
        .schema_type(SchemaType::from_iter([Type::Integer, Type::Null]))
        .minimum(Some(0))
        .maximum(Some(9_007_199_254_740_991u64))
        .build()
}

/// The name of a named shadow. Of those that begin with `$` there is only `$package`.
#[derive(ToSchema)]
#[schema(pattern = "^[$A-Za-z0-9:_-]{1,64}$", example = "network")]
pub struct ShadowName(pub String);

/// A change of a shadow. Whatever else it says is ignored.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ShadowUpdate {
    /// What is changed; null removes everything.
    #[schema(required = true)]
    pub state: Option<ShadowSections>,
    /// The version that the shadow must have.
    pub version: Option<u64>,
    /// To be found again in the answer: up to 64 bytes.
    #[schema(max_length = 64)]
    pub client_token: Option<String>,
}

/// What is changed in the sections of a shadow: members are merged, null removes, arrays hold no null.
#[derive(ToSchema, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShadowSections {
    /// What is desired.
    #[schema(value_type = Option<Object>)]
    pub desired: Option<serde_json::Value>,
    /// What is reported.
    #[schema(value_type = Option<Object>)]
    pub reported: Option<serde_json::Value>,
}

/// The name of a provisioning template.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9A-Za-z_-]{1,36}$", example = "lamps")]
pub struct TemplateName(pub String);

/// A device's serial number.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9A-Za-z._:+-]{1,128}$", example = "L-0001")]
pub struct SerialNumber(pub String);
