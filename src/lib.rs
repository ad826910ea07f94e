//! The authenticating reverse proxy for Azure Health Data Services.
//!
//! Unauthenticated local requests for `/fhir/*` and `/dicom/*` go in; the same
//! requests with a bearer token for the right audience go out to
//! `*.azurehealthcareapis.com`; answers are streamed back.
//!
//! # Layout
//!
//! Each floor uses only the floors below it (`tests/it/architecture.rs` checks that):
//!
//! | floor | modules | what it knows |
//! |---|---|---|
//! | 8 | `main`, [`cli`] | what the user typed; the only place that prints and exits |
//! | 7 | [`app`] | wires the parts together; signals and drain |
//! | 6 | [`admin`], [`check`] | health and status; what stands between a route and its service |
//! | 5 | [`proxy`] | the pipeline of one request, top to bottom |
//! | 4 | [`server`] | listeners, connection limits, graceful shutdown; knows no proxy |
//! | 3 | [`token`] | the token cache: one fetch per key, renewal ahead of expiry |
//! | 2 | [`credentials`] | one file for each way to get a token |
//! | 1 | [`upstream`], [`telemetry`], [`rewrite`] | connections to other hosts: DNS, TLS, pool, HTTP/1.1, safe retry; logs; links in bodies and headers |
//! | 0 | [`config`], [`clock`], [`x509`] | values valid by construction; the wall clock; certificates read |

pub mod admin;
pub mod app;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod credentials;
pub mod proxy;
pub mod rewrite;
pub mod server;
pub mod telemetry;
pub mod token;
pub mod upstream;
pub mod x509;
