//! The policies that count for a person: those attached to them, to their role, and to the roles below it.

use super::documents::document;
use super::effective::Counting;
use super::rows::target_of;
use super::{Policies, PolicyError};
use fleet_protocol::access::Role;
use fleet_protocol::names::{PolicyName, UserName};
use sqlx::Row as _;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// People who are remembered.
const REMEMBERED: usize = 4096;

/// What counts for people, with the generation of policies that it was read in.
#[derive(Debug, Default)]
pub(super) struct OfPeople(RwLock<BTreeMap<(UserName, Role), Kept>>);

type Kept = (i64, Arc<[Counting]>);

impl Policies {
    /// What counts for a person now.
    pub(crate) async fn of_person(&self, user: &UserName, role: Role) -> Result<Arc<[Counting]>, PolicyError> {
        // Taken before anything is read.
        let generation = self.generation.current();
        let key = (user.clone(), role);
        let known = self.of_people.0.read().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some((_, counting)) = known.filter(|(seen, _)| *seen == generation) {
            return Ok(counting);
        }
        let counting: Arc<[Counting]> = self.read_of_person(user, role, generation).await?.into();
        let mut known = self.of_people.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED && !known.contains_key(&key) {
            known.clear();
        }
        known.insert(key, (generation, counting.clone()));
        Ok(counting)
    }

    async fn read_of_person(&self, user: &UserName, role: Role, generation: i64) -> Result<Vec<Counting>, PolicyError> {
        let documents = self.documents(generation).await?;
        let rows = sqlx::query(
            "SELECT policy, target_kind, target FROM policy_attachments \
             WHERE target_kind = 'role' OR (target_kind = 'user' AND target = $1) ORDER BY policy, target_kind, target",
        )
        .bind(user.as_str())
        .fetch_all(&self.database)
        .await?;
        let mut counting = Vec::new();
        for row in &rows {
            let name: PolicyName = row.try_get::<String, _>(0)?.parse()?;
            let target = target_of(&row.try_get::<String, _>(1)?, &row.try_get::<String, _>(2)?)?;
            if target.is_role_above(role) {
                continue;
            }
            // A policy that was deleted in between raises the generation, so this is read again.
            if let Some(policy) = document(&documents, &name)? {
                counting.push(Counting { policy, target });
            }
        }
        Ok(counting)
    }
}
