//! The runtime of every command that uses the network.

use std::process::ExitCode;

use tokio::runtime::Builder;

use super::output::failed;
use crate::app;

const MORE_FILES: &str = if cfg!(unix) {
    "raise the limit on open files (ulimit -n)"
} else {
    "end other programs, and start ahds-proxy again"
};

/// Runs a future on this thread. One thread serves all requests, which costs a tenth to a fifth
/// less per request than several threads that pass work to each other.
pub(super) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, ExitCode> {
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            failed(&format_args!(
                "cannot create an event queue: {error}; {MORE_FILES}"
            ))
        })?;
    let result = runtime.block_on(future);
    // A name that is still being resolved must not delay the end of the process.
    runtime.shutdown_background();
    Ok(result)
}

/// Runs the future of a command that ends by itself. Ctrl-C and SIGTERM drop it, so that the tools
/// that it runs end with it.
pub(super) fn run_to_end<T>(future: impl Future<Output = T>) -> Result<T, ExitCode> {
    block_on(async {
        tokio::select! {
            result = future => Ok(result),
            () = app::stop_signal() => Err(ExitCode::FAILURE),
        }
    })?
}
