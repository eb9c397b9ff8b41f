//! The program `hearth`.

use std::process::ExitCode;

fn main() -> ExitCode {
    agent::main()
}
