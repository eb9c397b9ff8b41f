//! A Vulkan driver that passes every call on to a real one, until the fault that a test scripts. Loaded by tests only.
