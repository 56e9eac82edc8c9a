//! The API's own description (OpenAPI 3.1): `/api/v1/openapi.json`, and the same as a page for people.

mod page;

use super::{
    audit, broker_rights, certificates, groups, imports, packages, policies, policy_targets, provisioning, sessions,
    shadows, suites, thing_types, things, tokens, users,
};
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use fleet_protocol::openapi::{ShadowName, ThingName};
use fleet_protocol::policies::TargetKind;
use fleet_protocol::publishing::{PROBLEM_MEDIA_TYPE, Problem};
use fleet_protocol::shadow::Rejected;
use std::sync::LazyLock;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{Content, Header, Ref, RefOr, Required};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "debfleet",
        description = "What `debfleet` asks a debfleet-server, and what anybody else may ask it. Times are RFC 3339. \
                       Every error is `application/problem+json` (RFC 9457), but AWS's on AWS's paths, and a refused change changes nothing. \
                       Each role may do what those below it may: admin, operator, publisher, viewer; a token of the \
                       last two may be limited to some suites. The answer's `X-Request-Id` stands in the server's log, too.",
    ),
    paths(
        suites::list,
        suites::create,
        suites::contents,
        suites::withdraw,
        suites::withdraw_many,
        suites::phase,
        suites::promote,
        suites::freeze,
        suites::return_to,
        suites::retention,
        suites::set_retention,
        suites::access,
        suites::set_access,
        packages::publish,
        imports::import,
        tokens::list,
        tokens::create,
        tokens::revoke,
        shadows::get,
        shadows::update,
        shadows::delete,
        shadows::names,
        audit::read,
        certificates::list,
        certificates::register,
        certificates::describe,
        certificates::set_status,
        policies::list,
        policies::create,
        policies::show,
        policies::delete,
        policies::create_version,
        policies::show_version,
        policies::delete_version,
        policies::set_default_version,
        policy_targets::list,
        policy_targets::attach,
        policy_targets::detach,
        policies::test,
        broker_rights::user,
        broker_rights::superuser,
        broker_rights::acl,
        provisioning::templates,
        provisioning::template,
        provisioning::set_template,
        provisioning::remove_template,
        provisioning::serials,
        provisioning::add_serials,
        provisioning::remove_serial,
        provisioning::create_claim,
        provisioning::create_from_csr,
        provisioning::provision,
        things::list,
        things::register,
        things::show,
        things::create,
        things::update,
        things::delete,
        things::search,
        things::groups,
        things::principals,
        things::attach,
        things::detach,
        groups::list,
        groups::show,
        groups::create,
        groups::update,
        groups::delete,
        groups::members,
        groups::add,
        groups::remove,
        thing_types::list,
        thing_types::show,
        thing_types::create,
        thing_types::deprecate,
        thing_types::delete,
        users::list,
        users::show,
        users::create,
        users::update,
        users::delete,
        users::set_password,
        users::end_sessions,
        users::things,
        users::give_thing,
        users::take_thing,
        users::give_group,
        users::take_group,
        sessions::sign_in,
        sessions::show,
        sessions::sign_out,
        sessions::change_password,
        sessions::things,
        sessions::make_token,
        sessions::make_token_for,
        document,
        read,
    ),
    components(schemas(Problem, Rejected, ShadowName, TargetKind, ThingName)),
    tags(
        (name = "suites", description = "Which suites there are, and who may read them"),
        (name = "packages", description = "What suites hold"),
        (name = "snapshots", description = "Suites as they were"),
        (name = "tokens", description = "Who may do what"),
        (name = "certificates", description = "Who is a device, and who is no longer"),
        (name = "shadows", description = "What things reported, and what is desired of them: AWS IoT's device shadows, with its paths, shapes and errors. A device shows its client certificate in place of a token"),
        (name = "provisioning", description = "How devices come into the fleet"),
        (name = "devices", description = "What devices ask, with their client certificate"),
        (name = "audit", description = "Who changed what"),
        (name = "policies", description = "What devices and people may do over MQTT"),
        (name = "users", description = "People, and which things they see"),
        (name = "sessions", description = "Signing in, and tokens for MQTT over WebSocket"),
        (name = "broker", description = "What Mosquitto asks of its clients, by an authorisation plugin. The token may be sent as a password, too"),
        (name = "things", description = "Devices, and what is known of them"),
        (name = "thing groups", description = "Which things belong together"),
        (name = "thing types", description = "What kinds of things there are"),
        (name = "document", description = "This description"),
    ),
    modifiers(&Common)
)]
struct Document;

static JSON: LazyLock<Bytes> = LazyLock::new(|| Document::openapi().to_json().unwrap_or_default().into());
static PAGE: LazyLock<Bytes> = LazyLock::new(|| page::render(&JSON).into());

const UNCACHED: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "document", security(()),
    responses((status = 200, description = "An OpenAPI document", body = Object, content_type = "application/json")))]
pub(super) async fn document() -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json")), UNCACHED], JSON.clone()).into_response()
}

/// This description, as a page for people.
#[utoipa::path(get, path = "/api/v1", tag = "document", security(()),
    responses((status = 200, description = "A page", body = String, content_type = "text/html")))]
