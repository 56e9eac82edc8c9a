//! A health check over HTTP.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::Agent;
use ureq::http::StatusCode;
use ureq::tls::{RootCerts, TlsConfig};

/// Whether a GET of this URL is answered with a status from 200 to 399; redirects are not followed.
pub(crate) fn answers(url: &str, timeout: Duration) -> Result<(), String> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(timeout));
    if url.starts_with("https://") {
        let roots = crate::repository::authorities(Path::new(crate::repository::SYSTEM_ROOTS))
            .map_err(|error| error.to_string())?;
        let roots = RootCerts::Specific(Arc::new(roots));
        config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
    }
    let agent: Agent = config.build().into();
    let response = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    let status = response.status();
    if status.is_success() || (status.is_redirection() && status != StatusCode::NOT_MODIFIED) {
        return Ok(());
    }
    Err(format!("{url} answered {status}"))
}
