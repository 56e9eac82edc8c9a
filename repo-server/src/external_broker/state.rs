//! How the server stands with its broker, for readiness, metrics and the log.

use crate::config::{BrokerKind, BrokerSettings};
use crate::metrics::Metrics;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What others see of the connection.
#[derive(Debug, Clone)]
pub(crate) struct BrokerState(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: BrokerSettings,
    connected: AtomicBool,
    gauge: Gauge,
}

impl BrokerState {
    pub(super) fn new(broker: &BrokerSettings, metrics: &Metrics) -> Self {
        let gauge = metrics.broker_connected(broker.kind.as_str());
        gauge.set(0);
        Self(Arc::new(Inner { broker: broker.clone(), connected: AtomicBool::new(false), gauge }))
    }

    /// Whether the broker took this server in.
    pub(crate) fn is_connected(&self) -> bool {
        self.0.connected.load(Ordering::Acquire)
    }

    /// Where it is.
    pub(crate) fn broker(&self) -> &BrokerSettings {
        &self.0.broker
    }

    /// Whether shadows are the broker's own.
    pub(crate) fn has_shadows(&self) -> bool {
        self.0.broker.kind == BrokerKind::Aws
    }

    pub(super) fn set(&self, connected: bool) {
        self.0.connected.store(connected, Ordering::Release);
        self.0.gauge.set(i64::from(connected));
    }
}
