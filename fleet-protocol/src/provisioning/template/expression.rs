//! A template's values: plain JSON, and AWS's functions in it.

use super::{Mappings, TemplateError};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// No value that comes out is longer, in bytes of text.
const LONGEST_OUTPUT: usize = 64 << 10;
/// Parts that a text may be split into.
const MOST_PARTS: usize = 256;
/// How deep functions may stand in each other.
const DEEPEST: usize = 16;

/// A value to be, once the parameters are known.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// As it stands.
    Plain(Value),
    List(Vec<Expression>),
    Object(Vec<(String, Expression)>),
    /// A parameter's value.
    Reference(String),
    /// The texts of a list, with another between them.
    Join(String, Box<Expression>),
    /// One of a list, counted from 0.
    Select(Box<Expression>, Box<Expression>),
    /// The parts of a text between another.
    Split(String, Box<Expression>),
    /// What a mapping has for two keys.
    FindInMap(Box<[Expression; 3]>),
    /// A text with `${…}` in it. Each value is worked out once, however often it stands in the text.
    Substitute(Vec<Piece>, Vec<Expression>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Text(String),
    /// The value of this index.
    Value(usize),
}

/// What values are made of.
pub(super) struct Context<'a> {
    pub(super) parameters: &'a BTreeMap<String, String>,
    pub(super) mappings: &'a Mappings,
}

fn wrong(function: &str, how: &str) -> TemplateError {
    TemplateError::Function(format!("{function} is written as {how}"))
}

impl Expression {
    pub(super) fn parse(value: Value) -> Result<Self, TemplateError> {
        Self::parse_at(value, DEEPEST)
    }

