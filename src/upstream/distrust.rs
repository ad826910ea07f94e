//! A certificate that is not trusted, and the CA that issued it.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::CertificateError;

use super::via::Via;
use crate::x509::Certificate;

/// A CA's name comes from outside, and may be of any length.
const LONGEST_NAME: usize = 100;

/// A server's certificate that is not trusted.
#[derive(Debug)]
pub struct Distrust {
    /// Host and port.
    pub(super) host: String,
    pub(super) via: Via,
    /// The error of rustls.
    pub reason: CertificateError,
    /// The certificate, if it can be read. It is not trusted, so anyone may have made it.
    pub certificate: Option<Certificate>,
}

impl Distrust {
    /// The issuer that the certificate names.
    pub fn issuer(&self) -> Option<String> {
        let issuer = self.certificate.as_ref()?.issuer();
        let name: String = issuer
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST_NAME)
            .collect();
        (!name.is_empty()).then_some(name)
    }

    /// The name that the server was called by.
    fn name(&self) -> &str {
        let (name, _) = self.host.rsplit_once(':').unwrap_or((&self.host, ""));
        name
    }

    /// The problem, as a clause without a full stop.
    pub fn problem(&self) -> String {
        let Self { host, via, .. } = self;
        let certificate = match self.issuer() {
            Some(issuer) => format!("the certificate of {host}{via}, issued by {issuer},"),
            None => format!("the certificate of {host}{via}"),
        };
        format!("{certificate} {}", self.fault())
    }

    /// The end of a sentence that begins with the certificate.
    pub fn fault(&self) -> String {
        use CertificateError as Error;
        let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
        let end = self
            .certificate
            .as_ref()
            .map(|known| day(known.not_after()));
        match &self.reason {
            Error::UnknownIssuer => "is not trusted: no trusted CA has signed it".to_owned(),
            Error::Expired | Error::ExpiredContext { .. } => {
                format!(
                    "expired on {}",
                    end.as_deref().unwrap_or("a day in the past")
                )
            }
            Error::NotValidYet | Error::NotValidYetContext { .. } => "is not valid yet".to_owned(),
            Error::NotValidForName => format!("is not for {}", self.name()),
            Error::NotValidForNameContext { presented, .. } => {
                format!("is for {}, and not for {}", names(presented), self.name())
            }
            Error::Revoked => "was revoked".to_owned(),
            // Two CAs have the same name. The demo, for example, makes a new CA at each start.
            Error::BadSignature => {
                "names a trusted CA as its issuer, but that CA did not sign it".to_owned()
            }
            _ if self.is_of_ca() => "is that of a CA, not of a server".to_owned(),
            other => format!("is not acceptable ({other})"),
        }
    }

    /// Whether the server presents a CA's own certificate. `openssl req -x509` makes such ones.
    fn is_of_ca(&self) -> bool {
        matches!(&self.reason, CertificateError::Other(error)
            if error.0.to_string() == "CaUsedAsEndEntity")
    }

    /// The remedy, as one or more sentences.
    pub fn remedy(&self) -> String {
        use CertificateError as Error;
        match &self.reason {
            Error::UnknownIssuer => self.trust_its_ca(),
            Error::Expired | Error::ExpiredContext { .. } => {
                "Check this machine's clock. If it is right, ask the server's owner to renew the \
                 certificate."
                    .to_owned()
            }
            Error::NotValidYet | Error::NotValidYetContext { .. } => {
                "Check this machine's clock.".to_owned()
            }
            Error::NotValidForName | Error::NotValidForNameContext { .. } => {
                "Write a name that is in the certificate, or correct network.resolve: another server \
                 may respond at this address."
                    .to_owned()
            }
            Error::Revoked => {
                "Ask the server's owner to replace it, and do not trust this server until then.".to_owned()
            }
            Error::BadSignature => {
                "Set network.ca_file to the CA's current certificate (PEM). If the file already has \
                 it, do not trust this server."
                    .to_owned()
            }
            _ if self.is_of_ca() => {
                let name = self.name();
                let kind = if name.starts_with('[') || name.parse::<IpAddr>().is_ok() {
                    "IP"
                } else {
                    "DNS"
                };
                let name = name.trim_matches(['[', ']']);
                format!(
                    "Give the server a certificate that is not a CA's, and write its path as \
                     network.ca_file. Run `openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj \
                     /CN={name} -addext subjectAltName={kind}:{name} -addext \
                     basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem`"
                )
            }
            _ => {
                "Ask the server's owner to replace it. Behind a TLS-inspecting proxy, ask the \
                 administrator of that proxy."
                    .to_owned()
            }
        }
    }

    fn trust_its_ca(&self) -> String {
        let inspector = match self.via.proxy() {
            Some(proxy) => format!("If the proxy {proxy} inspects TLS"),
            None => "Behind a TLS-inspecting proxy".to_owned(),
        };
        let ca = self.issuer().unwrap_or_else(|| "that CA".to_owned());
        format!(
            "{inspector}, or with a private CA, add the certificate (PEM) of {ca} to \
             network.ca_file."
        )
    }
}

/// The names of a certificate, which rustls writes as `DnsName("a.example")`. They come from outside,
/// and may be many.
fn names(presented: &[String]) -> String {
    const MOST: usize = 4;
    let plain = |name: &String| -> String {
        let inner = name.split_once('(').map_or(&**name, |(_, rest)| rest);
        inner
            .trim_end_matches(')')
            .trim_matches('"')
            .chars()
            .filter(|c| !c.is_control())
            .take(LONGEST_NAME)
            .collect()
    };
    let mut names: Vec<String> = presented.iter().take(MOST).map(plain).collect();
    match presented.len() {
        0 => return "no name".to_owned(),
        count if count > MOST => names.push(format!("{} others", count - MOST)),
        _ => {}
    }
    let last = names.pop().unwrap_or_default();
    if names.is_empty() {
        last
    } else {
        format!("{} and {last}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_certificate_are_told_in_words() {
        let presented = |count: usize| -> Vec<String> {
            let one = |number| format!("DnsName(\"h{number}.example\")");
            (1..=count).map(one).collect()
        };
        assert_eq!(names(&[]), "no name");
        assert_eq!(names(&presented(1)), "h1.example");
        assert_eq!(names(&presented(2)), "h1.example and h2.example");
        assert_eq!(
            names(&presented(6)),
            "h1.example, h2.example, h3.example, h4.example and 2 others"
        );
        assert_eq!(names(&["IpAddress(127.0.0.1)".to_owned()]), "127.0.0.1");
    }
}
