//! The known answers: whether this card computes rightly with its present driver, found out before it computes for money.
//!
//! Drivers have faults. A card whose class (backend, chip, whole driver string) is new here first runs the integer kernels
//! of [`jobs::conformance`], again after a day, and when its driver has changed. [`Answers`] is PURE and decides when;
//! [`WorkerCheck`] runs them in a worker process of their own, which ends when the card is wanted back. A wrong answer
//! means no work with this driver; it is told to the coordinator when the device enrols, and is never the owner's fault.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use protocol::frames::{Adapter, Class, Pace};
use protocol::id::SliceId;
use protocol::units::UnixMillis;
use protocol::wire::{KernelAnswer, KnownAnswers};
use sandbox::{RunSlicesError, SliceJob, Spawn, SpawnError, Worker, run_slices};
use tokio::task::JoinHandle;

use crate::schedule::pause;

/// Right answers are asked for again after this.
pub const AGAIN_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Checks that did not come to an end, in a row, after which a person is told.
const FAILING_AFTER: u32 = 3;
/// Compilation may take this long.
const LOAD_WITHIN: Duration = Duration::from_secs(60);
/// The processor in a card's place needs this many times the declared time.
const SOFTWARE_FACTOR: u32 = 100;

/// What is known of the present card and driver.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Known {
    /// Nothing: it computes nothing for others yet.
    #[default]
    Unchecked,
    /// It gave the right answers less than a day ago.
    Passed,
    /// It gave the right answers, longer ago: it ends what it has begun and takes no new work before it is checked.
    Due,
    /// It gave a wrong answer.
    Failed,
}

impl Known {
    /// Whether slices may be computed.
    pub fn may_compute(self) -> bool {
        matches!(self, Self::Passed | Self::Due)
    }
}

/// The last report, and the check that runs.
#[derive(Debug)]
pub struct Answers {
    report: Option<KnownAnswers>,
    running: bool,
    failures: u32,
    not_before: Option<UnixMillis>,
}

impl Answers {
    /// With what a restart has left.
    pub fn new(report: Option<KnownAnswers>) -> Self {
        Self { report, running: false, failures: 0, not_before: None }
    }

    /// The report on `class` by the present suite, for the coordinator.
    pub fn report(&self, class: &Class) -> Option<&KnownAnswers> {
        self.report
            .as_ref()
            .filter(|report| report.class == *class && report.suite == jobs::conformance::SUITE)
    }

    /// What is known of `class`.
    pub fn known(&self, class: &Class, now: UnixMillis) -> Known {
        match self.report(class) {
            None => Known::Unchecked,
            Some(report) if !report.are_right() => Known::Failed,
            Some(report) if now.since(report.checked_at) >= AGAIN_AFTER => Known::Due,
            Some(_) => Known::Passed,
        }
    }

    /// Whether a check runs.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// Whether `class` is to be checked. A wrong answer is asked for again after a day too.
    pub fn is_wanted(&self, class: &Class, now: UnixMillis) -> bool {
        let fresh = self.report(class).is_some_and(|report| now.since(report.checked_at) < AGAIN_AFTER);
        !self.running && !fresh && self.not_before.is_none_or(|at| at <= now)
    }

    /// When to look again although nothing has happened.
    pub fn next_at(&self) -> Option<UnixMillis> {
        let again = self.report.as_ref().map(|report| report.checked_at.plus(AGAIN_AFTER));
        [self.not_before, again].into_iter().flatten().min()
    }

    /// Until when a card rests that could not be checked again and again.
    pub fn failing_until(&self) -> Option<UnixMillis> {
        self.not_before.filter(|_| self.failures >= FAILING_AFTER)
    }

    /// A check begins.
    pub fn begin(&mut self) {
        self.running = true;
    }

    /// The check was broken off because the card is wanted back.
    pub fn cancel(&mut self) {
        self.running = false;
    }

    /// The owner has measured the card, perhaps after an update: a wrong answer from before counts no more.
    pub fn ask_again(&mut self) {
        self.report = self.report.take().filter(KnownAnswers::are_right);
        self.not_before = None;
        self.failures = 0;
    }