    fn parse_at(value: Value, depth: usize) -> Result<Self, TemplateError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(TemplateError::Function(format!("functions may stand {DEEPEST} deep in each other")));
        };
        match value {
            Value::Array(items) => {
                let items = items.into_iter().map(|item| Self::parse_at(item, depth));
                Ok(Self::List(items.collect::<Result<_, _>>()?))
            }
            Value::Object(members) => Self::parse_object(members, depth),
            plain => Ok(Self::Plain(plain)),
        }
    }

    fn parse_object(members: Map<String, Value>, depth: usize) -> Result<Self, TemplateError> {
        let is_function = |name: &str| name == "Ref" || name.starts_with("Fn::");
        if members.len() == 1 && members.keys().all(|name| is_function(name)) {
            let (name, argument) = members.into_iter().next().unwrap_or_default();
            return Self::parse_function(&name, argument, depth);
        }
        if let Some(function) = members.keys().find(|name| is_function(name)) {
            return Err(TemplateError::Function(format!("{function} stands alone in its object")));
        }
        let members = members.into_iter().map(|(name, value)| Ok((name, Self::parse_at(value, depth)?)));
        Ok(Self::Object(members.collect::<Result<_, TemplateError>>()?))
    }

    fn parse_function(name: &str, argument: Value, depth: usize) -> Result<Self, TemplateError> {
        let parsed = |value| Ok::<_, TemplateError>(Box::new(Self::parse_at(value, depth)?));
        match (name, argument) {
            ("Ref", Value::String(parameter)) => Ok(Self::Reference(parameter)),
            ("Ref", _) => Err(wrong(name, "{\"Ref\": \"PARAMETER\"}")),
            ("Fn::Join", argument) => match pair(argument) {
                Some((Value::String(between), list)) => Ok(Self::Join(between, parsed(list)?)),
                _ => Err(wrong(name, "{\"Fn::Join\": [\"BETWEEN\", [VALUE, …]]}")),
            },
            ("Fn::Select", argument) => match pair(argument) {
                Some((index, list)) => Ok(Self::Select(parsed(index)?, parsed(list)?)),
                None => Err(wrong(name, "{\"Fn::Select\": [\"INDEX\", [VALUE, …]]}")),
            },
            ("Fn::Split", argument) => match pair(argument) {
                Some((Value::String(between), text)) if !between.is_empty() => Ok(Self::Split(between, parsed(text)?)),
                _ => Err(wrong(name, "{\"Fn::Split\": [\"BETWEEN\", VALUE]}")),
            },
            ("Fn::FindInMap", Value::Array(keys)) => {
                let keys = keys.into_iter().map(|key| Self::parse_at(key, depth)).collect::<Result<Vec<_>, _>>()?;
                match <[Self; 3]>::try_from(keys) {
                    Ok(keys) => Ok(Self::FindInMap(Box::new(keys))),
                    Err(_) => Err(wrong(name, "{\"Fn::FindInMap\": [\"MAP\", KEY, KEY]}")),
                }
            }
            ("Fn::Sub", Value::String(text)) => substitution(&text, Map::new(), depth),
            ("Fn::Sub", argument) => match pair(argument) {
                Some((Value::String(text), Value::Object(values))) => substitution(&text, values, depth),
                _ => Err(wrong(name, "{\"Fn::Sub\": \"TEXT\"} or {\"Fn::Sub\": [\"TEXT\", {\"NAME\": VALUE}]}")),
            },
            _ => Err(TemplateError::Function(format!(
                "there is no function {name}; there are Ref, Fn::Join, Fn::Select, Fn::Split, Fn::FindInMap and Fn::Sub"
            ))),
        }
    }

    /// The parameters that it takes.
    pub(super) fn references(&self) -> Vec<&str> {
        match self {
            Self::Plain(_) => Vec::new(),
            Self::Reference(name) => vec![name],
            Self::List(items) | Self::Substitute(_, items) => items.iter().flat_map(Self::references).collect(),
            Self::Object(members) => members.iter().flat_map(|(_, value)| value.references()).collect(),
            Self::Join(_, inner) | Self::Split(_, inner) => inner.references(),
            Self::Select(index, list) => [index, list].into_iter().flat_map(|inner| inner.references()).collect(),
            Self::FindInMap(keys) => keys.iter().flat_map(Self::references).collect(),
        }
    }

    /// Whether the mappings that it names are there.
    pub(super) fn check_mappings(&self, mappings: &Mappings) -> Result<(), TemplateError> {
        let check_all = |items: &[Self]| items.iter().try_for_each(|item| item.check_mappings(mappings));
        match self {
            Self::Plain(_) | Self::Reference(_) => Ok(()),
            Self::List(items) | Self::Substitute(_, items) => check_all(items),
            Self::Object(members) => members.iter().try_for_each(|(_, value)| value.check_mappings(mappings)),
            Self::Join(_, inner) | Self::Split(_, inner) => inner.check_mappings(mappings),
            Self::Select(index, list) => index.check_mappings(mappings).and_then(|()| list.check_mappings(mappings)),
            Self::FindInMap(keys) => match &keys[0] {
                Self::Plain(Value::String(map)) if !mappings.contains_key(map) => {
                    Err(TemplateError::Function(format!("the template's Mappings have no {map:?}")))
                }
                _ => check_all(&**keys),
            },
        }
    }

    /// The value for these parameters.
    pub(super) fn value(&self, context: &Context<'_>) -> Result<Value, TemplateError> {
        let value = match self {
            Self::Plain(value) => value.clone(),
            Self::List(items) => Value::Array(items.iter().map(|item| item.value(context)).collect::<Result<_, _>>()?),
            Self::Object(members) => {
                let members = members.iter().map(|(name, value)| Ok((name.clone(), value.value(context)?)));
                Value::Object(members.collect::<Result<_, TemplateError>>()?)
            }
            Self::Reference(name) => {
                let value = context.parameters.get(name).ok_or_else(|| TemplateError::Missing(name.clone()))?;
                Value::String(value.clone())
            }
            Self::Join(between, list) => {
                let mut joined = String::new();
                for (index, item) in list.list(context, "Fn::Join")?.iter().enumerate() {
                    if index > 0 {
                        append(&mut joined, between)?;
                    }
                    append(&mut joined, text_of(item, "Fn::Join")?)?;
                }
                Value::String(joined)
            }
            Self::Select(index, list) => {
                let index = match index.value(context)? {
                    Value::String(text) => text.parse().ok(),
                    Value::Number(number) => number.as_u64().and_then(|index| usize::try_from(index).ok()),
                    _ => None,
                };
                let list = list.list(context, "Fn::Select")?;
                let selected = index.and_then(|index: usize| list.into_iter().nth(index));
                selected.ok_or_else(|| {
                    TemplateError::Function("the index of Fn::Select is not that of a value of its list".to_owned())
                })?
            }
            Self::Split(between, text) => {
                let text = text.value(context)?;
                let parts = text_of(&text, "Fn::Split")?.split(between.as_str());
                let parts: Vec<_> = parts.map(|part| Value::String(part.to_owned())).take(MOST_PARTS + 1).collect();
                if parts.len() > MOST_PARTS {
                    return Err(TemplateError::Output);
                }
                Value::Array(parts)
            }
            Self::FindInMap(keys) => {
                let keys = [keys[0].value(context)?, keys[1].value(context)?, keys[2].value(context)?];
                let key = |index: usize| text_of(&keys[index], "Fn::FindInMap");
                let (map, first, second) = (key(0)?, key(1)?, key(2)?);
                let found = context.mappings.get(map).and_then(|map| map.get(first)?.get(second));
                let missing =
                    || TemplateError::Function(format!("the mapping {map:?} has nothing for {first:?}, {second:?}"));
                Value::String(found.ok_or_else(missing)?.clone())
            }
            Self::Substitute(pieces, values) => {
                let values = values.iter().map(|value| value.value(context)).collect::<Result<Vec<_>, _>>()?;
                let mut text = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(piece) => append(&mut text, piece)?,
                        Piece::Value(index) => append(&mut text, text_of(&values[*index], "Fn::Sub")?)?,
                    }
                }
                Value::String(text)
            }
        };
        Ok(value)
    }

    fn list(&self, context: &Context<'_>, function: &str) -> Result<Vec<Value>, TemplateError> {
        match self.value(context)? {
            Value::Array(items) => Ok(items),
            _ => Err(TemplateError::Function(format!("{function} works on a list"))),
        }
    }
}

