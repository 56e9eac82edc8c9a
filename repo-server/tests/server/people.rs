//! Users over the API: who may make them, what they are given, and how they sign in.

use crate::running::{Answer, Server, Site, agent};
use fleet_protocol::audit::{AUDIT_PATH, AuditPage};
use fleet_protocol::names::UserName;
use fleet_protocol::people::{
    CreatedSession, MqttToken, PasswordChange, SESSION_MQTT_TOKENS_PATH, SESSION_PASSWORD_PATH, SESSION_PATH,
    SESSION_THINGS_PATH, SESSIONS_PATH, SessionInfo, USERS_PATH, UserInfo, UserPage, password_path, user_group_path,
    user_mqtt_tokens_path, user_path, user_sessions_path, user_thing_path, user_things_path,
};
use fleet_protocol::policies::{AuthorizationAnswer, TEST_AUTHORIZATION_PATH};
use fleet_protocol::policy::Verdict;
use fleet_protocol::things::GroupMembers;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) const PASSWORD: &str = "correct horse battery";

pub(crate) fn anna() -> UserName {
    "anna".parse().unwrap()
}

fn read<T: DeserializeOwned>(status: u16, answer: &Answer) -> T {
    assert_eq!(answer.status, status, "{}", answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

impl Server {
    /// The user `anna`, who is given the group `house`; `kitchen`, which stands in it, holds these things.
    pub(crate) fn furnish(&self, role: &str, things: &[&str]) {
        let made = |method: &str, path: &str, body: Value| {
            let answer = self.ask(method, path, Some(body));
            assert!((200..300).contains(&answer.status), "{method} {path}: {}", answer.text());
        };
        made("POST", "/api/v1/thing-groups/house", json!({}));
        made("POST", "/api/v1/thing-groups/kitchen", json!({ "parentGroupName": "house" }));
        for thing in things {
            made("PUT", &format!("/api/v1/thing-groups/kitchen/things/{thing}"), Value::Null);
        }
        made("POST", &user_path(&anna()), json!({ "role": role, "password": PASSWORD }));
        made("PUT", &user_group_path(&anna(), &"house".parse().unwrap()), Value::Null);
    }

    /// Signs somebody in.
    pub(crate) fn sign_in(&self, user: &str, password: &str) -> Answer {
        let body = json!({ "userName": user, "password": password }).to_string();
        Answer::of(agent().post(self.url(SESSIONS_PATH)).content_type("application/json").send(body))
    }

    /// Asks with a session, or whatever else.
    pub(crate) fn ask_as(&self, secret: &str, method: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {secret}");
        match method {
            "POST" => Answer::of(agent().post(self.url(path)).header("Authorization", bearer).send_empty()),
            "DELETE" => Answer::of(agent().delete(self.url(path)).header("Authorization", bearer).call()),
            _ => self.get(path, &[("Authorization", &bearer)]),
        }
    }

    /// A token for MQTT of `anna`, who signs in.
    pub(crate) fn mqtt_token(&self, query: &str) -> MqttToken {
        let session: CreatedSession = read(201, &self.sign_in("anna", PASSWORD));
        read(201, &self.ask_as(&session.token, "POST", &format!("{SESSION_MQTT_TOKENS_PATH}{query}")))
    }
}

#[test]
fn users_are_made_given_things_and_changed_and_the_log_says_by_whom() {
    let site = Site::new();
    let server = site.start();
    for thing in ["lamp-1", "lamp-2", "bell"] {
        assert_eq!(server.ask("POST", &format!("/api/v1/things/{thing}"), Some(json!({}))).status, 201);
    }
    server.furnish("operator", &["lamp-1", "lamp-2"]);
    let bell = &"bell".parse().unwrap();
    assert_eq!(server.ask("PUT", &user_thing_path(&anna(), bell), None).text(), r#"{"changed":true}"#);
    assert_eq!(server.ask("PUT", &user_thing_path(&anna(), bell), None).text(), r#"{"changed":false}"#);
    let info: UserInfo = read(200, &server.ask("GET", &user_path(&anna()), None));
    assert!(info.user.enabled && info.user.has_password);
    assert_eq!((info.things.len(), info.thing_groups[0].as_str()), (1, "house"));
    let seen: GroupMembers = read(200, &server.ask("GET", &user_things_path(&anna()), None));
    assert_eq!(seen.things, ["bell", "lamp-1", "lamp-2"].map(|name| name.parse().unwrap()));
    let page: UserPage = read(200, &server.ask("GET", USERS_PATH, None));
    assert_eq!((page.users.len(), page.next), (1, None));

    let ask = |action: &str, resource: &str| {
        let asked = json!({ "userName": "anna", "action": action, "resource": resource });
        read::<AuthorizationAnswer>(200, &server.ask("POST", TEST_AUTHORIZATION_PATH, Some(asked)))
    };
    let may = ask("iot:Receive", "sensor/device/bell");
    assert_eq!((may.decision, may.things), (Verdict::Allowed, vec![bell.clone()]));
    assert!(may.reason.contains("policy people"), "{}", may.reason);
    assert_eq!(ask("iot:Receive", "sensor/device/other").decision, Verdict::ImplicitDeny);
    assert_eq!(ask("iot:Publish", "$aws/things/bell/shadow/update").decision, Verdict::Allowed);
    let changed = server.ask_to_patch(&user_path(&anna()), json!({ "role": "viewer" }));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(ask("iot:Publish", "$aws/things/bell/shadow/update").decision, Verdict::ImplicitDeny);
    // A policy of one's own.
    for (method, path) in
        [("PUT", "people-operators/targets/user/anna"), ("DELETE", "people-operators/targets/user/anna")]
    {
        let answer = server.ask(method, &format!("/api/v1/policies/{path}"), None);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let expected = if method == "PUT" { Verdict::Allowed } else { Verdict::ImplicitDeny };
        assert_eq!(ask("iot:Publish", "$aws/things/bell/shadow/update").decision, expected);
    }

    let refused = |method: &str, path: &str, body: Value, status: u16, reason: &str| {
        let problem = server.ask(method, path, Some(body)).problem();
        assert!(problem.status == status && problem.detail.contains(reason), "{path}: {problem:?}");
    };
    refused("POST", &user_path(&anna()), json!({ "role": "viewer" }), 409, "there is a user anna already");
    refused("POST", "/api/v1/users/a%2Fb", json!({ "role": "viewer" }), 400, "is not a user's name");
    refused("POST", "/api/v1/users/.b", json!({ "role": "viewer" }), 422, "begins with a letter");
    refused("POST", "/api/v1/users/b", json!({ "role": "viewer", "password": "short" }), 422, "12 to 128");
    refused("PUT", "/api/v1/users/nobody/things/bell", Value::Null, 404, "there is no user nobody");
    refused("PUT", "/api/v1/users/anna/things/none", Value::Null, 404, "there is no thing none");
    refused("PUT", "/api/v1/users/anna/thing-groups/none", Value::Null, 404, "there is no thing group none");
    let deleted: UserInfo = read(200, &server.ask("DELETE", &user_path(&anna()), None));
    assert_eq!(deleted.things, std::slice::from_ref(bell));
    refused("POST", &user_mqtt_tokens_path(&anna()), Value::Null, 404, "there is no user anna");

    let log: AuditPage = read(200, &server.ask("GET", AUDIT_PATH, None));
    let told: Vec<String> =
        log.entries.iter().map(|entry| format!("{} {}: {}", entry.action, entry.subject, entry.detail)).collect();
    for entry in [
        "user.create anna: operator",
        "user.give anna: the group house",
        "user.give anna: the thing bell",
        "user.update anna: viewer in place of operator",
        "policy.attach people-operators: to the user anna",
        "user.delete anna: viewer",
    ] {
        assert_eq!(told.iter().filter(|line| *line == entry).count(), 1, "{entry}: {told:#?}");
    }
}

#[test]
fn only_an_admin_makes_users_and_an_operator_gives_them_things() {
    let site = Site::new();
    let server = site.start();
    server.furnish("viewer", &[]);
    let token = |role: &str| {
        let made = server.ask("POST", "/api/v1/tokens", Some(json!({ "name": role, "role": role })));
        read::<Value>(201, &made)["secret"].as_str().unwrap().to_owned()
    };
    let (operator, publisher) = (token("operator"), token("publisher"));
    let as_ = |secret: &str, method: &str, path: &str| server.ask_as(secret, method, path).status;
    for (method, path) in [
        ("GET", USERS_PATH.to_owned()),
        ("GET", user_path(&anna())),
        ("GET", user_things_path(&anna())),
        ("POST", user_mqtt_tokens_path(&anna())),
        ("DELETE", user_group_path(&anna(), &"house".parse().unwrap())),
        ("DELETE", user_sessions_path(&anna())),
    ] {
        assert_eq!(as_(&publisher, method, &path), 403, "{method} {path}");
        assert!(matches!(as_(&operator, method, &path), 200 | 201), "{method} {path}");
    }
    assert_eq!(as_(&operator, "DELETE", &user_path(&anna())), 403);
    for path in [user_path(&anna()), user_path(&"berta".parse().unwrap())] {
        let request = agent().post(server.url(&path)).header("Authorization", format!("Bearer {operator}"));
        assert_eq!(Answer::of(request.content_type("application/json").send(r#"{"role":"admin"}"#)).status, 403);
    }
    let request =
        agent().put(server.url(&password_path(&anna()))).header("Authorization", format!("Bearer {operator}"));
    assert_eq!(
        Answer::of(request.content_type("application/json").send(r#"{"password":"anything at all"}"#)).status,
        403
    );
}

#[test]
fn a_session_is_no_api_token_and_an_mqtt_token_is_neither() {
    let site = Site::new();
    let mut server = site.start_logging(&["--http", "127.0.0.1:0"]);
    assert_eq!(server.ask("POST", "/api/v1/things/lamp-1", Some(json!({}))).status, 201);
    server.furnish("admin", &["lamp-1"]);
    assert_eq!(server.sign_in("anna", "wrong password").problem().status, 401);
    assert_eq!(server.sign_in("nobody", PASSWORD).problem().status, 401);
    assert!(server.logged("refused to sign somebody in").contains("anna"));
    let answer = server.sign_in("anna", PASSWORD);
    assert_eq!(answer.header("cache-control"), "no-store");
    let session: CreatedSession = read(201, &answer);
    let who: SessionInfo = read(200, &server.ask_as(&session.token, "GET", SESSION_PATH));
    assert_eq!((who.user.user_name, who.expires_at), (anna(), session.expires_at));
    let things: GroupMembers = read(200, &server.ask_as(&session.token, "GET", SESSION_THINGS_PATH));
    assert_eq!(things.things.len(), 1);
    let token: MqttToken = read(201, &server.ask_as(&session.token, "POST", SESSION_MQTT_TOKENS_PATH));
    assert_eq!(token.url, format!("{}/mqtt", server.bases[0].replace("http://", "ws://")));
    assert!(token.client_id.starts_with("$user/anna/") && token.token.starts_with("dfm_"), "{}", token.client_id);
    let lasts = token.expires_at.duration_since(Timestamp::now()).as_secs();
    assert!((890..=900).contains(&lasts), "{lasts}");
    for bad in ["0", "901", "-1", "x"] {
        let path = format!("{SESSION_MQTT_TOKENS_PATH}?lifetimeSeconds={bad}");
        assert!(matches!(server.ask_as(&session.token, "POST", &path).status, 400 | 422), "{bad}");
    }
    // Each kind of secret opens its own doors only.
    for (secret, path) in [
        (&session.token, USERS_PATH),
        (&session.token, "/api/v1/things"),
        (&token.token, "/api/v1/things"),
        (&token.token, SESSION_PATH),
        (&site.token, SESSION_PATH),
    ] {
        let problem = server.ask_as(secret, "GET", path).problem();
        assert_eq!(problem.status, 401, "{path}: {problem:?}");
    }
    let told = server.ask_as(&session.token, "GET", "/api/v1/things").problem().detail;
    assert!(told.contains("a person's session"), "{told}");
    assert_eq!(server.ask_as(&session.token, "DELETE", SESSION_PATH).status, 200);
    assert_eq!(server.ask_as(&session.token, "GET", SESSION_PATH).problem().status, 401);
    // Nothing that opens a door is to be found afterwards.
    server.signal(rustix::process::Signal::TERM);
    let log = server.log_until("stopping");
    for secret in [PASSWORD, &session.token, &token.token] {
        assert!(!log.contains(secret), "{log}");
        for file in ["debfleet.db", "debfleet.db-wal"] {
            let bytes = std::fs::read(site.data.join(file)).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
        }
    }
}

#[test]
fn whoever_knows_the_old_password_sets_another_one_and_signs_in_again() {
    let site = Site::new();
    let server = site.start();
    server.furnish("viewer", &[]);
    let (mine, elsewhere) = (session(&server), session(&server));
    let change = |session: &str, old: &str, new: &str| {
        let body = PasswordChange { old_password: old.to_owned(), new_password: new.to_owned() };
        let request = agent().put(server.url(SESSION_PASSWORD_PATH)).content_type("application/json");
        let request = request.header("Authorization", format!("Bearer {session}"));
        Answer::of(request.send(serde_json::to_string(&body).unwrap()))
    };
    let new = "another horse battery";
    assert_eq!(change(&mine, "wrong password", new).problem().status, 403);
    assert_eq!(change(&mine, PASSWORD, "short").problem().status, 422);
    assert_eq!(change(&site.token, PASSWORD, new).problem().status, 401);
    assert_eq!(server.ask_as(&mine, "GET", SESSION_PATH).status, 200, "nothing was changed until now");
    assert_eq!(change(&mine, PASSWORD, new).status, 204);
    for ended in [&mine, &elsewhere] {
        assert_eq!(server.ask_as(ended, "GET", SESSION_PATH).problem().status, 401);
    }
    assert_eq!(server.sign_in("anna", PASSWORD).problem().status, 401);
    assert_eq!(server.sign_in("anna", new).status, 201);
    let noted = server.audit("").entries.into_iter().find(|entry| entry.action == "user.password").unwrap();
    assert_eq!(noted.actor, "anna");
    // Guesses at the old one are counted with those at the door.
    let session = read::<CreatedSession>(201, &server.sign_in("anna", new)).token;
    let mut answers = std::iter::repeat_with(|| change(&session, "wrong password", new).status).take(20);
    assert!(answers.any(|status| status == 429));
}

/// A session of `anna`.
pub(crate) fn session(server: &Server) -> String {
    read::<CreatedSession>(201, &server.sign_in("anna", PASSWORD)).token
}
