//! Puts one server through the cases of the protocol matrix.
//!
//! Most cases wait more than they work, so they share a process and run in parallel. If that process dies or
//! responds wrongly afterwards, the cases run again one by one, each followed by a check of the process, to
//! find the one to blame.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::Interrupt;
use super::accept::Referee;
use super::boot::{BootOptions, Running, boot, rss_bytes};
use super::build::Built;
use super::check::check_and_stop;
use record::{Agreement, Check, Failure, ProtocolCell, Step};
use referee::CheckOptions;
use robustness::protocol::{self as cases, Case, Limits, Observed};

/// Number of parallel cases that don't wait for the server to close the connection.
const SIDE_BY_SIDE: usize = 8;
/// Typical time of such a case, for the time left.
const USUAL: Duration = Duration::from_millis(700);
const SHOW_EVERY: Duration = Duration::from_millis(250);
/// Time limit for the response to a plain request after a case.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// What to try, and how.
#[derive(Debug, Clone)]
pub struct ProtocolOptions {
    /// The cases, in the matrix's order.
    pub cases: Vec<Case>,
    /// How to start the server.
    pub boot: BootOptions,
    /// How long to wait for a response.
    pub patience: Duration,
    /// How long to watch a server that keeps a connection open.
    pub let_go: Duration,
    /// Number of idle connections.
    pub idle: usize,
    /// Number that was requested.
    pub idle_wanted: usize,
}

/// What one server did.
#[derive(Debug)]
pub struct ServerCells {
    /// One per case, in their order.
    pub cells: Vec<ProtocolCell>,
    /// The referee's checks of the process that went through most cases.
    pub afterwards: Option<Check>,
    /// Why stopping it failed, if it did.
    pub stop_failure: Option<String>,
}

/// Progress.
#[derive(Debug, Clone, Copy)]
pub struct Done {
    /// Cases done.
    pub done: usize,
    /// Total cases.
    pub of: usize,
    /// Estimated time for the rest.
    pub left: Duration,
}

/// Starts the server as often as needed, and runs every case.
///
/// # Errors
/// A [`Failure`] if it can't be started; [`Step::Boot`] with "interrupted" if the user asked to stop.
pub fn protocol(
    built: &Built,
    options: &ProtocolOptions,
    referee: &Referee,
    interrupt: &Interrupt,
    show: &mut dyn FnMut(Done),
) -> Result<ServerCells, Failure> {
    let mut subject = TriedServer {
        built,
        options,
        referee,
        interrupt,
        running: None,
    };
    let (crowds, others): (Vec<Case>, Vec<Case>) = options
        .cases
        .iter()
        .partition(|case| case.needs_all_descriptors());
    let mut cells = match subject.together(&others, show)? {
        Some(cells) => cells,
        None => subject.apart(&others, show)?,
    };
    let (afterwards, stop_failure) = subject.afterwards()?;
    // In a separate process, so that the memory of each connection can be measured.
    cells.extend(subject.one_by_one(&crowds, &mut |_| {})?);
    if interrupt.is_set() {
        return Err(interrupted());
    }
    let place = |cell: &ProtocolCell| options.cases.iter().position(|case| case.id == cell.case);
    cells.sort_by_key(place);
    Ok(ServerCells {
        cells,
        afterwards,
        stop_failure,
    })
}

fn interrupted() -> Failure {
    Failure {
        step: Step::Check,
        reason: "interrupted".to_owned(),
        log_tail: String::new(),
    }
}

/// The server, and the process that is running now.
struct TriedServer<'a> {
    built: &'a Built,
    options: &'a ProtocolOptions,
    referee: &'a Referee,
    interrupt: &'a Interrupt,
    running: Option<Running>,
}

/// A finished case, and whether the server was right after it.
type Finished = (Case, Observed, Result<(), String>);

