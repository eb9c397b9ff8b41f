//! A Vulkan driver that passes every call on to a real one, until the fault that a test scripts. Loaded by tests only.
//!
//! `HEARTH_FAULTY_DRIVER` is the path of the real driver's library. `HEARTH_FAULT` is `KIND@D.N`: what goes wrong on the
//! D-th device that the process opens, both counted from 1.
//!
//! | kind | what happens |
//! |---|---|
//! | `lost` | the N-th submission loses the device: it and every later call on the device answer so, until another is opened |
//! | `lost-waiting` | the same at the N-th wait for a submission |
//! | `crash` | the N-th submission writes to an address that is not mapped |
//! | `hang` | the N-th submission never returns |
//! | `memory` | the N-th and every later allocation is refused |
//! | `wrong` | the N-th dispatch leaves its last group out |
//!
//! Without `HEARTH_FAULT` it is as good as the real one. A script that cannot be read makes the driver refuse to load, so
//! that no test passes for the lack of its fault.

#![expect(unsafe_code, reason = "a Vulkan driver is a C library")]

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ash::vk;
use libloading::Library;

/// A function of a driver before it is known which; absent where the driver has none of that name.
type Function = vk::PFN_vkVoidFunction;
type Negotiate = unsafe extern "system" fn(*mut u32) -> vk::Result;
type InstanceFunctions = unsafe extern "system" fn(vk::Instance, *const c_char) -> Function;

/// The real driver and the script.
struct Driver {
    /// Keeps the functions below in memory.
    _library: Library,
    negotiate: Negotiate,
    instance_functions: InstanceFunctions,
    physical_device_functions: InstanceFunctions,
    fault: Option<Fault>,
}

#[derive(Debug, Clone, Copy)]
struct Fault {
    kind: Kind,
    device: u64,
    at: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Lost,
    LostWaiting,
    Crash,
    Hang,
    Memory,
    Wrong,
}

impl Fault {
    fn read(script: &str) -> Option<Self> {
        let (kind, at) = script.split_once('@')?;
        let kind = match kind {
            "lost" => Kind::Lost,
            "lost-waiting" => Kind::LostWaiting,
            "crash" => Kind::Crash,
            "hang" => Kind::Hang,
            "memory" => Kind::Memory,
            "wrong" => Kind::Wrong,
            _ => return None,
        };
        let (device, at) = at.split_once('.')?;
        Some(Self { kind, device: device.parse().ok()?, at: at.parse().ok()? })
    }
}

/// The driver, loaded at the first call; `None` where it or its script cannot be read.
fn driver() -> Option<&'static Driver> {
    static DRIVER: OnceLock<Option<Driver>> = OnceLock::new();
    DRIVER.get_or_init(load).as_ref()
}

fn load() -> Option<Driver> {
    let path = std::env::var_os("HEARTH_FAULTY_DRIVER")?;
    let fault = match std::env::var("HEARTH_FAULT") {
        Ok(script) => Some(Fault::read(&script)?),
        Err(_) => None,
    };
    // SAFETY: the library is a Vulkan driver, named by the test; it exports these functions with these types.
    unsafe {
        let library = Library::new(path).ok()?;
        let negotiate = *library.get::<Negotiate>(b"vk_icdNegotiateLoaderICDInterfaceVersion\0").ok()?;
        let instance_functions = *library.get::<InstanceFunctions>(b"vk_icdGetInstanceProcAddr\0").ok()?;
        let physical_device_functions =
            *library.get::<InstanceFunctions>(b"vk_icdGetPhysicalDeviceProcAddr\0").ok()?;
        Some(Driver { _library: library, negotiate, instance_functions, physical_device_functions, fault })
    }
}

/// Whether the open device is lost.
static LOST: AtomicBool = AtomicBool::new(false);
/// How many devices have been opened.
static DEVICES: AtomicU64 = AtomicU64::new(0);

/// How often a thing happened on the open device.
struct Count(AtomicU64);

static SUBMISSIONS: Count = Count(AtomicU64::new(0));
static WAITS: Count = Count(AtomicU64::new(0));
static ALLOCATIONS: Count = Count(AtomicU64::new(0));
static DISPATCHES: Count = Count(AtomicU64::new(0));

impl Count {
    /// Counts one more; the number it has, from 1.
    fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst) + 1
    }
}

/// Begins to count for a device that is opened.
fn begin_device() {
    DEVICES.fetch_add(1, Ordering::SeqCst);
    LOST.store(false, Ordering::SeqCst);
    for count in [&SUBMISSIONS, &WAITS, &ALLOCATIONS, &DISPATCHES] {
        count.0.store(0, Ordering::SeqCst);
    }
}

/// The number at which the open device has a fault of this kind.
fn scripted(kind: Kind) -> Option<u64> {
    let fault = driver()?.fault?;
    (fault.kind == kind && fault.device == DEVICES.load(Ordering::SeqCst)).then_some(fault.at)
}

/// A function of the real driver that is called from one of ours.
struct Real<F>(OnceLock<F>);

