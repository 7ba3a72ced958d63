//! Where the bindings of a policy keep what its expressions may name, so that no request looks up names.

use super::Input;
use portcullis_cel::{Environment, Place};

/// The places of a policy's environment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    inputs: [Option<Place>; Input::ALL.len()],
    /// Of the element of a `forEach` list.
    pub(crate) each: Option<Place>,
}

impl Places {
    pub(crate) fn of(environment: &Environment) -> Self {
        Self {
            inputs: Input::ALL.map(|input| environment.place(input.name())),
            each: environment.place("each"),
        }
    }

    /// Of an input; none if the policy's expressions cannot name it.
    pub(crate) fn input(&self, input: Input) -> Option<Place> {
        self.inputs.get(input as usize).copied().flatten()
    }
}
