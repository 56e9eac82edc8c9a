//! Users: making, changing, listing and deleting them.

use super::error::PeopleError;
use super::{GENERATION, People, password};
use crate::audit::{self, Actor};
use crate::database;
use fleet_protocol::access::Role;
use fleet_protocol::names::UserName;
use fleet_protocol::people::{NewUser, User, UserChange, UserInfo, UserPage};
use jiff::Timestamp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Connection as _, Row as _};

/// The longest name that people call somebody by, in characters.
const LONGEST_DISPLAY_NAME: usize = 128;
/// What [`user_of_row`] reads.
const COLUMNS: &str = "name, display_name, role, enabled, CASE WHEN password IS NULL THEN 0 ELSE 1 END, created_at";

impl People {
    /// Makes a user.
    pub(crate) async fn create(&self, name: &UserName, new: NewUser, actor: &Actor) -> Result<UserInfo, PeopleError> {
        let NewUser { display_name, role, password } = new;
        // A name of dots would mean something else in addresses.
        if !name.as_str().starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(PeopleError::Impossible(format!("{name}: a user's name begins with a letter or a digit")));
        }
        check_display_name(&display_name)?;
        let stored = match &password {
            Some(password) => {
                password::check(password)?;
                Some(self.hash(password).await?)
            }
            None => None,
        };
        let creation_date = Timestamp::from_second((self.clock)().as_second())?;
        let user = User {
            user_name: name.clone(),
            display_name,
            role,
            enabled: true,
            has_password: stored.is_some(),
            creation_date,
        };
        let mut connection = self.database.acquire().await?;
        let outcome = create(&mut connection, &user, stored, actor).await;
        self.generation.announce(database::settle(connection, outcome).await?);
        Ok(UserInfo { user, things: Vec::new(), thing_groups: Vec::new() })
    }

    /// The user of this name, and what was given to them.
    pub(crate) async fn user(&self, name: &UserName) -> Result<UserInfo, PeopleError> {
        let mut connection = self.database.acquire().await?;
        info(&mut connection, name).await
    }

    /// The users behind `after`, by name.
    pub(crate) async fn list(&self, limit: u16, after: &str) -> Result<UserPage, PeopleError> {
        let sql = format!("SELECT {COLUMNS} FROM users WHERE name > $1 ORDER BY name LIMIT $2");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(after)
            .bind(i64::from(limit) + 1)
            .fetch_all(&self.database)
            .await?;
        let more = rows.len() > usize::from(limit);
        let users = rows.iter().take(limit.into()).map(user_of_row).collect::<Result<Vec<_>, _>>()?;
        let next = users.last().filter(|_| more).map(|user| user.user_name.to_string());
        Ok(UserPage { users, next })
    }

    /// Changes a user. Who is disabled is signed in no longer.
    pub(crate) async fn update(
        &self,
        name: &UserName,
        change: UserChange,
        actor: &Actor,
    ) -> Result<UserInfo, PeopleError> {
        change.display_name.as_deref().map(check_display_name).transpose()?;
        let mut connection = self.database.acquire().await?;
        let outcome = update(&mut connection, name, change, actor, (self.clock)()).await;
        self.generation.settle(connection, outcome).await
    }

    /// Sets a user's password. All that they were signed in with ends.
    pub(crate) async fn set_password(
        &self,
        name: &UserName,
        password: &str,
        actor: &Actor,
    ) -> Result<UserInfo, PeopleError> {
        password::check(password)?;
        let stored = self.hash(password).await?;
        let mut connection = self.database.acquire().await?;
        let outcome = set_password(&mut connection, name, stored, actor, (self.clock)()).await;
        self.generation.settle(connection, outcome).await
    }

    /// Deletes a user whom no policy is attached to.
    pub(crate) async fn delete(&self, name: &UserName, actor: &Actor) -> Result<UserInfo, PeopleError> {
        let mut connection = self.database.acquire().await?;
        let outcome = delete(&mut connection, name, actor, (self.clock)()).await;
        self.generation.settle(connection, outcome).await
    }
}

fn check_display_name(name: &str) -> Result<(), PeopleError> {
    if name.chars().count() > LONGEST_DISPLAY_NAME || name.chars().any(char::is_control) {
        return Err(PeopleError::Impossible(format!(
            "a display name has up to {LONGEST_DISPLAY_NAME} characters, none of them a control character"
        )));
    }
    Ok(())
}

async fn create(
    connection: &mut AnyConnection,
    user: &User,
    password: Option<String>,
    actor: &Actor,
) -> Result<i64, PeopleError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    let has_password = if password.is_some() { "" } else { ", without a password" };
    let made = sqlx::query(
        "INSERT INTO users (name, display_name, role, password, enabled, created_at) VALUES ($1, $2, $3, $4, 1, $5) \
         ON CONFLICT (name) DO NOTHING",
    )
    .bind(user.user_name.as_str())
    .bind(&user.display_name)
    .bind(user.role.as_str())
    .bind(password)
    .bind(user.creation_date.as_second())
    .execute(&mut *transaction)
    .await?;
    if made.rows_affected() == 0 {
        return Err(PeopleError::Exists(user.user_name.clone()));
    }
    let detail = format!("{}{has_password}", user.role);
    audit::note(&mut transaction, actor, "user.create", &user.user_name, detail, user.creation_date).await?;
    transaction.commit().await?;
    Ok(generation)
}

