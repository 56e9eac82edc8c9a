//! Reading a finished package back, as a device will: only what passes is uploaded.

use anyhow::{Context, Result, bail};
use builder::Built;
use debian_formats::deb::{Deb, SignatureRole};
use debian_formats::limits::Limits;
use debian_formats::openpgp::SigningKey;

/// Checks every signature against the public half of the key that should have made it.
pub(crate) fn check(built: &Built, signers: &[(SignatureRole, SigningKey)]) -> Result<()> {
    let failed = || format!("{} was built, and does not pass when it is read back", built.path.display());
    for (role, key) in signers {
        let deb = Deb::open(&built.path, Limits::DEFAULT).with_context(failed)?;
        let deb = deb.verify(&key.public_keyring(), std::slice::from_ref(role)).with_context(failed)?;
        if deb.control().stanza().to_string() != built.control.stanza().to_string() {
            bail!("{} does not hold the control file that was put into it; build again", built.path.display());
        }
    }
    Ok(())
}
