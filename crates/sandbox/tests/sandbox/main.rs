//! The sandbox against the real `worker` program and against liars in its place.
//!
//! Needs the worker built beside this test (`cargo build --package worker`) and, for all that computes, the software
//! Vulkan driver; without that driver those tests say that they were left out.

mod adversarial;
mod common;
mod computing;
mod corpus;
#[cfg(target_os = "linux")]
mod faults;
#[cfg(unix)]
mod hostile;
mod measuring;
#[cfg(target_os = "linux")]
mod memory;
#[cfg(target_os = "linux")]
mod walls;
