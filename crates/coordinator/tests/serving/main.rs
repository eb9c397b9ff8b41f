//! A real coordinator on loopback, scripted contributors and publishers built on `protocol`, a manual clock, a
//! scripted verifier and a scripted chain. No graphics card, no sleep; only `chain`
//! starts a development chain, where there is one.

mod audits;
mod chain;
mod doors;
mod money;
mod restarts;
mod work;
mod world;
