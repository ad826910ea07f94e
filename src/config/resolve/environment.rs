//! The process's environment.

/// Environment variables by name.
pub type Env<'e> = dyn Fn(&str) -> Option<String> + 'e;
