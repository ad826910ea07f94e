//! The `ahds-proxy` program: hands the command line to [`ahds_proxy::cli`].

fn main() {}
