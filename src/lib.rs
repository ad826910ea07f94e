//! The authenticating reverse proxy for Azure Health Data Services.
//!
//! The proxy takes unauthenticated local requests for `/fhir/*` and `/dicom/*`. It attaches a
//! bearer token for the right audience, forwards each request to `*.azurehealthcareapis.com`, and
//! streams the response back.
//!
//! # Layout
//!
//! Each floor uses only the floors below it, which `tests/it/architecture.rs` checks:
//!
//! | floor | modules | subject |
//! |---|---|---|
//! | 8 | `main`, `cli` | the command line; the only place that prints and exits |
//! | 7 | `app` | the parts wired together; signals and drain |
//! | 6 | `admin`, `check` | health and status; the checks between a route and its service |
//! | 5 | `proxy` | the pipeline of one request, in named steps |
//! | 4 | `server` | listeners, connection limits, graceful shutdown; nothing about proxying |
//! | 3 | `token`, `resource_manager` | the token cache: one fetch per key, renewal ahead of expiry; the services that a caller can see |
//! | 2 | `credentials` | one file for each way to get a token |
//! | 1 | `upstream`, `telemetry`, `rewrite` | connections to other hosts; logs; links in bodies and headers |
//! | 0 | `config`, `clock`, `instance`, `shell`, `x509` | values valid by construction; the wall clock; the record of a running process; words of a command line; certificates |
//!
//! Public modules are those that the program, the tests, the benchmarks and the fuzz targets use.
//! This crate is not a library for other projects.

mod admin;
pub mod app;
mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
mod instance;
mod proxy;
mod resource_manager;
pub mod rewrite;
pub mod server;
mod shell;
mod telemetry;
mod token;
pub mod upstream;
mod x509;
