//! Why this system does not let us use io_uring, and what to do about it.

use rustix::io::Errno;

/// A setting that can forbid io_uring, see `Documentation/admin-guide/sysctl/kernel.rst`.
const DISABLED: &str = "/proc/sys/kernel/io_uring_disabled";

/// The reason for `errno` when setting up a ring, in words.
pub(super) fn why(errno: Errno) -> String {
    let disabled = std::fs::read_to_string(DISABLED).ok();
    let kernel = rustix::system::uname();
    let release = kernel.release().to_string_lossy();
    words(errno, disabled.as_deref().map(str::trim), &release)
}

/// The same for a given value of the setting and a kernel release.
fn words(errno: Errno, disabled: Option<&str>, release: &str) -> String {
    match errno {
        Errno::NOSYS => format!(
            "this kernel ({release}) does not have it, or a sandbox hides it; Linux 6.1 or newer is needed"
        ),
        Errno::PERM | Errno::ACCESS => match disabled {
            Some("1" | "2") => {
                "it is disabled here; `sysctl kernel.io_uring_disabled=0` enables it".to_owned()
            }
            _ => "it is forbidden here, for example by a container's seccomp filter; run outside of it, or with \
                  a filter that allows io_uring_setup, io_uring_enter and io_uring_register"
                .to_owned(),
        },
        Errno::INVAL => format!(
            "this kernel ({release}) does not support all the features needed; Linux 6.1 or newer is needed"
        ),
        Errno::NOMEM => {
            "not enough memory for its rings: raise the limit on locked memory (`ulimit -l`) or that of the \
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
