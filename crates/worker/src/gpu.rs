//! A loaded program on the device: pipelines, buffers, submissions, and reading back.
//!
//! It owns every wgpu object of a job and knows nothing of pacing or frames; `engine.rs` drives it. Every method checks
//! the device's [`Faults`] before it reports success.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use protocol::frames::{Fault, FaultCode};
use protocol::manifest::{Program, Role};

use crate::admission::Admitted;
use crate::device::Opened;
use crate::pieces::{MAX_DISPATCHES, Piece};

/// A submission that has not ended after this time has hung the device (drivers reset it after about 2 s themselves).
const HUNG: Duration = Duration::from_secs(10);
/// Pieces of no groups that are timed: other programs make some of them slower, never quicker.
const EMPTY_PIECES: usize = 8;
/// Pieces whose uniforms may be queued at once: two in flight and one being written.
const RING: u64 = 3;

/// A program on the device.
pub(crate) struct Loaded {
    opened: Opened,
    stages: Vec<StageOnDevice>,
    buffers: Vec<wgpu::Buffer>,
    /// Slots of the `piece` uniform.
    uniforms: wgpu::Buffer,
    slot_bytes: u64,
    turn: u64,
}

struct StageOnDevice {
    pipeline: wgpu::ComputePipeline,
    bindings: wgpu::BindGroup,
    groups: u32,
}

/// A submission whose end can be waited for.
pub(crate) struct Ticket(wgpu::SubmissionIndex);

