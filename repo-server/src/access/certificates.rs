//! Client certificates that no longer count. Every request that shows one is compared with the table, so a revocation
//! holds at once, also for connections that are open and for other processes on the same database.

use super::error::AccessError;
use crate::audit::{Actor, Audit, Entry};
use debian_formats::checksums::hex;
use fleet_protocol::audit::Outcome;
use jiff::Timestamp;
use sqlx::{AnyPool, Row as _};
use std::fmt;
use std::str::FromStr;
use x509_parser::parse_x509_certificate;

/// RFC 5280 §4.1.2.2: conforming CAs do not use longer serial numbers.
const LONGEST: usize = 20;

/// A certificate's serial number, without leading zeros. Shown and read as hex.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Serial {
    octets: [u8; LONGEST],
    length: usize,
}

/// Not a serial number.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is not a certificate's serial number, which has up to 40 hex digits; `openssl x509 -noout -serial` shows it"
)]
pub(crate) struct WrongSerial(String);

impl Serial {
    fn new(octets: &[u8]) -> Option<Self> {
        let start = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
        let significant = &octets[start..];
        let mut serial = Self { octets: [0; LONGEST], length: significant.len() };
        serial.octets.get_mut(..significant.len())?.copy_from_slice(significant);
        Some(serial)
    }

    /// Of a certificate in DER form, with the subject's name. None: it is no certificate that could be revoked.
    pub(crate) fn of_certificate(der: &[u8]) -> Option<(Self, String)> {
        let (_, certificate) = parse_x509_certificate(der).ok()?;
        Some((Self::new(certificate.raw_serial())?, certificate.subject().to_string()))
    }
}

impl FromStr for Serial {
    type Err = WrongSerial;

    /// As openssl and browsers show it: digits of either case, pairs perhaps parted by colons.
    fn from_str(text: &str) -> Result<Self, WrongSerial> {
        let wrong = || WrongSerial(text.chars().take(100).collect());
        let digits: String = text.chars().filter(|c| *c != ':').collect();
        if digits.is_empty() || digits.len() > 2 * (LONGEST + 1) || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let even = if digits.len().is_multiple_of(2) { digits } else { format!("0{digits}") };
        let octets = (0..even.len()).step_by(2).map(|at| u8::from_str_radix(&even[at..at + 2], 16));
        let octets = octets.collect::<Result<Vec<u8>, _>>().map_err(|_| wrong())?;
        Self::new(&octets).ok_or_else(wrong)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.octets[..self.length] {
            [] => f.write_str("00"),
            octets => f.write_str(&hex(octets)),
        }
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A certificate that no longer counts.
pub(crate) struct Revoked {
    pub(crate) serial: String,
    pub(crate) subject: String,
    pub(crate) at: Timestamp,
}

/// Which of the fleet CA's certificates count.
#[derive(Debug)]
pub(crate) struct Certificates {
    database: AnyPool,
    audit: Audit,
}

impl Certificates {
    pub(crate) fn new(database: AnyPool, audit: Audit) -> Self {
        Self { database, audit }
    }

    /// Since when a certificate no longer counts.
    pub(crate) async fn revoked_at(&self, serial: Serial) -> Result<Option<Timestamp>, AccessError> {
        let row = sqlx::query("SELECT revoked_at FROM revoked_certificates WHERE serial = $1")
            .bind(serial.to_string())
            .fetch_optional(&self.database)
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.map(Timestamp::from_second).transpose()?)
    }

    /// Has a certificate count no longer; false if it did not before, and then nothing is changed.
    pub(crate) async fn revoke(
        &self,
        serial: Serial,
        subject: &str,
        actor: Actor,
        now: Timestamp,
    ) -> Result<bool, AccessError> {
        let statement = sqlx::query(
            "INSERT INTO revoked_certificates (serial, subject, revoked_at) VALUES ($1, $2, $3) \
             ON CONFLICT (serial) DO NOTHING",
        )
        .bind(serial.to_string())
        .bind(subject.to_owned())
        .bind(now.as_second());
        let (subject, detail) = (serial.to_string(), subject.to_owned());
        let entry = Entry { actor, action: "certificate.revoke", subject, detail, outcome: Outcome::Done };
        Ok(self.audit.change(statement, &entry).await?)
    }

    /// Those that no longer count, in the order of their revocation.
    pub(crate) async fn revoked(&self) -> Result<Vec<Revoked>, AccessError> {
        let rows =
            sqlx::query("SELECT serial, subject, revoked_at FROM revoked_certificates ORDER BY revoked_at, serial")
                .fetch_all(&self.database)
                .await?;
        let revoked = rows.iter().map(|row| {
            let at = Timestamp::from_second(row.try_get(2)?)?;
            Ok(Revoked { serial: row.try_get(0)?, subject: row.try_get(1)?, at })
        });
        revoked.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_the_same_however_it_is_written() {
        let shown = |text: &str| text.parse::<Serial>().unwrap().to_string();
        for same in ["0AbC", "abc", "0a:bc", "00:0A:BC"] {
            assert_eq!(shown(same), "0abc");
        }
        assert_eq!(shown("00"), "00");
        let longest = "f".repeat(40);
        assert_eq!(shown(&format!("00{longest}")), longest);
        for bad in ["", ":", "xy", "lamp.pem", &"f".repeat(41), &"1".repeat(100), "a b", "+1"] {
            assert!(bad.parse::<Serial>().is_err(), "{bad:?}");
        }
        assert!(Serial::of_certificate(b"no certificate").is_none());
    }
}
