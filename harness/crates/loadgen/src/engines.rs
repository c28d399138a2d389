//! The I/O backends, and whether this system supports them.

use std::fmt;
use std::str::FromStr;

use super::{DriveError, uring};

/// I/O backend of the load generator. Figures of different backends are not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EngineKind {
    /// epoll, on every Linux: a system call to write a request, one to read its response.
    #[default]
    Epoll,
    /// io_uring, on Linux from 6.1 on unless it is forbidden: one system call for many requests.
    IoUring,
}

impl EngineKind {
    /// All of them, the default first.
    pub const ALL: [Self; 2] = [Self::Epoll, Self::IoUring];

    /// The name used in flags and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epoll => "epoll",
            Self::IoUring => "io_uring",
        }
    }

    /// Checks whether a drive can use it on this system, by trying.
    ///
    /// # Errors
    /// [`DriveError::NoEngine`] with the cause and a fix.
    pub fn available(self) -> Result<(), DriveError> {
        let tried = match self {
            Self::Epoll => Ok(()),
            Self::IoUring => uring::try_out(),
        };
        tried.map_err(|why| DriveError::NoEngine { engine: self, why })
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EngineKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == text);
        named.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("unknown I/O backend {text}; choose one of {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_engine() {
        for kind in EngineKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
        }
        let refused = "iouring".parse::<EngineKind>().unwrap_err();
        assert!(
            refused.contains("iouring") && refused.contains("io_uring"),
            "{refused}"
        );
    }

    #[test]
    fn epoll_is_the_default_and_always_there() {
        assert_eq!(EngineKind::default(), EngineKind::Epoll);
        EngineKind::Epoll.available().unwrap();
    }
}
