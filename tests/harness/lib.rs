//! What the end-to-end tests share: the built binaries, a server, Debian roots, and pictures of whole trees.
//!
//! Everything real runs: apt, dpkg, gpg and our own binaries. The one stand-in is [`hostile::HostileServer`], which
//! misbehaves as no well-kept server would.

#![expect(clippy::expect_used, clippy::panic, reason = "a broken test bench must stop the test, and say where")]

pub mod apts_tests;
pub mod archive;
pub mod at_scale;
pub mod balancer;
pub mod booted;
pub mod broker;
pub mod container;
#[cfg(target_arch = "x86_64")]
pub mod crash;
pub mod debian_root;
pub mod device;
pub mod file_system;
pub mod hostile;
pub mod network;
pub mod package;
pub mod program;
pub mod repository;
pub mod server;
pub mod tree;
pub mod wire;

pub use apts_tests::AptsTest;
pub use archive::{Archive, plain_deb};
pub use at_scale::AtScale;
pub use balancer::Balancer;
pub use booted::BootedDevice;
pub use broker::Broker;
pub use debian_root::DebianRoot;
pub use device::Device;
pub use file_system::{FileSystem, is_shared};
pub use hostile::HostileServer;
pub use network::in_own_network;
pub use package::{PackageKey, Source};
pub use program::{Ended, binary, run};
pub use repository::RepositoryCopy;
pub use server::Server;
pub use tree::Tree;
pub use wire::Wire;
