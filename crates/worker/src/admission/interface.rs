//! PURE: whether a kernel's entry point and bindings are those that its stage declares.

use naga::{AddressSpace, Scalar, StorageAccess, TypeInner, VectorSize};
use protocol::manifest::{Program, Role, Stage};

use super::Checked;

/// Checks one stage; gives for each of its bindings whether the kernel declares it read-only.
pub(super) fn check(program: &Program, stage: &Stage, modules: &[Checked]) -> Result<Vec<bool>, String> {
    let kernel = program.kernels.get(usize::from(stage.kernel)).ok_or("no such kernel")?;
    let Checked { module, info } = modules.get(usize::from(kernel.module)).ok_or("no such module")?;
    let (index, entry) = module
        .entry_points
        .iter()
        .enumerate()
        .find(|(_, entry)| entry.name == kernel.entry)
        .ok_or_else(|| format!("the module has no entry point {}", kernel.entry))?;
    if entry.workgroup_size != kernel.workgroup || entry.workgroup_size_overrides.is_some() {
        return Err(format!(
            "{} has a workgroup size of {:?}, declared is {:?}",
            kernel.entry, entry.workgroup_size, kernel.workgroup
        ));
    }
    // A binding that the kernel does not use may be declared; it is bound read-only.
    let mut read_only = vec![true; stage.bindings.len()];
    let uses = info.get_entry_point(index);
    for (handle, variable) in module.global_variables.iter() {
        if uses[handle].is_empty() {
            continue;
        }
        let Some(binding) = &variable.binding else { continue };
        let name = variable.name.as_deref().unwrap_or("a variable");
        if binding.group != 0 {
            return Err(format!("{name} is in group {}, only group 0 is bound", binding.group));
        }
        let inner = &module.types[variable.ty].inner;
        match variable.space {
            AddressSpace::Uniform => {
                let piece = TypeInner::Vector { size: VectorSize::Quad, scalar: Scalar::U32 };
                if binding.binding != 0 || *inner != piece {
                    return Err(format!(
                        "{name} is a uniform; the only one is binding 0, the piece: vec4<u32>"
                    ));
                }
            }
            AddressSpace::Storage { access } => {
                let position = (binding.binding as usize).checked_sub(1);
                let declared = position.and_then(|p| Some((p, *stage.bindings.get(p)?)));
                let Some((position, buffer)) = declared else {
                    let last = stage.bindings.len();
                    return Err(format!(
                        "{name} is at binding {}, declared are 1 to {last}",
                        binding.binding
                    ));
                };
                let buffer = program.buffers.get(usize::from(buffer)).ok_or("no such buffer")?;
                let writes = access.intersects(StorageAccess::STORE | StorageAccess::ATOMIC);
                if writes && matches!(buffer.role, Role::Input | Role::Params) {
                    return Err(format!("{name} must be read-only, because buffer {} is", buffer.name));
                }
                let least = match inner {
                    TypeInner::Array { size: naga::ArraySize::Dynamic, stride, .. } => Some(*stride),
                    inner => inner.try_size(module.to_ctx()),
                };
                if least.is_none_or(|bytes| bytes > buffer.bytes) {
                    return Err(format!(
                        "{name} needs more than the {} bytes of {}",
                        buffer.bytes, buffer.name
                    ));
                }
                read_only[position] = !writes;
            }
            _ => return Err(format!("{name} is neither a uniform nor a storage buffer")),
        }
    }
    Ok(read_only)
}
