//! The kernel's format for lists of CPUs, as in `0-3,8`.
//!
//! The format is described in the kernel's `Documentation/admin-guide/cputopology.rst` and is that of
//! `taskset -c`, without strides (`0-6:2`), which the kernel never prints.

use thiserror::Error;

/// One past the highest accepted CPU number: the maximum that a kernel can be built for. It also bounds what a
/// mistyped range can allocate.
const LIMIT: u32 = 8192;

/// Why a text is not a CPU list.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not a list of CPUs: {cause} (write it like 0-3,8)")]
pub struct CpuListError {
    text: String,
    cause: String,
}

/// Parses a list into ascending numbers without duplicates; an empty text gives an empty list.
///
/// # Errors
/// If a part is neither a number below 8192 nor an ascending range.
pub fn parse(text: &str) -> Result<Vec<u32>, CpuListError> {
    let error = |cause: String| CpuListError {
        text: text.trim().to_owned(),
        cause,
    };
    let mut cpus = Vec::new();
    if text.trim().is_empty() {
        return Ok(cpus);
    }
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let first = number(first).map_err(error)?;
        let last = number(last).map_err(error)?;
        if first > last {
            return Err(error(format!("the range {} runs backwards", part.trim())));
        }
        cpus.extend(first..=last);
    }
    cpus.sort_unstable();
    cpus.dedup();
    Ok(cpus)
}

/// Writes a list, in the order of the numbers: `[0, 1, 2, 3, 8]` is `0-3,8`.
pub fn format(cpus: &[u32]) -> String {
    let mut sorted = cpus.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
        .chunk_by(|a, b| a + 1 == *b)
        .map(|range| match range {
            [one] => one.to_string(),
            [first, .., last] => format!("{first}-{last}"),
            [] => String::new(),
        })
        .collect::<Vec<_>>()
        .join(",")
}

fn number(text: &str) -> Result<u32, String> {
    let text = text.trim();
    match text.parse::<u32>() {
        Ok(number) if number < LIMIT => Ok(number),
        Ok(number) => Err(format!(
            "{number} is above the highest CPU number that Linux supports"
        )),
        Err(_) if text.is_empty() => Err("a number is missing".to_owned()),
        Err(_) => Err(format!("`{text}` is not a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::{format, parse};

    #[test]
    fn reads_what_the_kernel_prints() {
        assert_eq!(parse("0-3,8\n"), Ok(vec![0, 1, 2, 3, 8]));
        assert_eq!(parse(""), Ok(vec![]));
        assert_eq!(parse("7"), Ok(vec![7]));
        assert_eq!(parse("2,0-1,1"), Ok(vec![0, 1, 2]));
    }

    #[test]
    fn refuses_what_it_does_not() {
        for text in ["a", "1-", "-1", "3-1", "1,,2", "0-99999999", "0-6:2", "1;2"] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
    }

    #[test]
    fn writes_ranges() {
        assert_eq!(format(&[0, 1, 2, 3, 8]), "0-3,8");
        assert_eq!(format(&[5, 4, 9, 4]), "4-5,9");
        assert_eq!(format(&[]), "");
    }

    proptest::proptest! {
        #[test]
        fn a_list_survives_writing_and_reading(cpus in proptest::collection::btree_set(0_u32..300, 0..40)) {
            let cpus: Vec<u32> = cpus.into_iter().collect();
            proptest::prop_assert_eq!(parse(&format(&cpus)), Ok(cpus));
        }
    }
}
