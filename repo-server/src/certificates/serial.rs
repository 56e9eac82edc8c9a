//! A certificate's serial number.

use debian_formats::checksums::hex;
use std::fmt;
use std::str::FromStr;

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
    pub(crate) fn new(octets: &[u8]) -> Option<Self> {
        let start = octets.iter().position(|octet| *octet != 0).unwrap_or(octets.len());
        let significant = &octets[start..];
        let mut serial = Self { octets: [0; LONGEST], length: significant.len() };
        serial.octets.get_mut(..significant.len())?.copy_from_slice(significant);
        Some(serial)
    }

    /// Its octets, without leading zeros.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..self.length]
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
    }
}
