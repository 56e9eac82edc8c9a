//! Names of keys on tokens (RFC 7512).

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// A key on a token, and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TokenUri {
    /// As it was written.
    text: String,
    /// The token's label.
    pub(super) token: String,
    /// The key's label.
    pub(super) object: String,
    /// The token's PKCS#11 library.
    pub(super) module: PathBuf,
    /// A file that holds the user's PIN.
    pub(super) pin: Option<PathBuf>,
}

/// No name of a key on a token.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} does not name a key on a token ({problem}); such as \
     pkcs11:token=LABEL;object=LABEL?module-path=/usr/lib/LIBRARY.so&pin-source=/etc/debfleet/token.pin"
)]
pub(crate) struct WrongUri {
    text: String,
    problem: &'static str,
}

impl FromStr for TokenUri {
    type Err = WrongUri;

    fn from_str(text: &str) -> Result<Self, WrongUri> {
        let wrong = |problem| WrongUri { text: text.chars().take(200).collect(), problem };
        let rest = text.trim().strip_prefix(super::TOKEN_SCHEME).ok_or_else(|| wrong("it begins with pkcs11:"))?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (mut token, mut object, mut module, mut pin) = (None, None, None, None);
        for part in path.split(';').chain(query.split('&')).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("each part is NAME=VALUE"))?;
            let value = decoded(value).ok_or_else(|| wrong("a percent sign begins two hex digits"))?;
            let place = match name {
                "token" => &mut token,
                "object" => &mut object,
                "module-path" => &mut module,
                "pin-source" => &mut pin,
                // Those narrow down what the labels name already.
                "type" | "manufacturer" | "model" | "serial" => continue,
                _ => return Err(wrong("its parts are token, object, module-path and pin-source")),
            };
            if place.replace(value).is_some() {
                return Err(wrong("a part comes twice"));
            }
        }
        let pin = pin.map(|pin| PathBuf::from(pin.strip_prefix("file:").map(str::to_owned).unwrap_or(pin)));
        Ok(Self {
            text: text.trim().to_owned(),
            token: token.ok_or_else(|| wrong("it has no token"))?,
            object: object.ok_or_else(|| wrong("it has no object"))?,
            module: module.map(PathBuf::from).ok_or_else(|| wrong("it has no module-path"))?,
            pin,
        })
    }
}

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_named_as_other_programs_name_it() {
        let text =
            "pkcs11:token=My%20TPM;object=device;type=private?module-path=/usr/lib/x.so&pin-source=file:/etc/pin";
        let uri: TokenUri = text.parse().unwrap();
        assert_eq!((uri.token.as_str(), uri.object.as_str()), ("My TPM", "device"));
        assert_eq!((uri.module, uri.pin), ("/usr/lib/x.so".into(), Some("/etc/pin".into())));
        for bad in [
            "token=a;object=b?module-path=/x",
            "pkcs11:token=a?module-path=/x",
            "pkcs11:token=a;object=b",
            "pkcs11:token=a;object=b;object=c?module-path=/x",
            "pkcs11:token=%4;object=b?module-path=/x",
            "pkcs11:token=a;object=b;slot-id=3?module-path=/x",
        ] {
            assert!(bad.parse::<TokenUri>().is_err(), "{bad}");
        }
    }
}
