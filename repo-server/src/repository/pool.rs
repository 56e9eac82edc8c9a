//! Where a package lies in the pool.

use debian_formats::PackageName;
use debian_formats::control::Control;
use debian_formats::names::{ComponentName, NameError};

/// `pool/<component>/<prefix>/<source>/<package>_<version without epoch>_<architecture>.deb`, as in Debian's own archive:
/// the prefix is the source's first letter, or `lib` and one letter. Every part is checked, so the path stays inside.
pub(super) fn path_of(control: &Control, component: &ComponentName) -> Result<String, NameError> {
    let source: PackageName = control.source().parse()?;
    let source = source.as_str();
    let letters = if source.starts_with("lib") && source.len() > 3 { 4 } else { 1 };
    Ok(format!("pool/{component}/{}/{source}/{}", &source[..letters], control.file_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(package: &str, version: &str, extra: &str) -> Result<String, NameError> {
        let text = format!(
            "Package: {package}\nVersion: {version}\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: x\n{extra}"
        );
        path_of(&text.parse().unwrap(), &ComponentName::main())
    }

    #[test]
    fn the_pool_is_laid_out_as_debians() {
        assert_eq!(path("hi", "0.1.0-1", "").unwrap(), "pool/main/h/hi/hi_0.1.0-1_all.deb");
        assert_eq!(path("libhi", "1", "").unwrap(), "pool/main/libh/libhi/libhi_1_all.deb");
        assert_eq!(path("lib3", "1", "").unwrap(), "pool/main/lib3/lib3/lib3_1_all.deb");
        assert_eq!(path("lib", "1", "").unwrap_or_default(), "pool/main/l/lib/lib_1_all.deb");
        assert_eq!(path("hi-doc", "1", "Source: hi (0.9)\n").unwrap(), "pool/main/h/hi/hi-doc_1_all.deb");
    }

    #[test]
    fn an_epoch_stays_out_of_the_name() {
        assert_eq!(path("hi", "2:0.1.0-1", "").unwrap(), "pool/main/h/hi/hi_0.1.0-1_all.deb");
    }

    #[test]
    fn a_source_cannot_leave_the_pool() {
        for source in ["../../etc", "/etc", "a/b", "h\u{e9}", "."] {
            assert!(path("hi", "1", &format!("Source: {source}\n")).is_err(), "{source}");
        }
    }
}
