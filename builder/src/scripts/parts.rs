//! The parts of maintainer scripts that are the same for every package with units, users or folders.
//!
//! They mean what debhelper's mean at compat level 13: deb-systemd-helper knows what the administrator enabled and
//! disabled, deb-systemd-invoke asks policy-rc.d, and what systemctl says does not fail the package. All may be run
//! twice, as dpkg may (Policy 6.2).

use crate::systemd::{Enablement, OnUpgrade, Services, Unit};
use std::collections::BTreeMap;

/// Where systemd runs, and this root is the running system's.
const RUNS: &str = "[ -z \"${DPKG_ROOT:-}\" ] && [ -d /run/systemd/system ]";
/// For the tools that can work on another root.
const ROOT: &str = "${DPKG_ROOT:+--root=\"$DPKG_ROOT\"}";

/// The generated part of each script that gets one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Parts(BTreeMap<&'static str, String>);

impl Parts {
    /// Writes the parts.
    #[must_use]
    pub fn new(services: &Services) -> Self {
        let written = [
            ("preinst", preinst(services)),
            ("postinst", postinst(services)),
            ("prerm", prerm(services)),
            ("postrm", postrm(services)),
        ];
        let named = written.into_iter().filter(|(_, part)| !part.is_empty());
        let head = "# From [systemd] in debfleet.toml.\n";
        Self(named.map(|(name, part)| (name, format!("{head}{part}"))).collect())
    }

    /// The part of a script.
    #[must_use]
    pub fn get(&self, script: &str) -> Option<&str> {
        self.0.get(script).map(String::as_str)
    }

    /// All, by script.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, part)| (*name, part.as_str()))
    }
}

/// The new version's script stops what must not run while files change, so that it also holds for the upgrade from a
/// version that did not know it.
fn preinst(services: &Services) -> String {
    let stopped = names(services, |unit| unit.on_upgrade == OnUpgrade::Stop);
    if stopped.is_empty() {
        return String::new();
    }
    format!("if [ \"$1\" = upgrade ] && {RUNS}; then\n    deb-systemd-invoke stop{stopped} >/dev/null || true\nfi\n")
}

fn postinst(services: &Services) -> String {
    let mut steps = String::new();
    if let Some(file) = &services.sysusers {
        steps += &format!("    systemd-sysusers {ROOT} {file} || exit\n");
    }
    if let Some(file) = &services.tmpfiles {
        steps += &format!("    systemd-tmpfiles {ROOT} --create {file} >/dev/null || true\n");
    }
    steps += &enable(&names(services, |unit| unit.enablement == Enablement::ByPackage));
    steps += &remember(&names(services, |unit| unit.enablement == Enablement::ByAdministrator));
    steps += &start(services);
    if steps.is_empty() {
        return steps;
    }
    // All calls that leave the package configured (Policy 6.5); not `triggered`.
    format!("case \"$1\" in\nconfigure | abort-upgrade | abort-deconfigure | abort-remove)\n{steps}    ;;\nesac\n")
}

/// At the first installation `was-enabled` says yes. Later it says what the administrator left.
fn enable(units: &str) -> String {
    if units.is_empty() {
        return String::new();
    }
    format!(
        "    for _unit in{units}; do\n        \
         # Only where an older package, built by debhelper, masked it when it was removed.\n        \
         deb-systemd-helper unmask \"$_unit\" >/dev/null || true\n        \
         if deb-systemd-helper --quiet was-enabled \"$_unit\"; then\n            \
         deb-systemd-helper enable \"$_unit\" >/dev/null || true\n        \
         else\n            \
         deb-systemd-helper update-state \"$_unit\" >/dev/null || true\n        \
         fi\n    done\n"
    )
}

/// Units that only the administrator enables: the links of a new version are made where they did, and purge knows all.
fn remember(units: &str) -> String {
    if units.is_empty() {
        return String::new();
    }
    format!(
        "    for _unit in{units}; do\n        \
         if deb-systemd-helper debian-installed \"$_unit\"; then\n            \
         deb-systemd-helper unmask \"$_unit\" >/dev/null || true\n            \
         if deb-systemd-helper --quiet was-enabled \"$_unit\"; then\n                \
         deb-systemd-helper enable \"$_unit\" >/dev/null || true\n            \
         fi\n        \
         fi\n        \
         deb-systemd-helper update-state \"$_unit\" >/dev/null || true\n    done\n"
    )
}

/// One call for all units that share an action: a socket cannot be restarted before its running service.
fn start(services: &Services) -> String {
    if services.units.is_empty() && !services.has_templates {
        return String::new();
    }
    let restarts = |unit: &Unit| unit.on_upgrade == OnUpgrade::Restart;
    let invoke = |action: &str, units: String| {
        if units.is_empty() {
            units
        } else {
            format!("            deb-systemd-invoke {action}{units} >/dev/null || true\n")
        }
    };
    let installed = invoke("start", names(services, |unit| unit.start));
    let upgraded = [
        invoke("restart", names(services, |unit| unit.start && restarts(unit))),
        invoke("try-restart", names(services, |unit| !unit.start && restarts(unit))),
        // What was stopped before; and what is kept starts if it does not run, which new units do not.
        invoke("start", names(services, |unit| unit.start && !restarts(unit))),
    ]
    .concat();
    let choice = match (installed.is_empty(), upgraded.is_empty()) {
        (true, true) => String::new(),
        (true, false) => format!("        if [ -n \"${{2:-}}\" ]; then\n{upgraded}        fi\n"),
        _ => format!("        if [ -n \"${{2:-}}\" ]; then\n{upgraded}        else\n{installed}        fi\n"),
    };
    format!("    if {RUNS}; then\n        systemctl --system daemon-reload >/dev/null || true\n{choice}    fi\n")
}

