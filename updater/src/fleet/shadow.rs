//! One shadow as the device sees it: what the server is known to hold, and what is to be sent next. Pure.

use super::patch::patch;
use fleet_protocol::names::{ShadowName, ThingName};
use serde_json::{Map, Value, json};

/// A message to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: String,
}

/// What the server holds of a shadow's reported state, as far as the device knows.
#[derive(Debug)]
pub(super) struct Mirror {
    prefix: String,
    held: Held,
    /// Of the newest message that was heard over this connection.
    version: i64,
    /// An interval has passed and no answer has come.
    unanswered: bool,
}

#[derive(Debug)]
enum Held {
    /// It is asked for, or would be if there were a connection.
    Unknown,
    Known(Map<String, Value>),
    /// A change is on its way that makes this of it.
    Changing(Map<String, Value>),
    /// The server did not take what it was told, and would not the next time.
    Refused,
}

/// What a message from the server means for whoever owns the mirror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Something that another one asked, or nothing new.
    Nothing,
    /// What the server holds is known now.
    Settled,
    /// This is wanted, and not reported yet.
    Wanted(Map<String, Value>),
    /// The server did not take the last change.
    Refused(String),
}

/// The code of an error answer: there is no such shadow yet.
const NOT_FOUND: i64 = 404;

impl Mirror {
    pub(super) fn new(thing: &ThingName, name: &ShadowName) -> Self {
        Self {
            prefix: format!("$aws/things/{thing}/shadow/name/{name}"),
            held: Held::Unknown,
            version: 0,
            unanswered: false,
        }
    }

    /// The topics that answers and wishes come on.
    pub(super) fn topics(&self) -> Vec<String> {
        ["get/accepted", "get/rejected", "update/accepted", "update/rejected", "update/delta"]
            .map(|rest| format!("{}/{rest}", self.prefix))
            .to_vec()
    }

    /// A new connection: what the server holds may be anything.
    pub(super) fn ask(&mut self) -> Message {
        self.version = 0;
        self.question()
    }

    fn question(&mut self) -> Message {
        (self.held, self.unanswered) = (Held::Unknown, false);
        Message { topic: format!("{}/get", self.prefix), payload: "{}".to_owned() }
    }

    /// The question to be asked again: a broker may take a message and have nobody to pass it on to. To be called in
    /// intervals; an answer has at least one of them.
    pub(super) fn ask_again(&mut self) -> Option<Message> {
        match self.held {
            Held::Known(_) | Held::Refused => None,
            Held::Unknown | Held::Changing(_) if self.unanswered => Some(self.question()),
            Held::Unknown | Held::Changing(_) => {
                self.unanswered = true;
                None
            }
        }
    }

    /// The change that is to be sent for the server to hold what is so; none if it does, or if it is not known yet what
    /// it holds.
    pub(super) fn report(&mut self, wanted: &Map<String, Value>) -> Option<Message> {
        let Held::Known(known) = &self.held else { return None };
        let change = patch(known, wanted)?;
        (self.held, self.unanswered) = (Held::Changing(wanted.clone()), false);
        let payload = json!({ "state": { "reported": change } }).to_string();
        Some(Message { topic: format!("{}/update", self.prefix), payload })
    }

