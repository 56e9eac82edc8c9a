//! Passwords, hashed with Argon2id (RFC 9106).

use super::People;
use super::error::PeopleError;
use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use fleet_protocol::people::{LONGEST_PASSWORD, SHORTEST_PASSWORD};
use std::time::Duration;
use tokio::time::timeout;

/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Of nobody's password: whether a user is there must not show in the time that it takes.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Refuses what is too easily guessed, or too long to be hashed for a stranger.
pub(super) fn check(password: &str) -> Result<(), PeopleError> {
    match (SHORTEST_PASSWORD..=LONGEST_PASSWORD).contains(&password.chars().count()) {
        true => Ok(()),
        false => {
            Err(PeopleError::Impossible(format!("a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters")))
        }
    }
}

impl People {
    /// What is stored of a password.
    pub(super) async fn hash(&self, password: &str) -> Result<String, PeopleError> {
        let mut salt = [0_u8; 16];
        getrandom::fill(&mut salt).map_err(PeopleError::Random)?;
        let password = password.to_owned();
        self.in_turn(move || hash(&password, &salt)).await?
    }

    /// Whether it is the password that was stored, if one was.
    pub(super) async fn matches(&self, password: &str, stored: Option<String>) -> Result<bool, PeopleError> {
        let (password, is_somebodys) = (password.to_owned(), stored.is_some());
        let stored = stored.unwrap_or_else(|| NOBODYS.to_owned());
        let matches = self.in_turn(move || verify(&password, &stored)).await??;
        Ok(matches && is_somebodys)
    }

    /// Hashing takes memory and time, so only a few do it at a time, and not where requests are answered.
    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PeopleError> {
        let Ok(Ok(_turn)) = timeout(PATIENCE, self.comparing.acquire()).await else { return Err(PeopleError::Busy) };
        tokio::task::spawn_blocking(work).await.map_err(|error| PeopleError::Hash(error.to_string()))
    }
}

fn hash(password: &str, salt: &[u8]) -> Result<String, PeopleError> {
    let failed = |error: argon2::password_hash::Error| PeopleError::Hash(error.to_string());
    let salt = SaltString::encode_b64(salt).map_err(failed)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(failed)?.to_string())
}

fn verify(password: &str, stored: &str) -> Result<bool, PeopleError> {
    let failed = |error: argon2::password_hash::Error| PeopleError::Hash(error.to_string());
    let stored = PasswordHash::new(stored).map_err(failed)?;
    match Argon2::default().verify_password(password.as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(argon2::password_hash::Error::Password) => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_kept_as_a_salted_hash_that_only_it_matches() {
        let stored = hash("correct horse battery", &[7; 16]).unwrap();
        // OWASP's parameters for Argon2id.
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(verify("correct horse battery", &stored).unwrap());
        assert!(!verify("correct horse batterz", &stored).unwrap());
        assert_ne!(hash("correct horse battery", &[8; 16]).unwrap(), stored);
        assert!(!verify("", NOBODYS).unwrap(), "it can be compared with");
    }

    #[test]
    fn short_and_endless_passwords_are_refused() {
        assert!(check("elevenchars").is_err() && check(&"x".repeat(129)).is_err());
        assert!(check("twelve chars").is_ok() && check(&"\u{e9}".repeat(128)).is_ok());
    }
}
