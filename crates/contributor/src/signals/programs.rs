//! Which of the programs that the owner has named run, on every system.

use sysinfo::{ProcessRefreshKind, ProcessesToUpdate, System};

use super::{Reading, Unknown};

/// The list of processes, kept between two looks.
#[derive(Debug)]
pub(super) struct Programs {
    system: Option<System>,
}

impl Programs {
    pub(super) fn open() -> Self {
        let system = System::new();
        if let Err(error) = &system {
            tracing::warn!(error = error as &dyn std::error::Error, "programs cannot be seen");
        }
        Self { system: system.ok() }
    }

    /// Those of `names` that run. Nothing is read where nothing is asked for.
    pub(super) fn running(&mut self, names: &[String]) -> Reading<Vec<String>> {
        if names.is_empty() {
            return Reading::Known(Vec::new());
        }
        let Some(system) = &mut self.system else { return Reading::Unknown(Unknown::Failed) };
        let kind = ProcessRefreshKind::nothing().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        let runs = |name: &String| {
            system.processes().values().any(|process| is_called(&process.name().to_string_lossy(), name))
        };
        Reading::Known(names.iter().filter(|name| runs(name)).cloned().collect())
    }
}

/// Whether a process of the name `found` is the program that an owner calls `name`.
fn is_called(found: &str, name: &str) -> bool {
    let found = found.strip_suffix(".exe").unwrap_or(found);
    let name = name.strip_suffix(".exe").unwrap_or(name);
    // Linux keeps 15 bytes of a name.
    let short = name.char_indices().nth(15).map_or(name, |(end, _)| &name[..end]);
    found.eq_ignore_ascii_case(name) || found.eq_ignore_ascii_case(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_by_its_name_however_it_is_written() {
        assert!(is_called("blender", "Blender"));
        assert!(is_called("game.exe", "game") && is_called("game", "Game.exe"));
        assert!(is_called("a-very-long-pro", "a-very-long-program"), "Linux cuts names");
        assert!(!is_called("blend", "blender") && !is_called("blender-2", "blender"));
    }

    #[test]
    fn this_test_runs_and_a_program_that_does_not_exist_does_not() {
        let me = std::env::current_exe().unwrap();
        let me = me.file_name().unwrap().to_string_lossy().into_owned();
        let mut programs = Programs::open();
        let running = programs.running(&[me.clone(), "no-such-program-anywhere".to_owned()]);
        assert_eq!(running, Reading::Known(vec![me]));
    }
}
