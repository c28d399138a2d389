//! Access logs: what was requested, when, and with which status.
//!
//! | file | contents |
//! |---|---|
//! | `line` | one line: common and combined log format, JSON |
//! | `private` | replaces what may identify a person |
//! | `routes` | which requests belong together |

mod line;
mod private;
mod routes;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use anyhow::Result;

use crate::flags::Usage;
use line::{Line, parse};
use private::Private;
use words::grouped;

pub(super) use routes::routes;

/// Longest line that is read, bytes.
const LONGEST_LINE: u64 = 64 << 10;
/// Maximum number of requests that are kept; each takes 16 bytes.
const MOST: usize = 4_000_000;
/// Maximum number of different requests that are kept; each takes about half a KiB.
const MOST_DISTINCT: usize = 250_000;
/// Lines that are tried before a file is taken for something else.
const TRIED: usize = 100;

pub(super) const SECOND: i64 = 1_000_000_000;

/// A request as a log has it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Logged {
    pub(super) method: String,
    /// Path and query as sent, percent-encoded.
    pub(super) target: String,
    pub(super) status: u16,
}

/// What was read of a log.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// The different requests.
    pub(super) distinct: Vec<Logged>,
    /// When each request was logged, in Unix nanoseconds, with its index in `distinct`; in order of time.
    pub(super) requests: Vec<(i64, u32)>,
    /// What was left out and why, with how often.
    pub(super) left_out: BTreeMap<String, usize>,
    /// How many values of each kind were replaced, counting each once.
    pub(super) replaced: BTreeMap<&'static str, usize>,
}

impl Log {
    /// Reads a log. Requests that `refuse` has a reason against are left out. Private values are replaced unless
    /// `keep_private`.
    ///
    /// # Errors
    /// [`Usage`] if the file can't be read, or has no request.
    pub(super) fn read(
        path: &Path,
        keep_private: bool,
        refuse: impl Fn(&Logged) -> Option<String>,
    ) -> Result<Self> {
        let usage = |why: String| Usage(format!("{}: {why}", path.display()));
        let mut lines = Lines::open(path).map_err(|error| usage(error.to_string()))?;
        let mut log = Self::default();
        let mut known: HashMap<Logged, u32> = HashMap::new();
        let mut private = Private::default();
        while let Some(text) = lines.next().map_err(|error| usage(error.to_string()))? {
            let Line { time, mut request } = match parse(text) {
                Ok(line) => line,
                Err(why) => {
                    log.leave_out(why);
                    continue;
                }
            };
            if let Some(why) = refuse(&request) {
                log.leave_out(why);
                continue;
            }
            if log.requests.len() == MOST {
                log.leave_out(format!(
                    "a request after the first {}",
                    grouped(MOST as u64)
                ));
                continue;
            }
            if !keep_private {
                request.target = private.replaced(&request.target);
            }
            let index = match known.get(&request) {
                Some(index) => *index,
                None if known.len() == MOST_DISTINCT => {
                    log.leave_out(format!(
                        "a request beyond the first {} different ones",
                        grouped(MOST_DISTINCT as u64)
                    ));
                    continue;
                }
                None => {
                    let index = log.distinct.len() as u32;
                    log.distinct.push(request.clone());
                    known.insert(request, index);
                    index
                }
            };
            log.requests.push((time, index));
        }
        if log.requests.is_empty() {
            log.tell();
            return Err(usage("there is no request to use".to_owned()).into());
        }
        // Servers write a line when a request has ended, so they are not quite in order.
        log.requests.sort_by_key(|(time, _)| *time);
        log.replaced = private.counts();
        Ok(log)
    }

    /// Whether one of the first lines of a file is a line of a log.
    pub(super) fn is_one(path: &Path) -> bool {
        let Ok(mut lines) = Lines::open(path) else {
            return false;
        };
        for _ in 0..TRIED {
            match lines.next() {
                Ok(Some(text)) if parse(text).is_ok() => return true,
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return false,
            }
        }
        false
    }

    fn leave_out(&mut self, why: String) {
        *self.left_out.entry(why).or_default() += 1;
    }

    /// Prints what was left out, and what was replaced.
    pub(super) fn tell(&self) {
        super::import::tell_left_out(&self.left_out);
        for (kind, count) in &self.replaced {
            eprintln!("replaced: {}", words::counted(*count, kind));
        }
    }

    /// Whether every time is a whole second, as in the common log format.
    pub(super) fn has_whole_seconds(&self) -> bool {
        self.requests.iter().all(|(time, _)| time % SECOND == 0)
    }

    /// From the first request to the last, in nanoseconds. A time in whole seconds stands for that whole second.
    pub(super) fn span(&self) -> (i64, i64) {
        let at = |place: Option<&(i64, u32)>| place.map_or(0, |(time, _)| *time);
        let (first, last) = (at(self.requests.first()), at(self.requests.last()));
        match self.has_whole_seconds() {
            true => (first, last + SECOND),
            false => (first, last),
        }
    }
}

/// The lines of a file that aren't blank. Each is cut at [`LONGEST_LINE`], and what isn't UTF-8 is replaced.
struct Lines {
    file: BufReader<std::fs::File>,
    bytes: Vec<u8>,
    text: String,
}

impl Lines {
    fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self {
            file: BufReader::with_capacity(1 << 16, std::fs::File::open(path)?),
            bytes: Vec::new(),
            text: String::new(),
        })
    }

    fn next(&mut self) -> std::io::Result<Option<&str>> {
        loop {
            self.bytes.clear();
            let mut part = self.file.by_ref().take(LONGEST_LINE);
            if part.read_until(b'\n', &mut self.bytes)? == 0 {
                return Ok(None);
            }
            if !self.bytes.ends_with(b"\n") && self.bytes.len() as u64 == LONGEST_LINE {
                self.file.skip_until(b'\n')?;
            }
            self.text = String::from_utf8_lossy(&self.bytes).trim().to_owned();
            if !self.text.is_empty() {
                return Ok(Some(&self.text));
            }
        }
    }
}
