"""Writes a package that no honest tool would make: hostile_deb.py GOOD.deb OUT.deb TRICK SIGN...

GOOD.deb is taken apart, the trick is put into its data.tar, and the members are signed anew by the command SIGN, which
reads what is signed and writes the signature. With the trick `signature-of:OTHER.deb` the content stays, and the
signature is OTHER's; with `no-signature` there is none."""

import io
import subprocess
import sys
import tarfile


def members(path):
    """The members of an ar archive, in order."""
    with open(path, "rb") as file:
        content = file.read()
    at, found = 8, []
    while at + 60 <= len(content):
        size = int(content[at + 48 : at + 58])
        found.append((content[at : at + 16].decode().strip().rstrip("/"), content[at + 60 : at + 60 + size]))
        at += 60 + size + size % 2
    return found


def archive(parts):
    written = [b"!<arch>\n"]
    for name, content in parts:
        written.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content)
        written.append(b"\n" * (len(content) % 2))
    return b"".join(written)


def entry(name, kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    return info


TRICKS = {
    "symlink-out": [(entry("./opt/hi/out", tarfile.SYMTYPE, "../../etc/cron.d"), b""), (entry("./opt/hi/out/evil"), b"evil\n")],
    "hardlink-out": [(entry("./opt/hi/shadow", tarfile.LNKTYPE, "./../../etc/shadow"), b"")],
    "hardlink-to-the-system": [(entry("./opt/hi/shadow", tarfile.LNKTYPE, "./etc/shadow"), b"")],
    "hardlink-through-a-symlink": [
        (entry("./opt/hi/etc", tarfile.SYMTYPE, "/etc"), b""),
        (entry("./opt/hi/shadow", tarfile.LNKTYPE, "./opt/hi/etc/shadow"), b""),
    ],
    "absolute": [(entry("/etc/cron.d/evil"), b"evil\n")],
    "dot-dot": [(entry("./opt/../../etc/cron.d/evil"), b"evil\n")],
    "device": [(entry("./opt/hi/memory", tarfile.CHRTYPE), b"")],
    "sparse": [(entry("./opt/hi/sparse", tarfile.GNUTYPE_SPARSE), b"")],
    "twice": [(entry("./opt/hi/hi"), b"evil\n")],
    "setuid": [(entry("./opt/hi/become-root", mode=0o4755), b"#!/bin/sh\n")],
    "setgid": [(entry("./opt/hi/join-root", mode=0o2755), b"#!/bin/sh\n")],
}
PROMISES = {"terabyte": 1 << 40, "gigabytes": 7 << 30}


def data(good, trick):
    plain = subprocess.run(["dpkg-deb", "--fsys-tarfile", good], check=True, capture_output=True).stdout
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(plain)) as old, tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as new:
        for info in old:
            new.addfile(info, old.extractfile(info) if info.isreg() else None)
        for info, content in TRICKS.get(trick, []):
            info.size = len(content)
            new.addfile(info, io.BytesIO(content))
        if trick in PROMISES:
            # It promises so much, and ends.
            info = entry("./opt/hi/endless")
            info.size = PROMISES[trick]
            new.fileobj.write(info.tobuf(tarfile.GNU_FORMAT))
    return out.getvalue()


def main():
    good, out, trick, *sign = sys.argv[1:]
    parts = [(name, content) for name, content in members(good) if not name.startswith("_gpg")]
    if trick.startswith("signature-of:"):
        parts += [part for part in members(trick.split(":", 1)[1]) if part[0].startswith("_gpg")]
    elif trick != "no-signature":
        parts = [part if not part[0].startswith("data.tar") else ("data.tar", data(good, trick)) for part in parts]
        signed = b"".join(content for _, content in parts)
        parts.append(("_gpgorigin", subprocess.run(sign, input=signed, check=True, capture_output=True).stdout))
    with open(out, "wb") as file:
        file.write(archive(parts))


main()
