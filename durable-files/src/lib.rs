//! The only code that makes a write durable: atomic replace, a record that can be written on a full disk, a lock.
//!
//! After a power cut a file written here is wholly the old one or wholly the new one, and once a call has
//! returned it is the new one: temporary file, fsync, rename, fsync of the folder.

mod error;
mod lock;
mod nameless;
mod replace;
mod slots;

pub use error::{DurableError, is_full};
pub use lock::Lock;
pub use nameless::Nameless;
pub use replace::{Replacement, Unplaced, create_dir, remove, rename, replace, sync_dir, sync_files_of};
pub use slots::SlotFile;
