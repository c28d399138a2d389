//! The stored responses, and the file that passes them from the harness to the responder.
//!
//! One process writes the file for another of the same program; it is not part of a record. All numbers are
//! unsigned, 32 bits, little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `answers2` |
//! | 4 | number of entries |
//! | 4, 4, 4, 4 | for each entry: the lengths of its line, body, codings and response |
//! | … | the line: method and target of a request, as in `GET /ping` |
//! | … | the body of that request, empty if it has none |
//! | … | the value of that request's Accept-Encoding, empty without one |
//! | … | the response: status line, headers and body as received |
//!
//! No two entries have the same line, body and codings.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::ops::Range;
use std::path::Path;

use anyhow::{Context, Result};

const MAGIC: &[u8; 8] = b"answers2";

/// The line of a request, its body and the codings that it accepts, with the response to it.
pub(crate) type Entries = BTreeMap<[Vec<u8>; 3], Vec<u8>>;

/// What is wrong with a file of responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum BadFile {
    #[error("not a file of responses")]
    Magic,
    #[error("ends in the middle of an entry")]
    Cut,
    #[error("has data after its last entry")]
    Surplus,
    #[error("has two responses to one request")]
    Repeated,
}

type Places = HashMap<Vec<u8>, HashMap<Vec<u8>, Vec<(Vec<u8>, Range<usize>)>>>;

/// The responses by request, indexed for lookup.
#[derive(Debug)]
pub(crate) struct Answers {
    /// The whole file.
    bytes: Vec<u8>,
    /// By line, then by body, so that a request can be looked up without copying it; each with its codings.
    places: Places,
}

/// Writes a file of responses.
///
/// # Errors
/// If it can't be written, or an entry is 4 GiB or larger.
pub(crate) fn write(path: &Path, entries: &Entries) -> Result<()> {
    File::create(path)
        .map_err(anyhow::Error::from)
        .and_then(|file| write_to(BufWriter::new(file), entries))
        .with_context(|| format!("cannot write the responses to {}", path.display()))
}

fn write_to(mut file: impl Write, entries: &Entries) -> Result<()> {
    file.write_all(MAGIC)?;
    file.write_all(&number(entries.len())?)?;
    for ([line, body, codings], answer) in entries {
        for part in [line, body, codings, answer] {
            file.write_all(&number(part.len())?)?;
        }
        for part in [line, body, codings, answer] {
            file.write_all(part)?;
        }
    }
    Ok(file.flush()?)
}

fn number(value: usize) -> Result<[u8; 4]> {
    let value = u32::try_from(value).context("4 GiB or more")?;
    Ok(value.to_le_bytes())
}

impl Answers {
    /// Reads a file of responses.
    ///
    /// # Errors
    /// If it can't be read, or was not written by [`write()`].
    pub(crate) fn read(path: &Path) -> Result<Self> {
        fs::read(path)
            .map_err(anyhow::Error::from)
            .and_then(|bytes| Ok(Self::parse(bytes)?))
            .with_context(|| format!("cannot read the responses from {}", path.display()))
    }

    fn parse(bytes: Vec<u8>) -> Result<Self, BadFile> {
        let mut left = Cursor {
            bytes: &bytes,
            at: 0,
        };
        if left.take(MAGIC.len()).map(|range| &bytes[range]) != Ok(MAGIC) {
            return Err(BadFile::Magic);
        }
        let mut places = Places::new();
        for _ in 0..left.number()? {
            let (line, body) = (left.number()?, left.number()?);
            let (codings, answer) = (left.number()?, left.number()?);
            let line = bytes[left.take(line)?].to_vec();
            let body = bytes[left.take(body)?].to_vec();
            let codings = bytes[left.take(codings)?].to_vec();
            let answer = left.take(answer)?;
            let alike = places.entry(line).or_default().entry(body).or_default();
            if alike.iter().any(|(other, _)| *other == codings) {
                return Err(BadFile::Repeated);
            }
            alike.push((codings, answer));
        }
        if left.at < bytes.len() {
            return Err(BadFile::Surplus);
        }
        Ok(Self { bytes, places })
    }

