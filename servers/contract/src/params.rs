//! Parameters of a path and a query: as they arrive, and as checked.

use std::fmt;
use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use crate::{ApiError, Status, Wait};

/// How many entries a page has, if the request doesn't say, and at most.
#[derive(Clone, Copy)]
struct Limits {
    default: u64,
    max: u64,
}

const OF_PAGE: Limits = Limits {
    default: 20,
    max: 100,
};
/// 600 users are 64 KiB of JSON, less up to 3 %.
const OF_DOWNLOAD: Limits = Limits {
    default: 600,
    max: 1_000,
};
const MAX_PAGE: u64 = 1_000_000;
/// 2^53 − 1, the largest integer every JSON reader keeps exactly.
const MAX_ID: u64 = (1 << 53) - 1;
const DEFAULT_WAIT_MS: u64 = 15;
const MAX_WAIT_MS: u64 = 1_000;

/// `limit` and `page` of a query, not yet checked; a framework's query extractor fills it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageParams {
    limit: Option<Digits>,
    page: Option<Digits>,
}

/// `status`, `limit` and `page` of a query, not yet checked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UsersParams {
    status: Option<TextAs<Status>>,
    limit: Option<Digits>,
    page: Option<Digits>,
}

/// `limit` and `page` of a download, not yet checked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct DownloadParams {
    limit: Option<Digits>,
    page: Option<Digits>,
}

/// `ms` of a wait, not yet checked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct WaitParams {
    ms: Option<Digits>,
}

/// What a text means, read at once, so that it needs no copy; `None` where it means nothing.
#[derive(Debug, Clone, Copy)]
struct TextAs<T>(Option<T>);

/// A number in digits.
type Digits = TextAs<u64>;

/// Read from a text.
trait FromText: Sized {
    fn from_text(text: &str) -> Option<Self>;
}

impl FromText for u64 {
    fn from_text(text: &str) -> Option<Self> {
        parse_digits(text)
    }
}

impl FromText for Status {
    fn from_text(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

impl<T: FromText> TextAs<T> {
    fn new(text: &str) -> Self {
        Self(T::from_text(text))
    }
}

impl<'de, T: FromText> Deserialize<'de> for TextAs<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);

        impl<T: FromText> Visitor<'_> for Text<T> {
            type Value = TextAs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_str<E>(self, text: &str) -> Result<TextAs<T>, E> {
                Ok(TextAs::new(text))
            }
        }

        from.deserialize_str(Text(PhantomData))
    }
}

/// A page within its range; made by the `validate` of a query's parameters alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// Entries on a page, 1 to 100, or 1,000 for a download.
    pub(crate) limit: u64,
    /// The page, from 1 to 1,000,000.
    pub(crate) page: u64,
}

/// A query for users within its ranges; made by [`UsersParams::validate`] and [`DownloadParams::validate`] alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsersQuery {
    /// Only users of this status, if given.
    pub(crate) status: Option<Status>,
    /// The page asked for.
    pub(crate) page: PageQuery,
}

impl PageParams {
    /// For a framework whose query extractor isn't serde's: each parameter percent-decoded, if given.
    pub fn from_texts(limit: Option<&str>, page: Option<&str>) -> Self {
        Self {
            limit: limit.map(TextAs::new),
            page: page.map(TextAs::new),
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] names the member that is not digits or out of range.
    pub fn validate(&self) -> Result<PageQuery, ApiError> {
        validate_page(self.limit, self.page, OF_PAGE)
    }
}

impl UsersParams {
    /// As [`PageParams::from_texts`].
    pub fn from_texts(status: Option<&str>, limit: Option<&str>, page: Option<&str>) -> Self {
        Self {
            status: status.map(TextAs::new),
            limit: limit.map(TextAs::new),
            page: page.map(TextAs::new),
        }
    }

