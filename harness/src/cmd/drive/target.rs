//! What a URL says: where to connect, and what to ask for.

use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::Url;

use crate::cli::Usage;

/// An `http` URL that was accepted.
#[derive(Debug)]
pub(super) struct Target {
    url: Url,
    host: String,
    port: u16,
}

impl Target {
    /// # Errors
    /// [`Usage`] for what is no URL, or one that asks for more than plain HTTP.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let refuse = |why: &str| {
            let hint = "a URL such as http://127.0.0.1:8080/ping is wanted";
            Usage(format!("{text}: {why}; {hint}"))
        };
        let url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return Err(refuse(&error.to_string()).into()),
        };
        match url.scheme() {
            "http" => {}
            "https" => {
                let why = "https is not spoken here, only plain http";
                return Err(refuse(why).into());
            }
            _ => return Err(refuse("it does not begin with http://").into()),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("a user is given with -H 'Authorization: ...'").into());
        }
        let host = url.host_str().ok_or_else(|| refuse("it has no host"))?;
        Ok(Self {
            host: host.to_owned(),
            port: url.port_or_known_default().unwrap_or(80),
            url,
        })
    }

    /// The address: of several the first that takes a connection within `timeout`, since
    /// `localhost` may be two and the server listen on one.
    pub(super) fn resolve(&self, timeout: Duration) -> Result<SocketAddr> {
        let name = self.host.trim_matches(['[', ']']);
        let addrs: Vec<SocketAddr> = (name, self.port)
            .to_socket_addrs()
            .with_context(|| format!("cannot find the address of {name}"))?
            .collect();
        match &addrs[..] {
            [] => bail!("{name} has no address"),
            [one] => Ok(*one),
            [first, ..] => {
                let open = |addr: &&SocketAddr| TcpStream::connect_timeout(addr, timeout).is_ok();
                // Where none does, the drive says why.
                Ok(*addrs.iter().find(open).unwrap_or(first))
            }
        }
    }

    /// The value of the `Host` header: with the port, unless it is 80.
    pub(super) fn authority(&self) -> String {
        match self.port {
            80 => self.host.clone(),
            port => format!("{}:{port}", self.host),
        }
    }

    /// Path and query.
    pub(super) fn path(&self) -> String {
        match self.url.query() {
            None => self.url.path().to_owned(),
            Some(query) => format!("{}?{query}", self.url.path()),
        }
    }

    /// The URL without its fragment.
    pub(super) fn shown(&self) -> String {
        format!("http://{}{}", self.authority(), self.path())
    }

    /// What a workload's paths are appended to: nothing, or a path without its last slash.
    ///
    /// # Errors
    /// [`Usage`] where the URL has a query, which no path can follow.
    pub(super) fn base(&self) -> Result<&str> {
        if self.url.query().is_some() {
            let why = "with --workload the URL is where its paths begin, and has no query";
            return Err(Usage(why.to_owned()).into());
        }
        Ok(self.url.path().trim_end_matches('/'))
    }
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
            ("HTTP://LocalHost/", "localhost", "/"),
        ] {
            let target = Target::parse(url).unwrap();
            assert_eq!(
                (target.authority().as_str(), target.path().as_str()),
                (host, path)
            );
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
            ("127.0.0.1:8080/ping", "http://"),
            ("localhost:8080", "http://"),
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
    fn a_workload_begins_where_the_url_says() {
        assert_eq!(Target::parse("http://h").unwrap().base().unwrap(), "");
        assert_eq!(
            Target::parse("http://h/v1/").unwrap().base().unwrap(),
            "/v1"
        );
        assert!(Target::parse("http://h/?q").unwrap().base().is_err());
    }
}
