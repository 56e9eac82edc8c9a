//! A tree of many files becomes a .deb.

use super::fixture::{EPOCH, Tools, copy, megabytes, scratch, size_of, write};
use super::measure::{alternate, timed};
use super::report::Report;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

const ROUNDS: usize = 3;

/// Folders that are on every Debian with perl and python3.
const TREES: [&str; 2] = ["/usr/share/perl", "/usr/lib/python3"];

pub(super) fn measure(tools: &Tools) -> Result<Report> {
    println!("builder: debfleet build beside dpkg-deb");
    let folder = scratch()?;
    let (tree, keys) = (folder.path().join("tree"), folder.path().join("keys"));
    tools.new_key(&keys)?;
    for source in TREES {
        let target = tree.join(source.trim_start_matches('/'));
        let parent = target.parent().context("a folder of the tree")?;
        std::fs::create_dir_all(parent).with_context(|| format!("could not make {}", parent.display()))?;
        copy(Path::new(source), &target)?;
    }
    let (files, bytes) = size_of(&tree)?;
    write(
        &tree.join("DEBIAN/control"),
        "Package: tree\nVersion: 1.0-1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\n\
         Description: files of a Debian machine\n Some folders of the machine that measures.\n",
    )?;

    let outs = ["signed", "unsigned", "dpkg-deb"].map(|name| folder.path().join(name));
    let [signed, unsigned, peer] = &outs;
    std::fs::create_dir(peer).context("could not make a folder")?;
    let mut dpkg_deb = Command::new("dpkg-deb");
    dpkg_deb.args(["--root-owner-group", "--build"]).arg(&tree).arg(peer).env("SOURCE_DATE_EPOCH", EPOCH);
    let commands = [tools.build(&tree, signed, Some(&keys)), tools.build(&tree, unsigned, None), dpkg_deb];
    let names = ["debfleet build, signed", "debfleet build, unsigned", "dpkg-deb --build"];
    let contenders =
        alternate(ROUNDS, &names, |contender, _| timed(commands.get(contender).context("no such contender")?, 0))?;

    let sizes = outs.iter().map(|out| Ok(megabytes(size_of(out)?.1))).collect::<Result<Vec<f64>>>()?;
    let [signed, unsigned, peer] = sizes.as_slice() else { bail!("a package is missing") };
    Ok(Report {
        title: "`builder`: a tree becomes a package",
        setting: format!(
            "{} of this machine, {files} files of {:.1} MB together, by `debfleet build` and by `dpkg-deb \
             --root-owner-group --build`, both with their default compression, which is xz at level 6. {ROUNDS} rounds.",
            TREES.map(|tree| format!("`{tree}`")).join(" and "),
            megabytes(bytes)
        ),
        contenders,
        pairs: vec![(0, 2), (1, 2)],
        notes: vec![
            format!(
                "Size: signed {signed:.2} MB, unsigned {unsigned:.2} MB, dpkg-deb {peer:.2} MB: {:.3} × dpkg-deb's.",
                signed / peer
            ),
            "dpkg-deb lets xz use every core, for which it cuts the data into blocks, and so needs more memory; \
             `debfleet build` compresses one stream on one core. On a machine whose other cores are idle dpkg-deb \
             gains by that; the load in the table above tells whether any were."
                .to_owned(),
        ],
    })
}