    /// Checks the ranges and the status.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] names the member that is wrong.
    pub fn validate(&self) -> Result<UsersQuery, ApiError> {
        let known = |status: TextAs<Status>| {
            status.0.ok_or_else(|| {
                ApiError::InvalidParameter("status is active, pending or archived".into())
            })
        };
        let status = self.status.map(known).transpose()?;
        let page = validate_page(self.limit, self.page, OF_PAGE)?;
        Ok(UsersQuery { status, page })
    }
}

impl DownloadParams {
    /// As [`PageParams::from_texts`].
    pub fn from_texts(limit: Option<&str>, page: Option<&str>) -> Self {
        Self {
            limit: limit.map(TextAs::new),
            page: page.map(TextAs::new),
        }
    }

    /// Checks the ranges.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] names the member that is wrong.
    pub fn validate(&self) -> Result<UsersQuery, ApiError> {
        let page = validate_page(self.limit, self.page, OF_DOWNLOAD)?;
        Ok(UsersQuery { status: None, page })
    }
}

impl WaitParams {
    /// As [`PageParams::from_texts`].
    pub fn from_texts(ms: Option<&str>) -> Self {
        Self {
            ms: ms.map(TextAs::new),
        }
    }

    /// Checks the range.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] where it is not that.
    pub fn validate(&self) -> Result<Wait, ApiError> {
        in_range("ms", self.ms, DEFAULT_WAIT_MS, 0..=MAX_WAIT_MS).map(Wait::of)
    }
}

impl PageQuery {
    /// How many entries come before this page.
    pub(crate) fn offset(self) -> u64 {
        (self.page - 1) * self.limit
    }
}

/// Reads an id from a path: decimal digits, at most 2^53 − 1.
///
/// # Errors
/// [`ApiError::InvalidParameter`] where it is not that.
pub fn parse_id(text: &str) -> Result<u64, ApiError> {
    parse_digits(text)
        .filter(|id| *id <= MAX_ID)
        .ok_or_else(|| ApiError::InvalidParameter("an id is digits, at most 2^53 - 1".into()))
}

fn validate_page(
    limit: Option<Digits>,
    page: Option<Digits>,
    limits: Limits,
) -> Result<PageQuery, ApiError> {
    Ok(PageQuery {
        limit: in_range("limit", limit, limits.default, 1..=limits.max)?,
        page: in_range("page", page, 1, 1..=MAX_PAGE)?,
    })
}

fn in_range(
    name: &str,
    given: Option<Digits>,
    default: u64,
    range: RangeInclusive<u64>,
) -> Result<u64, ApiError> {
    let Some(TextAs(number)) = given else {
        return Ok(default);
    };
    number.filter(|value| range.contains(value)).ok_or_else(|| {
        let (least, most) = range.into_inner();
        ApiError::InvalidParameter(format!("{name} is a number from {least} to {most}").into())
    })
}

/// Unlike `u64::from_str`, takes no leading `+`. None also where it overflows.
fn parse_digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(limit: Option<&str>, page: Option<&str>) -> Option<(u64, u64)> {
        let params = PageParams::from_texts(limit, page);
        let users = UsersParams::from_texts(None, limit, page);
        let checked = params.validate();
        assert_eq!(users.validate().map(|query| query.page), checked);
        match checked {
            Ok(query) => Some((query.limit, query.page)),
            Err(error) => {
                assert_eq!((error.status(), error.code()), (400, "invalid_parameter"));
                None
            }
        }
    }

    #[test]
    fn pages_have_defaults_and_edges() {
        assert_eq!(page(None, None), Some((20, 1)));
        assert_eq!(page(Some("1"), Some("1")), Some((1, 1)));
        assert_eq!(page(Some("100"), Some("1000000")), Some((100, 1_000_000)));
        for wrong in [
            "0", "101", "", "-1", "+1", " 1", "1 ", "1.0", "1e1", "0x1", "١",
        ] {
            assert_eq!(page(Some(wrong), None), None, "limit={wrong}");
        }
        // 2^64 and 2^64 + 1: what wraps round would pass.
        for wrong in [
            "0",
            "1000001",
            "18446744073709551616",
            "18446744073709551617",
            "x",
        ] {
            assert_eq!(page(None, Some(wrong)), None, "page={wrong}");
        }
    }

