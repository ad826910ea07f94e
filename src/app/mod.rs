//! The composition root: makes the parts, wires them together, and stops them.

mod bound_listeners;
mod descriptors;
mod parts;
mod reading;
mod run;
mod running;
mod signals;
mod warnings;

pub use reading::Reload;
pub use run::run;
pub use running::{Running, StartError, start};
pub(crate) use signals::stop_signal;
pub use warnings::warnings;
