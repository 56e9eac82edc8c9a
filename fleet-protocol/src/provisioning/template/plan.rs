//! What a template makes of a device's parameters.

use super::expression::{Context, Expression};
use super::{CERTIFICATE_ID, PolicyResource, Template, TemplateError, check_parameters};
use crate::names::{CertificateId, GroupName, PolicyName, ThingName, ThingTypeName};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The longest device configuration, in bytes of JSON.
const LONGEST_CONFIGURATION: usize = 64 << 10;
/// Groups that a template may put a thing into, as AWS IoT has it.
const MOST_GROUPS: usize = 10;

/// What becomes of a thing's part when the thing is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Override {
    /// It stays as it is.
    DoNothing,
    /// It becomes what the template says.
    Replace,
    /// What the template says is added to it.
    Merge,
    /// The device is not registered.
    Fail,
}

/// What a device shall be.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// As which thing.
    pub thing: ThingPlan,
    /// Whether its certificate counts at once.
    pub is_active: bool,
    /// What it may do, besides what its groups may.
    pub policies: Vec<PolicyPlan>,
    /// What it is told.
    pub device_configuration: Map<String, Value>,
}

/// A thing to be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThingPlan {
    /// Its name.
    pub name: ThingName,
    /// Its attributes.
    pub attributes: BTreeMap<String, String>,
    /// Its type.
    pub thing_type: Option<ThingTypeName>,
    /// Its groups.
    pub groups: Vec<GroupName>,
    /// Of a thing that is there already.
    pub on_attributes: Override,
    /// Of a thing that is there already.
    pub on_thing_type: Override,
    /// Of a thing that is there already.
    pub on_groups: Override,
}

/// A policy to be attached to the device's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyPlan {
    /// One that is there.
    Named(PolicyName),
    /// One of this document, in JSON; of no name: the document's digest is its name.
    Document(Option<PolicyName>, String),
}

impl Template {
    /// What this device shall be. It reads no clock and no registry: the same parameters give the same plan.
    pub fn plan(&self, certificate: &CertificateId, given: &BTreeMap<String, String>) -> Result<Plan, TemplateError> {
        check_parameters(given)?;
        let mut parameters = BTreeMap::new();
        for (name, default) in &self.parameters {
            // A parameter without a value is missed only where it is used.
            if let Some(value) = given.get(name).or(default.as_ref()) {
                parameters.insert(name.clone(), value.clone());
            }
        }
        parameters.insert(CERTIFICATE_ID.to_owned(), certificate.to_string());
        let context = Context { parameters: &parameters, mappings: &self.mappings };
        let device_configuration = self
            .device_configuration
            .iter()
            .map(|(name, value)| Ok((name.clone(), value.value(&context)?)))
            .collect::<Result<Map<_, _>, TemplateError>>()?;
        if serde_json::to_string(&device_configuration).is_ok_and(|text| text.len() > LONGEST_CONFIGURATION) {
            return Err(TemplateError::Output);
        }
        Ok(Plan {
            thing: self.plan_thing(&context)?,
            is_active: self.plan_status(&context)?,
            policies: self
                .policies
                .iter()
                .map(|(name, policy)| plan_policy(name, policy, &context))
                .collect::<Result<_, _>>()?,
            device_configuration,
        })
    }

    fn plan_thing(&self, context: &Context<'_>) -> Result<ThingPlan, TemplateError> {
        let thing = &self.thing;
        let place = |property: &str| format!("{}.{property}", thing.logical_name);
        let attributes = match thing.attributes.as_ref().map(|attributes| attributes.value(context)).transpose()? {
            None => BTreeMap::new(),
            Some(value) => attributes(value).ok_or_else(|| TemplateError::Value {
                place: place("AttributePayload"),
                reason: "it must be an object of texts".to_owned(),
            })?,
        };
        let groups = match thing.groups.as_ref().map(|groups| groups.value(context)).transpose()? {
            None => Vec::new(),
            Some(Value::Array(groups)) if groups.len() <= MOST_GROUPS => {
                groups.iter().map(|group| name_of(group, place("ThingGroups"))).collect::<Result<_, _>>()?
            }
            Some(_) => {
                let reason = format!("it must be a list of {MOST_GROUPS} groups at the most");
                return Err(TemplateError::Value { place: place("ThingGroups"), reason });
            }
        };
        let thing_type = thing.thing_type.as_ref().map(|name| name.value(context)).transpose()?;
        Ok(ThingPlan {
            name: name_of(&thing.name.value(context)?, place("ThingName"))?,
            attributes,
            thing_type: thing_type.map(|name| name_of(&name, place("ThingTypeName"))).transpose()?,
            groups,
            on_attributes: thing.on_attributes,
            on_thing_type: thing.on_thing_type,
            on_groups: thing.on_groups,
        })
    }

