//! What other commands measured of the same servers, shown with a run: `harness report --with`.

use record::Added;

use super::chart::{self, Chart};
use super::page::Block;
use super::{capacity, restart, upstream};

/// The tables of each, without charts.
pub(super) fn blocks(added: &Added) -> Vec<Block> {
    let capacities = added.capacities.iter();
    let restarts = added.restarts.iter();
    let upstreams = added.upstreams.iter();
    capacities
        .flat_map(|all| capacity::blocks(all, &mut |_| Vec::new()))
        .chain(restarts.flat_map(|all| restart::blocks(all, &mut |_| None)))
        .chain(upstreams.flat_map(|all| upstream::blocks(all, None)))
        .collect()
}

pub(super) fn charts(added: &Added) -> Vec<Chart> {
    let capacities = added.capacities.iter().flat_map(|all| {
        let workloads = all.workloads().into_iter();
        workloads.flat_map(|workload| {
            let servers: Vec<_> = all.of(workload).collect();
            chart::capacity(workload, &servers)
        })
    });
    let restarts = added.restarts.iter();
    let restarts = restarts.flat_map(|all| {
        let parts = all.parts().into_iter();
        parts.filter_map(|part| chart::restart(all, part))
    });
    let upstreams = added.upstreams.iter().filter_map(chart::upstream);
    capacities.chain(restarts).chain(upstreams).collect()
}
