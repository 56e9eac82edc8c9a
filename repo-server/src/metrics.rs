//! What the server counts, for Prometheus (the OpenMetrics text format). No label has a value that a stranger chooses.

use jiff::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::fmt;
use std::time::Duration;

/// Upper bounds in seconds. A small suite takes some milliseconds, one of Debian's size half a second.
const PUBLISH_BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabel {
    route: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabel {
    listener: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabel {
    direction: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabel {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct BrokerLabel {
    broker: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SuiteLabel {
    suite: String,
}

/// Everything that is counted by one server.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    /// Those of the requests that there are most of, found without a look into the family.
    usual: [(RequestLabels, Counter); 5],
    sent: Family<RouteLabel, Counter>,
    uploads: Family<OutcomeLabel, Counter>,
    publishing: Histogram,
    connections: Family<ListenerLabel, Gauge>,
    suites: Family<SuiteLabel, Gauge>,
    mqtt_messages: Family<DirectionLabel, Counter>,
    mqtt_refused: Family<ReasonLabel, Counter>,
    mqtt_dropped: Family<ReasonLabel, Counter>,
    broker_connected: Family<BrokerLabel, Gauge>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("debfleet");
        let requests = Family::<RequestLabels, Counter>::default();
        let usual = [("index", 200), ("index", 304), ("pool", 200), ("pool", 206), ("pool", 304)];
        let usual = usual.map(|(route, status)| {
            let labels = RequestLabels { route, status };
            let counter = requests.get_or_create_owned(&labels);
            (labels, counter)
        });
        registry.register("http_requests", "Requests answered, by route and status", requests.clone());
        let sent = Family::default();
        let help = "Bytes of response bodies sent, by route";
        registry.register_with_unit("http_sent", help, Unit::Bytes, sent.clone());
        let uploads = Family::default();
        registry.register("uploads", "Uploads, by what became of them", uploads.clone());
        let publishing = Histogram::new(PUBLISH_BUCKETS);
        let help = "From the last byte of an upload to its publication";
        registry.register_with_unit("publish", help, Unit::Seconds, publishing.clone());
        let connections = Family::default();
        registry.register("connections", "Open connections, by listener", connections.clone());
        let suites = Family::default();
        let help = "Time until the suite's Release is no longer valid";
        registry.register_with_unit("suite_valid", help, Unit::Seconds, suites.clone());
        let mqtt_messages = Family::default();
        registry.register("mqtt_messages", "MQTT messages, by direction", mqtt_messages.clone());
        let mqtt_refused = Family::default();
        let help = "What MQTT clients asked for and were refused, by reason";
        registry.register("mqtt_refused", help, mqtt_refused.clone());
        let mqtt_dropped = Family::default();
        registry.register("mqtt_dropped", "MQTT messages that a client lost, by reason", mqtt_dropped.clone());
        let broker_connected = Family::default();
        let help = "Whether the external MQTT broker is connected";
        registry.register("broker_connected", help, broker_connected.clone());
        Self {
            registry,
            requests,
            usual,
            sent,
            uploads,
            publishing,
            connections,
            suites,
            mqtt_messages,
            mqtt_refused,
            mqtt_dropped,
            broker_connected,
        }
    }

    /// A response began.
    pub(crate) fn answered(&self, route: &'static str, status: u16) {
        let labels = RequestLabels { route, status: status.into() };
        match self.usual.iter().find(|(usual, _)| *usual == labels) {
            Some((_, counter)) => counter.inc(),
            None => self.requests.get_or_create(&labels).inc(),
        };
    }

    /// A further part of a response's body is on its way.
    pub(crate) fn sent(&self, route: &'static str, bytes: u64) {
        self.sent.get_or_create(&RouteLabel { route }).inc_by(bytes);
    }

    /// An upload came to an end. `outcome` is one of few words.
    pub(crate) fn upload(&self, outcome: &'static str) {
        let outcome = outcome.to_ascii_lowercase().replace(' ', "-");
        self.uploads.get_or_create(&OutcomeLabel { outcome }).inc();
    }

    /// A package was published, so long after its last byte.
    pub(crate) fn published(&self, duration: Duration) {
        self.publishing.observe(duration.as_secs_f64());
    }

    /// The connections of a listener; the caller counts them up and down.
    pub(crate) fn connections(&self, listener: &'static str) -> Gauge {
        self.connections.get_or_create_owned(&ListenerLabel { listener })
    }

    /// A message came `in` from a client or went `out` to one.
    pub(crate) fn mqtt_message(&self, direction: &'static str) {
        self.mqtt_messages.get_or_create(&DirectionLabel { direction }).inc();
    }

    /// A client was refused something.
    pub(crate) fn mqtt_refused(&self, reason: &'static str) {
        self.mqtt_refused.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// A message did not reach a client that should have got it.
    pub(crate) fn mqtt_dropped(&self, reason: &'static str) {
        self.mqtt_dropped.get_or_create(&ReasonLabel { reason }).inc();
    }

    /// Whether there is a connection to an external broker of this kind; 1 or 0.
    pub(crate) fn broker_connected(&self, broker: &'static str) -> Gauge {
        self.broker_connected.get_or_create_owned(&BrokerLabel { broker })
    }

    /// Everything as text. What the suites are worth is known only now.
    pub(crate) fn render<S: fmt::Display>(
        &self,
        now: Timestamp,
        suites: impl IntoIterator<Item = (S, Timestamp)>,
    ) -> Result<String, fmt::Error> {
        // A suite that is gone is not told of.
        self.suites.clear();
        for (suite, valid_until) in suites {
            let left = valid_until.duration_since(now).as_secs();
            self.suites.get_or_create(&SuiteLabel { suite: suite.to_string() }).set(left);
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_has_what_was_counted_and_no_suite_that_is_gone() {
        let metrics = Metrics::new();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        metrics.answered("index", 304);
        metrics.sent("index", 2000);
        metrics.upload("Package refused");
        metrics.published(Duration::from_millis(7));
        metrics.connections("http").inc();
        metrics.render(now, [("gone", now)]).unwrap();
        let text = metrics.render(now, [("stable", now + jiff::SignedDuration::from_secs(60))]).unwrap();
        for line in [
            "debfleet_http_requests_total{route=\"index\",status=\"304\"} 1",
            "debfleet_http_sent_bytes_total{route=\"index\"} 2000",
            "debfleet_uploads_total{outcome=\"package-refused\"} 1",
            "debfleet_publish_seconds_bucket{le=\"0.005\"} 0",
            "debfleet_publish_seconds_bucket{le=\"0.01\"} 1",
            "debfleet_connections{listener=\"http\"} 1",
            "debfleet_suite_valid_seconds{suite=\"stable\"} 60",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
        assert!(!text.contains("gone"));
    }
}
