//! The `ahds-proxy` program: hands the command line to [`ahds_proxy::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ahds_proxy::cli::main()
}
