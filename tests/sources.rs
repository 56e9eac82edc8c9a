//! Where packages are taken from: apt's cache, a proxy, a folder without any network.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]
