//! Under which client ids a certificate or a person may connect: a client that could take another's id would get that one's
//! messages.

use super::identity::Device;
use fleet_protocol::names::UserName;
use fleet_protocol::people::client_id_prefix;

/// AWS: at most 128 bytes.
const LONGEST_CLIENT_ID: usize = 128;

/// Why a client is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("a client id has 1 to {LONGEST_CLIENT_ID} bytes, and no control characters, `+` or `#`")]
    ClientId,
    #[error("the client id is neither {0} nor begins with {0}/")]
    OthersClientId(String),
    #[error("the client id is the name of a thing that the certificate is not attached to")]
    OthersThing,
    #[error("the client id of a person begins with {0}, and goes on")]
    NotOfPerson(String),
}

/// A certificate of things may use their names, and what begins with one and a slash. One that is attached to none has its
/// common name; one that claims may call itself anything that is no thing's name and has no slash.
pub(super) fn check_client_id(client_id: &str, identity: &Device, is_thing: bool) -> Result<(), Refusal> {
    check_form(client_id)?;
    let is_below =
        |name: &str| client_id.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if identity.is_claim {
        return if is_thing || client_id.contains('/') { Err(Refusal::OthersThing) } else { Ok(()) };
    }
    match identity.things.as_slice() {
        [] if is_thing => Err(Refusal::OthersThing),
        [] if is_below(&identity.common_name) => Ok(()),
        [] => Err(Refusal::OthersClientId(identity.common_name.clone())),
        things if things.iter().any(|thing| is_below(thing.as_str())) => Ok(()),
        [first, ..] => Err(Refusal::OthersClientId(first.to_string())),
    }
}

/// A person's begins with a prefix that no certificate may use.
pub(super) fn check_client_id_of_person(client_id: &str, user: &UserName) -> Result<(), Refusal> {
    check_form(client_id)?;
    let prefix = client_id_prefix(user);
    match client_id.strip_prefix(&prefix) {
        Some(rest) if !rest.is_empty() => Ok(()),
        _ => Err(Refusal::NotOfPerson(prefix)),
    }
}

fn check_form(client_id: &str) -> Result<(), Refusal> {
    let is_plain = |c: char| !c.is_control() && c != '+' && c != '#';
    match (1..=LONGEST_CLIENT_ID).contains(&client_id.len()) && client_id.chars().all(is_plain) {
        true => Ok(()),
        false => Err(Refusal::ClientId),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::ClientCertificate;
    use jiff::Timestamp;
    use std::sync::Arc;

    fn identity(common_name: &str, things: &[&str], is_claim: bool) -> Device {
        let shown = ClientCertificate {
            id: "0".repeat(64).parse().unwrap(),
            serial: "1".parse().unwrap(),
            subject: String::new(),
            common_name: None,
            not_before: Timestamp::MIN,
            not_after: Timestamp::MAX,
            public_key: String::new(),
        };
        Device {
            shown: Arc::new(shown),
            common_name: common_name.to_owned(),
            things: things.iter().map(|thing| thing.parse().unwrap()).collect(),
            is_claim,
            is_new: false,
        }
    }

    #[test]
    fn nobody_connects_under_anothers_name() {
        let lamp = identity("anything", &["lamp-1", "lamp-2"], false);
        for good in ["lamp-1", "lamp-2", "lamp-1/shell"] {
            assert_eq!(check_client_id(good, &lamp, true), Ok(()), "{good}");
        }
        for bad in ["lamp-3", "lamp-11", "anything", "lamp", "/lamp-1"] {
            assert!(matches!(check_client_id(bad, &lamp, false), Err(Refusal::OthersClientId(_))), "{bad}");
        }
        for bad in ["", "lamp-1/#", "lamp-1/+", "lamp-1/\n", &"a".repeat(129)] {
            assert_eq!(check_client_id(bad, &lamp, false), Err(Refusal::ClientId), "{bad:?}");
        }
        let unattached = identity("gateway", &[], false);
        assert_eq!(check_client_id("gateway/1", &unattached, false), Ok(()));
        assert_eq!(check_client_id("gateway", &unattached, true), Err(Refusal::OthersThing));
        assert!(check_client_id("lamp-1", &unattached, false).is_err());
        let claim = identity("claim", &[], true);
        assert_eq!(check_client_id("4711", &claim, false), Ok(()));
        assert_eq!(check_client_id("lamp-1", &claim, true), Err(Refusal::OthersThing));
        assert_eq!(check_client_id("lamp-1/x", &claim, false), Err(Refusal::OthersThing));
        for device in [&lamp, &unattached, &claim] {
            assert!(check_client_id("$user/anna/1", device, false).is_err(), "it is a person's");
        }
    }

    #[test]
    fn a_person_connects_under_no_name_but_their_own() {
        let anna = "anna".parse().unwrap();
        assert_eq!(check_client_id_of_person("$user/anna/1", &anna), Ok(()));
        for bad in ["$user/anna/", "$user/anna", "$user/annabel/1", "$user/berta/1", "anna", "lamp-1", "anna/1"] {
            assert!(matches!(check_client_id_of_person(bad, &anna), Err(Refusal::NotOfPerson(_))), "{bad}");
        }
        for bad in ["", "$user/anna/#", "$user/anna/+", &format!("$user/anna/{}", "a".repeat(128))] {
            assert_eq!(check_client_id_of_person(bad, &anna), Err(Refusal::ClientId), "{bad}");
        }
    }
}
