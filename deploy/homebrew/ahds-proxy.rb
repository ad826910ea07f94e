# A template: `deploy/packages/manifests` replaces each @NAME@ and removes this line.
class AhdsProxy < Formula
  desc "Authenticating reverse proxy for Azure Health Data Services"
  homepage "@HOMEPAGE@"
  version "@VERSION@"
  license "MIT"

  on_macos do
    on_arm do
      url "@URL@/ahds-proxy-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256 aarch64-apple-darwin.tar.gz@"
    end
    on_intel do
      url "@URL@/ahds-proxy-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256 x86_64-apple-darwin.tar.gz@"
    end
  end

  on_linux do
    on_arm do
      url "@URL@/ahds-proxy-@VERSION@-aarch64-unknown-linux-gnu.tar.gz"
      sha256 "@SHA256 aarch64-unknown-linux-gnu.tar.gz@"
    end
    on_intel do
      url "@URL@/ahds-proxy-@VERSION@-x86_64-unknown-linux-gnu.tar.gz"
      sha256 "@SHA256 x86_64-unknown-linux-gnu.tar.gz@"
    end
  end

  def install
    bin.install "ahds-proxy"
    pkgshare.install "config.example.toml"
    bash_completion.install "completions/bash" => "ahds-proxy"
    zsh_completion.install "completions/zsh" => "_ahds-proxy"
    fish_completion.install "completions/fish" => "ahds-proxy.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/ahds-proxy --version")
  end
end
