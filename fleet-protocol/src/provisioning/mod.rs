//! Fleet provisioning by certificate signing request, in AWS IoT's protocol: a device that comes with a claim certificate
//! asks for a certificate of its own ([`CreateFromCsr`](topics::Topic::CreateFromCsr)), and then registers itself as a thing with
//! it ([`Provision`](topics::Topic::Provision)), by a [`template`].
//!
//! Over HTTPS the same messages go to [`CREATE_FROM_CSR_PATH`] and [`provision_path`]. A device that was cut off at any
//! step begins again with the same key: it is given the same certificate.

pub mod hook;
pub mod messages;
pub mod rest;
pub mod template;
pub mod topics;

use crate::names::TemplateName;

/// `POST` a [`CertificateRequest`](messages::CertificateRequest), over HTTPS with a client certificate.
pub const CREATE_FROM_CSR_PATH: &str = "/api/v1/device/certificates/create-from-csr";

/// `POST` a [`RegistrationRequest`](messages::RegistrationRequest), over HTTPS with the same client certificate.
#[must_use]
pub fn provision_path(template: &TemplateName) -> String {
    format!("/api/v1/device/provisioning-templates/{template}/provision")
}

/// The parameter of a template that a list of serial numbers is about.
pub const SERIAL_NUMBER: &str = "SerialNumber";
