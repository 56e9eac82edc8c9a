//! The document as a page: no scripts, nothing from elsewhere.

use askama::Template;
use serde_json::{Map, Value, json};

#[derive(Template)]
#[template(path = "api.html")]
struct Page<'a> {
    title: &'a str,
    version: &'a str,
    description: &'a str,
    groups: Vec<Group<'a>>,
    shapes: Vec<Shape<'a>>,
}

struct Group<'a> {
    name: &'a str,
    description: &'a str,
    operations: Vec<Operation<'a>>,
}

struct Operation<'a> {
    id: &'a str,
    method: String,
    path: &'a str,
    summary: &'a str,
    description: &'a str,
    role: Option<&'a str>,
    parameters: Vec<Field<'a>>,
    body: Option<Body<'a>>,
    responses: Vec<Answer<'a>>,
    command: String,
}

/// A parameter, or a field of a shape.
struct Field<'a> {
    name: &'a str,
    /// `path` or `query`.
    place: &'a str,
    is_required: bool,
    kind: Kind,
    description: &'a str,
}

struct Body<'a> {
    media_type: &'a str,
    kind: Kind,
    description: &'a str,
}

struct Answer<'a> {
    status: &'a str,
    description: &'a str,
    kind: Option<Kind>,
    example: String,
}

struct Shape<'a> {
    name: &'a str,
    description: &'a str,
    kind: Kind,
    fields: Vec<Field<'a>>,
}

/// What a value is: words, perhaps with a shape to look up.
struct Kind {
    before: &'static str,
    shape: Option<String>,
    words: String,
}

/// The page, or nothing if the document is none.
pub(super) fn render(document: &[u8]) -> String {
    let document: Value = serde_json::from_slice(document).unwrap_or_default();
    let info = &document["info"];
    let tags = document["tags"].as_array().map(Vec::as_slice).unwrap_or_default();
    let groups = tags.iter().map(|tag| group(&document, tag)).collect();
    let shapes = members(&document["components"]["schemas"]).map(|(name, schema)| shape(name, schema)).collect();
    let page = Page {
        title: text(&info["title"]),
        version: text(&info["version"]),
        description: text(&info["description"]),
        groups,
        shapes,
    };
    page.render().unwrap_or_default()
}

fn group<'a>(document: &'a Value, tag: &'a Value) -> Group<'a> {
    let name = text(&tag["name"]);
    let all = members(&document["paths"])
        .flat_map(|(path, item)| members(item).map(move |(method, operation)| (path, method.as_str(), operation)));
    let ours = all.filter(|(_, _, operation)| operation["tags"][0] == name);
    let operations = ours.map(|(path, method, it)| operation(document, path, method, it)).collect();
    Group { name, description: text(&tag["description"]), operations }
}

fn operation<'a>(document: &'a Value, path: &'a str, method: &str, operation: &'a Value) -> Operation<'a> {
    let listed = operation["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
    let parameters = listed.iter().map(|parameter| Field {
        name: text(&parameter["name"]),
        place: text(&parameter["in"]),
        is_required: parameter["required"] == true,
        kind: kind(&parameter["schema"]),
        description: text(&parameter["description"]),
    });
    let content = members(&operation["requestBody"]["content"]).next();
    let body = content.map(|(media_type, content)| Body {
        media_type,
        kind: kind(&content["schema"]),
        description: text(&operation["requestBody"]["description"]),
    });
    let responses = members(&operation["responses"]).map(|(status, response)| {
        let schema = members(&response["content"]).next().map(|(_, content)| &content["schema"]);
        let of_success = schema.filter(|schema| status.as_str() < "400" && schema.get("$ref").is_some());
        Answer {
            status,
            description: text(&response["description"]),
            // What every error is, the top of the page says.
            kind: schema.filter(|_| status.as_str() < "400").map(kind),
            example: of_success.map_or(String::new(), |schema| pretty(&example(document, schema))),
        }
    });
    let method = method.to_uppercase();
    let role = operation["security"][0]["token"][0].as_str();
    Operation {
        id: text(&operation["operationId"]),
        path,
        summary: text(&operation["summary"]).trim_end_matches('.'),
        description: text(&operation["description"]),
        role,
        parameters: parameters.collect(),
        responses: responses.collect(),
        command: command(document, path, &method, role.is_some(), listed, content),
        body,
        method,
    }
}

/// The request as a command.
fn command(
    document: &Value,
    path: &str,
    method: &str,
    has_token: bool,
    parameters: &[Value],
    body: Option<(&String, &Value)>,
) -> String {
    let mut path = path.to_owned();
    for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
        let value = example(document, &parameter["schema"]);
        path = path.replace(&format!("{{{}}}", text(&parameter["name"])), text(&value));
    }
    let mut command = "curl".to_owned();
    if has_token {
        command += " --oauth2-bearer \"$DEBFLEET_TOKEN\"";
    }
    if !matches!((method, body), ("GET", _) | ("POST", Some(_))) {
        command += &format!(" -X {method}");
    }
    match body {
        Some((media_type, content)) if media_type == "application/json" => {
            command += &format!(" --json '{}'", example(document, &content["schema"]));
        }
        Some((media_type, _)) => {
            let file = if media_type == "application/x-tar" { "packages.tar" } else { "hi_1.3.0-1_amd64.deb" };
            command += &format!(" -H 'Content-Type: {media_type}' --data-binary @{file}");
        }
        None => {}
    }
    command + " \"$DEBFLEET_SERVER" + &path + "\""
}

