//! Mosquitto's configuration. Pure.

use std::path::Path;

/// As the embedded broker has them: AWS IoT's limits.
const LONGEST_PACKET: u32 = 146 << 10;
const LONGEST_PAYLOAD: u32 = 128 << 10;
const MOST_INFLIGHT: u16 = 100;
const MOST_TOPIC_ALIASES: u16 = 8;
/// For each client, the server among them: to it all devices speak.
const MOST_QUEUED: u32 = 10_000;

/// What is written of the broker's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listeners {
    pub(super) mqtts: u16,
    pub(super) websockets: Option<u16>,
    /// Whether there is a list of certificates that do not count.
    pub(super) has_revocation_list: bool,
}

/// The files of the folder.
pub(super) const CONFIGURATION: &str = "mosquitto.conf";
pub(super) const OWN_SETTINGS: &str = "conf.d";
pub(super) const ACCESS_LIST: &str = "acl";
pub(super) const AUTHORITY: &str = "fleet-ca.pem";
pub(super) const CERTIFICATE: &str = "broker.pem";
pub(super) const KEY: &str = "broker.key";
pub(super) const REVOCATION_LIST: &str = "revoked.pem";
pub(super) const PROCESS: &str = "mosquitto.pid";

/// `mosquitto.conf`. The paths are those of the folder, which has neither blanks nor line feeds in its name.
pub(super) fn configuration(folder: &Path, listeners: &Listeners) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    let (acl, pid, own) = (at(ACCESS_LIST), at(PROCESS), at(OWN_SETTINGS));
    let mut text = format!(
        "# Written by debfleet-server when it starts: what is changed here is lost. Put settings of your own into files\n\
         # *.conf in {own}.\n\
         per_listener_settings false\n\
         allow_anonymous false\n\
         acl_file {acl}\n\
         pid_file {pid}\n\
         \n\
         # Who comes and goes is told to debfleet-server by the log.\n\
         log_dest topic\n\
         log_dest stderr\n\
         log_type error\n\
         log_type warning\n\
         log_type notice\n\
         connection_messages true\n\
         \n\
         # The list of rights cannot tell retained messages from others, and policies do (iot:RetainPublish).\n\
         retain_available false\n\
         persistence true\n\
         persistence_location {}/\n\
         autosave_interval 60\n\
         persistent_client_expiration 7d\n\
         max_packet_size {LONGEST_PACKET}\n\
         message_size_limit {LONGEST_PAYLOAD}\n\
         max_inflight_messages {MOST_INFLIGHT}\n\
         max_queued_messages {MOST_QUEUED}\n\
         set_tcp_nodelay true\n",
        folder.display(),
    );
    text += &listener(&at, listeners.mqtts, "mqtt", listeners.has_revocation_list);
    if let Some(port) = listeners.websockets {
        text += &listener(&at, port, "websockets", listeners.has_revocation_list);
    }
    text + &format!("\ninclude_dir {own}\n")
}

/// A client is who its certificate says, and is called by that: none takes another's client id, and with it its session.
fn listener(at: &impl Fn(&str) -> String, port: u16, protocol: &str, has_revocation_list: bool) -> String {
    let (ca, certificate, key) = (at(AUTHORITY), at(CERTIFICATE), at(KEY));
    let revoked = if has_revocation_list { format!("crlfile {}\n", at(REVOCATION_LIST)) } else { String::new() };
    format!(
        "\nlistener {port}\n\
         protocol {protocol}\n\
         cafile {ca}\n\
         certfile {certificate}\n\
         keyfile {key}\n\
         {revoked}\
         tls_version tlsv1.2\n\
         require_certificate true\n\
         use_identity_as_username true\n\
         use_username_as_clientid true\n\
         max_qos 1\n\
         max_topic_alias {MOST_TOPIC_ALIASES}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listener_wants_a_certificate_and_looks_at_the_list() {
        let listeners = Listeners { mqtts: 8883, websockets: Some(9443), has_revocation_list: true };
        let text = configuration(Path::new("/srv/m"), &listeners);
        for line in [
            "require_certificate true",
            "use_identity_as_username true",
            "use_username_as_clientid true",
            "crlfile /srv/m/revoked.pem",
            "cafile /srv/m/fleet-ca.pem",
        ] {
            assert_eq!(text.lines().filter(|found| *found == line).count(), 2, "{line} in\n{text}");
        }
        assert!(text.contains("listener 9443\nprotocol websockets\n") && text.contains("allow_anonymous false\n"));
        assert!(text.ends_with("include_dir /srv/m/conf.d\n"));
        let without = Listeners { websockets: None, has_revocation_list: false, ..listeners };
        let text = configuration(Path::new("/srv/m"), &without);
        assert!(!text.contains("crlfile") && !text.contains("websockets"));
    }
}
