//! Why a system has no io_uring for us, and what to do about it.

use rustix::io::Errno;

/// What forbids io_uring where it is set, see `Documentation/admin-guide/sysctl/kernel.rst`.
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

/// The cause behind `errno` when a ring was set up, in words for a person.
pub(super) fn why(errno: Errno) -> String {
    let disabled = std::fs::read_to_string(DISABLED).ok();
    let kernel = rustix::system::uname();
    let release = kernel.release().to_string_lossy();
    words(errno, disabled.as_deref().map(str::trim), &release)
}

/// The same, of a system with that setting and that kernel.
fn words(errno: Errno, disabled: Option<&str>, release: &str) -> String {
    match errno {
        Errno::NOSYS => format!(
            "this kernel ({release}) does not have it, or a sandbox hides it; Linux 6.1 or newer is needed"
        ),
        Errno::PERM | Errno::ACCESS => match disabled {
            Some("1" | "2") => {
                "it is switched off here; `sysctl kernel.io_uring_disabled=0` allows it".to_owned()
            }
            _ => "it is forbidden here, as by the seccomp filter of a container; run outside of it, or with \
                  a filter that allows io_uring_setup, io_uring_enter and io_uring_register"
                .to_owned(),
        },
        Errno::INVAL => format!(
            "this kernel ({release}) does not have all that is used of it; Linux 6.1 or newer is needed"
        ),
        Errno::NOMEM => {
            "there is not the memory for its rings: raise the limit on locked memory (`ulimit -l`) or that of the \
             control group"
                .to_owned()
        }
        other => format!("the system refuses it: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_says_what_would_do() {
        for (errno, disabled, word) in [
            (Errno::NOSYS, None, "Linux 6.1"),
            (Errno::INVAL, Some("0"), "5.15.0-76 does not"),
            (Errno::PERM, Some("2"), "kernel.io_uring_disabled=0"),
            (Errno::PERM, Some("1"), "kernel.io_uring_disabled=0"),
            (Errno::PERM, Some("0"), "seccomp"),
            (Errno::ACCESS, None, "seccomp"),
            (Errno::NOMEM, None, "ulimit -l"),
            (Errno::MFILE, None, "open files"),
        ] {
            let said = words(errno, disabled, "5.15.0-76").replace(['(', ')'], "");
            assert!(said.contains(word), "{errno}: {said}");
        }
    }
}
