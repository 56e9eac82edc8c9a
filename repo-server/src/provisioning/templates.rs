//! The table of provisioning templates.

use super::{Provisioning, ProvisioningError, hook};
use crate::audit::{Actor, Entry};
use fleet_protocol::audit::Outcome;
use fleet_protocol::certificates::{CertificateKind, CertificateStatus};
use fleet_protocol::names::TemplateName;
pub(super) use fleet_protocol::provisioning::rest::TemplateSettings as Settings;
use fleet_protocol::provisioning::rest::{TemplateInfo, TemplatePage};
use fleet_protocol::provisioning::template::Template;
use jiff::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// As AWS IoT has it, in characters.
const LONGEST_DESCRIPTION: usize = 500;

/// What became of a template that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TemplateChange {
    Made,
    Changed,
}

impl Provisioning {
    /// Makes a template, or changes it.
    pub(crate) async fn set_template(
        &self,
        name: &TemplateName,
        settings: &Settings,
        actor: Actor,
        now: Timestamp,
    ) -> Result<(TemplateInfo, TemplateChange), ProvisioningError> {
        check(settings)?;
        let known = self.find_template(name).await?;
        let entry = |action| Entry {
            actor: actor.clone(),
            action,
            subject: name.to_string(),
            detail: format!(
                "{}, hook: {}, {}",
                if settings.enabled { "enabled" } else { "disabled" },
                settings.hook_url.as_deref().unwrap_or("none"),
                if settings.listed_only { "only listed serial numbers" } else { "any serial number" }
            ),
            outcome: Outcome::Done,
        };
        let Settings { description, template_body, enabled, hook_url, listed_only } = settings;
        if known.is_none() {
            let statement = sqlx::query(
                "INSERT INTO provisioning_templates (name, description, body, enabled, hook_url, listed_only, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING",
            )
            .bind(name.to_string())
            .bind(description.clone())
            .bind(template_body.clone())
            .bind(i64::from(*enabled))
            .bind(hook_url.clone())
            .bind(i64::from(*listed_only))
            .bind(now.as_second());
            if self.domains.audit.change(statement, &entry("template.create")).await? {
                return Ok((self.template(name).await?, TemplateChange::Made));
            }
        }
        if known.is_none_or(|known| known.settings != *settings) {
            let statement = sqlx::query(
                "UPDATE provisioning_templates SET description = $1, body = $2, enabled = $3, hook_url = $4, \
                 listed_only = $5 WHERE name = $6",
            )
            .bind(description.clone())
            .bind(template_body.clone())
            .bind(i64::from(*enabled))
            .bind(hook_url.clone())
            .bind(i64::from(*listed_only))
            .bind(name.to_string());
            self.domains.audit.change(statement, &entry("template.change")).await?;
        }
        Ok((self.template(name).await?, TemplateChange::Changed))
    }

    pub(crate) async fn template(&self, name: &TemplateName) -> Result<TemplateInfo, ProvisioningError> {
        self.find_template(name).await?.ok_or_else(|| ProvisioningError::NoTemplate(name.clone()))
    }

    /// The template, if devices are registered by it.
    pub(super) async fn enabled_template(&self, name: &TemplateName) -> Result<Settings, ProvisioningError> {
        let settings = self.template(name).await?.settings;
        if settings.enabled { Ok(settings) } else { Err(ProvisioningError::Disabled(name.clone())) }
    }

    async fn find_template(&self, name: &TemplateName) -> Result<Option<TemplateInfo>, ProvisioningError> {
        let row = sqlx::query(
            "SELECT name, description, body, enabled, hook_url, listed_only, created_at FROM provisioning_templates \
             WHERE name = $1",
        )
        .bind(name.to_string())
        .fetch_optional(&self.domains.database)
        .await?;
        row.as_ref().map(template_of_row).transpose()
    }

    /// Some of the templates, by name.
    pub(crate) async fn templates(&self, limit: u16, after: &str) -> Result<TemplatePage, ProvisioningError> {
        let rows = sqlx::query(
            "SELECT name, description, body, enabled, hook_url, listed_only, created_at FROM provisioning_templates \
             WHERE name > $1 ORDER BY name LIMIT $2",
        )
        .bind(after.to_owned())
        .bind(i64::from(limit) + 1)
        .fetch_all(&self.domains.database)
        .await?;
        let mut templates = rows.iter().map(template_of_row).collect::<Result<Vec<_>, _>>()?;
        let more = templates.len() > usize::from(limit);
        templates.truncate(usize::from(limit));
        let next = templates.last().filter(|_| more).map(|last| last.template_name.to_string());
        Ok(TemplatePage { templates, next })
    }

    /// Removes a template with its list, unless a claim for it counts.
    pub(crate) async fn remove_template(
        &self,
        name: &TemplateName,
        actor: Actor,
        now: Timestamp,
    ) -> Result<TemplateInfo, ProvisioningError> {
        let template = self.template(name).await?;
        let claims = sqlx::query(
            "SELECT COUNT(*) FROM certificates WHERE template = $1 AND kind = $2 AND status = $3 AND not_after > $4",
        )
        .bind(name.to_string())
        .bind(CertificateKind::Claim.as_str())
        .bind(CertificateStatus::Active.as_str())
        .bind(now.as_second())
        .fetch_one(&self.domains.database)
        .await?;
        if claims.try_get::<i64, _>(0)? > 0 {
            return Err(ProvisioningError::ClaimsLeft(name.clone()));
        }
        sqlx::query("DELETE FROM provisioning_serials WHERE template = $1")
            .bind(name.to_string())
            .execute(&self.domains.database)
            .await?;
        let statement = sqlx::query("DELETE FROM provisioning_templates WHERE name = $1").bind(name.to_string());
        let entry = Entry {
            actor,
            action: "template.delete",
            subject: name.to_string(),
            detail: String::new(),
            outcome: Outcome::Done,
        };
        self.domains.audit.change(statement, &entry).await?;
        Ok(template)
    }
}

fn check(settings: &Settings) -> Result<(), ProvisioningError> {
    let description = &settings.description;
    if description.chars().count() > LONGEST_DESCRIPTION || description.chars().any(char::is_control) {
        return Err(ProvisioningError::Description);
    }
    if let Some(url) = &settings.hook_url {
        hook::check_url(url)?;
    }
    Template::parse(&settings.template_body)?;
    Ok(())
}

fn template_of_row(row: &AnyRow) -> Result<TemplateInfo, ProvisioningError> {
    Ok(TemplateInfo {
        template_name: row.try_get::<String, _>(0)?.parse()?,
        creation_date: Timestamp::from_second(row.try_get(6)?)?,
        settings: Settings {
            description: row.try_get(1)?,
            template_body: row.try_get(2)?,
            enabled: row.try_get::<i64, _>(3)? != 0,
            hook_url: row.try_get(4)?,
            listed_only: row.try_get::<i64, _>(5)? != 0,
        },
    })
}
