//! The CPUs a thread may run on.

use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use thiserror::Error;

use crate::cpu_list;

/// Why a thread could not be pinned.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AffinityError {
    /// The list is empty, or has a number that is too large for the kernel's mask.
    #[error(
        "cannot pin a thread to the CPUs `{cpus}`: name at least one, each below {}",
        CpuSet::MAX_CPU
    )]
    List {
        /// The list asked for.
        cpus: String,
    },
    /// The kernel refused.
    #[error("the kernel refused to pin a thread to the CPUs {cpus} ({cause}): {advice}")]
    Refused {
        /// The list asked for.
        cpus: String,
        /// The kernel's error.
        cause: Errno,
        /// How to fix it.
        advice: &'static str,
    },
}

/// Pins the calling thread, and the threads and processes it starts later.
///
/// # Errors
/// See [`AffinityError`]; the thread then keeps its affinity.
pub fn pin_current_thread(cpus: &[u32]) -> Result<(), AffinityError> {
    let list = || AffinityError::List {
        cpus: cpu_list::format(cpus),
    };
    let mut set = CpuSet::new();
    for cpu in cpus {
        let cpu = usize::try_from(*cpu).map_err(|_| list())?;
        // `set` panics on CPUs beyond the mask.
        if cpu >= CpuSet::MAX_CPU {
            return Err(list());
        }
        set.set(cpu);
    }
    if cpus.is_empty() {
        return Err(list());
    }
    sched_setaffinity(None, &set).map_err(|cause| AffinityError::Refused {
        cpus: cpu_list::format(cpus),
        cause,
        advice: advice(cause),
    })
}

/// The CPUs the calling thread may run on, ascending; empty if the kernel doesn't say.
pub fn current_allowed() -> Vec<u32> {
    let Ok(set) = sched_getaffinity(None) else {
        return Vec::new();
    };
    (0..CpuSet::MAX_CPU)
        .filter(|cpu| set.is_set(*cpu))
        .filter_map(|cpu| u32::try_from(cpu).ok())
        .collect()
}

fn advice(cause: Errno) -> &'static str {
    match cause {
        Errno::INVAL => {
            "none of them is both online and in this process's cpuset; \
             see /sys/devices/system/cpu/online and the container's cpuset"
        }
        Errno::PERM | Errno::ACCESS | Errno::NOSYS => {
            "the container's seccomp profile forbids sched_setaffinity; allow it, or run without pinning"
        }
        _ => "run without pinning",
    }
}

#[cfg(test)]
mod tests {
    use super::{AffinityError, current_allowed, pin_current_thread};

    #[test]
    fn a_pinned_thread_is_where_it_was_put() {
        let one = *current_allowed()
            .last()
            .expect("this thread runs somewhere");
        std::thread::spawn(move || {
            pin_current_thread(&[one]).expect("a CPU of our own affinity is allowed");
            assert_eq!(current_allowed(), [one]);
        })
        .join()
        .expect("the thread's assertions hold");
    }

    #[test]
    fn what_cannot_be_is_refused_in_words() {
        let before = current_allowed();
        assert!(matches!(
            pin_current_thread(&[]),
            Err(AffinityError::List { .. })
        ));
        assert!(matches!(
            pin_current_thread(&[u32::MAX]),
            Err(AffinityError::List { .. })
        ));
        // The highest CPU of the mask; no test machine has it.
        let error = pin_current_thread(&[1023]).unwrap_err().to_string();
        assert!(
            error.contains("1023") && error.contains("cpuset"),
            "{error}"
        );
        assert_eq!(current_allowed(), before);
    }
}
