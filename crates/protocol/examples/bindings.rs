//! Prints the page's types: every TypeScript type that `protocol::local` needs, by name.
//!
//! `cargo xtask bindings` writes the output to `ui/src/lib/backend/bindings.ts`, `cargo xtask check` compares the two.

use std::collections::BTreeMap;
use std::io::Write as _;

use protocol::local::{Answer, ClientFrame, Command, LocalError, Picture, Status};
use ts_rs::{Config, TS, TypeVisitor};

struct Declarations {
    config: Config,
    /// By name: the order in which a type names its dependencies differs from build to build.
    by_name: BTreeMap<String, String>,
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        let name = T::ident(&self.config);
        // Types without a file of their own are TypeScript's own (number, string, arrays).
        if T::output_path().is_none() || self.by_name.contains_key(&name) {
            return;
        }
        let docs = T::docs().unwrap_or_default();
        self.by_name.insert(name, format!("\n{docs}export {}\n", T::decl(&self.config)));
        T::visit_dependencies(self);
    }
}

fn main() -> std::io::Result<()> {
    let mut declarations = Declarations { config: Config::new(), by_name: BTreeMap::new() };
    declarations.visit::<Command>();
    declarations.visit::<Answer>();
    declarations.visit::<LocalError>();
    declarations.visit::<Status>();
    declarations.visit::<Picture>();
    declarations.visit::<ClientFrame>();
    let mut out = std::io::stdout().lock();
    out.write_all(
        b"// Made from crates/protocol/src/local.rs by `cargo xtask bindings`. Changes belong there.\n",
    )?;
    declarations.by_name.values().try_for_each(|text| out.write_all(text.as_bytes()))
}