fn shape<'a>(name: &'a str, schema: &'a Value) -> Shape<'a> {
    // What is flattened into a shape stands in an `allOf`.
    let parts = schema["allOf"].as_array().map_or(std::slice::from_ref(schema), Vec::as_slice);
    let fields = parts.iter().flat_map(|part| {
        members(&part["properties"]).map(|(name, field)| Field {
            name,
            place: "",
            is_required: part["required"].as_array().is_some_and(|required| required.iter().any(|it| it == name)),
            kind: kind(field),
            description: text(&field["description"]),
        })
    });
    let extended = parts.iter().find(|part| part.get("$ref").is_some());
    let kind = extended.map_or_else(|| kind(schema), |part| Kind { before: "all of ", ..kind(part) });
    Shape { name, description: text(&schema["description"]), kind, fields: fields.collect() }
}

/// Its type; null beside it only says that the field may be left away.
fn type_of(schema: &Value) -> &str {
    let types = schema["type"].as_array();
    types.map_or(text(&schema["type"]), |types| types.iter().map(text).find(|it| *it != "null").unwrap_or_default())
}

fn kind(schema: &Value) -> Kind {
    let shape = |schema: &Value| Some(text(&schema["$ref"]).rsplit_once('/')?.1.to_owned());
    if let Some(name) = shape(schema) {
        return Kind { before: "", shape: Some(name), words: String::new() };
    }
    if let Some(name) = ["allOf", "oneOf"].iter().find_map(|word| shape(&schema[*word][0])) {
        return Kind { before: "", shape: Some(name), words: String::new() };
    }
    if let Some(name) = shape(&schema["items"]) {
        return Kind { before: "list of ", shape: Some(name), words: bounds(schema) };
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<&str> = values.iter().map(text).collect();
        return Kind { before: "", shape: None, words: format!("one of {}", values.join(", ")) };
    }
    let words = match (type_of(schema), text(&schema["format"])) {
        ("array", "") | ("string", "binary") => "bytes".to_owned(),
        ("string", "date-time") => "time (RFC 3339)".to_owned(),
        ("", _) => "bytes".to_owned(),
        (kind, _) => kind.to_owned() + &bounds(schema),
    };
    Kind { before: "", shape: None, words }
}

fn bounds(schema: &Value) -> String {
    let number = |name: &str| schema.get(name).filter(|value| value.is_number()).map(Value::to_string);
    let mut words = match (number("minimum"), number("maximum")) {
        (Some(least), Some(most)) => format!(", {least} to {most}"),
        (Some(least), None) => format!(", {least} or more"),
        (None, Some(most)) => format!(", at most {most}"),
        (None, None) => String::new(),
    };
    match (number("minLength").or(number("minItems")), number("maxLength").or(number("maxItems"))) {
        (Some(least), Some(most)) => words += &format!(", {least} to {most} long"),
        (None, Some(most)) => words += &format!(", at most {most} long"),
        _ => {}
    }
    if let Some(pattern) = schema["pattern"].as_str() {
        words += &format!(", {pattern}");
    }
    words
}

/// A value that the schema describes.
fn example(document: &Value, schema: &Value) -> Value {
    if let Some(name) = text(&schema["$ref"]).rsplit_once('/').map(|(_, name)| name) {
        return example(document, &document["components"]["schemas"][name]);
    }
    if let Some(given) = schema.get("example") {
        return given.clone();
    }
    if let Some(parts) = schema["allOf"].as_array().or(schema["oneOf"].as_array()) {
        let parts = parts.iter().map(|part| example(document, part));
        let (objects, others): (Vec<_>, Vec<_>) = parts.partition(Value::is_object);
        let merged: Map<_, _> = objects.into_iter().filter_map(|it| it.as_object().cloned()).flatten().collect();
        return others.into_iter().next().unwrap_or(Value::Object(merged));
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    match (type_of(schema), text(&schema["format"])) {
        ("object", _) => {
            let fields = members(&schema["properties"]).filter(|(name, _)| *name != "next");
            fields.map(|(name, field)| (name.clone(), example(document, field))).collect::<Map<_, _>>().into()
        }
        ("array", _) => json!([example(document, &schema["items"])]),
        ("integer", _) => json!(1),
        ("boolean", _) => json!(true),
        (_, "date-time") => json!("2026-11-21T10:15:00Z"),
        _ => json!("…"),
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