fn pair(argument: Value) -> Option<(Value, Value)> {
    let Value::Array(items) = argument else { return None };
    let [first, second] = <[Value; 2]>::try_from(items).ok()?;
    Some((first, second))
}

fn text_of<'a>(value: &'a Value, function: &str) -> Result<&'a str, TemplateError> {
    value.as_str().ok_or_else(|| TemplateError::Function(format!("{function} works on texts")))
}

/// Functions in each other could double a text many times.
fn append(text: &mut String, more: &str) -> Result<(), TemplateError> {
    if text.len() + more.len() > LONGEST_OUTPUT {
        return Err(TemplateError::Output);
    }
    text.push_str(more);
    Ok(())
}

/// `${NAME}` is a value or a parameter, `${!NAME}` stands for `${NAME}` itself.
fn substitution(text: &str, named: Map<String, Value>, depth: usize) -> Result<Expression, TemplateError> {
    let unclosed = || wrong("Fn::Sub", "a text in which each ${ has its }");
    let (mut names, mut values): (Vec<String>, Vec<Expression>) = (Vec::new(), Vec::new());
    for (name, value) in named {
        names.push(name);
        values.push(Expression::parse_at(value, depth)?);
    }
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(unclosed)?;
        pieces.push(Piece::Text(before.to_owned()));
        pieces.push(match (name.strip_prefix('!'), names.iter().position(|known| known == name)) {
            (Some(literal), _) => Piece::Text(format!("${{{literal}}}")),
            (None, Some(index)) => Piece::Value(index),
            (None, None) => {
                names.push(name.to_owned());
                values.push(Expression::Reference(name.to_owned()));
                Piece::Value(values.len() - 1)
            }
        });
        rest = after;
    }
    pieces.push(Piece::Text(rest.to_owned()));
    Ok(Expression::Substitute(pieces, values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(expression: Value) -> Result<Value, TemplateError> {
        let parameters = [("SerialNumber", "a-b-c"), ("Place", "Seattle")];
        let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let mappings: Mappings = serde_json::from_value(json!({"Urls": {"Seattle": {"Main": "https://x"}}})).unwrap();
        Expression::parse(expression)?.value(&Context { parameters: &parameters, mappings: &mappings })
    }

    #[test]
    fn every_function_gives_what_aws_says_it_gives() {
        let serial = json!({"Ref": "SerialNumber"});
        let parts = json!({"Fn::Split": ["-", serial]});
        let cases = [
            (json!("plain"), json!("plain")),
            (serial.clone(), json!("a-b-c")),
            (json!({"Fn::Join": ["", ["lamp_", serial]]}), json!("lamp_a-b-c")),
            (json!({"Fn::Join": ["/", parts]}), json!("a/b/c")),
            (json!({"Fn::Select": ["1", parts]}), json!("b")),
            (json!({"Fn::Select": [2, ["x", "y", serial]]}), json!("a-b-c")),
            (parts.clone(), json!(["a", "b", "c"])),
            (json!({"Fn::FindInMap": ["Urls", {"Ref": "Place"}, "Main"]}), json!("https://x")),
            (json!({"Fn::Sub": "${SerialNumber} at ${Place}, ${!Place}"}), json!("a-b-c at Seattle, ${Place}")),
            (json!({"Fn::Sub": ["x${last}", {"last": {"Fn::Select": ["2", parts]}}]}), json!("xc")),
            (json!({"a": [{"b": serial}, 1, true]}), json!({"a": [{"b": "a-b-c"}, 1, true]})),
        ];
        for (expression, expected) in cases {
            assert_eq!(value(expression.clone()).unwrap(), expected, "{expression}");
        }
    }

    #[test]
    fn what_is_no_function_is_refused_with_how_it_is_written() {
        let cases = [
            (json!({"Ref": 1}), "PARAMETER"),
            (json!({"Fn::Join": ["", "x"]}), "list"),
            (json!({"Fn::Join": [""]}), "BETWEEN"),
            (json!({"Fn::Join": ["", [1]]}), "texts"),
            (json!({"Fn::Select": ["3", ["x"]]}), "index"),
            (json!({"Fn::Select": ["-1", ["x"]]}), "index"),
            (json!({"Fn::Split": ["", "x"]}), "BETWEEN"),
            (json!({"Fn::FindInMap": ["Urls", "Paris", "Main"]}), "Paris"),
            (json!({"Fn::FindInMap": ["Urls", "Paris"]}), "KEY"),
            (json!({"Fn::Sub": "${open"}), "}"),
            (json!({"Fn::GetAtt": ["a", "b"]}), "there is no function Fn::GetAtt"),
            (json!({"Ref": "SerialNumber", "x": 1}), "alone"),
            (json!({"Ref": "Nobody"}), "missing"),
        ];
        for (expression, word) in cases {
            let error = value(expression.clone()).unwrap_err().to_string();
            assert!(error.contains(word), "{expression}: {error}");
        }
    }

    #[test]
    fn a_template_cannot_blow_up_its_output_or_the_stack() {
        let mut doubling = json!({"Ref": "SerialNumber"});
        for _ in 0..6 {
            doubling = json!({"Fn::Sub": ["${x}${x}${x}${x}${x}${x}${x}${x}", {"x": doubling}]});
        }
        assert_eq!(value(doubling), Err(TemplateError::Output));
        // Nothing comes out here, and it is to take no time.
        let mut empty = json!("");
        for _ in 0..7 {
            empty = json!({"Fn::Sub": ["${x}".repeat(100), {"x": empty}]});
        }
        assert_eq!(value(empty), Ok(json!("")));
        assert_eq!(value(json!({"Fn::Split": ["a", "a".repeat(300)]})), Err(TemplateError::Output));
        let mut deep = json!("x");
        for _ in 0..DEEPEST {
            deep = json!([deep]);
        }
        assert!(value(deep).unwrap_err().to_string().contains("deep"));
    }
}
