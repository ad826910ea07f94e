//! An HTTP proxy that leads Azure's names to the emulator, and a configuration that uses it.

use std::{net::SocketAddr, path::PathBuf};

use azure_emulator::Emulator;
use tempfile::TempDir;
use tokio::{io::copy_bidirectional, net::TcpStream};

use super::scripted::{Conversation, Scripted};

/// The name and port by which the configuration knows the proxy.
pub(crate) const NAME: &str = "proxy.corp.example:3128";

/// Starts a proxy that opens connections to the emulator's hosts, and to no other. It demands this
/// value of Proxy-Authorization.
pub(crate) async fn start(emulator: &Emulator, authorization: Option<&'static str>) -> Scripted {
    let hosts = super::hosts(emulator);
    Scripted::start(move |_, mut conversation| async move {
        let Some(head) = conversation.request().await else {
            return;
        };
        let demanded = authorization.map(|value| format!("proxy-authorization: {value}\r\n"));
        if demanded.is_some_and(|line| !head.contains(&line)) {
            let refusal = "HTTP/1.1 407 Proxy Authentication Required\r\n\
                           Proxy-Authenticate: Basic realm=\"corp\"\r\nContent-Length: 9\r\n\r\nno access";
            return conversation.send(refusal.as_bytes()).await;
        }
        let target = head.split(' ').nth(1).unwrap_or_default();
        let mut hosts = hosts.into_iter();
        let Some((_, address)) = hosts.find(|(host, _)| target == format!("{host}:443")) else {
            let refusal = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
            return conversation.send(refusal).await;
        };
        pass_on(conversation, address).await;
    })
    .await
}

/// Accepts CONNECT and passes bytes on, both ways.
pub(crate) async fn pass_on(mut conversation: Conversation, address: SocketAddr) {
    let mut server = TcpStream::connect(address).await.expect("the server");
    // Older proxies respond with this version, and with headers that mean nothing here.
    conversation
        .send(b"HTTP/1.0 200 Connection established\r\nContent-Length: 0\r\n\r\n")
        .await;
    // Either side may end the connection.
    let _ = copy_bidirectional(&mut conversation.stream, &mut server).await;
}

/// Writes a configuration that knows no address but the proxy's, and the files that it names. It
/// names the proxy unless `lines` do.
pub(crate) fn write_config(
    emulator: &Emulator,
    files: &TempDir,
    proxy: SocketAddr,
    lines: &[(&'static str, String)],
) -> PathBuf {
    let resolve = format!("resolve = {{ \"{NAME}\" = \"{proxy}\" }}");
    let is_named = lines.iter().any(|(_, text)| text.contains("proxy = "));
    let network = if is_named {
        resolve
    } else {
        format!("{resolve}\nproxy = \"http://{NAME}\"")
    };
    super::write_files(emulator, files, &super::config_text_with(&network, lines))
}
