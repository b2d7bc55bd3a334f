//! The frozen answers against the plain ones.