impl Loaded {
    /// Compiles the admitted program and allocates its buffers.
    ///
    /// # Errors
    /// [`FaultCode::OutOfMemory`], or what the driver's compiler says.
    pub(crate) fn new(
        opened: Opened,
        program: &Program,
        sources: &[String],
        admitted: &Admitted,
    ) -> Result<Self, Fault> {
        let device = &opened.device;
        if let Some(feature) = program.features.iter().find(|feature| !opened.features.contains(feature)) {
            let detail = format!("this device does not offer {feature:?}");
            return Err(Fault { code: FaultCode::Interface, detail });
        }
        let largest = opened.limits.max_storage_buffer_binding_size.min(opened.limits.max_buffer_size);
        if let Some(buffer) = program.buffers.iter().find(|b| u64::from(b.bytes) > largest) {
            let detail =
                format!("buffer {} is larger than the {largest} bytes this device binds", buffer.name);
            return Err(Fault { code: FaultCode::OutOfMemory, detail });
        }
        let buffers: Vec<_> = program.buffers.iter().map(|b| storage(device, b.bytes.into())).collect();
        let slot_bytes = u64::from(opened.limits.min_uniform_buffer_offset_alignment.max(16));
        let uniforms = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: slot_bytes * MAX_DISPATCHES as u64 * RING,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        opened.faults.check()?;
        let modules: Vec<_> = sources
            .iter()
            .map(|source| {
                device.create_shader_module(wgpu::ShaderModuleDescriptor {
                    label: None,
                    source: wgpu::ShaderSource::Wgsl(source.as_str().into()),
                })
            })
            .collect();
        opened.faults.check()?;
        let mut stages = Vec::with_capacity(program.stages.len());
        let mut pipelines = BTreeMap::new();
        for (stage, read_only) in program.stages.iter().zip(&admitted.read_only) {
            let Some(kernel) = program.kernels.get(usize::from(stage.kernel)) else { continue };
            let (pipeline, layout) = pipelines
                .entry((stage.kernel, read_only.clone()))
                .or_insert_with(|| {
                    let module = &modules[usize::from(kernel.module)];
                    compile(device, module, &kernel.entry, read_only)
                })
                .clone();
            opened.faults.check()?;
            let mut entries = vec![wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &uniforms,
                    offset: 0,
                    size: wgpu::BufferSize::new(16),
                }),
            }];
            for (binding, &buffer) in (1..).zip(&stage.bindings) {
                let resource = buffers[usize::from(buffer)].as_entire_binding();
                entries.push(wgpu::BindGroupEntry { binding, resource });
            }
            let bindings = device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: None,
                layout: &layout,
                entries: &entries,
            });
            opened.faults.check()?;
            stages.push(StageOnDevice { pipeline, bindings, groups: stage.groups });
        }
        Ok(Self { opened, stages, buffers, uniforms, slot_bytes, turn: 0 })
    }

    /// Lets drivers that compile at the first dispatch do it now, with dispatches of no groups, and measures what a piece
    /// without groups costs: the quickest of a few.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) fn warm_up(&mut self) -> Result<Duration, Fault> {
        self.dispatch_nothing()?;
        let mut quickest = Duration::MAX;
        for _ in 0..EMPTY_PIECES {
            let began = Instant::now();
            self.dispatch_nothing()?;
            quickest = quickest.min(began.elapsed());
        }
        Ok(quickest)
    }

    fn dispatch_nothing(&mut self) -> Result<(), Fault> {
        let mut encoder = self.encoder();
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            for stage in &self.stages {
                pass.set_pipeline(&stage.pipeline);
                pass.set_bind_group(0, &stage.bindings, &[0]);
                pass.dispatch_workgroups(0, 1, 1);
            }
        }
        let ticket = self.submit(encoder);
        self.wait(&ticket)
    }

    /// Fills every buffer: inputs and params with their values, state and output with `kept` or zeros.
    ///
    /// # Errors
    /// [`FaultCode::Order`] when something does not fit, or what the driver says.
    pub(crate) fn fill(
        &mut self,
        program: &Program,
        inputs: &[serde_bytes::ByteBuf],
        params: &[u32],
        kept: Option<&[serde_bytes::ByteBuf]>,
    ) -> Result<(), Fault> {
        let unfit =
            |what: &str| Fault { code: FaultCode::Order, detail: format!("{what} does not fit the program") };
        let params: Vec<u8> = params.iter().flat_map(|value| value.to_le_bytes()).collect();
        let mut inputs = inputs.iter();
        let mut kept = kept.map(<[_]>::iter);
        let mut encoder = self.encoder();
        for (buffer, target) in program.buffers.iter().zip(&self.buffers) {
            let bytes: Option<&[u8]> = match buffer.role {
                Role::Input => Some(inputs.next().ok_or_else(|| unfit("the number of inputs"))?),
                Role::Params => Some(&params),
                Role::State | Role::Output => match &mut kept {
                    Some(kept) => Some(kept.next().ok_or_else(|| unfit("the checkpoint"))?),
                    None => None,
                },
            };
            match bytes {
                Some(bytes) if bytes.len() == buffer.bytes as usize => {
                    self.opened.queue.write_buffer(target, 0, bytes);
                }
                Some(_) => return Err(unfit(&buffer.name)),
                None => encoder.clear_buffer(target, 0, None),
            }
        }
        let ticket = self.submit(encoder);
        self.wait(&ticket)
    }

    /// Queues one piece.
    pub(crate) fn queue(&mut self, piece: &Piece) -> Ticket {
        let base = self.turn % RING * MAX_DISPATCHES as u64;
        self.turn += 1;
        let stage = &self.stages[piece.stage];
        let mut uniforms = vec![0; self.slot_bytes as usize * piece.dispatches.len()];
        for (slot, dispatch) in uniforms.chunks_exact_mut(self.slot_bytes as usize).zip(&piece.dispatches) {
            let words = [dispatch.first, dispatch.repeat, stage.groups, 0];
            for (bytes, word) in slot.chunks_exact_mut(4).zip(words) {
                bytes.copy_from_slice(&word.to_le_bytes());
            }
        }
        self.opened.queue.write_buffer(&self.uniforms, base * self.slot_bytes, &uniforms);
        let mut encoder = self.encoder();
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
            pass.set_pipeline(&stage.pipeline);
            for (slot, dispatch) in (base..).zip(&piece.dispatches) {
                // The uniform buffer is far smaller than 4 GiB.
                let offset = (slot * self.slot_bytes) as u32;
                pass.set_bind_group(0, &stage.bindings, &[offset]);
                pass.dispatch_workgroups(dispatch.groups, 1, 1);
            }
        }
        self.submit(encoder)
    }

    /// Waits until a submission has left the device.
    ///
    /// # Errors
    /// [`FaultCode::Timeout`] when the device hangs; then only the end of the process helps.
    pub(crate) fn wait(&self, ticket: &Ticket) -> Result<(), Fault> {
        // The graphics library panics when it is to wait for a device that it knows to be lost.
        self.opened.faults.check()?;
        let poll = wgpu::PollType::Wait { submission_index: Some(ticket.0.clone()), timeout: Some(HUNG) };
        let polled = self.opened.device.poll(poll);
        self.opened.faults.check()?;
        match polled {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(Fault { code: FaultCode::Timeout, detail: format!("a piece did not end: {error}") })
            }
        }
    }

    /// Copies the buffers with one of `roles` back, in the order of the program.
    ///
    /// # Errors
    /// What the driver says.
    pub(crate) fn read(&self, program: &Program, roles: &[Role]) -> Result<Vec<Vec<u8>>, Fault> {
        let device = &self.opened.device;
        let wanted: Vec<_> =
            program.buffers.iter().zip(&self.buffers).filter(|(b, _)| roles.contains(&b.role)).collect();
        let total = wanted.iter().map(|(b, _)| u64::from(b.bytes)).sum::<u64>();
        if total == 0 {
            return Ok(Vec::new());
        }
        let staging = device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: total,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        self.opened.faults.check()?;
        let mut encoder = self.encoder();
        let mut offset = 0;
        for (buffer, source) in &wanted {
            encoder.copy_buffer_to_buffer(source, 0, &staging, offset, u64::from(buffer.bytes));
            offset += u64::from(buffer.bytes);
        }
        let copied = self.submit(encoder);
        let (mapped, outcome) = std::sync::mpsc::channel();
        staging.map_async(wgpu::MapMode::Read, .., move |result| {
            // The receiver waits below; it is gone only after a fault that is reported instead.
            drop(mapped.send(result));
        });
        self.wait(&copied)?;
        let failed = |error: &dyn std::fmt::Display| Fault {
            code: FaultCode::DeviceLost,
            detail: format!("read back: {error}"),
        };
        match outcome.recv_timeout(HUNG) {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(failed(&error)),
            Err(error) => return Err(failed(&error)),
        }
        let view = staging.get_mapped_range(..).map_err(|error| failed(&error))?;
        let mut rest: &[u8] = &view;
        let mut contents = Vec::with_capacity(wanted.len());
        for (buffer, _) in &wanted {
            let (bytes, after) = rest.split_at(buffer.bytes as usize);
            contents.push(bytes.to_vec());
            rest = after;
        }
        Ok(contents)
    }

    fn encoder(&self) -> wgpu::CommandEncoder {
        self.opened.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }

    fn submit(&self, encoder: wgpu::CommandEncoder) -> Ticket {
        Ticket(self.opened.queue.submit([encoder.finish()]))
    }
}

fn storage(device: &wgpu::Device, size: u64) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size,
        usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    })
}

fn compile(
    device: &wgpu::Device,
    module: &wgpu::ShaderModule,
    entry: &str,
    read_only: &[bool],
) -> (wgpu::ComputePipeline, wgpu::BindGroupLayout) {
    let slot = |binding, ty, has_dynamic_offset, size| wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer {
            ty,
            has_dynamic_offset,
            min_binding_size: wgpu::BufferSize::new(size),
        },
        count: None,
    };
    let mut entries = vec![slot(0, wgpu::BufferBindingType::Uniform, true, 16)];
    for (binding, &read_only) in (1..).zip(read_only) {
        entries.push(slot(binding, wgpu::BufferBindingType::Storage { read_only }, false, 0));
    }
    let layout =
        device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: None,
        bind_group_layouts: &[Some(&layout)],
        immediate_size: 0,
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: None,
        layout: Some(&pipeline_layout),
        module,
        entry_point: Some(entry),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    (pipeline, layout)
}