    fn plan_status(&self, context: &Context<'_>) -> Result<bool, TemplateError> {
        let Some(status) = &self.certificate_status else { return Ok(true) };
        let status = status.value(context)?;
        match status.as_str().map(str::to_ascii_uppercase).as_deref() {
            Some("ACTIVE") => Ok(true),
            Some("INACTIVE") => Ok(false),
            _ => Err(TemplateError::Value {
                place: "the certificate's Status".to_owned(),
                reason: format!("it is {status}; it must be Active or Inactive"),
            }),
        }
    }
}

fn plan_policy(
    logical_name: &str,
    policy: &PolicyResource,
    context: &Context<'_>,
) -> Result<PolicyPlan, TemplateError> {
    let evaluate =
        |expression: &Option<Expression>| expression.as_ref().map(|expression| expression.value(context)).transpose();
    let place = |property: &str| format!("{logical_name}.{property}");
    let name = evaluate(&policy.name)?.map(|name| name_of(&name, place("PolicyName"))).transpose()?;
    match (evaluate(&policy.document)?, name) {
        // A document may be written as the text of one.
        (Some(Value::String(document)), name) => Ok(PolicyPlan::Document(name, document)),
        (Some(document), name) => Ok(PolicyPlan::Document(name, document.to_string())),
        (None, Some(name)) => Ok(PolicyPlan::Named(name)),
        (None, None) => {
            let reason = "a policy needs the property PolicyName or PolicyDocument".to_owned();
            Err(TemplateError::Value { place: logical_name.to_owned(), reason })
        }
    }
}

fn attributes(value: Value) -> Option<BTreeMap<String, String>> {
    let Value::Object(mut members) = value else { return None };
    // As the API has it, the attributes may also stand one step further in.
    if let Some(Value::Object(inner)) = members.get("attributes").or_else(|| members.get("Attributes")) {
        members = inner.clone();
    }
    members.into_iter().map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
}

