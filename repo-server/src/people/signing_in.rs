//! Signing in: passwords that are shown, and how many wrong ones are looked at.

use super::People;
use super::error::{PeopleError, SignInError};
use super::secrets::SignedIn;
use super::users::find;
use crate::access::{Origin, Throttle};
use crate::audit::Actor;
use fleet_protocol::names::UserName;
use fleet_protocol::people::{CreatedSession, Credentials, LONGEST_PASSWORD, PasswordChange, User};
use std::net::IpAddr;
use std::sync::{MutexGuard, PoisonError};
use std::time::Instant;

impl People {
    /// Signs somebody in who came from this address.
    pub(crate) async fn sign_in(
        &self,
        credentials: Credentials,
        address: IpAddr,
    ) -> Result<CreatedSession, SignInError> {
        let Credentials { user_name, password } = credentials;
        match self.guess(&user_name, &password, address).await? {
            Some(user) => Ok(self.begin_session(user, address).await?),
            None => {
                // A name that cannot be one may be a password, typed into the wrong field.
                let name = user_name.parse::<UserName>().map_or_else(|_| "(no name)".to_owned(), String::from);
                tracing::warn!(user = name, %address, "refused to sign somebody in: wrong user name or password");
                Err(SignInError::Wrong)
            }
        }
    }

    /// Sets another password for somebody who is signed in and knows the old one: a session that was left open is not
    /// enough. All that they are signed in with ends.
    pub(crate) async fn change_password(
        &self,
        signed_in: &SignedIn,
        change: PasswordChange,
        address: IpAddr,
        actor: &Actor,
    ) -> Result<(), SignInError> {
        let name = &signed_in.user.user_name;
        let PasswordChange { old_password, new_password } = change;
        if self.guess(name.as_str(), &old_password, address).await?.is_none() {
            tracing::warn!(user = %name, %address, "refused to set another password: the old one is wrong");
            return Err(SignInError::WrongOldPassword);
        }
        self.set_password(name, &new_password, actor).await?;
        Ok(())
    }

    /// The user whose password it is, if they may sign in and not too many wrong ones came from there.
    async fn guess(&self, name: &str, password: &str, address: IpAddr) -> Result<Option<User>, SignInError> {
        let origin = Origin::of(address);
        self.note_guess(origin)?;
        let compared = self.compare(name, password).await;
        if !matches!(compared, Ok(None)) {
            self.guesses().forgive(origin);
        }
        Ok(compared?)
    }

    /// Each guess counts as a wrong one until it turns out to be right: many may come at once.
    fn note_guess(&self, origin: Origin) -> Result<(), SignInError> {
        let (mut guesses, now) = (self.guesses(), Instant::now());
        if let Some(wait) = guesses.wait(origin, now) {
            return Err(SignInError::TooMany { wait });
        }
        guesses.failed(origin, now);
        Ok(())
    }

    fn guesses(&self) -> MutexGuard<'_, Throttle> {
        // A map is whole at any time.
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The user whose password it is, if they may sign in.
    async fn compare(&self, name: &str, password: &str) -> Result<Option<User>, PeopleError> {
        let (mut user, mut stored) = (None, None);
        if let Ok(name) = name.parse::<UserName>() {
            let mut connection = self.database.acquire().await?;
            user = find(&mut connection, &name).await?;
            stored = sqlx::query_scalar::<_, Option<String>>("SELECT password FROM users WHERE name = $1")
                .bind(name.as_str())
                .fetch_optional(&mut *connection)
                .await?
                .flatten();
        }
        let is_short = password.chars().count() <= LONGEST_PASSWORD;
        let matches = self.matches(if is_short { password } else { "" }, stored).await?;
        Ok(user.filter(|user| matches && is_short && user.enabled))
    }
}
