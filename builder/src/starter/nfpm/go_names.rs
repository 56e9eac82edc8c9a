//! Go's names of architectures, which nfpm uses, as Debian says them.

/// Debian's name; none if there is none.
pub(super) fn debian(go: &str) -> Option<&'static str> {
    Some(match go {
        "all" => "all",
        "amd64" => "amd64",
        "386" | "i386" => "i386",
        "arm64" => "arm64",
        "arm5" => "armel",
        "arm6" | "arm7" => "armhf",
        "loong64" => "loong64",
        "mips" => "mips",
        "mipsle" => "mipsel",
        "mips64le" => "mips64el",
        "ppc64le" => "ppc64el",
        "riscv64" => "riscv64",
        "s390" | "s390x" => "s390x",
        _ => return None,
    })
}
