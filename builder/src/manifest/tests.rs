use super::*;

const MINIMAL: &str = "[package]\nname = \"hi\"\nversion = \"0.1.0\"\nmaintainer = \"A <a@example.org>\"\n\
                       description = \"says hi\"\n";

fn parse(text: &str) -> Result<Manifest, String> {
    Manifest::parse(text, Path::new("debfleet.toml")).map_err(|error| error.to_string())
}

fn error(text: &str) -> String {
    parse(text).unwrap_err()
}

#[test]
fn four_keys_make_a_package() {
    let manifest = parse(MINIMAL).unwrap();
    assert_eq!(
        manifest.package().stanza().to_string(),
        "Package: hi\nVersion: 0.1.0-1\nArchitecture: all\nMaintainer: A <a@example.org>\nSection: misc\n\
         Priority: optional\nDescription: says hi\n"
    );
}

#[test]
fn every_field_stands_where_debian_expects_it() {
    let text = MINIMAL.replace("0.1.0", "1.3.0-rc.1")
        + "revision = 2\narchitecture = \"amd64\"\nsection = \"net\"\npriority = \"standard\"\ndepends = [\"libc6 (>= 2.36)\", \
           \"a1 | b2\"]\npre-depends = \"dpkg\"\nhomepage = \"https://example.org/\"\nlicense = \"MIT\"\n";
    let text = text.replace("\"says hi\"", "\"\"\"says hi\nLonger.\n\n  verbatim\"\"\"");
    assert_eq!(
        parse(&text).unwrap().package().stanza().to_string(),
        "Package: hi\nVersion: 1.3.0~rc.1-2\nArchitecture: amd64\nMaintainer: A <a@example.org>\nPre-Depends: dpkg\n\
         Depends: libc6 (>= 2.36), a1 | b2\nSection: net\nPriority: standard\nHomepage: https://example.org/\n\
         Description: says hi\n Longer.\n .\n   verbatim\n"
    );
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let cases = [
        (MINIMAL.replace("maintainer", "maintaner"), ":4: unknown key `maintaner`; did you mean `maintainer`?"),
        (MINIMAL.replace("maintainer = \"A <a@example.org>\"\n", ""), ":1: the key `maintainer` is missing"),
        (MINIMAL.replace("\"hi\"", "\"hi"), ":2: "),
        (MINIMAL.replace("\"hi\"", "\"Hi\""), ":2: package name \"Hi\" is not valid"),
        (MINIMAL.replace("0.1.0", "0.1"), ":3: version = \"0.1\""),
        (MINIMAL.replace("A <a@example.org>", "A"), ":4: maintainer = \"A\""),
        (format!("{MINIMAL}revision = 0\n"), ":6: revision"),
        (format!("{MINIMAL}depends = \"Foo\"\n"), ":6: depends = \"Foo\""),
        (format!("{MINIMAL}homepage = \"x\"\n"), ":6: homepage"),
        (format!("{MINIMAL}license = \"MIT\\nFiles: *\"\n"), ":6: license"),
        (format!("{MINIMAL}\n[[files]]\nsource = \"a\"\ndestination = \"b\"\n"), ":9: destination = \"b\""),
        (format!("{MINIMAL}\n[[files]]\nsource = \"a\"\ndestination = \"/b/../c\"\n"), ":9: destination"),
        (format!("{MINIMAL}\n[[files]]\nsource = \"a\"\n"), ":7: the key `destination` is missing"),
        (format!("{MINIMAL}\n[[files]]\nsource = \"a\"\ndestination = \"/b\"\nmode = \"0999\"\n"), ":10: mode"),
        (format!("{MINIMAL}\n[[files]]\nsource = \"a\"\ndestination = \"/b\"\nmode = 755\n"), ":10: invalid type"),
        (format!("{MINIMAL}\n[[files]]\nsource = \"a\"\ndestination = \"/b\"\nowner = \"0:0\"\n"), ":10: owner"),
        (format!("{MINIMAL}\n[update]\ncommit-timeout = 0\n"), ":7: [update]: commit-timeout"),
        (format!("{MINIMAL}\n[update]\nrollback-floor = \"9-1\"\n"), ":7: rollback-floor"),
        (format!("{MINIMAL}\n[update]\nstat = []\n"), ":8: unknown key `stat`; did you mean `state`?"),
        (format!("{MINIMAL}\n[bump]\nfiles = [{{ path = \"a\", pattern = \"x\" }}]\n"), ":8: pattern = \"x\""),
        ("x = [".to_owned(), ":1: "),
        (String::new(), "the key `package` is missing"),
    ];
    for (text, expected) in cases {
        let error = error(&text);
        assert!(error.starts_with("debfleet.toml") && error.contains(expected), "{expected:?} not in {error:?}");
    }
}
