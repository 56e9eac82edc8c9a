//! Every route of the server, on one page.

use super::problem::Problem;
use super::service_error::ServiceError;
use super::state::{ServerState, Surface};
use super::{
    audit, body, broker_rights, certificates, debian, dput, groups, idempotency, imports, mqtt, openapi, operations,
    packages, policies, policy_targets, pool, provisioning, sessions, shadows, suites, thing_types, things, tokens,
    unbroken, users,
};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{any, delete, get, post, put};

/// No other request of the API is longer, in bytes.
const LONGEST_REQUEST: usize = 64 << 10;

/// Of tens of thousands of packages.
const LONGEST_LIST: usize = 4 << 20;

pub(crate) fn router(state: ServerState) -> Router {
    let repository = Router::new()
        .route("/debian/repository.gpg", get(debian::keyring))
        .route("/debian/{file}", get(debian::source_list))
        .route("/debian/dists/{suite}/{*path}", get(debian::suite_file))
        .route("/debian/pool/{*path}", get(pool::pool_file));
    let health = Router::new().route("/healthz", get(operations::health)).route("/readyz", get(operations::readiness));
    let shown = match state.surface {
        Surface::Whole => repository.merge(api(state.clone())).route("/mqtt", any(mqtt::connect)),
        Surface::Repository => repository
            .route("/api/{*path}", any(body::refuse_without_tls))
            .route("/upload/{*path}", any(body::refuse_without_tls))
            .route("/things/{*path}", any(body::refuse_without_tls)),
        Surface::Operations => Router::new().route("/metrics", get(operations::metrics)),
    };
    shown
        .merge(health)
        .fallback(async || Problem::not_found("there is nothing at this address; the repository is under /debian"))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(state)
}

fn api(state: ServerState) -> Router<ServerState> {
    Router::new()
        .route("/api/v1/suites/{suite}/packages", post(packages::publish))
        .route("/api/v1/suites/{suite}/imports", post(imports::import))
        .route("/upload/{file}", put(dput::put_anywhere))
        .route("/upload/{suite}/{file}", put(dput::put_to_suite))
        // The upload is bounded where it is written.
        .layer(DefaultBodyLimit::disable())
        .merge(lists())
        .merge(small_requests())
        .merge(people())
        .merge(fleet())
        .layer(from_fn_with_state(state, idempotency::once))
        .merge(aws())
        .merge(questions())
        .layer(from_fn(unbroken::run))
}

/// With AWS's paths, shapes and errors: what AWS's clients ask.
fn aws() -> Router<ServerState> {
    Router::new()
        .route("/things/{thing}/shadow", get(shadows::get).post(shadows::update).delete(shadows::delete))
        .route("/api/things/shadow/ListNamedShadowsForThing/{thing}", get(shadows::names))
        .method_not_allowed_fallback(ServiceError::method_not_allowed)
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
}

/// Asked with each message of a broker, and changing nothing.
fn questions() -> Router<ServerState> {
    Router::new()
        .route("/api/v1/mqtt/auth/user", post(broker_rights::user))
        .route("/api/v1/mqtt/auth/superuser", post(broker_rights::superuser))
        .route("/api/v1/mqtt/auth/acl", post(broker_rights::acl))
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
}

/// Requests that name many packages or things.
fn lists() -> Router<ServerState> {
    Router::new()
        .route("/api/v1/suites/{suite}/withdrawals", post(suites::withdraw_many))
        .route("/api/v1/provisioning/templates/{template}/serials", post(provisioning::add_serials))
        .route("/api/v1/things", get(things::list).post(things::register))
        .layer(DefaultBodyLimit::max(LONGEST_LIST))
}

fn fleet() -> Router<ServerState> {
    let thing = get(things::show).post(things::create).patch(things::update).delete(things::delete);
    let group = get(groups::show).post(groups::create).patch(groups::update).delete(groups::delete);
    Router::new()
        .route("/api/v1/things/{thing}", thing)
        .route("/api/v1/things/{thing}/thing-groups", get(things::groups))
        .route("/api/v1/things/{thing}/principals", get(things::principals))
        .route("/api/v1/things/{thing}/principals/{certificate}", put(things::attach).delete(things::detach))
        .route("/api/v1/search/things", get(things::search))
        .route("/api/v1/thing-groups", get(groups::list))
        .route("/api/v1/thing-groups/{group}", group)
        .route("/api/v1/thing-groups/{group}/things", get(groups::members))
        .route("/api/v1/thing-groups/{group}/things/{thing}", put(groups::add).delete(groups::remove))
        .route("/api/v1/thing-types", get(thing_types::list))
        .route(
            "/api/v1/thing-types/{type}",
            get(thing_types::show).post(thing_types::create).delete(thing_types::delete),
        )
        .route("/api/v1/thing-types/{type}/deprecate", post(thing_types::deprecate))
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
}