    pub(super) fn find(&self, line: &[u8], body: &[u8], codings: &[u8]) -> Option<&[u8]> {
        let mut alike = self.places.get(line)?.get(body)?.iter();
        let (_, place) = alike.find(|(other, _)| other == codings)?;
        self.bytes.get(place.clone())
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The range of the next `len` bytes.
    fn take(&mut self, len: usize) -> Result<Range<usize>, BadFile> {
        if len > self.bytes.len() - self.at {
            return Err(BadFile::Cut);
        }
        let start = self.at;
        self.at += len;
        Ok(start..self.at)
    }

    fn number(&mut self) -> Result<usize, BadFile> {
        let range = self.take(4)?;
        let number = self.bytes[range].iter().rev();
        Ok(number.fold(0, |value, byte| value << 8 | usize::from(*byte)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(list: &[(&str, &str, &str, &str)]) -> Entries {
        let entry = |(line, body, codings, answer): &(&str, &str, &str, &str)| {
            let key = [line, body, codings].map(|part| part.as_bytes().to_vec());
            (key, answer.as_bytes().to_vec())
        };
        list.iter().map(entry).collect()
    }

    fn file(entries: &Entries) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_to(&mut bytes, entries).unwrap();
        bytes
    }

    fn sample() -> Entries {
        entries(&[
            ("GET /a", "", "", "first"),
            ("POST /a", "", "", "second"),
            ("POST /a", "{}", "", "third"),
            ("POST /a{}", "", "", "fourth"),
            ("GET /a", "", "br", "fifth"),
        ])
    }

    #[test]
    fn the_format_is_the_one_described() {
        let expected = b"answers2\x01\0\0\0\x06\0\0\0\x02\0\0\0\x02\0\0\0\x03\0\0\0GET /a{}brabc";
        assert_eq!(file(&entries(&[("GET /a", "{}", "br", "abc")])), expected);
    }

    #[test]
    fn answers_are_found_by_line_body_and_codings() {
        let answers = Answers::parse(file(&sample())).unwrap();
        assert_eq!(answers.find(b"GET /a", b"", b""), Some(&b"first"[..]));
        assert_eq!(answers.find(b"POST /a", b"", b""), Some(&b"second"[..]));
        assert_eq!(answers.find(b"POST /a", b"{}", b""), Some(&b"third"[..]));
        assert_eq!(answers.find(b"POST /a{}", b"", b""), Some(&b"fourth"[..]));
        assert_eq!(answers.find(b"GET /a", b"", b"br"), Some(&b"fifth"[..]));
        assert_eq!(answers.find(b"GET /a", b"", b"gzip"), None);
        for (line, body) in [("GET /a", "{}"), ("GET /b", ""), ("POST /a", "{"), ("", "")] {
            assert_eq!(answers.find(line.as_bytes(), body.as_bytes(), b""), None);
        }
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused() {
        let whole = file(&sample());
        for end in 0..whole.len() {
            assert!(Answers::parse(whole[..end].to_vec()).is_err(), "{end}");
        }
        let longer = [&whole[..], b"a"].concat();
        assert_eq!(Answers::parse(longer).err(), Some(BadFile::Surplus));
        assert_eq!(
            Answers::parse(b"[package]\n".to_vec()).err(),
            Some(BadFile::Magic)
        );
    }

    #[test]
    fn two_answers_to_one_request_are_refused() {
        let one = file(&entries(&[("GET /a", "", "", "abc")]));
        let twice = [MAGIC, &[2, 0, 0, 0][..], &one[12..], &one[12..]].concat();
        assert_eq!(Answers::parse(twice).err(), Some(BadFile::Repeated));
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        write(&path, &sample()).unwrap();
        let answers = Answers::read(&path).unwrap();
        assert_eq!(answers.find(b"GET /a", b"", b""), Some(&b"first"[..]));
        let missing = Answers::read(&folder.path().join("none")).unwrap_err();
        assert!(missing.to_string().contains("none"), "{missing}");
        let nowhere = write(&folder.path().join("no/folder"), &sample()).unwrap_err();
        assert!(nowhere.to_string().contains("no/folder"), "{nowhere}");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            entries in proptest::collection::btree_map(
                any::<[Vec<u8>; 3]>(),
                any::<Vec<u8>>(),
                0..20,
            )
        ) {
            let answers = Answers::parse(file(&entries)).unwrap();
            for ([line, body, codings], answer) in &entries {
                prop_assert_eq!(answers.find(line, body, codings), Some(&answer[..]));
            }
        }

        #[test]
        fn no_file_makes_it_panic(bytes in any::<Vec<u8>>(), at in any::<prop::sample::Index>()) {
            let _ = Answers::parse([MAGIC, &bytes[..]].concat());
            let mut spoilt = file(&sample());
            let at = at.index(spoilt.len());
            spoilt.splice(at.., bytes);
            let _ = Answers::parse(spoilt);
        }
    }
}
