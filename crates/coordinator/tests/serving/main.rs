//! A real coordinator on loopback, scripted contributors and publishers built on `protocol`, a manual clock, a
//! scripted verifier and a scripted chain. No graphics card, no sleep, no chain program.

mod audits;
mod doors;
mod money;
mod restarts;
mod work;
mod world;
