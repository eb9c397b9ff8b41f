//! Every sentence that tray, terminal and vault say, from the Fluent files that the page reads too.
//!
//! The agent sends codes and figures; this room turns them into the reader's language. It knows no state, asks nobody
//! and reads no file at run time: the catalogues are in the binary, time and time zone are arguments.

mod catalogue;
mod figures;
mod present;

pub use catalogue::{Catalogue, LANGUAGES, Value};
pub use figures::{amount, bytes, exact_amount, net_amount};