    /// A check has ended. Returns the report to keep; `spread` differs from device to device.
    pub fn take_in(
        &mut self,
        outcome: Result<Checked, CheckError>,
        now: UnixMillis,
        spread: u8,
    ) -> Option<&KnownAnswers> {
        self.running = false;
        match outcome {
            Ok(Checked { adapter, kernels }) => {
                self.failures = 0;
                self.not_before = None;
                let (suite, class) = (jobs::conformance::SUITE, adapter.class());
                Some(self.report.insert(KnownAnswers { suite, class, checked_at: now, kernels }))
            }
            Err(error) => {
                // No answer is no wrong answer.
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the known answers were not computed"
                );
                self.failures = self.failures.saturating_add(1);
                self.not_before = Some(now.plus(pause(self.failures, spread)));
                None
            }
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Checked {
    /// What computed.
    pub adapter: Adapter,
    /// Every kernel of the suite in order.
    pub kernels: Vec<KernelAnswer>,
}

/// Why a check came to nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// No worker.
    #[error("open the card")]
    Spawn(#[from] SpawnError),
    /// The kernels did not compile.
    #[error("load the known answers")]
    Load(#[from] sandbox::LoadError),
    /// They did not run to their end.
    #[error("run the known answers")]
    Run(#[from] RunSlicesError),
}

/// Where the outcome goes. Returns at once.
pub type CheckOutlet = Arc<dyn Fn(Result<Checked, CheckError>) + Send + Sync>;

/// Something that computes the known answers.
pub trait Check: Send {
    /// Begins; a check under way goes on.
    fn start(&mut self, pace: Pace);
    /// Ends the check under way and frees the card; no outcome follows.
    fn cancel(&mut self);
    /// Ends it and waits until it has ended.
    fn stop(self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>>;
}

/// The real one.
pub struct WorkerCheck {
    spawn: Spawn,
    outlet: CheckOutlet,
    task: Option<JoinHandle<()>>,
    /// Told to end, and not waited for yet.
    ending: Vec<JoinHandle<()>>,
}

impl fmt::Debug for WorkerCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WorkerCheck(running: {})", self.task.is_some())
    }
}

impl WorkerCheck {
    /// Checks the card that `spawn` finds.
    pub fn new(spawn: Spawn, outlet: CheckOutlet) -> Self {
        Self { spawn, outlet, task: None, ending: Vec::new() }
    }
}

impl Check for WorkerCheck {
    fn start(&mut self, pace: Pace) {
        if self.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let (spawn, outlet) = (self.spawn.clone(), Arc::clone(&self.outlet));
        self.task = Some(tokio::spawn(async move { outlet(Box::pin(compute(&spawn, pace)).await) }));
    }

    fn cancel(&mut self) {
        self.ending.retain(|task| !task.is_finished());
        if let Some(task) = self.task.take() {
            // Dropping the worker's handle kills its process.
            task.abort();
            self.ending.push(task);
        }
    }

    fn stop(mut self: Box<Self>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.cancel();
        Box::pin(async move {
            for task in self.ending {
                if let Err(error) = task.await
                    && !error.is_cancelled()
                {
                    tracing::error!(error = &error as &dyn std::error::Error, "the check ended abnormally");
                }
            }
        })
    }
}

async fn compute(spawn: &Spawn, pace: Pace) -> Result<Checked, CheckError> {
    let (mut worker, ready) = Worker::spawn(spawn).await?;
    let (program, sources) = jobs::conformance::program();
    worker.load(&program, &sources, LOAD_WITHIN).await?;
    let cases = jobs::conformance::cases().into_iter().map(|case| SliceJob {
        slice: SliceId(case.digest.0),
        inputs: case.inputs,
        params: case.params,
    });
    let limit = Duration::from_millis(program.cost.max_millis.into()) * SOFTWARE_FACTOR;
    let outputs = run_slices(&mut worker, cases, pace, limit, |_, _| {}).await?;
    worker.kill().await;
    let outputs: Vec<Vec<u8>> = outputs.into_iter().map(|output| output.output).collect();
    Ok(Checked { adapter: ready.adapter, kernels: jobs::conformance::judge(&outputs) })
}

#[cfg(test)]
mod tests {
    use protocol::frames::{Fault, FaultCode};
    use protocol::id::Hash;

    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000_000);

    fn adapter(driver: &str) -> Adapter {
        Adapter {
            name: "card".to_owned(),
            backend: "vulkan".to_owned(),
            driver: driver.to_owned(),
            vendor_id: 1,
            device_id: 1,
            software: false,
            max_binding_bytes: 1 << 27,
            features: Vec::new(),
            memory_bytes: None,
        }
    }

    fn checked(driver: &str, right: bool) -> Checked {
        let kernel = KernelAnswer { kernel: "bits".to_owned(), right, digest: Hash([1; 32]) };
        Checked { adapter: adapter(driver), kernels: vec![kernel] }
    }

    fn later(hours: u64) -> UnixMillis {
        NOW.plus(Duration::from_secs(hours * 3600))
    }

    fn told(driver: &str, right: bool) -> Answers {
        let mut answers = Answers::new(None);
        answers.take_in(Ok(checked(driver, right)), NOW, 0);
        answers
    }

    #[test]
    fn a_new_class_is_checked_before_anything_else() {
        let answers = Answers::new(None);
        assert_eq!(answers.known(&adapter("1").class(), NOW), Known::Unchecked);
        assert!(answers.is_wanted(&adapter("1").class(), NOW));
        assert!(!Known::Unchecked.may_compute() && !Known::Failed.may_compute());
    }

    #[test]
    fn right_answers_count_for_a_day_and_for_their_driver_only() {
        let answers = told("1", true);
        let class = adapter("1").class();
        assert_eq!(answers.known(&class, later(23)), Known::Passed);
        assert!(!answers.is_wanted(&class, later(23)));
        assert_eq!(answers.known(&class, later(24)), Known::Due, "what was begun is ended");
        assert!(answers.is_wanted(&class, later(24)));
        assert_eq!(answers.next_at(), Some(later(24)));
        assert_eq!(answers.known(&adapter("2").class(), NOW), Known::Unchecked, "an update is a new class");
        assert!(answers.report(&adapter("2").class()).is_none(), "and nothing is reported of it");
    }

    #[test]
    fn wrong_answers_stay_wrong_until_a_later_check() {
        let mut answers = told("1", false);
        let class = adapter("1").class();
        assert_eq!(answers.known(&class, later(23)), Known::Failed);
        assert!(!answers.is_wanted(&class, later(23)));
        assert_eq!(answers.known(&class, later(25)), Known::Failed, "time alone repairs nothing");
        assert!(answers.is_wanted(&class, later(25)));
        answers.ask_again();
        assert_eq!(answers.known(&class, NOW), Known::Unchecked, "the owner asks");
    }

    #[test]
    fn a_report_of_another_suite_counts_for_nothing() {
        let mut answers = told("1", true);
        if let Some(report) = &mut answers.report {
            report.suite = Hash([9; 32]);
        }
        assert_eq!(answers.known(&adapter("1").class(), NOW), Known::Unchecked);
    }

    #[test]
    fn a_check_that_comes_to_nothing_is_repeated_with_growing_pauses_and_then_told() {
        let mut answers = Answers::new(None);
        let class = adapter("1").class();
        let mut now = NOW;
        for failures in 1..=FAILING_AFTER {
            assert!(answers.is_wanted(&class, now));
            answers.begin();
            assert!(!answers.is_wanted(&class, now), "one at a time");
            let fault = Fault { code: FaultCode::NoAdapter, detail: String::new() };
            let error = CheckError::Spawn(SpawnError::NoAdapter(fault));
            assert!(answers.take_in(Err(error), now, 0).is_none());
            assert_eq!(answers.known(&class, now), Known::Unchecked, "no answer is no wrong answer");
            assert!(!answers.is_wanted(&class, now));
            assert_eq!(answers.failing_until().is_some(), failures == FAILING_AFTER);
            now = answers.next_at().expect("it is tried again");
        }
    }
}
