-- What debfleet-server wrote while its schema was that of migration 0001: one package published to `stable`, and an
-- upload that was cut off. The token's secret is in schemas.rs.
INSERT INTO tokens (id, secret_sha256, role, created_at) VALUES ('0ab5fcb22d61aea5', '136377af4b34c7f7220807f7f16561af1412dde90b5c29c29aa2671c9b66dd84', 'admin', 1795255982);
INSERT INTO suites (name, generation, created_at) VALUES ('stable', 2, 1795255983);
INSERT INTO packages (sha256, name, version, architecture, filename, size, stanza, signed_by, uploaded_at) VALUES ('ddcbbaf6f6c915238afa942bc1d76a55cc5bf01336b27cac72e5fa2c38aaa2b3', 'hi', '0.1.0-1', 'all', 'pool/main/h/hi/hi_0.1.0-1_all.deb', 2412, 'Package: hi
Version: 0.1.0-1
Architecture: all
Maintainer: debfleet maintainers <maintainers@example.org>
Installed-Size: 18
Section: misc
Priority: optional
Description: greeter that tells its own version
 Prints one line that names the version of the package it came in.
 .
 It is the smallest package worth updating over the air: whoever runs it
 sees which version a device has.
Filename: pool/main/h/hi/hi_0.1.0-1_all.deb
Size: 2412
MD5sum: 7af661f010e463c503837374cce240f3
SHA256: ddcbbaf6f6c915238afa942bc1d76a55cc5bf01336b27cac72e5fa2c38aaa2b3
', '2CD76CD01FC786FAFC14B723BA40798554D6C644', 1795256012);
INSERT INTO suite_packages (suite, sha256, added_at) VALUES ('stable', 'ddcbbaf6f6c915238afa942bc1d76a55cc5bf01336b27cac72e5fa2c38aaa2b3', 1795256012);
INSERT INTO generations (suite, number, date, valid_until, release, inrelease, release_gpg) VALUES ('stable', 1, 1795255983, 1795860783, 'Origin: debfleet
Label: debfleet
Suite: stable
Codename: stable
Date: Sat, 21 Nov 2026 10:13:03 UTC
Valid-Until: Sat, 28 Nov 2026 10:13:03 UTC
Acquire-By-Hash: yes
Architectures: amd64 arm64 armhf
Components: main
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages
 9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64 20 main/binary-amd64/Packages.gz
 0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275 32 main/binary-amd64/Packages.xz
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-arm64/Packages
 9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64 20 main/binary-arm64/Packages.gz
 0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275 32 main/binary-arm64/Packages.xz
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-armhf/Packages
 9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64 20 main/binary-armhf/Packages.gz
 0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275 32 main/binary-armhf/Packages.xz
', '-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Origin: debfleet
Label: debfleet
Suite: stable
Codename: stable
Date: Sat, 21 Nov 2026 10:13:03 UTC
Valid-Until: Sat, 28 Nov 2026 10:13:03 UTC
Acquire-By-Hash: yes
Architectures: amd64 arm64 armhf
Components: main
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages
 9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64 20 main/binary-amd64/Packages.gz
 0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275 32 main/binary-amd64/Packages.xz
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-arm64/Packages
 9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64 20 main/binary-arm64/Packages.gz
 0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275 32 main/binary-arm64/Packages.xz
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-armhf/Packages
 9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64 20 main/binary-armhf/Packages.gz
 0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275 32 main/binary-armhf/Packages.xz
-----BEGIN PGP SIGNATURE-----

wnUEARYKAB0FAmsBbq8WIQSLnAfxNcchz35pYxxsLESgHj+R7AAKCRBsLESgHj+R
7F6oAQDwAJgTkpDdhrV6NQRD6ySs4QHfKReFEfRQoAaYw+P5iQEA7tarRPDwWJUg
j6Dkh6NNi7w2hSzNz8fdkG0JNtBS9gI=
=1XTC
-----END PGP SIGNATURE-----
', '-----BEGIN PGP SIGNATURE-----

wnUEABYKAB0FAmsBbq8WIQSLnAfxNcchz35pYxxsLESgHj+R7AAKCRBsLESgHj+R
7NpGAP47MhOQMqRxvHVmr5xnSfzB9NJpwp7GoDDMAXKjfbUdFgEA+VxN+1izx4ZG
+Ya3AsTVVqiMyVq5nLoMf1PAF0VyNgs=
=uCmG
-----END PGP SIGNATURE-----
');
INSERT INTO generations (suite, number, date, valid_until, release, inrelease, release_gpg) VALUES ('stable', 2, 1795256012, 1795860812, 'Origin: debfleet
Label: debfleet
Suite: stable
Codename: stable
Date: Sat, 21 Nov 2026 10:13:32 UTC
Valid-Until: Sat, 28 Nov 2026 10:13:32 UTC
Acquire-By-Hash: yes
Architectures: amd64 arm64 armhf
Components: main
SHA256:
 56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec 552 main/binary-amd64/Packages
 54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400 384 main/binary-amd64/Packages.gz
 c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6 464 main/binary-amd64/Packages.xz
 56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec 552 main/binary-arm64/Packages
 54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400 384 main/binary-arm64/Packages.gz
 c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6 464 main/binary-arm64/Packages.xz
 56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec 552 main/binary-armhf/Packages
 54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400 384 main/binary-armhf/Packages.gz
 c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6 464 main/binary-armhf/Packages.xz
', '-----BEGIN PGP SIGNED MESSAGE-----
Hash: SHA512

Origin: debfleet
Label: debfleet
Suite: stable
Codename: stable
Date: Sat, 21 Nov 2026 10:13:32 UTC
Valid-Until: Sat, 28 Nov 2026 10:13:32 UTC
Acquire-By-Hash: yes
Architectures: amd64 arm64 armhf
Components: main
SHA256:
 56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec 552 main/binary-amd64/Packages
 54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400 384 main/binary-amd64/Packages.gz
 c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6 464 main/binary-amd64/Packages.xz
 56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec 552 main/binary-arm64/Packages
 54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400 384 main/binary-arm64/Packages.gz
 c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6 464 main/binary-arm64/Packages.xz
 56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec 552 main/binary-armhf/Packages
 54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400 384 main/binary-armhf/Packages.gz
 c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6 464 main/binary-armhf/Packages.xz
-----BEGIN PGP SIGNATURE-----

wnUEARYKAB0FAmsBbswWIQSLnAfxNcchz35pYxxsLESgHj+R7AAKCRBsLESgHj+R
7OTwAQCi2SHV3SwsHX+dq2NwgUt4UW1ActRmWT2t2MirQbKpvQD/S6sxVLx70FD1
XIZL1QQOTw8WSh4brpeyha3GwGSM/g8=
=Pddd
-----END PGP SIGNATURE-----
', '-----BEGIN PGP SIGNATURE-----

wnUEABYKAB0FAmsBbswWIQSLnAfxNcchz35pYxxsLESgHj+R7AAKCRBsLESgHj+R
7FqKAP0YhkThZgXttjaI7PyPKHaZmfJTdJ9qK1waKXHyE6tlKQD9Hn+/8X61yGJJ
kthbDVt+XhKE3Xs5NLnHLsCuLnhk0gk=
=BeEa
-----END PGP SIGNATURE-----
');
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-amd64/Packages', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-amd64/Packages.gz', '9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64', 20);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-amd64/Packages.xz', '0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275', 32);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-arm64/Packages', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-arm64/Packages.gz', '9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64', 20);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-arm64/Packages.xz', '0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275', 32);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-armhf/Packages', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', 0);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-armhf/Packages.gz', '9ceffb7310338057cfe71a4ae1e2c98d2c485d81cdef906532a801f457a38d64', 20);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 1, 'main/binary-armhf/Packages.xz', '0040f94d11d0039505328a90b2ff48968db873e9e7967307631bf40ef5679275', 32);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-amd64/Packages', '56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec', 552);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-amd64/Packages.gz', '54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400', 384);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-amd64/Packages.xz', 'c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6', 464);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-arm64/Packages', '56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec', 552);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-arm64/Packages.gz', '54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400', 384);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-arm64/Packages.xz', 'c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6', 464);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-armhf/Packages', '56fd7b076d47070af03bf22a5099a6e2579b17d46353dc06fd2184d0fdf653ec', 552);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-armhf/Packages.gz', '54f96f21a745dd9d9e565033160f889fdfa1d7325118992a8ea40adfd64d7400', 384);
INSERT INTO generation_files (suite, number, path, sha256, size) VALUES ('stable', 2, 'main/binary-armhf/Packages.xz', 'c1acb23218d05388407de930cbc9184fab5d00455012f73b0100b2e593d4fee6', 464);
INSERT INTO pool_writes (filename, begun_at) VALUES ('pool/main/h/hi/hi_0.2.0-1_all.deb', 1763719800);