pub(super) async fn read() -> Response {
    // It has no scripts, and asks for nothing else.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let headers = [(header::CONTENT_TYPE, html), (header::CONTENT_SECURITY_POLICY, policy), UNCACHED];
    (headers, PAGE.clone()).into_response()
}

/// What holds for many operations is added to all of them in one place.
struct Common;

const SCHEME: &str = "token";

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut scheme = Http::new(HttpAuthScheme::Bearer);
        scheme.description =
            Some("A token, such as `debfleet token create` makes. Each operation names the role it takes.".to_owned());
        document.components.get_or_insert_default().add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
        let certificate = SecurityScheme::MutualTls {
            description: Some("A client certificate of the fleet CA that is registered here.".to_owned()),
            extensions: None,
            deprecated: None,
        };
        document.components.get_or_insert_default().add_security_scheme("certificate", certificate);
        let mut session = Http::new(HttpAuthScheme::Bearer);
        session.description = Some("What signing in gives a person, for themselves.".to_owned());
        document.components.get_or_insert_default().add_security_scheme("session", SecurityScheme::Http(session));
        for item in document.paths.paths.values_mut() {
            let reading = [&mut item.get];
            for operation in reading.into_iter().flatten() {
                complete(operation, false);
            }
            for operation in item.post.iter_mut().filter(|operation| {
                !["tokens", "devices", "sessions", "broker"].iter().any(|tag| is_of(operation, tag))
                    && !is_aws(operation)
            }) {
                let parameters = operation.parameters.get_or_insert_default();
                parameters.push(RefOr::T(idempotency_key()));
                for (status, description) in REPEATED {
                    let other = RefOr::T(utoipa::openapi::Response::new(description));
                    match operation.responses.responses.entry(status.to_owned()).or_insert(other) {
                        RefOr::T(response) if response.description != description => {
                            response.description += "; or: ";
                            response.description += description;
                        }
                        _ => {}
                    }
                }
            }
            for operation in [&mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten() {
                complete(operation, true);
            }
        }
    }
}

const REPEATED: [(&str, &str); 2] = [
    ("409", "A request with this `Idempotency-Key` is being carried out"),
    ("422", "This `Idempotency-Key` came with another request before"),
];

fn idempotency_key() -> Parameter {
    let text = Object::builder().schema_type(Type::String).pattern(Some(r#"^"[!#-\[\]-~]{1,64}"$"#));
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "Any text of the client's, in quotes, a new one for each request. For a day the same request with the same \
             key is answered as before, if that was a success, and not carried out again.",
        ))
        .schema(Some(text))
        .build()
}

fn is_of(operation: &Operation, wanted: &str) -> bool {
    operation.tags.iter().flatten().any(|tag| tag == wanted)
}

/// Whether it is one of AWS's operations, whose errors have AWS's form.
fn is_aws(operation: &Operation) -> bool {
    is_of(operation, "shadows")
}

fn complete(operation: &mut Operation, changes: bool) {
    let is_aws = is_aws(operation);
    let is_open = is_of(operation, "document");
    let has_json = match &operation.request_body {
        Some(RefOr::T(body)) => body.content.contains_key("application/json"),
        _ => false,
    };
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        // What is not JSON is bytes, of which a schema can say nothing.
        for (media_type, content) in &mut body.content {
            if let (false, RefOr::T(content)) = (media_type == "application/json", content) {
                content.schema = None;
            }
        }
    }
    let mut problems = Vec::new();
    if !is_open {
        problems.extend([
            ("401", "No token was sent, or one that is unknown, expired or revoked"),
            ("403", "The token's role or suites do not allow it, or this is plain HTTP beyond loopback"),
            ("429", "Too many wrong tokens came from this address"),
            ("500", "The server failed; its log has the details"),
        ]);
        if operation.parameters.is_some() || operation.request_body.is_some() {
            problems.push(("400", "The address, its query or the body is not what this operation takes"));
        }
    }
    if has_json {
        problems.extend([
            ("413", "The body is longer than this operation takes"),
            ("415", "The body is not said to be JSON"),
        ]);
    }
    if changes {
        problems.extend([
            ("503", "Another process published first, or the server is being stopped; send it again"),
            ("507", "The server's disk is full"),
        ]);
    }
    let responses = &mut operation.responses.responses;
    for (status, description) in problems {
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(utoipa::openapi::Response::new(description)));
    }
    for (status, response) in responses {
        let RefOr::T(response) = response else { continue };
        if status.as_str() >= "400" && response.content.is_empty() {
            let (form, media_type) =
                if is_aws { ("Rejected", "application/json") } else { ("Problem", PROBLEM_MEDIA_TYPE) };
            let problem = Content::new(Some(Ref::from_schema_name(form)));
            response.content.insert(media_type.to_owned(), RefOr::T(problem));
        }
        let header = match status.as_str() {
            "401" => Some(("WWW-Authenticate", "How to say who asks", Type::String)),
            "429" => Some(("Retry-After", "After so many seconds", Type::Integer)),
            _ => None,
        };
        if let Some((name, description, kind)) = header {
            let mut header = Header::new(Object::with_type(kind));
            header.description = Some(description.to_owned());
            response.headers.insert(name.to_owned(), RefOr::T(header));
        }
    }
}