impl TriedServer<'_> {
    fn running(&mut self) -> Result<&mut Running, Failure> {
        let running = match self.running.take() {
            Some(running) => running,
            None => boot(
                &self.built.launch,
                &self.options.boot,
                self.referee,
                self.interrupt,
            )?,
        };
        Ok(self.running.insert(running))
    }

    /// Runs all at once; empty if the process died or was wrong afterwards.
    fn together(
        &mut self,
        cases: &[Case],
        show: &mut dyn FnMut(Done),
    ) -> Result<Option<Vec<ProtocolCell>>, Failure> {
        let addr = self.running()?.addr;
        let spoilt = AtomicBool::new(false);
        let stop = || spoilt.load(Ordering::Relaxed) || self.interrupt.is_set();
        let limits = limits(self.options, &stop, &|_| {});
        let (slow, quick): (Vec<Case>, Vec<Case>) = cases.iter().partition(|case| case.waits());
        let next = AtomicUsize::new(0);
        let (sender, receiver) = channel();
        let finished = thread::scope(|scope| {
            for case in &slow {
                let (sender, limits) = (sender.clone(), &limits);
                scope.spawn(move || carry_out(case, addr, limits, &sender));
            }
            for _ in 0..SIDE_BY_SIDE {
                let (sender, limits, quick, next) = (sender.clone(), &limits, &quick, &next);
                scope.spawn(move || {
                    while !(limits.stop)()
                        && let Some(case) = quick.get(next.fetch_add(1, Ordering::Relaxed))
                    {
                        carry_out(case, addr, limits, &sender);
                    }
                });
            }
            drop(sender);
            let waiting = if slow.is_empty() {
                Duration::ZERO
            } else {
                self.options.let_go
            };
            collect(&receiver, cases.len(), waiting, &spoilt, show)
        });
        if self.interrupt.is_set() {
            return Err(interrupted());
        }
        let right = finished.iter().all(|(_, _, after)| after.is_ok());
        let alive = self.death().is_none();
        let whole = finished.len() == cases.len();
        Ok((right && alive && whole).then(|| {
            let cells = finished.into_iter();
            cells.map(|(case, seen, _)| cell(&case, seen)).collect()
        }))
    }

    /// One by one, except those that wait: these share a process again if they can.
    fn apart(
        &mut self,
        cases: &[Case],
        show: &mut dyn FnMut(Done),
    ) -> Result<Vec<ProtocolCell>, Failure> {
        self.running = None;
        let (slow, quick): (Vec<Case>, Vec<Case>) = cases.iter().partition(|case| case.waits());
        let mut cells = self.one_by_one(&quick, show)?;
        cells.extend(match self.together(&slow, show)? {
            Some(cells) => cells,
            None => {
                self.running = None;
                self.one_by_one(&slow, show)?
            }
        });
        Ok(cells)
    }

    /// Checks the process after each case, and starts it anew if it is damaged.
    fn one_by_one(
        &mut self,
        cases: &[Case],
        show: &mut dyn FnMut(Done),
    ) -> Result<Vec<ProtocolCell>, Failure> {
        let mut cells = Vec::new();
        for case in cases {
            if self.interrupt.is_set() {
                return Err(interrupted());
            }
            show(Done {
                done: cells.len(),
                of: cases.len(),
                left: USUAL * (cases.len() - cells.len()) as u32,
            });
            cells.push(self.alone(case)?);
        }
        Ok(cells)
    }

    fn alone(&mut self, case: &Case) -> Result<ProtocolCell, Failure> {
        if case.needs_all_descriptors() {
            self.running = None;
        }
        let running = self.running()?;
        let addr = running.addr;
        let group = running.group();
        let before = rss_bytes(group);
        let each = std::sync::Mutex::new(None);
        let crowded = |idle: usize| {
            let grown = rss_bytes(group)
                .zip(before)
                .map(|(now, then)| now.saturating_sub(then));
            if let Ok(mut each) = each.lock() {
                *each = grown.filter(|_| idle > 0).map(|bytes| bytes / idle as u64);
            }
        };
        let interrupt = self.interrupt;
        let stop = || interrupt.is_set();
        let limits = limits(self.options, &stop, &crowded);
        let mut observed = case.observe(addr, &limits);
        if let Ok(Some(bytes)) = each.into_inner() {
            observed.cell += &format!("; {:.0} KiB each", bytes as f64 / 1024.0);
        }
        let after = cases::still_right(addr, AFTERWARDS);
        let mut cell = cell(case, observed);
        if let Some((how, log_tail)) = self.death() {
            cell.text += ", process ended";
            (cell.died, cell.log_tail) = (Some(how), Some(log_tail));
            self.running = None;
        } else if let Err(why) = after {
            cell.text += ", wrong afterwards";
            cell.wrong_afterwards = Some(why);
            self.running = None;
        }
        if cell.is_fault() {
            cell.agreement = Agreement::Deviates;
        }
        Ok(cell)
    }

    /// How the process ended and the end of its log, if it did.
    fn death(&mut self) -> Option<(String, String)> {
        let running = self.running.as_mut()?;
        // The report of its end may come a moment later.
        let failure = running.failure(Step::Drive, "");
        let how = running.ended()?.to_owned();
        Some((how, failure.log_tail))
    }

    /// The referee's checks of the running process, and how it ends.
    fn afterwards(&mut self) -> Result<(Option<Check>, Option<String>), Failure> {
        if self.interrupt.is_set() {
            return Err(interrupted());
        }
        self.running()?;
        let options = CheckOptions {
            only: cases::checks_afterwards(),
            lacks: self.built.server.about.lacks.clone(),
            ..CheckOptions::default()
        };
        let running = self.running.take();
        let checked = running.map(|running| check_and_stop(running, &options));
        Ok(checked.unwrap_or_default())
    }
}