    /// Takes in a message; none if it is not about this shadow.
    pub(super) fn hear(&mut self, topic: &str, payload: &[u8]) -> Option<Heard> {
        let rest = topic.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        let message: Value = serde_json::from_slice(payload).unwrap_or_default();
        let object = |pointer: &str| message.pointer(pointer).and_then(Value::as_object).cloned();
        // What was wished before must not come back when an answer is overtaken.
        if let Some(version) = message.get("version").and_then(Value::as_i64) {
            if version < self.version {
                return Some(Heard::Nothing);
            }
            self.version = version;
        }
        Some(match rest {
            "get/accepted" => {
                self.held = Held::Known(object("/state/reported").unwrap_or_default());
                object("/state/delta").map_or(Heard::Settled, Heard::Wanted)
            }
            "get/rejected" if message.get("code").and_then(Value::as_i64) == Some(NOT_FOUND) => {
                self.held = Held::Known(Map::new());
                Heard::Settled
            }
            "update/accepted" => match std::mem::replace(&mut self.held, Held::Unknown) {
                // What somebody else changed is not the device's to keep track of: it has no right to report.
                Held::Changing(wanted) if message.pointer("/state/reported").is_some() => {
                    self.held = Held::Known(wanted);
                    Heard::Settled
                }
                other => {
                    self.held = other;
                    Heard::Nothing
                }
            },
            "update/delta" => object("/state").map_or(Heard::Nothing, Heard::Wanted),
            "get/rejected" | "update/rejected" => {
                // What it holds is asked for again with the next connection.
                self.held = Held::Refused;
                Heard::Refused(String::from_utf8_lossy(payload).chars().take(500).collect())
            }
            _ => Heard::Nothing,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror() -> Mirror {
        Mirror::new(&"lamp".parse().unwrap(), &"$package".parse().unwrap())
    }

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    const PREFIX: &str = "$aws/things/lamp/shadow/name/$package";

    fn hear(mirror: &mut Mirror, rest: &str, message: Value) -> Option<Heard> {
        mirror.hear(&format!("{PREFIX}/{rest}"), message.to_string().as_bytes())
    }

    #[test]
    fn only_what_differs_is_sent_and_only_once() {
        let mut mirror = mirror();
        let installed = map(json!({"hi": {"version": "1.1-1"}}));
        assert_eq!(mirror.report(&installed), None, "before it is known what the server holds");
        assert_eq!(mirror.ask().topic, format!("{PREFIX}/get"));
        let held = json!({"state": {"reported": {"hi": {"version": "1.0-1"}, "old": {"version": "1"}}}});
        assert_eq!(hear(&mut mirror, "get/accepted", held), Some(Heard::Settled));
        let sent = mirror.report(&installed).unwrap();
        assert_eq!(sent.topic, format!("{PREFIX}/update"));
        let payload: Value = serde_json::from_str(&sent.payload).unwrap();
        assert_eq!(payload, json!({"state": {"reported": {"hi": {"version": "1.1-1"}, "old": null}}}));
        assert_eq!(mirror.report(&installed), None, "it is on its way");
        let accepted = json!({"state": {"reported": {"hi": {"version": "1.1-1"}, "old": null}}});
        assert_eq!(hear(&mut mirror, "update/accepted", accepted), Some(Heard::Settled));
        assert_eq!(mirror.report(&installed), None, "the server holds it");
        assert!(mirror.report(&Map::new()).is_some());
    }

    #[test]
    fn a_shadow_that_is_not_there_yet_is_made() {
        let mut mirror = mirror();
        mirror.ask();
        assert_eq!(hear(&mut mirror, "get/rejected", json!({"code": 404})), Some(Heard::Settled));
        assert!(mirror.report(&map(json!({"hi": {"version": "1"}}))).is_some());
    }

    #[test]
    fn what_nobody_answers_is_asked_again_and_what_was_refused_is_not() {
        let mut mirror = mirror();
        mirror.ask();
        assert_eq!(mirror.ask_again(), None, "the answer is on its way");
        assert_eq!(mirror.ask_again().unwrap().topic, format!("{PREFIX}/get"));
        hear(&mut mirror, "get/rejected", json!({"code": 404}));
        assert_eq!([mirror.ask_again(), mirror.ask_again()], [None, None]);
        assert!(mirror.report(&map(json!({"a": 1}))).is_some());
        assert_eq!(mirror.ask_again(), None);
        assert!(mirror.ask_again().is_some(), "the change may be lost, too");
        hear(&mut mirror, "get/accepted", json!({"state": {}}));
        mirror.report(&map(json!({"a": 1})));
        hear(&mut mirror, "update/rejected", json!({"code": 413}));
        assert_eq!([mirror.ask_again(), mirror.ask_again()], [None, None]);
    }

    #[test]
    fn an_answer_that_was_overtaken_is_passed_over_until_the_next_connection() {
        let mut mirror = mirror();
        mirror.ask();
        let delta = |version: i64, wish: i64| json!({"version": version, "state": {"update": wish}});
        assert_eq!(hear(&mut mirror, "update/delta", delta(7, 2)), Some(Heard::Wanted(map(json!({"update": 2})))));
        let late = json!({"version": 6, "state": {"delta": {"update": 1}}});
        assert_eq!(hear(&mut mirror, "get/accepted", late), Some(Heard::Nothing));
        assert_eq!(hear(&mut mirror, "update/delta", delta(5, 0)), Some(Heard::Nothing));
        // It may have been deleted meanwhile, and begin anew.
        mirror.ask();
        assert_eq!(hear(&mut mirror, "update/delta", delta(1, 3)), Some(Heard::Wanted(map(json!({"update": 3})))));
    }

    #[test]
    fn a_wish_is_heard_at_once_and_at_the_next_connection() {
        let mut mirror = mirror();
        let wish = map(json!({"update": {"operation": "update"}}));
        let delta = json!({"version": 3, "state": wish});
        assert_eq!(hear(&mut mirror, "update/delta", delta), Some(Heard::Wanted(wish.clone())));
        let got = json!({"state": {"desired": wish, "delta": wish}});
        assert_eq!(hear(&mut mirror, "get/accepted", got), Some(Heard::Wanted(wish)));
    }

    #[test]
    fn what_others_change_or_garble_changes_nothing() {
        let mut mirror = mirror();
        mirror.ask();
        hear(&mut mirror, "get/accepted", json!({"state": {"reported": {"a": 1}}}));
        let desired = json!({"state": {"desired": {"x": 1}}});
        assert_eq!(hear(&mut mirror, "update/accepted", desired), Some(Heard::Nothing));
        assert_eq!(mirror.hear(&format!("{PREFIX}/update/delta"), b"\xff{"), Some(Heard::Nothing));
        assert_eq!(mirror.hear("$aws/things/lamp/shadow/name/$package2/update/delta", b"{}"), None);
        assert_eq!(mirror.report(&map(json!({"a": 1}))), None);
    }

    #[test]
    fn a_refused_change_is_told() {
        let mut mirror = mirror();
        mirror.ask();
        hear(&mut mirror, "get/rejected", json!({"code": 404}));
        mirror.report(&map(json!({"a": 1})));
        let refused = hear(&mut mirror, "update/rejected", json!({"code": 413, "message": "too large"}));
        assert!(matches!(refused, Some(Heard::Refused(text)) if text.contains("too large")));
    }
}
