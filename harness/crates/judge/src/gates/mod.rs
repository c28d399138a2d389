//! The gates, listed in [`GATES`]. Each is a pure function that returns a [`Reason`] or nothing.
//!
//! An absent figure trips no gate, except the load generator's busy share: without it a peak rate says nothing
//! about the server.

mod machine;
mod order;
mod row;
mod server;
mod trial;

pub(super) use machine::unsteady;

use super::reason::Reason;
use super::row_view::{RowView, WorkloadView};
use record::{Environment, Run, Server, Trial};

/// What a gate looks at.
#[derive(Clone, Copy)]
pub enum Test {
    /// A server before it is measured.
    Server(fn(&Run, &Server) -> Option<Reason>),
    /// One trial.
    Trial(fn(&Run, &Trial) -> Option<Reason>),
    /// The valid trials of a row together.
    Row(fn(&RowView<'_>) -> Option<Reason>),
    /// All trials of a workload; the finding is reported once.
    Workload(fn(&WorkloadView<'_>) -> Option<Reason>),
    /// The machine; the finding is on every row.
    Machine(fn(&Environment) -> Option<Reason>),
}

/// An entry in the table of gates.
#[derive(Clone, Copy)]
pub struct Gate {
    /// Its number in the methodology; absent for a note.
    pub number: Option<u8>,
    /// What it requires.
    pub about: &'static str,
    /// The function that tests it.
    pub test: Test,
}

const fn gate(number: u8, about: &'static str, test: Test) -> Gate {
    Gate {
        number: Some(number),
        about,
        test,
    }
}

const fn note(about: &'static str, test: Test) -> Gate {
    Gate {
        number: None,
        about,
        test,
    }
}

/// All gates, in the order in which their reasons are given.
pub const GATES: &[Gate] = &[
    gate(
        1,
        "the server could be built and started, and responded",
        Test::Server(server::broken),
    ),
    gate(1, "all checks passed", Test::Server(server::nonconformant)),
    gate(
        7,
        "the first byte at idle is within its limit",
        Test::Server(server::slow_first_byte),
    ),
    gate(2, "the trial completed", Test::Trial(trial::broken)),
    gate(
        2,
        "every response under load was correct and in time",
        Test::Trial(trial::errors),
    ),
    gate(
        2,
        "no connection was without a response at the end",
        Test::Trial(trial::silent),
    ),
    gate(
        3,
        "accepted <= growth <= accepted + unanswered",
        Test::Trial(trial::orders_conserved),
    ),
    gate(3, "order ids are unique", Test::Trial(trial::ids_repeated)),
    gate(
        8,
        "all connections were established",
        Test::Trial(trial::connections),
    ),
    gate(
        8,
        "bytes received match the responses",
        Test::Trial(trial::bytes),
    ),
    gate(8, "connections were kept open", Test::Row(row::reconnects)),
    gate(
        4,
        "the load generator was not the limit",
        Test::Row(row::driver_bound),
    ),
    gate(
        4,
        "the rate is under 70 % of the control's",
        Test::Row(row::near_control),
    ),
    gate(
        5,
        "rate x latency = connections, within 5 %",
        Test::Trial(trial::littles_law),
    ),
    gate(
        6,
        "the target rate was achieved",
        Test::Trial(trial::rate_missed),
    ),
    gate(
        6,
        "requests were sent in time in every trial",
        Test::Trial(trial::sent_late),
    ),
    gate(
        6,
        "requests were usually sent in time",
        Test::Row(row::usually_late),
    ),
    gate(
        9,
        "the hypervisor took little CPU time",
        Test::Workload(machine::stolen),
    ),
    gate(
        9,
        "other processes took little CPU time",
        Test::Workload(machine::other_load),
    ),
    gate(
        9,
        "waiting entries took little CPU time",
        Test::Workload(machine::waiting_load),
    ),
    gate(
        9,
        "the control repeats within 10 %",
        Test::Workload(machine::control_spread),
    ),
    gate(
        10,
        "nothing invalidates all figures",
        Test::Machine(machine::finding),
    ),
    gate(
        10,
        "the machine did not change during the run",
        Test::Machine(machine::changed),
    ),
    note(
        "the requested control ran",
        Test::Workload(machine::no_control),
    ),
    note(
        "the order within a round has no effect",
        Test::Workload(order::round_order),
    ),
    note(
        "memory did not keep growing, nor grow beyond what connections, threads and orders need",
        Test::Trial(trial::memory_grows),
    ),
    note(
        "responses did not wait for a delayed ACK",
        Test::Trial(trial::delayed_ack),
    ),
    note(
        "the server was idle while it had no load",
        Test::Trial(trial::restless),
    ),
    note("CPU time did not come in bursts", Test::Row(row::bursts)),
    note(
        "the container was not throttled by a CPU quota",
        Test::Trial(trial::throttled),
    ),
    note("rate and latency were steady", Test::Row(row::not_steady)),
    note("no round is an outlier", Test::Row(row::outlier_round)),
];

/// What the gates find on a server before it is measured.
pub fn on_server(run: &Run, server: &Server) -> Vec<Reason> {
    collect(|test| match test {
        Test::Server(gate) => gate(run, server),
        _ => None,
    })
}

/// What the gates find on one trial.
pub fn on_trial(run: &Run, trial: &Trial) -> Vec<Reason> {
    collect(|test| match test {
        Test::Trial(gate) => gate(run, trial),
        _ => None,
    })
}

/// What the gates find on the valid trials of a row.
pub fn on_row(row: &RowView<'_>) -> Vec<Reason> {
    collect(|test| match test {
        Test::Row(gate) => gate(row),
        _ => None,
    })
}

/// What the gates find on a workload: why its ranks are withheld, and notes on the workload.
pub fn on_workload(workload: &WorkloadView<'_>) -> Vec<Reason> {
    collect(|test| match test {
        Test::Workload(gate) => gate(workload),
        _ => None,
    })
}

/// What the gates find on the machine.
pub fn on_machine(environment: &Environment) -> Vec<Reason> {
    collect(|test| match test {
        Test::Machine(gate) => gate(environment),
        _ => None,
    })
}

fn collect(find: impl Fn(Test) -> Option<Reason>) -> Vec<Reason> {
    GATES.iter().filter_map(|gate| find(gate.test)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_of_the_method_is_listed() {
        for number in 1..=10 {
            assert!(
                GATES.iter().any(|gate| gate.number == Some(number)),
                "gate {number}"
            );
        }
    }
}
