//! Where the requests of a drive come from: a URL, a workload, a session, a file of URLs, or an access log.

use std::path::Path;

use anyhow::Result;

use super::Arguments;
use super::replay::Replay;
use super::requests::is_method;
use super::target::Target;
use crate::flags::Usage;
use catalog::{Session, Workload};
use words::grouped;

/// Where the requests come from.
#[derive(Debug)]
pub(super) enum RequestSource {
    /// One request, from the URL and the flags.
    Url,
    /// A request mix, whose paths are appended to the URL.
    Workload(Workload),
    /// What each user does, whose paths are appended to the URL.
    Session(Session),
    /// The lines of a file: at least one, all with the same origin.
    Urls(Vec<UrlLine>),
    /// An access log, whose paths are appended to the URL.
    Replay(Replay),
}

/// A line of a file of URLs.
#[derive(Debug)]
pub(super) struct UrlLine {
    /// `None` if the line has none; then that of the flags applies.
    pub(super) method: Option<String>,
    pub(super) target: Target,
    /// Counted from 1, including comments and blank lines.
    number: usize,
}

/// Reads the flags: returns the URL, or the origin of all URLs, and where the requests come from.
///
/// # Errors
/// [`Usage`] for an invalid URL, or a file that can't be read or used.
pub(super) fn read(arguments: &Arguments) -> Result<(Target, RequestSource)> {
    if let Some(path) = &arguments.urls {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Usage(format!("--urls {}: {error}", path.display())))?;
        let lines = lines(path, &text)?;
        return Ok((lines[0].target.origin(), RequestSource::Urls(lines)));
    }
    if arguments.shuffle {
        refuse!("--shuffle needs --urls; a workload's requests are always in random order");
    }
    let target = Target::parse(arguments.url.as_deref().unwrap_or_default())?;
    let pattern = arguments.pace.pattern.as_ref();
    let of_pattern = pattern.and_then(|pattern| pattern.requests.clone());
    if let Some(file) = &arguments.session {
        let session = Session::load(file).map_err(|error| Usage(error.to_string()))?;
        return Ok((target, RequestSource::Session(session)));
    }
    let source = match (&arguments.workload, &arguments.replay, of_pattern) {
        (None, None, None) => RequestSource::Url,
        (None, None, Some(own)) => RequestSource::Workload(own),
        (None, Some(log), _) => RequestSource::Replay(Replay::read(log, arguments)?),
        (Some(file), ..) => {
            let workload = Workload::load(file).map_err(|error| Usage(error.to_string()))?;
            RequestSource::Workload(workload)
        }
    };
    Ok((target, source))
}

impl RequestSource {
    /// A description, if it says more than the URL.
    pub(super) fn words(&self, shuffled: bool) -> Option<String> {
        match self {
            Self::Url => None,
            Self::Workload(workload) => Some(format!("workload {}", workload.name)),
            Self::Session(session) => Some(format!("session {}", session.name)),
            Self::Replay(replay) => Some(format!(
                "replay of {} at {} × its speed",
                words::counted(replay.list.len(), "request"),
                replay.speed
            )),
            Self::Urls(lines) => {
                let order = if shuffled { "shuffled" } else { "in order" };
                let plural = if lines.len() == 1 { "" } else { "s" };
                Some(format!(
                    "{} URL{plural} {order}",
                    grouped(lines.len() as u64)
                ))
            }
        }
    }

    /// The number of URLs in the file, if there is one.
    pub(super) fn urls(&self) -> Option<usize> {
        match self {
            Self::Url | Self::Workload(_) | Self::Session(_) | Self::Replay(_) => None,
            Self::Urls(lines) => Some(lines.len()),
        }
    }
}

/// The lines with a URL; at least one.
fn lines(path: &Path, text: &str) -> Result<Vec<UrlLine>> {
    let mut lines: Vec<UrlLine> = Vec::new();
    for (index, text) in text.lines().enumerate() {
        let text = text.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let number = index + 1;
        let refuse = |why: String| Usage(format!("{}:{number}: {why}", path.display()));
        let line = line(text, number).map_err(|error| refuse(error.to_string()))?;
        if let Some(first) = lines
            .first()
            .filter(|first| !first.target.is_at(&line.target))
        {
            return Err(refuse(format!(
                "{} has a different origin than line {}, {}: one drive loads one server",
                line.target.origin().shown(),
                first.number,
                first.target.origin().shown()
            ))
            .into());
        }
        lines.push(line);
    }
    if lines.is_empty() {
        let none = "it has no URL; write one per line, as in http://127.0.0.1:8080/ping or \
                    DELETE http://127.0.0.1:8080/item/7";
        refuse!("--urls {}: {none}", path.display());
    }
    Ok(lines)
}

fn line(text: &str, number: usize) -> Result<UrlLine> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (method, url) = match words[..] {
        [url] => (None, url),
        [method, url] => (Some(method), url),
        _ => {
            refuse!("a line has a URL, or a method and a URL; write a space in a URL as %20");
        }
    };
    if let Some(method) = method.filter(|method| !is_method(method)) {
        refuse!("{method}: expected a method such as GET or PUT");
    }
    Ok(UrlLine {
        method: method.map(str::to_owned),
        target: Target::parse(url)?,
        number,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<UrlLine>> {
        lines(Path::new("list.txt"), text)
    }

    #[test]
    fn a_line_is_a_url_or_a_method_and_a_url() {
        let lines = read(
            "# a comment\n\nhttp://h:9/a?b\n  DELETE\thttp://H:9/b#c  \nh:9\r\n#http://other/\n",
        )
        .unwrap();
        let read: Vec<_> = lines
            .iter()
            .map(|line| (line.number, line.method.as_deref(), line.target.path()))
            .collect();
        assert_eq!(
            read,
            [(3, None, "/a?b"), (4, Some("DELETE"), "/b"), (5, None, "/")]
        );
        let words = RequestSource::Urls(lines).words(true).unwrap();
        assert_eq!(words, "3 URLs shuffled");
        let one = RequestSource::Urls(super::lines(Path::new("x"), "h").unwrap());
        assert_eq!(
            (one.words(false).unwrap().as_str(), one.urls()),
            ("1 URL in order", Some(1))
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        for (text, words) in [
            ("", "list.txt: it has no URL"),
            ("# http://h/\n\n", "it has no URL"),
            (
                "http://h/\nhttps://h/",
                "list.txt:2: https://h/: https is not supported",
            ),
            ("\nhttp://h/a b c", "list.txt:2: a line has a URL"),
            ("G(T http://h/", "list.txt:1: G(T: expected a method"),
            (
                "CONNECT http://h/",
                "list.txt:1: CONNECT: expected a method",
            ),
            (
                "# x\nhttp://h/\nhttp://h:81/x",
                "list.txt:3: http://h:81/ has a different origin than line 2, http://h/",
            ),
            (
                "h:80\n127.0.0.1",
                "list.txt:2: http://127.0.0.1/ has a different origin",
            ),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{text}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        }
    }
}
