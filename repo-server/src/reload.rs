//! SIGHUP: settings and files are read again. What is wrong in them changes nothing, and is said in the log.

use crate::certificate::Certificate;
use crate::config::{Settings, SettingsSource};
use crate::logging::LogControl;
use crate::repository::Repository;
use debian_formats::openpgp::Fingerprint;
use std::sync::Arc;

/// What can be changed while the server runs.
pub(crate) struct Reloader {
    pub(crate) source: SettingsSource,
    /// As the server was started with.
    pub(crate) started_with: Settings,
    pub(crate) log: LogControl,
    pub(crate) repository: Arc<Repository>,
    /// None without HTTPS and MQTT.
    pub(crate) certificate: Option<Arc<Certificate>>,
}

impl Reloader {
    /// Reads everything again. Each part that is wrong stays as it was; the others are taken over.
    pub(crate) async fn reload(self: &Arc<Self>) {
        let reloader = self.clone();
        match tokio::task::spawn_blocking(move || reloader.read_again()).await {
            Ok(true) => self.repository.sign_anew().await,
            Ok(false) => {}
            Err(error) => return tracing::error!(%error, "reloading failed"),
        }
        tracing::info!("reloaded");
    }

    /// Gives whether other keys sign from now on. Blocks.
    fn read_again(&self) -> bool {
        match self.source.read() {
            Ok(settings) => self.take_over(&settings),
            Err(error) => {
                tracing::error!(%error, "could not reload the settings; those of before stay");
            }
        }
        match self.repository.reload_package_keys() {
            Ok(keys) => {
                tracing::info!(keys = join(&keys), "packages are taken in when signed by these keys");
            }
            Err(error) => tracing::error!(%error, "could not reload the package keys; those of before stay"),
        }
        match self.repository.reload_keys() {
            Ok(None) => false,
            Ok(Some(keys)) => {
                tracing::info!(keys = join(&keys), "these keys sign the repository from now on");
                true
            }
            Err(error) => {
                tracing::error!(%error, "could not reload the repository keys; those of before sign");
                false
            }
        }
    }

    fn take_over(&self, settings: &Settings) {
        self.log.set(&settings.log);
        tracing::info!(log = %settings.log, "log level");
        if let Some(certificate) = &self.certificate {
            match certificate.reload(settings) {
                Ok(()) => tracing::info!("new connections are shown the certificate as it is now"),
                Err(error) => tracing::error!(%error, "could not reload the certificate; that of before stays"),
            }
        }
        for setting in needs_restart(&self.started_with, settings) {
            tracing::warn!(setting, "this setting was changed; it takes effect when the server is restarted");
        }
    }
}

fn join(keys: &[Fingerprint]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// The settings that differ and can only be taken over by a new process.
fn needs_restart(before: &Settings, now: &Settings) -> Vec<&'static str> {
    // Taken apart, so that a new setting cannot be forgotten here.
    let Settings {
        data,
        http,
        https,
        mqtts,
        mqtt_violations,
        broker,
        metrics,
        tls: _,
        host_names: _,
        max_upload,
        backends,
        trusted_proxies,
        web_origins,
        log: _,
        log_format,
    } = before;
    let differs = [
        ("data", *data != now.data),
        ("http", *http != now.http),
        ("https", *https != now.https),
        ("mqtts", *mqtts != now.mqtts),
        ("mqtt-violations", *mqtt_violations != now.mqtt_violations),
        ("broker", *broker != now.broker),
        ("metrics", *metrics != now.metrics),
        ("max-upload", *max_upload != now.max_upload),
        ("database or storage", *backends != now.backends),
        ("trusted-proxies", *trusted_proxies != now.trusted_proxies),
        ("web-origin", *web_origins != now.web_origins),
        ("log-format", *log_format != now.log_format),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(setting, _)| setting).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawSettings;

    #[test]
    fn what_needs_a_restart_is_named_and_what_does_not_is_not() {
        let settings = |toml: &str| toml::from_str::<RawSettings>(toml).unwrap().check(&[]).unwrap();
        let before = settings("data = '/d'\nhttp = '127.0.0.1:1'\nlog = 'info'");
        let now = settings("data = '/d'\nhttp = '127.0.0.1:2'\nlog = 'debug'\ntrusted-proxies = ['::1']");
        assert_eq!(needs_restart(&before, &before), Vec::<&str>::new());
        assert_eq!(needs_restart(&before, &now), ["http", "trusted-proxies"]);
    }
}
