//! The adapter: which one is taken, how it is described, and the device that is opened on it.
//!
//! The adapter is chosen once, before the walls stand; a device can be opened on it again after its memory was handed
//! back. Errors of the graphics library never panic: the first one is kept in [`Faults`] until it is asked for.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use protocol::frames::{Adapter, Fault, FaultCode};
use protocol::manifest::Feature;

/// The adapter, able to open devices.
pub(crate) struct Device {
    adapter: wgpu::Adapter,
    // An adapter of wgpu needs its instance only while it is looked for; it is kept so that drivers stay loaded.
    _instance: wgpu::Instance,
    first: Option<Opened>,
}

/// An open device.
pub(crate) struct Opened {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) limits: wgpu::Limits,
    pub(crate) features: Vec<Feature>,
    pub(crate) faults: Faults,
}

/// The first error of a device that nobody has asked for yet.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    first: Arc<Mutex<Option<Fault>>>,
}

impl Faults {
    /// Notes an error unless one is kept already. Where memory runs out, the graphics library gives up the device and
    /// tells that first; the cause takes the place of its consequence.
    pub(crate) fn note(&self, fault: Fault) {
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let is_cause = fault.code == FaultCode::OutOfMemory
            && first.as_ref().is_some_and(|kept| kept.code == FaultCode::DeviceLost);
        if is_cause || first.is_none() {
            *first = Some(fault);
        }
    }

    /// Takes the kept error.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        match self.first.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(fault) => Err(fault),
            None => Ok(()),
        }
    }
}

/// Opens the best adapter whose name or driver contains `name`.
///
/// # Errors
/// [`FaultCode::NoAdapter`] with a sentence that says what to do.
pub(crate) fn open(name: &str, allow_software: bool) -> Result<(Device, Adapter), Fault> {
    let mut wanted = wgpu::InstanceDescriptor::new_without_display_handle();
    wanted.backends = wgpu::Backends::PRIMARY;
    // Validation layers are for development of the graphics library itself and are not installed at home.
    wanted.flags = wgpu::InstanceFlags::empty();
    let instance = wgpu::Instance::new(wanted);
    let mut adapters = block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    if adapters.is_empty() {
        return Err(no_adapter(
            "no graphics driver was found; on Debian and Ubuntu install mesa-vulkan-drivers (AMD, Intel) or the \
             driver of your NVIDIA card",
        ));
    }
    let name = name.to_lowercase();
    let matches = |text: &str| text.to_lowercase().contains(&name);
    adapters.retain(|adapter| {
        let info = adapter.get_info();
        matches(&info.name) || matches(&info.driver) || matches(&info.driver_info)
    });
    if adapters.is_empty() {
        return Err(no_adapter(&format!("no graphics adapter is called \"{name}\"")));
    }
    adapters.retain(|adapter| allow_software || !is_software(&adapter.get_info()));
    adapters.sort_by_key(|adapter| rank(adapter.get_info().device_type));
    let Some(adapter) = adapters.into_iter().next() else {
        return Err(no_adapter(
            "only a software renderer was found, and it is not allowed here; install the driver of the graphics card",
        ));
    };
    let described = describe(&adapter);
    let first = open_device(&adapter)?;
    Ok((Device { adapter, _instance: instance, first: Some(first) }, described))
}

impl Device {
    /// Whether the processor computes.
    pub(crate) fn is_software(&self) -> bool {
        is_software(&self.adapter.get_info())
    }

    /// Opens a device: the one that was opened at the start, or a new one after that was handed back.
    ///
    /// # Errors
    /// [`FaultCode::DeviceLost`] when the driver gives none.
    pub(crate) fn open(&mut self) -> Result<Opened, Fault> {
        match self.first.take() {
            Some(first) => Ok(first),
            None => open_device(&self.adapter),
        }
    }
}

fn open_device(adapter: &wgpu::Adapter) -> Result<Opened, Fault> {
    let limits = adapter.limits();
    let wanted = wgpu::DeviceDescriptor {
        label: None,
        required_features: features(&adapter.features())
            .fold(wgpu::Features::empty(), |all, (_, feature)| all | feature),
        required_limits: limits.clone(),
        experimental_features: wgpu::ExperimentalFeatures::disabled(),
        // The card belongs to its owner: take what the job needs, not large blocks in advance.
        memory_hints: wgpu::MemoryHints::MemoryUsage,
        trace: wgpu::Trace::Off,
    };
    let (device, queue) = block_on(adapter.request_device(&wanted)).map_err(|error| Fault {
        code: FaultCode::DeviceLost,
        detail: format!("open the device: {error}"),
    })?;
    let faults = Faults::default();
    let errors = faults.clone();
    device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
        let code = match &error {
            wgpu::Error::OutOfMemory { .. } => FaultCode::OutOfMemory,
            wgpu::Error::Validation { .. } => FaultCode::Interface,
            wgpu::Error::Internal { .. } => FaultCode::Wgsl,
        };
        errors.note(Fault { code, detail: error.to_string() });
    }));
    let losses = faults.clone();
    device.set_device_lost_callback(move |reason, message| {
        // Dropping a device to hand its memory back also ends here.
        if reason != wgpu::DeviceLostReason::Destroyed {
            crate::engine::note_lost_device();
            losses.note(Fault { code: FaultCode::DeviceLost, detail: message });
        }
    });
    Ok(Opened {
        device,
        queue,
        limits,
        features: features(&adapter.features()).map(|(f, _)| f).collect(),
        faults,
    })
}

fn describe(adapter: &wgpu::Adapter) -> Adapter {
    let info = adapter.get_info();
    Adapter {
        name: info.name.clone(),
        backend: match info.backend {
            wgpu::Backend::Vulkan => "vulkan",
            wgpu::Backend::Metal => "metal",
            wgpu::Backend::Dx12 => "dx12",
            wgpu::Backend::Gl => "gl",
            wgpu::Backend::BrowserWebGpu => "webgpu",
            wgpu::Backend::Noop => "noop",
        }
        .to_owned(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        vendor_id: info.vendor,
        device_id: info.device,
        software: is_software(&info),
        max_binding_bytes: adapter.limits().max_storage_buffer_binding_size,
        // The graphics library does not tell.
        memory_bytes: None,
        features: features(&adapter.features()).map(|(feature, _)| feature).collect(),
    }
}

/// What of `offered` programs may ask for, in order.
fn features(offered: &wgpu::Features) -> impl Iterator<Item = (Feature, wgpu::Features)> {
    let known = [(Feature::F16, wgpu::Features::SHADER_F16)];
    let offered = *offered;
    known.into_iter().filter(move |(_, feature)| offered.contains(*feature))
}

fn is_software(info: &wgpu::AdapterInfo) -> bool {
    info.device_type == wgpu::DeviceType::Cpu
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

fn no_adapter(detail: &str) -> Fault {
    Fault { code: FaultCode::NoAdapter, detail: detail.to_owned() }
}

/// Native futures of the graphics library are complete when they are made; anything else is waited for politely.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::yield_now(),
        }
    }
}
