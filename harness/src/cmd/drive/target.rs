//! The parts of a URL: where to connect, and what to request.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Url;

use crate::flags::Usage;
use loadgen::Address;

/// A valid `http` URL.
#[derive(Debug)]
pub(in crate::cmd) struct Target {
    host: String,
    port: u16,
    /// Host and port as typed.
    typed: String,
    /// Path and query as typed; characters that a request can't contain are encoded.
    path: String,
}

impl Target {
    /// Parses a URL, with or without `http://`.
    ///
    /// # Errors
    /// [`Usage`] for an invalid URL, or one that needs more than plain HTTP.
    pub(in crate::cmd) fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let hint = "expected a URL such as http://127.0.0.1:8080/ping";
            Usage(format!("{text}: {why}; {hint}"))
        };
        let text = text.trim();
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        match scheme.to_ascii_lowercase().as_str() {
            "http" => {}
            "https" => {
                let why =
                    "https is not supported, only plain http: load the port behind the TLS proxy";
                return Err(refuse(why).into());
            }
            // A `://` after the start of the path is part of the path.
            _ if scheme.contains(['/', '?', '#']) => return Self::of(text, refuse),
            _ => return Err(refuse("it does not start with http://").into()),
        }
        Self::of(rest, refuse)
    }

    /// Parses what follows `http://`.
    fn of(text: &str, refuse: impl Fn(&str) -> Usage) -> Result<Self> {
        let end = text.find(['/', '?', '#']).unwrap_or(text.len());
        let (authority, rest) = text.split_at(end);
        if authority.is_empty() {
            return Err(refuse("it has no host").into());
        }
        // Parse only host and port with the URL parser: it would change paths.
        let url = match Url::parse(&format!("http://{authority}/")) {
            Ok(url) => url,
            Err(error) => return Err(refuse(&error.to_string()).into()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("pass credentials with -H 'Authorization: ...'").into());
        }
        let host = url.host_str().ok_or_else(|| refuse("it has no host"))?;
        if url.path() != "/" || authority.ends_with(':') {
            let why = format!("{authority} is not a valid host and port");
            return Err(refuse(&why).into());
        }
        Ok(Self {
            host: host.to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            typed: authority.to_owned(),
            path: request_target(rest),
        })
    }

    /// The same host and port with the path `/`.
    pub(super) fn origin(&self) -> Self {
        Self {
            host: self.host.clone(),
            typed: self.typed.clone(),
            path: "/".to_owned(),
            ..*self
        }
    }

    /// Whether both have the same host and port.
    pub(super) fn is_at(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }

    /// The address. If there are several, the first that accepts a connection within `timeout`: `localhost` may
    /// have two and the server may listen on only one.
    pub(in crate::cmd) fn resolve(&self, timeout: Duration) -> Result<SocketAddr> {
        let name = self.host.trim_matches(['[', ']']);
        let addrs: Vec<SocketAddr> = (name, self.port)
            .to_socket_addrs()
            .with_context(|| format!("cannot resolve {name} (is the name right?)"))?
            .collect();
        match &addrs[..] {
            [] => bail!("{name} has no address"),
            [one] => Ok(*one),
            [first, ..] => {
                let open = |addr: &&SocketAddr| TcpStream::connect_timeout(addr, timeout).is_ok();
                // If none does, the drive reports why.
                Ok(*addrs.iter().find(open).unwrap_or(first))
            }
        }
    }

    /// The value of the `Host` header: includes the port unless it is 80.
    pub(in crate::cmd) fn authority(&self) -> String {
        match self.port {
            80 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// Path and query as sent.
    pub(in crate::cmd) fn path(&self) -> &str {
        &self.path
    }

    /// The URL as requested, without its fragment.
    pub(in crate::cmd) fn shown(&self) -> String {
        format!("http://{}{}", self.authority(), self.path)
    }

    /// The same, plus the address if the URL as typed doesn't contain it.
    pub(super) fn shown_at(&self, address: &Address) -> String {
        let is_told = match address {
            Address::Tcp(addr) => [addr.to_string(), addr.ip().to_string()].contains(&self.typed),
            Address::Unix(_) => false,
        };
        match is_told {
            true => self.shown(),
            false => format!("{} at {address}", self.shown()),
        }
    }

    /// The prefix of a workload's paths: empty, or a path without its last slash.
    ///
    /// # Errors
    /// [`Usage`] if the URL has a query, since no path can follow that.
    pub(in crate::cmd) fn base(&self) -> Result<&str> {
        if self.path.contains('?') {
            refuse!(
                "the URL is a prefix for the paths of --workload or --replay, so it can't have a query"
            );
        }
        Ok(self.path.trim_end_matches('/'))
    }
}

/// Path and query as typed, with everything encoded that RFC 9112 doesn't allow in a request.
pub(in crate::cmd) fn request_target(typed: &str) -> String {
    let typed = typed.split('#').next().unwrap_or_default();
    let mut target = String::with_capacity(typed.len() + 1);
    if !typed.starts_with('/') {
        target.push('/');
    }
    let bytes = typed.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let hex = |offset: usize| bytes.get(at + offset).is_some_and(u8::is_ascii_hexdigit);
        // RFC 3986: the characters of a path or a query.
        let keep = match byte {
            b'%' => hex(1) && hex(2),
            byte => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(byte),
        };
        match keep {
            true => target.push(char::from(*byte)),
            false => target.push_str(&format!("%{byte:02X}")),
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_where_and_what() {
        for (url, host, path) in [
            ("http://127.0.0.1:8080", "127.0.0.1:8080", "/"),
            ("http://127.0.0.1:80/a?b=c%20d#e", "127.0.0.1", "/a?b=c%20d"),
            ("http://[::1]:9/x y", "[::1]:9", "/x%20y"),
            ("127.0.0.1:8080/ping", "127.0.0.1:8080", "/ping"),
            (
                "127.0.0.1:8080/to?u=http://h",
                "127.0.0.1:8080",
                "/to?u=http://h",
            ),
            ("localhost:8080", "localhost:8080", "/"),
            ("localhost?q", "localhost", "/?q"),
            ("[::1]:9", "[::1]:9", "/"),
            ("HTTP://LocalHost/", "localhost", "/"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!((target.authority().as_str(), target.path()), (host, path));
        }
        let six = Target::parse("http://[::1]:9/").unwrap();
        assert_eq!(
            six.resolve(Duration::from_secs(1)).unwrap(),
            "[::1]:9".parse().unwrap()
        );
    }

    #[test]
    fn what_is_not_plain_http_is_refused() {
        for (url, word) in [
            ("https://127.0.0.1/", "https"),
            ("HTTPS://localhost/", "https"),
            ("http:/localhost/", "http:"),
            ("127.0.0.1:8080\\a", "not a valid host and port"),
            ("/ping", "host"),
            ("", "host"),
            ("ftp://localhost/", "http://"),
            ("http://", "host"),
            ("http://u:p@localhost/", "Authorization"),
            ("http://localhost:99999/", "port"),
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{url}");
            assert!(error.to_string().contains(word), "{url}: {error}");
        }
    }

    #[test]
    fn a_path_is_sent_as_it_was_typed() {
        for (typed, sent) in [
            ("/a/../b", "/a/../b"),
            ("/a/%2e%2e/b", "/a/%2e%2e/b"),
            ("/./a//b/.", "/./a//b/."),
            ("/a\\b", "/a%5Cb"),
            ("/%zz%4/100%", "/%25zz%254/100%25"),
            ("/a b\té", "/a%20b%09%C3%A9"),
            ("/a?b[]=<c>|d", "/a?b%5B%5D=%3Cc%3E%7Cd"),
            ("/!$&'()*+,;=:@-._~?/?", "/!$&'()*+,;=:@-._~?/?"),
            ("/a#b", "/a"),
            ("#b", "/"),
        ] {
            let target = Target::parse(&format!("http://h{typed}")).unwrap();
            assert_eq!(target.path(), sent, "{typed}");
            assert_eq!(target.shown(), format!("http://h{sent}"));
        }
    }

    #[test]
    fn the_address_is_shown_where_the_url_does_not_say_it() {
        for (typed, shown) in [
            ("127.0.0.1:80/", "http://127.0.0.1/"),
            ("http://127.0.0.1/", "http://127.0.0.1/"),
            ("http://0x7f.1/", "http://127.0.0.1/ at 127.0.0.1:80"),
            ("http://2130706433/", "http://127.0.0.1/ at 127.0.0.1:80"),
        ] {
            let target = Target::parse(typed).unwrap();
            let address = target.resolve(Duration::from_secs(1)).unwrap();
            assert_eq!(target.shown_at(&address.into()), shown, "{typed}");
        }
        let socket = Address::Unix("/run/x.sock".into());
        let target = Target::parse("http://h/a").unwrap();
        assert_eq!(target.shown_at(&socket), "http://h/a at /run/x.sock");
    }

    #[test]
    fn a_workload_begins_where_the_url_says() {
        assert_eq!(Target::parse("http://h").unwrap().base().unwrap(), "");
        assert_eq!(
            Target::parse("http://h/v1/").unwrap().base().unwrap(),
            "/v1"
        );
        assert!(Target::parse("http://h/?q").unwrap().base().is_err());
    }
}
