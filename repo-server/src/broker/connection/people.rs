//! Letting people in, who show no certificate and send a token as the password of MQTT.

use super::opening::NotAdmitted;
use crate::broker::admission::{Refusal, check_client_id_of_person};
use crate::broker::identity::{Asking, Identity};
use crate::broker::link::{Admitted, Link};
use crate::broker::shared::Core;
use crate::broker::wire::{Connect, ConnectAckReason};
use crate::people::{PersonSubject, SignInError};
use fleet_protocol::policy::Action;

impl Core {
    /// Whether a person may connect as they ask to. Their username says nothing.
    pub(super) async fn admit_person(
        &self,
        connect: &Connect,
        link: &Link,
        version5: bool,
    ) -> Result<Admitted, NotAdmitted> {
        if connect.wants_method {
            let why = "a person is known by a token, sent as password";
            return Err(NotAdmitted::new("method", ConnectAckReason::BadAuthenticationMethod, why));
        }
        let wrong = |why: &dyn std::fmt::Display| {
            NotAdmitted::new("token", ConnectAckReason::BadUserNameOrPassword, why.to_string())
        };
        let secret = connect.password.as_deref().and_then(|password| std::str::from_utf8(password).ok());
        let secret = secret.ok_or_else(|| wrong(&"neither a certificate was shown nor a token sent as password"))?;
        let person = self.people.person(secret).await.map_err(|error| match error {
            SignInError::Failed(error) => NotAdmitted::new("failed", ConnectAckReason::ServerUnavailable, error),
            error => wrong(&error),
        })?;
        let client_id = connect.client_id.as_str();
        check_client_id_of_person(client_id, &person.user).map_err(|why| {
            let code = match why {
                Refusal::ClientId => ConnectAckReason::ClientIdentifierNotValid,
                _ => ConnectAckReason::NotAuthorized,
            };
            NotAdmitted::new("client-id", code, why)
        })?;
        if connect.session_expiry > 0 {
            let why = "a person's session ends with its connection; connect with a clean one";
            return Err(NotAdmitted::new("session", ConnectAckReason::NotAuthorized, why));
        }
        if let Some(will) = &connect.will {
            let why = format!("a person leaves no will, and one to {:?} was asked for", &*will.publish.topic);
            return Err(NotAdmitted::new("will", ConnectAckReason::NotAuthorized, why));
        }
        let asking = Asking::Person(PersonSubject {
            user: person.user.clone(),
            client_id: client_id.to_owned(),
            address: link.address,
        });
        self.may(&asking, Action::Connect, client_id).await?;
        Ok(Admitted { identity: Identity::Person(person), asking, version5 })
    }
}