static QUEUE_SUBMIT: Real<vk::PFN_vkQueueSubmit> = Real::unknown();
static CREATE_DEVICE: Real<vk::PFN_vkCreateDevice> = Real::unknown();
static DEVICE_FUNCTIONS: Real<vk::PFN_vkGetDeviceProcAddr> = Real::unknown();
static WAIT_FOR_FENCES: Real<vk::PFN_vkWaitForFences> = Real::unknown();
static FENCE_STATUS: Real<vk::PFN_vkGetFenceStatus> = Real::unknown();
static WAIT_SEMAPHORES: Real<vk::PFN_vkWaitSemaphores> = Real::unknown();
static SEMAPHORE_VALUE: Real<vk::PFN_vkGetSemaphoreCounterValue> = Real::unknown();
static DEVICE_IDLE: Real<vk::PFN_vkDeviceWaitIdle> = Real::unknown();
static ALLOCATE: Real<vk::PFN_vkAllocateMemory> = Real::unknown();
static DISPATCH: Real<vk::PFN_vkCmdDispatch> = Real::unknown();

impl<F: Copy> Real<F> {
    const fn unknown() -> Self {
        Self(OnceLock::new())
    }

    /// Keeps `real` and gives `ours` in its place.
    ///
    /// # Safety
    /// `real` is of type `F`, and `F` is a function pointer.
    unsafe fn replaced(&self, real: unsafe extern "system" fn(), ours: F) -> Function {
        // SAFETY: both are function pointers, as the caller promises.
        unsafe {
            self.0.get_or_init(|| std::mem::transmute_copy(&real));
            Some(std::mem::transmute_copy(&ours))
        }
    }

    /// The real function. Ours is handed out only after it was kept.
    fn get(&self) -> Option<F> {
        self.0.get().copied()
    }
}

/// Our function of that name in place of `real`, where we have one.
///
/// # Safety
/// `name` is a C string and `real` the function of that name.
unsafe fn wrap(name: *const c_char, real: Function) -> Function {
    let function = real?;
    // SAFETY: as the caller promises; Vulkan fixes the type of the function for each name.
    unsafe {
        match CStr::from_ptr(name).to_bytes() {
            b"vkGetDeviceProcAddr" => DEVICE_FUNCTIONS.replaced(function, device_functions),
            b"vkCreateDevice" => CREATE_DEVICE.replaced(function, create_device),
            b"vkQueueSubmit" => QUEUE_SUBMIT.replaced(function, queue_submit),
            b"vkWaitForFences" => WAIT_FOR_FENCES.replaced(function, wait_for_fences),
            b"vkGetFenceStatus" => FENCE_STATUS.replaced(function, fence_status),
            b"vkWaitSemaphores" | b"vkWaitSemaphoresKHR" => {
                WAIT_SEMAPHORES.replaced(function, wait_semaphores)
            }
            b"vkGetSemaphoreCounterValue" | b"vkGetSemaphoreCounterValueKHR" => {
                SEMAPHORE_VALUE.replaced(function, semaphore_value)
            }
            b"vkDeviceWaitIdle" => DEVICE_IDLE.replaced(function, device_idle),
            b"vkAllocateMemory" => ALLOCATE.replaced(function, allocate),
            b"vkCmdDispatch" => DISPATCH.replaced(function, dispatch),
            _ => real,
        }
    }
}

/// Agrees with the loader on the version of their conversation.
///
/// # Safety
/// As the loader's specification says; the same holds for the functions below.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vk_icdNegotiateLoaderICDInterfaceVersion(version: *mut u32) -> vk::Result {
    match driver() {
        // SAFETY: the arguments are the loader's.
        Some(driver) => unsafe { (driver.negotiate)(version) },
        None => vk::Result::ERROR_INCOMPATIBLE_DRIVER,
    }
}

/// Functions of an instance and of everything in it.
///
/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vk_icdGetInstanceProcAddr(
    instance: vk::Instance,
    name: *const c_char,
) -> Function {
    // SAFETY: the arguments are the loader's.
    driver().and_then(|driver| unsafe { wrap(name, (driver.instance_functions)(instance, name)) })
}

/// Functions of a physical device that the loader does not know.
///
/// # Safety
/// See above.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vk_icdGetPhysicalDeviceProcAddr(
    instance: vk::Instance,
    name: *const c_char,
) -> Function {
    // SAFETY: the arguments are the loader's.
    driver().and_then(|driver| unsafe { (driver.physical_device_functions)(instance, name) })
}

unsafe extern "system" fn device_functions(device: vk::Device, name: *const c_char) -> Function {
    // SAFETY: the arguments are the caller's.
    DEVICE_FUNCTIONS.get().and_then(|real| unsafe { wrap(name, real(device, name)) })
}

unsafe extern "system" fn create_device(
    card: vk::PhysicalDevice,
    wanted: *const vk::DeviceCreateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    device: *mut vk::Device,
) -> vk::Result {
    let Some(real) = CREATE_DEVICE.get() else { return vk::Result::ERROR_UNKNOWN };
    begin_device();
    // SAFETY: the arguments are the caller's.
    unsafe { real(card, wanted, allocator, device) }
}