fn people() -> Router<ServerState> {
    let user = get(users::show).post(users::create).patch(users::update).delete(users::delete);
    Router::new()
        .route("/api/v1/users", get(users::list))
        .route("/api/v1/users/{user}", user)
        .route("/api/v1/users/{user}/password", put(users::set_password))
        .route("/api/v1/users/{user}/sessions", delete(users::end_sessions))
        .route("/api/v1/users/{user}/mqtt-tokens", post(sessions::make_token_for))
        .route("/api/v1/users/{user}/things", get(users::things))
        .route("/api/v1/users/{user}/things/{thing}", put(users::give_thing).delete(users::take_thing))
        .route("/api/v1/users/{user}/thing-groups/{group}", put(users::give_group).delete(users::take_group))
        .route("/api/v1/sessions", post(sessions::sign_in))
        .route("/api/v1/session", get(sessions::show).delete(sessions::sign_out))
        .route("/api/v1/session/password", put(sessions::change_password))
        .route("/api/v1/session/things", get(sessions::things))
        .route("/api/v1/session/mqtt-tokens", post(sessions::make_token))
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
}

fn small_requests() -> Router<ServerState> {
    Router::new()
        .route("/api/v1", get(openapi::read))
        .route("/api/v1/openapi.json", get(openapi::document))
        .route("/api/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/tokens/{id}", delete(tokens::revoke))
        .route("/api/v1/suites", get(suites::list).post(suites::create))
        .route("/api/v1/suites/{suite}/contents", get(suites::contents))
        .route("/api/v1/suites/{suite}/contents/{package}", delete(suites::withdraw))
        .route("/api/v1/suites/{suite}/contents/{package}/phase", put(suites::phase))
        .route("/api/v1/suites/{suite}/snapshots", post(suites::freeze))
        .route("/api/v1/suites/{suite}/return", post(suites::return_to))
        .route("/api/v1/suites/{suite}/retention", get(suites::retention).put(suites::set_retention))
        .route("/api/v1/suites/{suite}/promotions", post(suites::promote))
        .route("/api/v1/suites/{suite}/access", get(suites::access).put(suites::set_access))
        .route("/api/v1/audit", get(audit::read))
        .route("/api/v1/certificates", get(certificates::list).post(certificates::register))
        .route("/api/v1/certificates/{id}", get(certificates::describe))
        .route("/api/v1/certificates/{id}/status", put(certificates::set_status))
        .route("/api/v1/device/certificates/create-from-csr", post(provisioning::create_from_csr))
        .route("/api/v1/device/provisioning-templates/{template}/provision", post(provisioning::provision))
        .route("/api/v1/provisioning/claims", post(provisioning::create_claim))
        .route("/api/v1/provisioning/templates", get(provisioning::templates))
        .route(
            "/api/v1/provisioning/templates/{template}",
            get(provisioning::template).put(provisioning::set_template).delete(provisioning::remove_template),
        )
        .route("/api/v1/provisioning/templates/{template}/serials", get(provisioning::serials))
        .route("/api/v1/provisioning/templates/{template}/serials/{serial}", delete(provisioning::remove_serial))
        .route("/api/v1/policies", get(policies::list).post(policies::create))
        .route("/api/v1/policies/{policy}", get(policies::show).delete(policies::delete))
        .route("/api/v1/policies/{policy}/versions", post(policies::create_version))
        .route(
            "/api/v1/policies/{policy}/versions/{version}",
            get(policies::show_version).delete(policies::delete_version),
        )
        .route("/api/v1/policies/{policy}/default-version", put(policies::set_default_version))
        .route("/api/v1/policies/{policy}/targets", get(policy_targets::list))
        .route(
            "/api/v1/policies/{policy}/targets/{kind}/{target}",
            put(policy_targets::attach).delete(policy_targets::detach),
        )
        .route("/api/v1/test-authorization", post(policies::test))
        .layer(DefaultBodyLimit::max(LONGEST_REQUEST))
}
