//! The limit on open file descriptors; every connection needs one on each side.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft and the hard limit of this process; `u64::MAX` means unlimited.
pub fn descriptor_limit() -> (u64, u64) {
    let limit = getrlimit(Resource::Nofile);
    (
        limit.current.unwrap_or(u64::MAX),
        limit.maximum.unwrap_or(u64::MAX),
    )
}

/// Raises the soft limit to the hard one, which needs no privileges, and returns the new soft limit. Child
/// processes started later inherit it.
///
/// # Errors
/// The kernel's error if it refuses; the limit then stays.
pub fn raise_descriptor_limit() -> std::io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        setrlimit(
            Resource::Nofile,
            Rlimit {
                current: limit.maximum,
                maximum: limit.maximum,
            },
        )?;
    }
    Ok(descriptor_limit().0)
}

#[cfg(test)]
mod tests {
    use super::{descriptor_limit, raise_descriptor_limit};

    #[test]
    fn the_soft_limit_ends_at_the_hard_one() {
        let (_, hard) = descriptor_limit();
        assert_eq!(raise_descriptor_limit().unwrap(), hard);
        assert_eq!(descriptor_limit(), (hard, hard));
        // Again, when there is nothing left to do.
        assert_eq!(raise_descriptor_limit().unwrap(), hard);
    }
}