fn name_of<T: FromStr<Err: fmt::Display>>(value: &Value, place: String) -> Result<T, TemplateError> {
    let Some(text) = value.as_str() else {
        return Err(TemplateError::Value { place, reason: format!("it is {value}; it must be a text") });
    };
    text.parse().map_err(|error: T::Err| TemplateError::Value { place, reason: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The template of AWS's guide, with the serial number that it uses declared.
    fn guide() -> Value {
        json!({
            "Parameters": {
                "ThingName": {"Type": "String"},
                "SerialNumber": {"Type": "String"},
                "DeviceLocation": {"Type": "String", "Default": "Seattle"}
            },
            "Mappings": {"LocationTable": {"Seattle": {"LocationUrl": "https://example.aws"}}},
            "Resources": {
                "thing": {
                    "Type": "AWS::IoT::Thing",
                    "Properties": {
                        "AttributePayload": {"version": "v1", "serialNumber": {"Ref": "SerialNumber"}},
                        "ThingName": {"Ref": "ThingName"},
                        "ThingTypeName": {"Fn::Join": ["", ["ThingPrefix_", {"Ref": "SerialNumber"}]]},
                        "ThingGroups": ["v1-lightbulbs", "WA"],
                        "BillingGroup": "LightBulbBillingGroup"
                    },
                    "OverrideSettings": {
                        "AttributePayload": "MERGE", "ThingTypeName": "REPLACE", "ThingGroups": "DO_NOTHING"
                    }
                },
                "certificate": {
                    "Type": "AWS::IoT::Certificate",
                    "Properties": {"CertificateId": {"Ref": "AWS::IoT::Certificate::Id"}, "Status": "Active"}
                },
                "policy": {
                    "Type": "AWS::IoT::Policy",
                    "Properties": {"PolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [{
                            "Effect": "Allow", "Action": ["iot:Publish"],
                            "Resource": ["arn:aws:iot:us-east-1:123456789012:topic/foo/bar"]
                        }]
                    }}
                }
            },
            "DeviceConfiguration": {
                "FallbackUrl": "https://www.example.com/test-site",
                "LocationUrl": {"Fn::FindInMap": ["LocationTable", {"Ref": "DeviceLocation"}, "LocationUrl"]}
            }
        })
    }

    fn plan(template: &Value, given: &[(&str, &str)]) -> Result<Plan, TemplateError> {
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Template::parse(&template.to_string())?.plan(&"a".repeat(64).parse().unwrap(), &given)
    }

    const GOOD: [(&str, &str); 2] = [("ThingName", "lamp-1"), ("SerialNumber", "S1")];

    #[test]
    fn the_template_of_the_guide_is_understood() {
        let plan = plan(&guide(), &GOOD).unwrap();
        let thing = &plan.thing;
        assert_eq!(thing.name.as_str(), "lamp-1");
        assert_eq!(thing.attributes["serialNumber"], "S1");
        assert_eq!(thing.thing_type.as_ref().unwrap().as_str(), "ThingPrefix_S1");
        assert_eq!(thing.groups.iter().map(GroupName::as_str).collect::<Vec<_>>(), ["v1-lightbulbs", "WA"]);
        assert_eq!(
            (thing.on_attributes, thing.on_thing_type, thing.on_groups),
            (Override::Merge, Override::Replace, Override::DoNothing)
        );
        assert!(plan.is_active);
        assert!(
            matches!(&plan.policies[..], [PolicyPlan::Document(None, document)] if document.contains("topic/foo/bar"))
        );
        assert_eq!(plan.device_configuration["LocationUrl"], "https://example.aws");
    }

    #[test]
    fn no_parameter_makes_a_name_that_could_widen_a_topic_filter() {
        for bad in ["lamp/1", "+", "#", "", "a b", "$aws"] {
            let error = plan(&guide(), &[("ThingName", bad), GOOD[1]]).unwrap_err().to_string();
            assert!(error.contains("thing.ThingName"), "{bad}: {error}");
        }
        assert_eq!(plan(&guide(), &GOOD[..1]), Err(TemplateError::Missing("SerialNumber".to_owned())));
        let own_id = [GOOD[0], GOOD[1], ("AWS::IoT::Certificate::Id", "b")];
        assert!(plan(&guide(), &own_id).is_ok(), "the device's word for it does not count");
    }

    #[test]
    fn a_template_that_cannot_work_is_refused_when_it_is_made() {
        let with = |pointer: &str, value: Value| {
            let mut template = guide();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            template.pointer_mut(parent).unwrap()[key] = value;
            Template::parse(&template.to_string()).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(
            with("/Resources/policy", json!({"Type": "AWS::IoT::Policy", "Properties": {"PolicyName": "p"}})),
            Ok(())
        );
        let cases = [
            ("/Resources/thing/Properties/ThingName", json!({"Ref": "Serial"}), "\"Serial\" is used and not declared"),
            ("/Resources/thing/Properties/ThingNames", json!("x"), "no property \"ThingNames\""),
            ("/Resources/thing/OverrideSettings/ThingGroups", json!("PERHAPS"), "PERHAPS"),
            ("/Resources/thing/OverrideSettings/ThingTypeName", json!("MERGE"), "one type"),
            ("/Resources/other", json!({"Type": "AWS::S3::Bucket"}), "AWS::S3::Bucket"),
            ("/Resources/other", json!({"Type": "AWS::IoT::Thing", "Properties": {"ThingName": "x"}}), "one resource"),
            ("/Resources/certificate/Properties/CertificateId", json!("abc"), "AWS::IoT::Certificate::Id"),
            (
                "/Resources/certificate/Properties/CertificateId",
                json!({"Ref": "ThingName"}),
                "AWS::IoT::Certificate::Id",
            ),
            ("/Resources/policy/Properties", json!({}), "PolicyName"),
            ("/Parameters/ThingName/Type", json!("Number"), "only String"),
            ("/Outputs", json!({}), "Outputs"),
            ("/DeviceConfiguration/LocationUrl", json!({"Fn::FindInMap": ["Nowhere", "a", "b"]}), "Nowhere"),
            ("/DeviceConfiguration/Long", json!("x".repeat(11_000)), "10240"),
        ];
        for (pointer, value, word) in cases {
            let error = with(pointer, value).unwrap_err();
            assert!(error.contains(word), "{pointer}: {error}");
        }
        for missing in ["thing", "certificate"] {
            let mut template = guide();
            template["Resources"].as_object_mut().unwrap().remove(missing);
            assert!(Template::parse(&template.to_string()).is_err(), "{missing}");
        }
    }

    #[test]
    fn what_a_device_sends_is_bounded() {
        let many: Vec<String> = (0..65).map(|n| format!("p{n}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "")).collect();
        let long = "x".repeat(4097);
        for given in [&many[..], &[("ThingName", &long)], &[("", "x")], &[(&long, "x")]] {
            assert_eq!(plan(&guide(), given), Err(TemplateError::Parameters));
        }
    }
}