async fn update(
    connection: &mut AnyConnection,
    name: &UserName,
    change: UserChange,
    actor: &Actor,
    now: Timestamp,
) -> Result<(UserInfo, i64), PeopleError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    let mut info = info(&mut transaction, name).await?;
    let before = info.user.clone();
    let user = &mut info.user;
    user.display_name = change.display_name.unwrap_or_else(|| before.display_name.clone());
    user.role = change.role.unwrap_or(before.role);
    user.enabled = change.enabled.unwrap_or(before.enabled);
    if *user == before {
        // A number that was announced is not given again.
        transaction.commit().await?;
        return Ok((info, generation));
    }
    sqlx::query("UPDATE users SET display_name = $1, role = $2, enabled = $3 WHERE name = $4")
        .bind(&user.display_name)
        .bind(user.role.as_str())
        .bind(i64::from(user.enabled))
        .bind(name.as_str())
        .execute(&mut *transaction)
        .await?;
    if !user.enabled {
        end_all(&mut transaction, name).await?;
    }
    let detail = difference(&before, user);
    audit::note(&mut transaction, actor, "user.update", name, detail, now).await?;
    transaction.commit().await?;
    Ok((info, generation))
}

/// What the audit log tells of a change.
fn difference(before: &User, after: &User) -> String {
    let mut told = Vec::new();
    if before.role != after.role {
        told.push(format!("{} in place of {}", after.role, before.role));
    }
    if before.enabled != after.enabled {
        told.push(if after.enabled { "enabled" } else { "disabled" }.to_owned());
    }
    if before.display_name != after.display_name {
        told.push(format!("called {:?}", after.display_name));
    }
    told.join(", ")
}

async fn set_password(
    connection: &mut AnyConnection,
    name: &UserName,
    stored: String,
    actor: &Actor,
    now: Timestamp,
) -> Result<(UserInfo, i64), PeopleError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    sqlx::query("UPDATE users SET password = $1 WHERE name = $2")
        .bind(stored)
        .bind(name.as_str())
        .execute(&mut *transaction)
        .await?;
    let info = info(&mut transaction, name).await?;
    end_all(&mut transaction, name).await?;
    audit::note(&mut transaction, actor, "user.password", name, String::new(), now).await?;
    transaction.commit().await?;
    Ok((info, generation))
}

async fn delete(
    connection: &mut AnyConnection,
    name: &UserName,
    actor: &Actor,
    now: Timestamp,
) -> Result<(UserInfo, i64), PeopleError> {
    let mut transaction = connection.begin().await?;
    let generation = GENERATION.raise(&mut transaction).await?;
    let info = info(&mut transaction, name).await?;
    let attached: Option<String> =
        sqlx::query_scalar("SELECT policy FROM policy_attachments WHERE target_kind = 'user' AND target = $1 LIMIT 1")
            .bind(name.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
    if let Some(policy) = attached {
        return Err(PeopleError::InTheWay(format!(
            "policies are attached to the user {name}, such as {policy}; `debfleet policy detach {policy} --user {name}` first"
        )));
    }
    // What they see and what they are signed in with goes along.
    sqlx::query("DELETE FROM users WHERE name = $1").bind(name.as_str()).execute(&mut *transaction).await?;
    audit::note(&mut transaction, actor, "user.delete", name, info.user.role.to_string(), now).await?;
    transaction.commit().await?;
    Ok((info, generation))
}

/// Ends all that a user is signed in with, and says how much that was.
pub(super) async fn end_all(transaction: &mut AnyConnection, name: &UserName) -> Result<u64, PeopleError> {
    // Tokens go with their session where they have one, and are not counted twice.
    let mut ended = 0;
    for kind in ["mqtt", "session"] {
        let gone = sqlx::query("DELETE FROM user_secrets WHERE user_name = $1 AND kind = $2")
            .bind(name.as_str())
            .bind(kind)
            .execute(&mut *transaction)
            .await?;
        ended += gone.rows_affected();
    }
    Ok(ended)
}

/// The user of this name.
pub(super) async fn find(connection: &mut AnyConnection, name: &UserName) -> Result<Option<User>, PeopleError> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE name = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name.as_str()).fetch_optional(connection).await?;
    row.as_ref().map(user_of_row).transpose()
}

async fn info(connection: &mut AnyConnection, name: &UserName) -> Result<UserInfo, PeopleError> {
    find_info(connection, name).await?.ok_or_else(|| PeopleError::NoUser(name.clone()))
}

/// The user of this name, and what was given to them.
pub(super) async fn find_info(
    connection: &mut AnyConnection,
    name: &UserName,
) -> Result<Option<UserInfo>, PeopleError> {
    let Some(user) = find(connection, name).await? else { return Ok(None) };
    let things: Vec<String> = sqlx::query_scalar("SELECT thing FROM user_things WHERE user_name = $1 ORDER BY thing")
        .bind(name.as_str())
        .fetch_all(&mut *connection)
        .await?;
    let groups: Vec<String> =
        sqlx::query_scalar("SELECT group_name FROM user_groups WHERE user_name = $1 ORDER BY group_name")
            .bind(name.as_str())
            .fetch_all(&mut *connection)
            .await?;
    let things = things.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    let thing_groups = groups.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
    Ok(Some(UserInfo { user, things, thing_groups }))
}

fn user_of_row(row: &AnyRow) -> Result<User, PeopleError> {
    Ok(User {
        user_name: row.try_get::<String, _>(0)?.parse()?,
        display_name: row.try_get(1)?,
        role: row.try_get::<String, _>(2)?.parse::<Role>()?,
        enabled: row.try_get::<i64, _>(3)? != 0,
        has_password: row.try_get::<i64, _>(4)? != 0,
        creation_date: Timestamp::from_second(row.try_get(5)?)?,
    })
}
