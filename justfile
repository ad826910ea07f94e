# Every task of the project. Each recipe is the command that .ci/run calls.

# Lists the recipes.
default:
    @just --list

# Starts the emulator and the proxy on loopback.
demo:
    cargo run --release -- demo

# Formats the code.
format:
    cargo fmt --all

# Checks the format.
check-format:
    cargo fmt --all --check

# Runs clippy on everything, and on the build for images.
lint:
    cargo clippy --locked --workspace --all-targets -- -D warnings
    cargo clippy --locked --no-default-features --bin ahds-proxy -- -D warnings

# Builds the documentation of the code.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

# Runs the unit and integration tests.
test:
    cargo test --locked

# Runs the unit tests of the build for images.
test-image-build:
    cargo test --locked --no-default-features --lib

# Checks that the default build and the build for images print the same JSON.
compare-builds:
    .ci/compare-builds

# Runs the scenarios with real clients and servers.
e2e:
    tests/e2e/run

# Builds the Python wheel (pip install maturin).
wheel:
    deploy/packages/build wheel

# Builds the npm package.
npm:
    deploy/packages/build npm

# Builds the Debian package (cargo install --locked cargo-deb).
deb:
    deploy/packages/build deb

# Builds the archive for Homebrew and winget.
archive:
    deploy/packages/build archive

# Builds, installs and tries every package.
test-packages:
    tests/packages/run

# Runs the program for Windows under Wine.
test-windows:
    tests/cross/run smoke

# Also runs the suites under Wine, and type-checks for macOS: for the night.
nightly:
    tests/cross/run

# Checks the fuzz targets.
fuzz-build:
    cd fuzz && cargo check --locked

# Checks crates, licenses and sources (cargo install --locked cargo-deny).
deny:
    cargo deny --locked check bans licenses sources

# Checks the spelling (pip install typos).
typos:
    typos

# Compares the proxy with its peers.
bench:
    benches/peers/run

# Runs everything that must pass before a change lands.
ci:
    .ci/run
