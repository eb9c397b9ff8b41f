//! What of the file system stays in reach while drivers load and afterwards: their libraries and lists, and of the
//! kernel's descriptions of hardware those that belong to a graphics device which this machine has.
//!
//! Which driver will be used is not known before it is loaded, so the rules follow from the devices that exist: a
//! machine without a card leaves a software driver no device at all. The rules for cards follow from what the sandboxes
//! of browsers grant their graphics processes and are untested for want of a card.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, RulesetStatus, path_beneath_rules,
};

/// The Landlock version whose rules are used: files, truncation and TCP.
const LANDLOCK: ABI = ABI::V4;

/// Read by every driver: libraries, driver lists, and how many processors and how much memory there are.
const ALWAYS_READ: [&str; 18] = [
    "/usr",
    "/lib",
    "/lib32",
    "/lib64",
    "/nix/store",
    "/run/opengl-driver",
    "/etc/vulkan",
    "/etc/glvnd",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/drirc",
    "/proc/self",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
];
/// Read and written by every driver.
const ALWAYS_USED: [&str; 3] = ["/dev/null", "/dev/zero", "/dev/urandom"];

/// Also read where there is a card that the kernel's graphics interface (DRM) serves: lists of devices. What they link
/// to is allowed device by device.
const DRM_READ: [&str; 4] = ["/opt/amdgpu", "/dev/dri", "/sys/class/drm", "/sys/dev/char"];
/// Also used there: buffers shared between a card and the processor.
const DRM_USED: [&str; 1] = ["/dev/udmabuf"];

/// Also read where NVIDIA's own kernel module is loaded.
const NVIDIA_READ: [&str; 8] = [
    "/etc/nvidia",
    "/proc/driver/nvidia",
    "/proc/devices",
    "/proc/modules",
    "/proc/sys/kernel",
    "/proc/sys/vm",
    "/sys/bus/pci/devices",
    "/sys/module/nvidia",
];

/// Raises the wall for this thread and all that it and the driver will start.
pub(super) fn restrict() -> Result<RulesetStatus, RulesetError> {
    let mut read: Vec<PathBuf> = ALWAYS_READ.iter().map(PathBuf::from).collect();
    let mut used: Vec<PathBuf> = ALWAYS_USED.iter().map(PathBuf::from).collect();
    for variable in ["VK_ICD_FILENAMES", "VK_DRIVER_FILES"] {
        if let Some(list) = std::env::var_os(variable) {
            // The library of a driver may lie beside its description.
            read.extend(std::env::split_paths(&list).filter_map(|file| file.parent().map(PathBuf::from)));
        }
    }
    // Nodes for computing only: the others set the mode of displays.
    let render_nodes = entries("/dev/dri", "renderD");
    if !render_nodes.is_empty() {
        read.extend(DRM_READ.iter().map(PathBuf::from));
        used.extend(DRM_USED.iter().map(PathBuf::from));
        read.extend(entries("/sys/class/drm", "renderD").iter().filter_map(|node| device_of(node)));
        used.extend(render_nodes);
    }
    let nvidia_nodes = entries("/dev", "nvidia");
    if !nvidia_nodes.is_empty() {
        read.extend(NVIDIA_READ.iter().map(PathBuf::from));
        read.extend(entries("/sys/bus/pci/drivers/nvidia", "0000:").iter().filter_map(|link| resolve(link)));
        used.extend(nvidia_nodes);
    }
    let use_device = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::WriteFile;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::from_all(LANDLOCK))?
        .create()?
        .add_rules(path_beneath_rules(read, AccessFs::from_read(LANDLOCK)))?
        .add_rules(path_beneath_rules(used, use_device))?
        .restrict_self()?;
    Ok(status.ruleset)
}

/// Entries of `folder` whose names begin with `prefix`; none where the folder is missing, as on a machine without such a
/// device.
fn entries(folder: &str, prefix: &str) -> Vec<PathBuf> {
    let Ok(listed) = std::fs::read_dir(folder) else { return Vec::new() };
    listed
        .flatten()
        .filter(|entry| entry.file_name().as_encoded_bytes().starts_with(prefix.as_bytes()))
        .map(|entry| entry.path())
        .collect()
}

/// Where the kernel describes the card behind an entry of `/sys/class/drm`.
fn device_of(node: &Path) -> Option<PathBuf> {
    resolve(&node.join("device"))
}

/// Rules follow no links, so they name what a link leads to.
fn resolve(link: &Path) -> Option<PathBuf> {
    std::fs::canonicalize(link).ok()
}