fn prerm(services: &Services) -> String {
    let all = names(services, |_| true);
    if all.is_empty() {
        return String::new();
    }
    format!("if [ \"$1\" = remove ] && {RUNS}; then\n    deb-systemd-invoke stop{all} >/dev/null || true\nfi\n")
}

fn postrm(services: &Services) -> String {
    let mut part = String::new();
    if !services.units.is_empty() || services.has_templates {
        part += &format!(
            "if [ \"$1\" = remove ] && {RUNS}; then\n    systemctl --system daemon-reload >/dev/null || true\nfi\n"
        );
    }
    let enabled = names(services, |unit| unit.enablement != Enablement::Static);
    if !enabled.is_empty() {
        part += &format!(
            "if [ \"$1\" = purge ] && command -v deb-systemd-helper >/dev/null; then\n    \
             deb-systemd-helper purge{enabled} >/dev/null || true\nfi\n"
        );
    }
    part
}

/// The units' names as arguments, each with a blank before it. A name may hold a backslash.
fn names(services: &Services, which: impl Fn(&Unit) -> bool) -> String {
    services.units.iter().filter(|unit| which(unit)).map(|unit| format!(" '{}'", unit.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(name: &str, enablement: Enablement, start: bool, on_upgrade: OnUpgrade) -> Unit {
        Unit { name: name.to_owned(), enablement, start, on_upgrade }
    }

    fn parts(units: Vec<Unit>) -> Parts {
        Parts::new(&Services { units, ..Services::default() })
    }

    #[test]
    fn without_services_there_are_no_parts() {
        assert_eq!(Parts::new(&Services::default()), Parts::default());
    }

    #[test]
    fn users_and_folders_come_before_anything_starts() {
        let parts = Parts::new(&Services {
            units: vec![unit("a.service", Enablement::ByPackage, true, OnUpgrade::Restart)],
            sysusers: Some("a.conf".into()),
            tmpfiles: Some("a.conf".into()),
            ..Services::default()
        });
        let postinst = parts.get("postinst").unwrap();
        let at = |text: &str| postinst.find(text).unwrap_or_else(|| panic!("{text} is not in {postinst}"));
        assert!(at("systemd-sysusers") < at("systemd-tmpfiles"));
        assert!(at("systemd-tmpfiles") < at("deb-systemd-helper --quiet was-enabled"));
        assert!(at("deb-systemd-helper enable") < at("daemon-reload"));
        assert!(at("daemon-reload") < at("deb-systemd-invoke restart 'a.service'"));
    }

    #[test]
    fn each_unit_gets_what_its_keys_say() {
        use Enablement::{ByAdministrator, ByPackage, Static};
        use OnUpgrade::{Keep, Restart, Stop};
        let parts = parts(vec![
            unit("restarted.service", ByPackage, true, Restart),
            unit("restarted.socket", ByPackage, true, Restart),
            unit("stopped.service", ByAdministrator, true, Stop),
            unit("kept.service", Static, true, Keep),
            unit("unstarted.timer", ByPackage, false, Restart),
        ]);
        let postinst = parts.get("postinst").unwrap();
        for line in [
            "deb-systemd-invoke start 'restarted.service' 'restarted.socket' 'stopped.service' 'kept.service' >",
            "deb-systemd-invoke restart 'restarted.service' 'restarted.socket' >",
            "deb-systemd-invoke try-restart 'unstarted.timer' >",
            "deb-systemd-invoke start 'stopped.service' 'kept.service' >",
            "for _unit in 'restarted.service' 'restarted.socket' 'unstarted.timer'; do",
            "for _unit in 'stopped.service'; do",
        ] {
            assert!(postinst.contains(line), "{line} is not in {postinst}");
        }
        assert!(parts.get("preinst").unwrap().contains("deb-systemd-invoke stop 'stopped.service' >"));
        let all = "'restarted.service' 'restarted.socket' 'stopped.service' 'kept.service' 'unstarted.timer'";
        assert!(parts.get("prerm").unwrap().contains(&format!("deb-systemd-invoke stop {all} >")));
        let with_links = "'restarted.service' 'restarted.socket' 'stopped.service' 'unstarted.timer'";
        assert!(parts.get("postrm").unwrap().contains(&format!("deb-systemd-helper purge {with_links} >")));
    }

    #[test]
    fn a_template_alone_makes_systemd_read_its_units_again() {
        let parts = Parts::new(&Services { has_templates: true, ..Services::default() });
        assert!(parts.get("postinst").unwrap().contains("daemon-reload"));
        assert!(!parts.get("postinst").unwrap().contains("deb-systemd-invoke"));
        assert_eq!(parts.get("prerm"), None);
    }
}