    #[test]
    fn a_download_has_longer_pages() {
        let of = |limit: Option<&str>, page: Option<&str>| {
            let params = DownloadParams::from_texts(limit, page);
            params
                .validate()
                .map(|query| (query.page.limit, query.page.page))
        };
        assert_eq!(of(None, None), Ok((600, 1)));
        assert_eq!(of(Some("1000"), Some("7")), Ok((1_000, 7)));
        for wrong in ["0", "1001", "", "x"] {
            let code = of(Some(wrong), None).unwrap_err().code();
            assert_eq!(code, "invalid_parameter", "limit={wrong}");
            assert!(
                of(None, Some(wrong)).is_err() || wrong == "1001",
                "page={wrong}"
            );
        }
    }

    #[test]
    fn a_wait_is_up_to_a_second() {
        let of = |ms: Option<&str>| {
            let wait = WaitParams::from_texts(ms).validate();
            wait.map(|wait| (wait.time().as_millis(), wait.ms()))
        };
        assert_eq!(of(None), Ok((15, 15)));
        assert_eq!(of(Some("0")), Ok((0, 0)));
        assert_eq!(of(Some("1000")), Ok((1_000, 1_000)));
        for wrong in ["1001", "", "-1", "+1", "1.5", "1ms", "18446744073709551616"] {
            let code = of(Some(wrong)).unwrap_err().code();
            assert_eq!(code, "invalid_parameter", "ms={wrong}");
        }
    }

    #[test]
    fn a_status_is_one_of_three() {
        let parse = |status: &str| {
            let params = UsersParams::from_texts(Some(status), None, None);
            params.validate().map(|query| query.status)
        };
        assert_eq!(parse("active"), Ok(Some(Status::Active)));
        assert_eq!(parse("pending"), Ok(Some(Status::Pending)));
        assert_eq!(parse("archived"), Ok(Some(Status::Archived)));
        for wrong in ["", "Active", "active ", "deleted", "active,pending"] {
            assert_eq!(
                parse(wrong).unwrap_err().code(),
                "invalid_parameter",
                "{wrong}"
            );
        }
    }

    #[test]
    fn an_id_is_digits_up_to_2_to_the_53_less_1() {
        assert_eq!(parse_id("0"), Ok(0));
        assert_eq!(parse_id("9007199254740991"), Ok(9_007_199_254_740_991));
        for wrong in [
            "",
            "-1",
            "+1",
            "1.0",
            "abc",
            "9007199254740992",
            "18446744073709551617",
        ] {
            let error = parse_id(wrong).unwrap_err();
            assert_eq!(
                (error.status(), error.code()),
                (400, "invalid_parameter"),
                "{wrong}"
            );
        }
    }

    proptest! {
        #[test]
        fn every_id_within_range_is_read_as_it_was_written(id in 0..=MAX_ID) {
            prop_assert_eq!(parse_id(&id.to_string()), Ok(id));
        }

        #[test]
        fn an_id_is_read_only_where_all_is_digits(text in "[0-9+. a-f-]{0,20}|\\PC*") {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let due = text.parse().ok().filter(|id| digits && *id <= MAX_ID);
            prop_assert_eq!(parse_id(&text).ok(), due);
        }

        #[test]
        fn pages_are_taken_within_their_ranges_alone(limit in 0..300u64, number in 0..2_000_000u64) {
            let due = (1..=100).contains(&limit) && (1..=1_000_000).contains(&number);
            let checked = page(Some(&limit.to_string()), Some(&number.to_string()));
            prop_assert_eq!(checked, due.then_some((limit, number)));
        }
    }
}
