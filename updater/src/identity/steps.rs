//! What a provisioning does next, decided from what is on the disk alone: so it goes on after a power cut.

use super::files::{Identity, Issued, Unfinished};
use jiff::{SignedDuration, Timestamp};

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// Nothing has begun.
    MakeKey,
    /// There is a key.
    AskForCertificate { key: &'a str },
    /// There is a certificate for it that counts for nothing yet.
    Register { key: &'a str, issued: &'a Issued },
    /// The device has its identity.
    Done(&'a Identity),
}

/// The server's ownership tokens last an hour; later a new certificate is asked for.
const TOKEN_LASTS: SignedDuration = SignedDuration::from_mins(55);

/// The step that follows. A device's clock may jump; a token from the future is as good as an old one.
pub(super) fn next<'a>(identity: Option<&'a Identity>, unfinished: Option<&'a Unfinished>, now: Timestamp) -> Step<'a> {
    if let Some(identity) = identity {
        return Step::Done(identity);
    }
    let Some(Unfinished { key, issued }) = unfinished else { return Step::MakeKey };
    match issued {
        Some(issued) if now.duration_since(issued.at).abs() < TOKEN_LASTS => Step::Register { key, issued },
        _ => Step::AskForCertificate { key },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provisioning_goes_on_where_it_was_cut_off() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let issued = |minutes| Issued {
            certificate: "pem".into(),
            certificate_id: "a".repeat(64).parse().unwrap(),
            ownership_token: "token".into(),
            at: now - SignedDuration::from_mins(minutes),
        };
        let unfinished = |issued| Unfinished { key: "key".into(), issued };
        assert_eq!(next(None, None, now), Step::MakeKey);
        assert_eq!(next(None, Some(&unfinished(None)), now), Step::AskForCertificate { key: "key" });
        let fresh = unfinished(Some(issued(5)));
        assert_eq!(next(None, Some(&fresh), now), Step::Register { key: "key", issued: &issued(5) });
        for too_far in [56, 600, -600] {
            let old = unfinished(Some(issued(too_far)));
            assert_eq!(next(None, Some(&old), now), Step::AskForCertificate { key: "key" }, "{too_far}");
        }
        let identity = Identity {
            thing: "lamp".parse().unwrap(),
            key: "key".into(),
            certificate: "pem".into(),
            configuration: Default::default(),
        };
        assert_eq!(next(Some(&identity), Some(&fresh), now), Step::Done(&identity));
    }
}
