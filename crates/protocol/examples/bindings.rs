//! Prints the page's types: every TypeScript type that `protocol::local` needs, each after the ones it uses.
//!
//! `cargo xtask bindings` writes the output to `ui/src/lib/backend/bindings.ts`, `cargo xtask check` compares the two.

use std::collections::BTreeSet;
use std::io::Write as _;

use protocol::local::{Answer, ClientFrame, Command, LocalError, Picture, Status};
use ts_rs::{Config, TS, TypeVisitor};

struct Declarations {
    config: Config,
    seen: BTreeSet<String>,
    text: String,
}

impl TypeVisitor for Declarations {
    fn visit<T: TS + 'static + ?Sized>(&mut self) {
        // Types without a file of their own are TypeScript's own (number, string, arrays).
        if T::output_path().is_none() || !self.seen.insert(T::ident(&self.config)) {
            return;
        }
        T::visit_dependencies(self);
        self.text.push('\n');
        if let Some(docs) = T::docs() {
            self.text.push_str(&docs);
        }
        self.text.push_str("export ");
        self.text.push_str(&T::decl(&self.config));
        self.text.push('\n');
    }
}

fn main() -> std::io::Result<()> {
    let mut declarations = Declarations {
        config: Config::new(),
        seen: BTreeSet::new(),
        text: String::from(
            "// Made from crates/protocol/src/local.rs by `cargo xtask bindings`. Changes belong there.\n",
        ),
    };
    declarations.visit::<Command>();
    declarations.visit::<Answer>();
    declarations.visit::<LocalError>();
    declarations.visit::<Status>();
    declarations.visit::<Picture>();
    declarations.visit::<ClientFrame>();
    std::io::stdout().lock().write_all(declarations.text.as_bytes())
}
