//! Gates 1 and 7: what a server must show before it is measured.

use super::super::reason::Reason;
use record::{Run, Server};

/// Gate 1: it could be built and started, and responded.
pub(super) fn broken(_: &Run, server: &Server) -> Option<Reason> {
    // The two gates below report a failed check in more detail.
    let told_below = server
        .check
        .as_ref()
        .is_some_and(|check| check.passed < check.total);
    let failure = server.failure.as_ref().filter(|_| !told_below)?;
    Some(Reason::Broken {
        step: failure.step,
        reason: failure.reason.clone(),
        server: true,
    })
}

/// Gate 1: all its responses follow the contract.
pub(super) fn nonconformant(_: &Run, server: &Server) -> Option<Reason> {
    let check = server
        .check
        .as_ref()
        .filter(|check| check.passed < check.total)?;
    let first = check.failures.first().cloned();
    Some(Reason::Nonconformant {
        passed: check.passed,
        total: check.total,
        first,
    })
}

/// Gate 7: median time to first byte of warm requests at idle.
pub(super) fn slow_first_byte(run: &Run, server: &Server) -> Option<Reason> {
    let limit_us = run.first_byte_limit_ms * 1e3;
    let found_us = server
        .check
        .as_ref()?
        .first_byte_us
        .filter(|&found| found > limit_us)?;
    Some(Reason::SlowFirstByte { found_us, limit_us })
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{run, server};
    use super::*;
    use record::{Check, Failure, Step};

    #[test]
    fn a_sound_server_passes() {
        let (run, server) = (run(), server("alpha"));
        assert_eq!(broken(&run, &server), None);
        assert_eq!(nonconformant(&run, &server), None);
        assert_eq!(slow_first_byte(&run, &server), None);
    }

    #[test]
    fn one_that_does_not_build_is_named_with_its_cause() {
        let mut server = server("alpha");
        let reason = "could not compile\n  `server-alpha`".to_owned();
        server.failure = Some(Failure {
            step: Step::Build,
            reason: reason.clone(),
            log_tail: String::new(),
        });
        let found = broken(&run(), &server);
        assert_eq!(
            found,
            Some(Reason::Broken {
                step: Step::Build,
                reason,
                server: true,
            })
        );
    }

    #[test]
    fn a_failed_check_is_told_once() {
        let mut server = server("alpha");
        server.failure = Some(Failure {
            step: Step::Check,
            reason: "checks failed".into(),
            log_tail: String::new(),
        });
        server.check = Some(Check {
            passed: 40,
            total: 41,
            first_byte_us: Some(80.0),
            lost_at_stop: None,
            sent_at_stop: None,
            failures: vec!["orders-422: got 500, want 422".into()],
        });
        assert_eq!(broken(&run(), &server), None);
        assert_eq!(
            nonconformant(&run(), &server),
            Some(Reason::Nonconformant {
                passed: 40,
                total: 41,
                first: Some("orders-422: got 500, want 422".into()),
            })
        );
    }

    #[test]
    fn a_slow_first_byte_is_told_with_its_limit() {
        let mut server = server("alpha");
        if let Some(check) = &mut server.check {
            check.first_byte_us = Some(20_100.0);
        }
        assert_eq!(
            slow_first_byte(&run(), &server),
            Some(Reason::SlowFirstByte {
                found_us: 20_100.0,
                limit_us: 5_000.0,
            })
        );
    }
}
