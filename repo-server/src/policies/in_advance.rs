//! What a client may do, said before it connects: for a broker that does not ask, or that tells less of its clients.

use super::effective::Effective;
use super::{Policies, PolicyError};
use fleet_protocol::names::{CertificateId, ThingName};
use fleet_protocol::policy::{Action, Client, Grants, NamedPolicy, Request, TopicSet, grants, is_surely_allowed};
use std::sync::Arc;

impl Policies {
    /// What a certificate may do with topics as the client that it is: the thing that it is attached to, or else whoever
    /// its common name says. Of several things it may do what it may as any of them, since it may connect as any.
    pub(crate) async fn grants(
        &self,
        certificate: &CertificateId,
        common_name: &str,
        requests: &[TopicSet],
    ) -> Result<Grants, PolicyError> {
        let effective = self.effective(certificate).await?;
        let mut all = Grants::default();
        for client_id in client_ids(&effective, common_name) {
            let client = client(&effective, certificate, &client_id);
            let Grants { write, read, deny, gaps } = grants(&policies(&effective, &client_id), &client, requests);
            all.write.extend(write);
            all.read.extend(read);
            all.deny.extend(deny);
            all.gaps.extend(gaps);
        }
        Ok(all)
    }

    /// Whether a certificate may do something as such a client, wherever it connects from and however.
    pub(crate) async fn surely_allows(
        &self,
        certificate: &CertificateId,
        common_name: &str,
        action: Action,
        resource: &str,
    ) -> Result<bool, PolicyError> {
        let effective = self.effective(certificate).await?;
        Ok(client_ids(&effective, common_name).iter().any(|client_id| {
            let (client, policies) = (client(&effective, certificate, client_id), policies(&effective, client_id));
            let allows =
                |action, resource| is_surely_allowed(&policies, &Request { action, resource, client: &client });
            allows(Action::Connect, client_id) && allows(action, resource)
        }))
    }
}

/// The client ids that are a certificate's own.
fn client_ids(effective: &Effective, common_name: &str) -> Vec<String> {
    let things: Vec<String> = effective.thing_names().map(ThingName::to_string).collect();
    if things.is_empty() { vec![common_name.to_owned()] } else { things }
}

fn client<'a>(effective: &'a Effective, certificate: &'a CertificateId, client_id: &'a str) -> Client<'a> {
    Client {
        client_id,
        source_ip: None,
        thing: effective.facts_of(client_id),
        certificate_id: Some(certificate),
        certificate: effective.fields_of_certificate(),
        persistent: false,
        will_topic: None,
    }
}

fn policies(effective: &Effective, client_id: &str) -> Vec<Arc<NamedPolicy>> {
    effective.named_policies_of(client_id).cloned().collect()
}
