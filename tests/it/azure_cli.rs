//! The Azure CLI as a source of tokens, played by a script.

mod ending;
mod environment;
mod failures;
mod output;
mod zones;
