//! What Mosquitto's log tells of clients that come and go. Pure.

use fleet_protocol::presence::DisconnectReason;
use std::net::IpAddr;

/// Where Mosquitto publishes its log.
pub(super) const LOG: &str = "$SYS/broker/log/";

/// A client came or went. Its name is the common name of its certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Event {
    Came { name: String, address: IpAddr },
    Went { name: String, reason: DisconnectReason },
}

/// How the lines about an end go on behind the client's name, and what they mean. Its name is in the middle, so what a
/// longer name would begin with is looked for first.
const ENDS: [(&str, DisconnectReason); 6] = [
    (" closed its connection.", DisconnectReason::ConnectionLost),
    (" has exceeded timeout, disconnecting.", DisconnectReason::MqttKeepAliveTimeout),
    (" disconnected due to protocol error.", DisconnectReason::ClientError),
    (" disconnected due to malformed packet.", DisconnectReason::ClientError),
    (" disconnected, not authorised.", DisconnectReason::ForbiddenAccess),
    (" disconnected.", DisconnectReason::ClientInitiatedDisconnect),
];

/// What a line says, such as `1795301195: Client 5b3c disconnected.`; none for all other lines.
pub(super) fn read(line: &str) -> Option<Event> {
    let text = line.split_once(": ").map_or(line, |(time, text)| match time.bytes().all(|b| b.is_ascii_digit()) {
        true => text,
        false => line,
    });
    if let Some(rest) = text.strip_prefix("New client connected from ") {
        let (place, rest) = rest.split_once(" as ")?;
        // The user's name stands at the end, behind the client id, which another configuration lets clients choose.
        let (_, name) = rest.trim_end_matches('.').strip_suffix("')")?.rsplit_once(", u'")?;
        let (address, _port) = place.rsplit_once(':')?;
        let address = address.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().ok()?;
        return Some(Event::Came { name: name.to_owned(), address: address.to_canonical() });
    }
    if let Some(name) =
        text.strip_prefix("Socket error on client ").and_then(|rest| rest.strip_suffix(", disconnecting."))
    {
        return Some(Event::Went { name: name.to_owned(), reason: DisconnectReason::ConnectionLost });
    }
    let rest = text.strip_prefix("Client ")?;
    let end = ENDS.iter().find_map(|(end, reason)| Some((rest.strip_suffix(end)?, *reason)));
    let other = || {
        // Later versions say more behind the word.
        let (name, _) = rest.split_once(" disconnected: ")?;
        Some((name, DisconnectReason::ConnectionLost))
    };
    let (name, reason) = end.or_else(other)?;
    Some(Event::Went { name: name.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comings_and_goings_are_told_from_other_lines() {
        let came = |name: &str, address: &str| Event::Came { name: name.to_owned(), address: address.parse().unwrap() };
        let went = |name: &str, reason| Event::Went { name: name.to_owned(), reason };
        use DisconnectReason as R;
        for (line, event) in [
            (
                "1795301195: New client connected from 127.0.0.1:35148 as dev (p2, c1, k60, u'dev').",
                Some(came("dev", "127.0.0.1")),
            ),
            ("New client connected from ::1:4 as 5b 3c (p5, c0, k5, u'5b 3c').", Some(came("5b 3c", "::1"))),
            (
                "1: New client connected from 192.0.2.1:4 as lamp-2 (p2, c1, k60, u'lamp-2'). (p2, c1, k60, u'lamp-1').",
                Some(came("lamp-1", "192.0.2.1")),
            ),
            ("1: Client dev disconnected.", Some(went("dev", R::ClientInitiatedDisconnect))),
            ("1: Client a b closed its connection.", Some(went("a b", R::ConnectionLost))),
            ("1: Client dev has exceeded timeout, disconnecting.", Some(went("dev", R::MqttKeepAliveTimeout))),
            ("1: Client dev disconnected, not authorised.", Some(went("dev", R::ForbiddenAccess))),
            ("1: Client dev disconnected due to protocol error.", Some(went("dev", R::ClientError))),
            ("1: Client dev disconnected: connection closed by client.", Some(went("dev", R::ConnectionLost))),
            ("1: Socket error on client dev, disconnecting.", Some(went("dev", R::ConnectionLost))),
            ("1: Client dev already connected, closing old connection.", None),
            ("1: New connection from 127.0.0.1:35148 on port 21883.", None),
            ("1: New client connected from 127.0.0.1:1 as dev (p2, c1, k60).", None),
            ("1: New client connected from nowhere as dev (p2, c1, k60, u'dev').", None),
            ("", None),
            ("1: Client ", None),
        ] {
            assert_eq!(read(line), event, "{line}");
        }
    }
}
