//! contributor
