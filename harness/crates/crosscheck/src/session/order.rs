//! Which tool drives which server when; pure.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_pcg::Pcg64Mcg;

use catalog::plan::round_seed;

/// One server's part of a round: a number of connections and a tool, as indices into their lists.
pub(super) type ToolTurn = (usize, usize);

/// The servers of a round in shuffled order, each with its turns. All tools have their turn at one number of
/// connections before the next one, so that the runs to compare are close in time. The numbers of connections
/// and the tools are shuffled too. A round depends only on the seed and its own number.
pub(super) fn round(
    seed: u64,
    round: u32,
    (servers, connections, tools): (usize, usize, usize),
) -> Vec<(usize, Vec<ToolTurn>)> {
    let mut rng = Pcg64Mcg::seed_from_u64(round_seed(seed, round));
    let mut shuffled = |n: usize| {
        let mut places: Vec<usize> = (0..n).collect();
        places.shuffle(&mut rng);
        places
    };
    let mut all = Vec::new();
    for server in shuffled(servers) {
        let mut turns = Vec::new();
        for count in shuffled(connections) {
            turns.extend(shuffled(tools).into_iter().map(|tool| (count, tool)));
        }
        all.push((server, turns));
    }
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_has_its_turn_once_in_every_round() {
        let mut orders = BTreeSet::new();
        for number in 1..=8 {
            let order = round(7, number, (2, 3, 4));
            let each: BTreeSet<_> = order
                .iter()
                .flat_map(|(server, turns)| turns.iter().map(move |turn| (server, turn)))
                .collect();
            assert_eq!(each.len(), 2 * 3 * 4);
            for (_, turns) in &order {
                // Those to compare are next to each other.
                for tools in turns.chunks(4) {
                    assert!(tools.iter().all(|turn| turn.0 == tools[0].0));
                }
            }
            orders.insert(order);
        }
        assert!(orders.len() > 1, "every round has one order");
        assert_eq!(round(7, 3, (2, 3, 4)), round(7, 3, (2, 3, 4)));
    }
}