/// Loses the device if the script says so for what just happened; tells whether it is lost.
fn is_lost(kind: Kind, count: &Count) -> bool {
    if scripted(kind) == Some(count.next()) {
        LOST.store(true, Ordering::SeqCst);
    }
    LOST.load(Ordering::SeqCst)
}

unsafe extern "system" fn queue_submit(
    queue: vk::Queue,
    count: u32,
    submits: *const vk::SubmitInfo<'_>,
    fence: vk::Fence,
) -> vk::Result {
    let Some(real) = QUEUE_SUBMIT.get() else { return vk::Result::ERROR_UNKNOWN };
    let number = SUBMISSIONS.next();
    if scripted(Kind::Lost) == Some(number) {
        LOST.store(true, Ordering::SeqCst);
    }
    if scripted(Kind::Crash) == Some(number) {
        // SAFETY: none. The address is in the page that no process has, which is the point.
        unsafe { std::ptr::without_provenance_mut::<u32>(64).write_volatile(0) };
    }
    if scripted(Kind::Hang) == Some(number) {
        loop {
            std::thread::park();
        }
    }
    if LOST.load(Ordering::SeqCst) {
        return vk::Result::ERROR_DEVICE_LOST;
    }
    // SAFETY: the arguments are the caller's.
    unsafe { real(queue, count, submits, fence) }
}

unsafe extern "system" fn wait_for_fences(
    device: vk::Device,
    count: u32,
    fences: *const vk::Fence,
    all: vk::Bool32,
    timeout: u64,
) -> vk::Result {
    match WAIT_FOR_FENCES.get() {
        _ if is_lost(Kind::LostWaiting, &WAITS) => vk::Result::ERROR_DEVICE_LOST,
        // SAFETY: the arguments are the caller's.
        Some(real) => unsafe { real(device, count, fences, all, timeout) },
        None => vk::Result::ERROR_UNKNOWN,
    }
}

unsafe extern "system" fn wait_semaphores(
    device: vk::Device,
    wait: *const vk::SemaphoreWaitInfo<'_>,
    timeout: u64,
) -> vk::Result {
    match WAIT_SEMAPHORES.get() {
        _ if is_lost(Kind::LostWaiting, &WAITS) => vk::Result::ERROR_DEVICE_LOST,
        // SAFETY: the arguments are the caller's.
        Some(real) => unsafe { real(device, wait, timeout) },
        None => vk::Result::ERROR_UNKNOWN,
    }
}

unsafe extern "system" fn fence_status(device: vk::Device, fence: vk::Fence) -> vk::Result {
    match FENCE_STATUS.get() {
        _ if LOST.load(Ordering::SeqCst) => vk::Result::ERROR_DEVICE_LOST,
        // SAFETY: the arguments are the caller's.
        Some(real) => unsafe { real(device, fence) },
        None => vk::Result::ERROR_UNKNOWN,
    }
}

unsafe extern "system" fn semaphore_value(
    device: vk::Device,
    semaphore: vk::Semaphore,
    value: *mut u64,
) -> vk::Result {
    match SEMAPHORE_VALUE.get() {
        _ if LOST.load(Ordering::SeqCst) => vk::Result::ERROR_DEVICE_LOST,
        // SAFETY: the arguments are the caller's.
        Some(real) => unsafe { real(device, semaphore, value) },
        None => vk::Result::ERROR_UNKNOWN,
    }
}

unsafe extern "system" fn device_idle(device: vk::Device) -> vk::Result {
    match DEVICE_IDLE.get() {
        _ if LOST.load(Ordering::SeqCst) => vk::Result::ERROR_DEVICE_LOST,
        // SAFETY: the arguments are the caller's.
        Some(real) => unsafe { real(device) },
        None => vk::Result::ERROR_UNKNOWN,
    }
}

unsafe extern "system" fn allocate(
    device: vk::Device,
    wanted: *const vk::MemoryAllocateInfo<'_>,
    allocator: *const vk::AllocationCallbacks<'_>,
    memory: *mut vk::DeviceMemory,
) -> vk::Result {
    let number = ALLOCATIONS.next();
    match ALLOCATE.get() {
        _ if scripted(Kind::Memory).is_some_and(|from| number >= from) => {
            vk::Result::ERROR_OUT_OF_DEVICE_MEMORY
        }
        // SAFETY: the arguments are the caller's.
        Some(real) => unsafe { real(device, wanted, allocator, memory) },
        None => vk::Result::ERROR_UNKNOWN,
    }
}

unsafe extern "system" fn dispatch(commands: vk::CommandBuffer, x: u32, y: u32, z: u32) {
    // Dispatches of nothing, which only have kernels compiled, do not count.
    let wrong = x > 0 && scripted(Kind::Wrong) == Some(DISPATCHES.next());
    if let Some(real) = DISPATCH.get() {
        // SAFETY: the arguments are the caller's, or fewer groups than its.
        unsafe { real(commands, x - u32::from(wrong), y, z) };
    }
}
