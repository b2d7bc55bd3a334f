//! The id of a list, which events name it by: `0193a5d2c7f04b1e.spring.B.fresh` says in what experiment, arm and preset
//! it was made. So any server can count an event where it belongs, without having made the list or asked the store.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where a list belongs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Experiment and arm.
    pub(crate) arm: Option<(String, String)>,
    /// Preset.
    pub(crate) preset: Option<String>,
}

/// Longest name of an experiment, arm or preset.
pub(crate) const LONGEST: usize = 40;

/// Whether a name can stand in an id: letters, digits, `-` and `_`.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    !name.is_empty() && name.len() <= LONGEST && name.chars().all(fits)
}

/// Unix time in milliseconds.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Unix time in seconds.
pub(crate) fn now() -> i64 {
    (now_ms() / 1000) as i64
}

impl Origin {
    /// A new id of a list.
    pub(crate) fn new_id(&self) -> String {
        let mut random = [0u8; 4];
        // Without randomness ids still differ by the millisecond; they are no secret.
        let _ = getrandom::fill(&mut random);
        let head = format!("{:012x}{:08x}", now_ms(), u32::from_le_bytes(random));
        match (&self.arm, &self.preset) {
            (None, None) => head,
            (arm, preset) => {
                let (experiment, arm) =
                    arm.as_ref().map_or(("", ""), |(experiment, arm)| (experiment, arm));
                format!("{head}.{experiment}.{arm}.{}", preset.as_deref().unwrap_or(""))
            }
        }
    }

    /// What an id says; ids of others say nothing.
    pub(crate) fn of(id: &str) -> Self {
        let parts: Vec<&str> = id.split('.').collect();
        let [head, experiment, arm, preset] = parts[..] else { return Self::default() };
        let ours = head.len() == 20 && head.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !ours {
            return Self::default();
        }
        let arm = (is_name(experiment) && is_name(arm))
            .then(|| (experiment.to_string(), arm.to_string()));
        Self { arm, preset: is_name(preset).then(|| preset.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_where_its_list_belongs() {
        let arm = || Some(("spring".to_string(), "B".to_string()));
        for origin in [
            Origin::default(),
            Origin { arm: arm(), preset: None },
            Origin { arm: None, preset: Some("fresh-1".into()) },
            Origin { arm: arm(), preset: Some("fresh".into()) },
        ] {
            let id = origin.new_id();
            assert_eq!(Origin::of(&id), origin, "{id}");
            assert_ne!(origin.new_id(), id);
        }
        for other in ["", "r1", "a.b.c.d", "....", "0193a5d2c7f04b1e0000.a b..x y"] {
            assert_eq!(Origin::of(other), Origin::default(), "{other}");
        }
        assert!(!is_name("") && !is_name("a.b") && !is_name("ü") && !is_name(&"x".repeat(41)));
    }
}
