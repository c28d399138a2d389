//! Parameters of a path and a query: as they arrive, and as checked.

use serde::Deserialize;

use crate::{ApiError, Status};

const DEFAULT_LIMIT: u64 = 20;
const MAX_LIMIT: u64 = 100;
const MAX_PAGE: u64 = 1_000_000;
/// 2^53 − 1, the largest integer every JSON reader keeps exactly.
const MAX_ID: u64 = (1 << 53) - 1;

/// `limit` and `page` of a query, not yet checked; a framework's query extractor fills it.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct PageParams {
    limit: Option<String>,
    page: Option<String>,
}

/// `status`, `limit` and `page` of a query, not yet checked.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct UsersParams {
    status: Option<String>,
    limit: Option<String>,
    page: Option<String>,
}

/// A page within its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageQuery {
    /// Entries on a page, 1 to 100.
    pub limit: u64,
    /// The page, from 1 to 1,000,000.
    pub page: u64,
}

/// A query for users within its ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsersQuery {
    /// Only users of this status, if given.
    pub status: Option<Status>,
    /// The page asked for.
    pub page: PageQuery,
}

impl PageParams {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] names the member that is not digits or out of range.
    pub fn validate(&self) -> Result<PageQuery, ApiError> {
        validate_page(self.limit.as_deref(), self.page.as_deref())
    }
}

impl UsersParams {
    /// Checks the ranges and the status.
    ///
    /// # Errors
    /// [`ApiError::InvalidParameter`] names the member that is wrong.
    pub fn validate(&self) -> Result<UsersQuery, ApiError> {
        let status = self.status.as_deref().map(Status::parse).transpose()?;
        let page = validate_page(self.limit.as_deref(), self.page.as_deref())?;
        Ok(UsersQuery { status, page })
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

fn validate_page(limit: Option<&str>, page: Option<&str>) -> Result<PageQuery, ApiError> {
    Ok(PageQuery {
        limit: in_range("limit", limit, DEFAULT_LIMIT, MAX_LIMIT)?,
        page: in_range("page", page, 1, MAX_PAGE)?,
    })
}

fn in_range(name: &str, text: Option<&str>, default: u64, max: u64) -> Result<u64, ApiError> {
    let Some(text) = text else {
        return Ok(default);
    };
    parse_digits(text)
        .filter(|value| (1..=max).contains(value))
        .ok_or_else(|| {
            ApiError::InvalidParameter(format!("{name} is a number from 1 to {max}").into())
        })
}

/// Unlike `u64::from_str`, takes no leading `+`. None also where it overflows.
fn parse_digits(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}
