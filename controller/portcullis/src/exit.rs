//! How a command ends: the exit codes, as a type.

use std::process::ExitCode;

/// What a command ends with. Several results are merged by [`Exit::worst`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exit {
    /// 0: nothing is denied. Warn and Audit end here too.
    #[default]
    Clean,
    /// 1: the command line is wrong, an input cannot be read, or the tool itself failed.
    Failure,
    /// 2: something is denied, or a suite's expectation is not met.
    Denied,
    /// 3: a policy is invalid.
    InvalidPolicy,
}

impl Exit {
    /// The number that the process ends with.
    pub fn code(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Failure => 1,
            Self::Denied => 2,
            Self::InvalidPolicy => 3,
        }
    }

    /// The one that counts when several things happened: an invalid policy before an input that cannot be
    /// read (what was judged is not the whole) before a denial before nothing.
    #[must_use]
    pub fn worst(self, other: Self) -> Self {
        if self.weight() >= other.weight() { self } else { other }
    }

    fn weight(self) -> u8 {
        match self {
            Self::Clean => 0,
            Self::Denied => 1,
            Self::Failure => 2,
            Self::InvalidPolicy => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit::{self, Clean, Denied, Failure, InvalidPolicy};

    #[test]
    fn the_gravest_result_wins() {
        let check = |results: &[Exit], expect: u8| {
            let exit = results.iter().fold(Clean, |worst, exit| worst.worst(*exit));
            assert_eq!(exit.code(), expect, "{results:?}");
        };
        check(&[], 0);
        check(&[Clean, Denied, Clean], 2);
        check(&[Denied, Failure], 1);
        check(&[Failure, InvalidPolicy, Denied], 3);
    }
}
