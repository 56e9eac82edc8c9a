//! Provisioning templates in AWS IoT's form: JSON that says, with a device's parameters put in, which thing it becomes.
//!
//! A template is checked when it is made, as far as that is possible without parameters; what it says for a device is
//! decided by [`Template::plan`] alone.

mod expression;
mod plan;

pub use plan::{Override, Plan, PolicyPlan, ThingPlan};

use expression::Expression;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// As AWS IoT has it, in bytes.
pub const LONGEST_TEMPLATE: usize = 10_240;
/// Parameters that a device may send, and a template may declare.
pub const MOST_PARAMETERS: usize = 64;
/// The longest name of one, in bytes.
const LONGEST_PARAMETER_NAME: usize = 128;
/// The longest value of one, as AWS IoT has it, in bytes.
pub const LONGEST_VALUE: usize = 4096;

/// The parameter that the server gives: the id of the device's certificate.
const CERTIFICATE_ID: &str = "AWS::IoT::Certificate::Id";

/// A template that says nothing, or nothing for these parameters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// Too long.
    #[error("a template has {LONGEST_TEMPLATE} bytes at the most")]
    TooLong,
    /// Not JSON, or of another shape.
    #[error("the template is not what a provisioning template is: {0}")]
    Shape(String),
    /// A resource is missing, or is there twice.
    #[error("a template needs one resource of the type {0}")]
    Resource(&'static str),
    /// A type that does not exist.
    #[error(
        "the resource {name:?} has the type {kind:?}; there are AWS::IoT::Thing, AWS::IoT::Certificate and AWS::IoT::Policy"
    )]
    ResourceType {
        /// Its name in the template.
        name: String,
        /// As written.
        kind: String,
    },
    /// A property that does not exist.
    #[error("the resource {resource:?} has no property {property:?}")]
    Property {
        /// Its name in the template.
        resource: String,
        /// As written.
        property: String,
    },
    /// A parameter that is used and not declared.
    #[error("the parameter {0:?} is used and not declared; add it to the template's Parameters")]
    Undeclared(String),
    /// A function that does not exist, or is called otherwise.
    #[error("{0}")]
    Function(String),
    /// A parameter has no value.
    #[error("the parameter {0:?} is missing")]
    Missing(String),
    /// Too many parameters, or too long ones.
    #[error(
        "there may be {MOST_PARAMETERS} parameters with names of up to {LONGEST_PARAMETER_NAME} and values of up to \
         {LONGEST_VALUE} bytes"
    )]
    Parameters,
    /// What came out is too long.
    #[error("what the template makes of these parameters is too long")]
    Output,
    /// A value is not what it must be.
    #[error("{place}: {reason}")]
    Value {
        /// Where in the template.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

/// A template that was checked.
#[derive(Debug, Clone)]
pub struct Template {
    /// Declared parameters with their defaults.
    parameters: BTreeMap<String, Option<String>>,
    mappings: Mappings,
    thing: ThingResource,
    certificate_status: Option<Expression>,
    policies: Vec<(String, PolicyResource)>,
    device_configuration: Vec<(String, Expression)>,
}

/// Map, first key, second key.
type Mappings = BTreeMap<String, BTreeMap<String, BTreeMap<String, String>>>;

#[derive(Debug, Clone)]
struct ThingResource {
    logical_name: String,
    name: Expression,
    attributes: Option<Expression>,
    thing_type: Option<Expression>,
    groups: Option<Expression>,
    on_attributes: Override,
    on_thing_type: Override,
    on_groups: Override,
}

#[derive(Debug, Clone)]
struct PolicyResource {
    name: Option<Expression>,
    document: Option<Expression>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawTemplate {
    #[serde(default, rename = "Version")]
    _version: Option<Value>,
    #[serde(default, rename = "AWSTemplateFormatVersion")]
    _format_version: Option<Value>,
    #[serde(default, rename = "Description")]
    _description: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, RawParameter>,
    #[serde(default)]
    mappings: Mappings,
    resources: BTreeMap<String, RawResource>,
    #[serde(default)]
    device_configuration: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawParameter {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    default: Option<String>,
    #[serde(default, rename = "Description")]
    _description: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct RawResource {
    #[serde(rename = "Type")]
    kind: String,
    #[serde(default)]
    properties: Map<String, Value>,
    #[serde(default)]
    override_settings: BTreeMap<String, Override>,
}

impl Template {
    /// Reads a template and checks whatever does not depend on a device's parameters.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > LONGEST_TEMPLATE {
            return Err(TemplateError::TooLong);
        }
        let raw: RawTemplate = serde_json::from_str(text).map_err(|error| TemplateError::Shape(error.to_string()))?;
        let parameters = declared(raw.parameters)?;
        let mut reader = Reader { parameters: &parameters, mappings: &raw.mappings };
        let (mut thing, mut certificate, mut policies) = (None, None, Vec::new());
        for (name, resource) in raw.resources {
            match resource.kind.as_str() {
                "AWS::IoT::Thing" if thing.is_none() => thing = Some(reader.thing(name, resource)?),
                "AWS::IoT::Thing" => return Err(TemplateError::Resource("AWS::IoT::Thing")),
                "AWS::IoT::Certificate" if certificate.is_none() => {
                    certificate = Some(reader.certificate(&name, resource)?);
                }
                "AWS::IoT::Certificate" => return Err(TemplateError::Resource("AWS::IoT::Certificate")),
                "AWS::IoT::Policy" => {
                    let policy = reader.policy(&name, resource)?;
                    policies.push((name, policy));
                }
                _ => return Err(TemplateError::ResourceType { name, kind: resource.kind }),
            }
        }
        let device_configuration = raw
            .device_configuration
            .into_iter()
            .map(|(key, value)| Ok((key, reader.expression(value)?)))
            .collect::<Result<_, TemplateError>>()?;
        Ok(Self {
            thing: thing.ok_or(TemplateError::Resource("AWS::IoT::Thing"))?,
            certificate_status: certificate.ok_or(TemplateError::Resource("AWS::IoT::Certificate"))?,
            policies,
            device_configuration,
            mappings: raw.mappings,
            parameters,
        })
    }

    /// The names of its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parameters.keys().map(String::as_str)
    }
}

/// Whether parameters may be looked at.
pub fn check_parameters(parameters: &BTreeMap<String, String>) -> Result<(), TemplateError> {
    let fits = |(name, value): (&String, &String)| {
        (1..=LONGEST_PARAMETER_NAME).contains(&name.len()) && value.len() <= LONGEST_VALUE
    };
    if parameters.len() <= MOST_PARAMETERS && parameters.iter().all(fits) {
        Ok(())
    } else {
        Err(TemplateError::Parameters)
    }
}

fn declared(raw: BTreeMap<String, RawParameter>) -> Result<BTreeMap<String, Option<String>>, TemplateError> {
    if raw.len() > MOST_PARAMETERS || raw.keys().any(|name| name.is_empty() || name.len() > LONGEST_PARAMETER_NAME) {
        return Err(TemplateError::Parameters);
    }
    let declare = |(name, parameter): (String, RawParameter)| match parameter.kind.as_str() {
        "String" => Ok((name, parameter.default)),
        other => Err(TemplateError::Value {
            place: format!("Parameters.{name}"),
            reason: format!("its Type is {other:?}; there is only String"),
        }),
    };
    raw.into_iter().map(declare).collect()
}

/// Reads what stands in resources.
struct Reader<'a> {
    parameters: &'a BTreeMap<String, Option<String>>,
    mappings: &'a Mappings,
}