fn limits<'a>(
    options: &ProtocolOptions,
    stop: &'a (dyn Fn() -> bool + Sync),
    crowded: &'a (dyn Fn(usize) + Sync),
) -> Limits<'a> {
    Limits {
        patience: options.patience,
        let_go: options.let_go,
        idle: options.idle,
        idle_wanted: options.idle_wanted,
        stop,
        crowded,
    }
}

fn carry_out(
    case: &Case,
    addr: std::net::SocketAddr,
    limits: &Limits<'_>,
    sender: &Sender<Finished>,
) {
    let observed = case.observe(addr, limits);
    let after = cases::still_right(addr, AFTERWARDS);
    // The receiver outlives all senders.
    let _ = sender.send((*case, observed, after));
}

/// Collects finished cases, and stops all of them at the first sign that the process is damaged.
fn collect(
    receiver: &Receiver<Finished>,
    of: usize,
    waiting: Duration,
    spoilt: &AtomicBool,
    show: &mut dyn FnMut(Done),
) -> Vec<Finished> {
    let begin = Instant::now();
    let mut finished: Vec<Finished> = Vec::new();
    loop {
        let quick = USUAL * ((of - finished.len()) / SIDE_BY_SIDE) as u32;
        show(Done {
            done: finished.len(),
            of,
            left: waiting.saturating_sub(begin.elapsed()).max(quick),
        });
        match receiver.recv_timeout(SHOW_EVERY) {
            Ok(done) => {
                if done.2.is_err() {
                    spoilt.store(true, Ordering::Relaxed);
                }
                finished.push(done);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return finished,
        }
    }
}

fn cell(case: &Case, observed: Observed) -> ProtocolCell {
    ProtocolCell {
        case: case.id.to_owned(),
        text: observed.cell,
        agreement: match observed.judgement.agreement {
            cases::Agreement::Follows => Agreement::Follows,
            cases::Agreement::Permitted => Agreement::Permitted,
            cases::Agreement::Deviates => Agreement::Deviates,
        },
        note: observed.judgement.note,
        wrong: observed.wrong,
        died: None,
        log_tail: None,
        wrong_afterwards: None,
    }
}
