//! Windows: nothing from inside. The parent's job object belongs to the sandbox room; the report names what is missing.

use protocol::frames::{Adapter, Confinement, Wall};

use super::{ConfineError, FilesWall, ParentWall};

/// The process ends when its parent's end of stdin closes; the system itself does not tie the two.
pub(crate) fn before_anything() -> Result<ParentWall, ConfineError> {
    Ok(ParentWall(Wall::Partial))
}

/// No wall around files.
pub(crate) fn before_device() -> FilesWall {
    FilesWall(Wall::None)
}

/// Reports what holds: only the tie to the parent.
pub(crate) fn after_device(
    parent: ParentWall,
    files: FilesWall,
    _adapter: &Adapter,
    _memory_bytes: u64,
) -> Result<Confinement, ConfineError> {
    without_device(parent, files)
}

/// Reports what holds: only the tie to the parent.
pub(crate) fn without_device(parent: ParentWall, files: FilesWall) -> Result<Confinement, ConfineError> {
    Ok(Confinement {
        files: files.0,
        network: Wall::None,
        processes: Wall::None,
        memory: Wall::None,
        parent: parent.0,
    })
}
