# syntax=docker/dockerfile:1

FROM rust:1.95-bookworm AS build
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src ./src
COPY crates ./crates
# The loopback Azure of `ahds-proxy demo` stays out of an image that serves.
RUN cargo build --release --locked --no-default-features --bin ahds-proxy

# glibc and the system's CA certificates; no shell, user 65532.
FROM gcr.io/distroless/cc-debian12:nonroot
LABEL org.opencontainers.image.title="ahds-proxy" \
      org.opencontainers.image.description="Authenticating reverse proxy for Azure Health Data Services" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /build/target/release/ahds-proxy /usr/local/bin/ahds-proxy
USER 65532:65532
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/ahds-proxy", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/ahds-proxy"]