impl Reader<'_> {
    fn expression(&mut self, value: Value) -> Result<Expression, TemplateError> {
        let expression = Expression::parse(value)?;
        let is_known = |name: &str| self.parameters.contains_key(name) || name == CERTIFICATE_ID;
        match expression.references().into_iter().find(|name| !is_known(name)) {
            Some(unknown) => Err(TemplateError::Undeclared(unknown.to_owned())),
            None => expression.check_mappings(self.mappings).map(|()| expression),
        }
    }

    fn optional(&mut self, value: Option<Value>) -> Result<Option<Expression>, TemplateError> {
        value.map(|value| self.expression(value)).transpose()
    }

    fn thing(&mut self, logical_name: String, raw: RawResource) -> Result<ThingResource, TemplateError> {
        let mut properties = raw.properties;
        let mut overrides = raw.override_settings;
        let name = properties.remove("ThingName").ok_or_else(|| TemplateError::Value {
            place: logical_name.clone(),
            reason: "a thing needs the property ThingName".to_owned(),
        })?;
        let mut on = |what: &str| overrides.remove(what).unwrap_or(Override::DoNothing);
        let (on_attributes, on_thing_type, on_groups) =
            (on("AttributePayload"), on("ThingTypeName"), on("ThingGroups"));
        if on_thing_type == Override::Merge {
            return Err(TemplateError::Value {
                place: format!("{logical_name}.OverrideSettings.ThingTypeName"),
                reason: "a thing has one type, so there is nothing to MERGE".to_owned(),
            });
        }
        let thing = ThingResource {
            name: self.expression(name)?,
            attributes: self.optional(properties.remove("AttributePayload"))?,
            thing_type: self.optional(properties.remove("ThingTypeName"))?,
            groups: self.optional(properties.remove("ThingGroups"))?,
            on_attributes,
            on_thing_type,
            on_groups,
            logical_name: logical_name.clone(),
        };
        // Nothing is billed here.
        properties.remove("BillingGroup");
        none_left(&logical_name, properties.keys().chain(overrides.keys()))?;
        Ok(thing)
    }

    /// The expression of its status.
    fn certificate(&mut self, name: &str, raw: RawResource) -> Result<Option<Expression>, TemplateError> {
        let mut properties = raw.properties;
        let by_id = properties.remove("CertificateId").map(|value| self.expression(value)).transpose()?;
        if by_id.is_none_or(|id| id.references() != [CERTIFICATE_ID]) {
            return Err(TemplateError::Value {
                place: format!("{name}.CertificateId"),
                reason: format!(
                    "it must be {{\"Ref\": \"{CERTIFICATE_ID}\"}}, the certificate that the device asked for"
                ),
            });
        }
        let status = self.optional(properties.remove("Status"))?;
        none_left(name, properties.keys())?;
        Ok(status)
    }

    fn policy(&mut self, name: &str, raw: RawResource) -> Result<PolicyResource, TemplateError> {
        let mut properties = raw.properties;
        let policy = PolicyResource {
            name: self.optional(properties.remove("PolicyName"))?,
            document: self.optional(properties.remove("PolicyDocument"))?,
        };
        none_left(name, properties.keys())?;
        if policy.name.is_none() && policy.document.is_none() {
            let reason = "a policy needs the property PolicyName or PolicyDocument".to_owned();
            return Err(TemplateError::Value { place: name.to_owned(), reason });
        }
        Ok(policy)
    }
}

fn none_left<'a>(resource: &str, mut names: impl Iterator<Item = &'a String>) -> Result<(), TemplateError> {
    match names.next() {
        None => Ok(()),
        Some(property) => Err(TemplateError::Property { resource: resource.to_owned(), property: property.clone() }),
    }
}
