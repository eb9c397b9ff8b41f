//! A stand-in for `libnvidia-ml.so.1` with cards whose readings a test scripts. Loaded by tests only.
