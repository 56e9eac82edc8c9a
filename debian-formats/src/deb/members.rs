//! The strict check of a .deb's ar members: their names, order and sizes.

use super::DebProblem;
use super::role::SignatureRole;
use std::io::{Read, Seek, SeekFrom};

const MAGIC: &[u8; 8] = b"!<arch>\n";
pub(super) const HEADER_BYTES: u64 = 60;
/// More than anybody needs.
pub(super) const MAX_SIGNATURES: usize = 16;

/// One member's place in the file.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) size: u64,
}

/// The members of a well-formed .deb.
#[derive(Debug, Clone)]
pub(super) struct Members {
    pub(super) debian_binary: Member,
    pub(super) control: Member,
    pub(super) data: Member,
    pub(super) signatures: Vec<(SignatureRole, Member)>,
}

impl Members {
    /// Reads the table of members and refuses anything but `debian-binary`, one control.tar, one data.tar and then
    /// signatures, up to the very end of the file.
    pub(super) fn scan(file: &mut (impl Read + Seek)) -> Result<Self, DebProblem> {
        let bad = |problem: &str| DebProblem::Archive(problem.to_owned());
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(0))?;
        let mut magic = [0; MAGIC.len()];
        if length < MAGIC.len() as u64 {
            return Err(bad("the file is shorter than an ar archive's first line"));
        }
        file.read_exact(&mut magic)?;
        if &magic != MAGIC {
            return Err(bad("it does not begin as an ar archive (`!<arch>`)"));
        }
        let mut members = Vec::new();
        let mut offset = MAGIC.len() as u64;
        while offset < length {
            if members.len() == 3 + MAX_SIGNATURES {
                return Err(bad("it has too many members"));
            }
            let member = read_header(file, offset, length)?;
            offset = member.offset + member.size + member.size % 2;
            members.push(member);
        }
        // Some writers leave out the padding of the last, odd member.
        if offset > length + 1 {
            return Err(bad("it is truncated"));
        }
        Self::arrange(file, members)
    }

    fn arrange(file: &mut (impl Read + Seek), members: Vec<Member>) -> Result<Self, DebProblem> {
        let mut members = members.into_iter();
        let mut expect = |wanted: &str, fits: fn(&str) -> bool| {
            let found = members.next();
            let name = found.as_ref().map_or("the end of the file", |member| &member.name).to_owned();
            found
                .filter(|member| fits(&member.name))
                .ok_or_else(|| DebProblem::Archive(format!("expected the member {wanted}, found {name:?}")))
        };
        let debian_binary = expect("debian-binary", |name| name == "debian-binary")?;
        let control = expect("control.tar, .gz, .xz or .zst", |name| is_tar(name, "control"))?;
        let data = expect("data.tar, .gz, .xz or .zst", |name| is_tar(name, "data"))?;
        if debian_binary.size > 64 {
            return Err(DebProblem::Archive("its debian-binary is too long".into()));
        }
        let mut version = vec![0; usize::try_from(debian_binary.size).unwrap_or(64)];
        file.seek(SeekFrom::Start(debian_binary.offset))?;
        file.read_exact(&mut version)?;
        if version != b"2.0\n" {
            return Err(DebProblem::Archive("its format is not 2.0".into()));
        }
        let mut signatures: Vec<(SignatureRole, Member)> = Vec::new();
        for member in members {
            let role = SignatureRole::of_member(&member.name)
                .ok_or_else(|| DebProblem::Archive(format!("unexpected member {:?} after data.tar", member.name)))?;
            if signatures.iter().any(|(other, _)| *other == role) {
                return Err(DebProblem::Archive(format!("the member {:?} stands twice", member.name)));
            }
            signatures.push((role, member));
        }
        Ok(Self { debian_binary, control, data, signatures })
    }
}

fn is_tar(name: &str, stem: &str) -> bool {
    name.strip_prefix(stem).is_some_and(|rest| [".tar", ".tar.gz", ".tar.xz", ".tar.zst"].contains(&rest))
}

/// An ar member's header: name 16, mtime 12, uid 6, gid 6, mode 8, size 10 columns, then "`\n".
fn read_header(file: &mut (impl Read + Seek), offset: u64, length: u64) -> Result<Member, DebProblem> {
    let bad = |problem: String| DebProblem::Archive(problem);
    if length - offset < HEADER_BYTES {
        return Err(bad(format!("it is truncated in a member's header at byte {offset}")));
    }
    let mut header = [0; HEADER_BYTES as usize];
    file.seek(SeekFrom::Start(offset))?;
    file.read_exact(&mut header)?;
    let (fields, end) = header.split_at(58);
    let text = std::str::from_utf8(fields).ok().filter(|text| text.is_ascii() && end == b"`\n");
    let text = text.ok_or_else(|| bad(format!("the member's header at byte {offset} is damaged")))?;
    let (name, rest) = text.split_at(16);
    let name = name.trim_end_matches(' ');
    let name = name.strip_suffix('/').unwrap_or(name).to_owned();
    let size = rest[32..].trim_end_matches(' ');
    let size: u64 = Some(size)
        .filter(|size| size.bytes().all(|b| b.is_ascii_digit()))
        .and_then(|size| size.parse().ok())
        .ok_or_else(|| bad(format!("the size of the member {name:?} is not a number")))?;
    let offset = offset + HEADER_BYTES;
    if size > length - offset {
        return Err(bad(format!(
            "it is truncated: the member {name:?} should hold {size} bytes, {} are left",
            length - offset
        )));
    }
    Ok(Member { name, offset, size })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut builder = ar::Builder::new(Vec::new());
        for (name, body) in members {
            builder.append(&ar::Header::new(name.as_bytes().to_vec(), body.len() as u64), *body).unwrap();
        }
        builder.into_inner().unwrap()
    }

    const GOOD: [(&str, &[u8]); 4] =
        [("debian-binary", b"2.0\n"), ("control.tar.gz", b"c"), ("data.tar.xz", b"dd"), ("_gpgorigin", b"s")];

    fn scan(bytes: &[u8]) -> Result<Members, String> {
        Members::scan(&mut Cursor::new(bytes)).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_signed_package_is_read() {
        let members = scan(&archive(&GOOD)).unwrap();
        assert_eq!((members.data.size, members.signatures.len()), (2, 1));
    }

    #[test]
    fn truncation_is_found_at_every_length() {
        let bytes = archive(&GOOD);
        // The last member's padding may be absent; a cut behind a whole member leaves a whole, unsigned package.
        let unsigned = archive(&GOOD[..3]).len();
        for length in 0..bytes.len() - 1 {
            assert_eq!(scan(&bytes[..length]).is_ok(), length == unsigned, "cut at {length}");
        }
    }

    #[test]
    fn foreign_missing_and_repeated_members_are_refused() {
        let with = |index: usize, name| {
            let mut members = GOOD;
            members[index].0 = name;
            scan(&archive(&members)).unwrap_err()
        };
        assert!(with(1, "foo.tar.xz").contains("foo.tar.xz"));
        assert!(with(3, "evil").contains("evil"));
        assert!(scan(&archive(&GOOD[..2])).unwrap_err().contains("data.tar"));
        let twice: Vec<_> = GOOD.iter().chain(&GOOD[3..]).copied().collect();
        assert!(scan(&archive(&twice)).unwrap_err().contains("twice"));
        assert!(scan(b"PK\x03\x04 and a zip").unwrap_err().contains("ar archive"));
    }
}
