use super::*;
use debian_formats::Architecture;

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
        manifest.package().stanza(&Architecture::all()).to_string(),
        "Package: hi\nVersion: 0.1.0-1\nArchitecture: all\nMaintainer: A <a@example.org>\nSection: misc\n\
         Priority: optional\nDescription: says hi\n This package brings hi to the device:\n says hi.\n"
    );
}

#[test]
fn every_field_stands_where_debian_expects_it() {
    let text = MINIMAL.replace("0.1.0", "1.3.0-rc.1").replace("name = ", "package = ")
        + "revision = 2\nepoch = 1\narchitecture = \"amd64\"\nsource = \"greet\"\norigin = \"Acme\"\n\
           bugs = \"mailto:b@example.org\"\ntag = \"role::program\"\ntask = \"lamps\"\nessential = true\n\
           protected = true\nmulti-arch = \"foreign\"\nenhances = \"e1\"\nbuilt-using = [\"gcc-12 (= 12.2.0-14)\"]\n\
           static-built-using = \"zlib (= 1:1.2)\"\nfields = { X-Team = \"lamps\", Ruby-Versions = \"all\" }\nsection = \"net\"\npriority = \"standard\"\ndepends = [\"libc6 (>= 2.36)\", \
           \"a1 | b2\"]\npre-depends = \"dpkg\"\nhomepage = \"https://example.org/\"\nlicense = \"MIT\"\n";
    let text = text.replace("\"says hi\"", "\"\"\"says hi\nLonger.\n\n  verbatim\"\"\"");
    assert_eq!(
        parse(&text).unwrap().package().stanza(&"amd64".parse().unwrap()).to_string(),
        "Package: hi\nSource: greet\nVersion: 1:1.3.0~rc.1-2\nBuilt-Using: gcc-12 (= 12.2.0-14)\n\
         Static-Built-Using: zlib (= 1:1.2)\nArchitecture: amd64\nEssential: yes\nProtected: yes\nOrigin: Acme\n\
         Bugs: mailto:b@example.org\nMaintainer: A <a@example.org>\nPre-Depends: dpkg\n\
         Depends: libc6 (>= 2.36), a1 | b2\nEnhances: e1\nSection: net\nPriority: standard\nMulti-Arch: foreign\n\
         Homepage: https://example.org/\nDescription: says hi\n Longer.\n .\n   verbatim\nTag: role::program\n\
         Task: lamps\nRuby-Versions: all\nX-Team: lamps\n"
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
        (format!("{MINIMAL}architecture = \"Amd64\"\n"), ":6: architecture \"Amd64\""),
        (format!("{MINIMAL}architecture = [\"amd64\", \"any\"]\n"), ":6: architecture = \"any\""),
        (format!("{MINIMAL}architecture = [\"amd64\", \"amd64\"]\n"), ":6: architecture = \"amd64\": it stands"),
        (format!("{MINIMAL}architecture = []\n"), ":6: architecture = \"[]\""),
        (format!("{MINIMAL}multi-arch = \"no\"\n"), ":6: multi-arch = \"no\""),
        (format!("{MINIMAL}source = \"Big\"\n"), ":6: package name \"Big\""),
        (format!("{MINIMAL}origin = \"a\\nb\"\n"), ":6: origin"),
        (format!("{MINIMAL}fields = {{ depends = \"x\" }}\n"), ":6: fields = \"depends\": it is not for this table"),
        (format!("{MINIMAL}fields = {{ \"a b\" = \"x\" }}\n"), ":6: fields = \"a b\""),
        (format!("{MINIMAL}fields = {{ X = \"\" }}\n"), ":6: fields = \"\": X must say something"),
        (format!("{MINIMAL}epoch = -1\n"), ":6: "),
        (
            format!("{MINIMAL}\n[[files]]\ndestination = \"/b\"\n"),
            ":7: [[files]] = \"/b\": write exactly one of `source`",
        ),
        (
            format!("{MINIMAL}\n[[files]]\ndestination = \"/b\"\nsource = \"a\"\nsymlink = \"c\"\n"),
            ":7: [[files]] = \"/b\": write exactly one of",
        ),
        (
            format!("{MINIMAL}\n[[files]]\ndestination = \"/b\"\nsymlink = \"c\"\nconffile = true\n"),
            ":10: conffile = \"\": it belongs to a `source`",
        ),
        (format!("{MINIMAL}\n[[files]]\ndestination = \"/b\"\nsymlink = \"c\"\nmode = \"0644\"\n"), ":10: mode"),
        (format!("{MINIMAL}\n[[files]]\ndestination = \"/b\"\nsource = \"a\"\nexclude = [\"[\"]\n"), ":10: "),
        (
            format!("{MINIMAL}\n[[files]]\ndestination = \"/b\"\nsource = \"{{arch}}/x\"\n"),
            ":9: source = \"{arch}/x\": {arch} stands for nothing; use {name}",
        ),
        (
            format!("{MINIMAL}\n[[files]]\ndestination = \"/{{versio}}\"\nsource = \"x\"\n"),
            "{versio} stands for nothing; did you mean {version}?",
        ),
        (
            format!("{MINIMAL}\n[[files]]\ndestination = \"/b\"\nsource = \"a\"\narchitectures = \"arm64\"\n"),
            ":10: architectures = \"arm64\": the package is not made for it",
        ),
        (format!("{MINIMAL}\n[build]\ncompression = \"lzma\"\n"), ":8: "),
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
