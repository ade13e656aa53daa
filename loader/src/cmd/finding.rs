//! One thing that is not in order with a pair.
use crate::pair::state::State;

/// One thing that is not in order.
pub struct Finding {
    /// The state that it means.
    pub state: State,
    /// Its code for `mirror explain`.
    pub code: Option<&'static str>,
    /// Why.
    pub why: String,
    /// What to type, and what that does.
    pub actions: Vec<(String, String)>,
}

impl Finding {
    /// A finding; actions are added with [`Finding::act`].
    pub fn new(state: State, code: &'static str, why: impl Into<String>) -> Finding {
        Finding {
            state,
            code: Some(code),
            why: why.into(),
            actions: vec![],
        }
    }
    /// Adds what to type, and what that does.
    pub fn act(mut self, what: impl Into<String>, effect: impl Into<String>) -> Finding {
        self.actions.push((what.into(), effect.into()));
        self
    }
}
