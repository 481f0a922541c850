//! Communities by the map equation, in two levels: those by which the path of a random walker on the
//! graph is described in the fewest bits a step, see [`codelength`](crate::core::codelength).
//!
//! Found by moves of single points, then of whole communities, each to where L falls most, until
//! none lowers it. Points move in order of their rows.

use rayon::prelude::*;

use super::labels::numbered;
use crate::core::codelength::{self, LEAST_GAIN, plogp};
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::similarity::Kernel;
use crate::core::sparse::{Matrix, ROWS, laid, row, starts_of};

/// Nodes that the walker visits: points, or communities of points.
struct Network {
    starts: Vec<usize>,
    neighbors: Vec<u32>,
    /// How often the walker takes a link, each direction on its own.
    flows: Vec<f64>,
    /// How often it is at a node.
    visits: Vec<f64>,
}

impl Network {
    fn new(graph: &Matrix, threshold: f64, sigma: f64) -> Result<Self> {
        let n = graph.rows();
        let similarity = Kernel::Exp { sigma }.function();
        let links = |i: usize| {
            let (neighbors, distances) = row(graph, i);
            let links = neighbors.iter().zip(distances).filter(|edge| *edge.1 <= threshold);
            links.map(|(&j, &distance)| (j, similarity(distance)))
        };
        let (starts, neighbors, mut flows) = laid(n, links)?;
        let total = flows.iter().sum::<f64>();
        if total > 0.0 {
            flows.iter_mut().for_each(|flow| *flow /= total);
        }
        let visits = (0..n).map(|i| flows[starts[i]..starts[i + 1]].iter().sum()).collect();
        Ok(Self { starts, neighbors, flows, visits })
    }

    fn links(&self, node: usize) -> impl Iterator<Item = (u32, f64)> + '_ {
        let places = self.starts[node]..self.starts[node + 1];
        self.neighbors[places.clone()].iter().copied().zip(self.flows[places].iter().copied())
    }

    /// The network of communities, which are numbered densely.
    fn merged(&self, community: &[u32]) -> Self {
        /// The links and visits of some communities.
        #[derive(Default)]
        struct Part {
            ends: Vec<usize>,
            links: Vec<(u32, f64)>,
            visits: Vec<f64>,
        }
        let n = community.iter().max().map_or(0, |&last| last as usize + 1);
        let members_starts = starts_of(n, community);
        let (mut next, mut members) = (members_starts.clone(), vec![0; community.len()]);
        for (node, &own) in (0u32..).zip(community) {
            members[next[own as usize]] = node;
            next[own as usize] += 1;
        }
        let part = |sums: &mut Sums, unit: usize| {
            let mut part = Part::default();
            for from in unit * ROWS..((unit + 1) * ROWS).min(n) {
                let members = &members[members_starts[from]..members_starts[from + 1]];
                part.visits.push(members.iter().fold(0.0, |sum, &node| sum + self.visits[node as usize]));
                for &node in members {
                    self.links(node as usize).for_each(|(other, flow)| sums.add(community[other as usize], flow));
                }
                part.links.extend(sums.take().filter(|&(to, _)| to as usize != from));
                part.ends.push(part.links.len());
            }
            part
        };
        let parts: Vec<Part> = (0..n.div_ceil(ROWS)).into_par_iter().map_init(|| Sums::new(n), part).collect();
        let mut merged = Self { starts: vec![0], neighbors: vec![], flows: vec![], visits: vec![] };
        for part in parts {
            let before = merged.neighbors.len();
            merged.starts.extend(part.ends.iter().map(|end| before + end));
            merged.neighbors.extend(part.links.iter().map(|link| link.0));
            merged.flows.extend(part.links.iter().map(|link| link.1));
            merged.visits.extend(part.visits);
        }
        merged
    }
}

/// A sum for each of a few keys, in order of their first.
struct Sums {
    sums: Vec<f64>,
    keys: Vec<u32>,
    known: Vec<bool>,
}

impl Sums {
    fn new(keys: usize) -> Self {
        Self { sums: vec![0.0; keys], keys: vec![], known: vec![false; keys] }
    }

    /// Of one key more.
    fn grow(&mut self) {
        self.sums.push(0.0);
        self.known.push(false);
    }

    fn add(&mut self, key: u32, value: f64) {
        if !std::mem::replace(&mut self.known[key as usize], true) {
            self.keys.push(key);
        }
        self.sums[key as usize] += value;
    }

    /// All sums, which are forgotten.
    fn take(&mut self) -> impl Iterator<Item = (u32, f64)> + '_ {
        let Self { sums, keys, known } = self;
        keys.drain(..).map(|key| {
            known[key as usize] = false;
            (key, std::mem::take(&mut sums[key as usize]))
        })
    }
}

/// Nodes that are looked at side by side.
const BLOCK: usize = 4096;
/// The number of a community that has no node yet.
const ALONE: u32 = u32::MAX;

/// What a move makes of the community that a node leaves, and of the one it goes to.
struct Move {
    to: u32,
    less: Community,
    more: Community,
}

/// How often the walker is in a community, and leaves it.
#[derive(Debug, Clone, Copy, Default)]
struct Community {
    visits: f64,
    exits: f64,
    nodes: usize,
    /// Its part of L.
    length: f64,
}

impl Community {
    fn new(visits: f64, exits: f64, nodes: usize) -> Self {
        Self { visits, exits, nodes, length: codelength::of_community(visits, exits) }
    }
}

struct Partition<'a> {
    network: &'a Network,
    community: Vec<u32>,
    communities: Vec<Community>,
    /// Numbers of communities without a node.
    empty: Vec<u32>,
    exits: f64,
}

impl<'a> Partition<'a> {
    fn new(network: &'a Network, community: Vec<u32>) -> Self {
        let mut communities = vec![Community::default(); community.len()];
        for (node, &own) in community.iter().enumerate() {
            let crossing = network.links(node).filter(|&(other, _)| community[other as usize] != own);
            let exits: f64 = crossing.map(|(_, flow)| flow).sum();
            let sums = &mut communities[own as usize];
            sums.visits += network.visits[node];
            sums.exits += exits;
            sums.nodes += 1;
        }
        communities.iter_mut().for_each(|sums| *sums = Community::new(sums.visits, sums.exits, sums.nodes));
        let empty = (0..).zip(&communities).filter(|(_, c)| c.nodes == 0).map(|(number, _)| number).collect();
        let exits = communities.iter().map(|community| community.exits).sum();
        Self { network, community, communities, empty, exits }
    }

    /// Move nodes until no move gains; returns whether any did. In sweeps in which so few move that a block of nodes
    /// seldom has one, those of a block are looked at side by side.
    fn settle(&mut self, block: usize, monitor: &Monitor) -> Result<bool> {
        let nodes = self.community.len();
        let (mut gained, mut few) = (false, false);
        loop {
            self.number_densely();
            let mut sums = Sums::new(self.communities.len());
            let (mut moves, mut node) = (0, 0);
            while node < nodes {
                monitor.check()?;
                let end = node.saturating_add(block).min(nodes);
                // Up to the first that moves, all see the communities as they are.
                let look = |sums: &mut Sums, node| self.best(node, sums).is_some();
                let mut moving = node..end;
                if few {
                    let moves = (node..end).into_par_iter().map_init(|| Sums::new(self.communities.len()), look);
                    let first = moves.position_first(|moves| moves).map_or(end, |at| node + at);
                    moving = first..(first + 1).min(end);
                }
                for node in moving.clone() {
                    if let Some(to) = self.best(node, &mut sums) {
                        self.apply(node, to, &mut sums);
                        moves += 1;
                    }
                }
                node = moving.end;
            }
            if moves == 0 {
                return Ok(gained);
            }
            (gained, few) = (true, moves <= nodes / block);
        }
    }

    /// Number the communities that have nodes from 0 on: few lie closer together.
    fn number_densely(&mut self) {
        if self.empty.is_empty() {
            return;
        }
        let mut number = vec![u32::MAX; self.communities.len()];
        let old = std::mem::take(&mut self.communities);
        self.empty.clear();
        for own in &mut self.community {
            let number = &mut number[*own as usize];
            if *number == u32::MAX {
                *number = self.communities.len() as u32;
                self.communities.push(old[*own as usize]);
            }
            *own = *number;
        }
    }

    /// The move of a node to the community of a neighbor, or to one of its own, by which L falls most.
    fn best(&self, node: usize, sums: &mut Sums) -> Option<Move> {
        let own = self.community[node];
        let (mut out, mut to_own) = (0.0, 0.0);
        for (other, flow) in self.network.links(node) {
            out += flow;
            match self.community[other as usize] {
                community if community == own => to_own += flow,
                community => sums.add(community, flow),
            }
        }
        let visits = self.network.visits[node];
        let old = self.communities[own as usize];
        // Links to the community are exits once the node is out, and no longer exits once it is in.
        let exits = (old.exits - out + 2.0 * to_own).max(0.0);
        let less = Community::new(old.visits - visits, exits, old.nodes - 1);
        let all_exits = plogp(self.exits);
        let alone = (less.nodes > 0).then_some((ALONE, 0.0));
        let (mut best, mut least) = (None, -LEAST_GAIN);
        for (to, flow) in sums.take().chain(alone) {
            let joined = self.communities.get(to as usize).copied().unwrap_or_default();
            let exits = (joined.exits + out - 2.0 * flow).max(0.0);
            let more = Community::new(joined.visits + visits, exits, joined.nodes + 1);
            let exits = self.exits - old.exits - joined.exits + less.exits + more.exits;
            let change = plogp(exits) - all_exits + less.length + more.length - old.length - joined.length;
            if change < least {
                (best, least) = (Some(Move { to, less, more }), change);
            }
        }
        best
    }

    fn apply(&mut self, node: usize, Move { mut to, less, more }: Move, sums: &mut Sums) {
        if to == ALONE {
            to = self.empty.pop().unwrap_or(self.communities.len() as u32);
            if to as usize == self.communities.len() {
                self.communities.push(Community::default());
                sums.grow();
            }
        }
        let own = std::mem::replace(&mut self.community[node], to);
        let joined = std::mem::replace(&mut self.communities[to as usize], more);
        let old = std::mem::replace(&mut self.communities[own as usize], less);
        self.exits += less.exits + more.exits - old.exits - joined.exits;
        if less.nodes == 0 {
            self.communities[own as usize] = Community::default();
            self.empty.push(own);
        }
    }
}

/// Bytes that the communities need beside the graph: the links of the points, and of a network of
/// communities, which may have as many, while it is made.
pub fn memory(edges: u64) -> u64 {
    edges * 48
}

/// See [`GraphMethod::MapEquation`](super::GraphMethod::MapEquation).
pub fn map_equation(graph: &Matrix, threshold: f64, sigma: f64, monitor: &Monitor) -> Result<Vec<u32>> {
    let points = Network::new(graph, threshold, sigma)?;
    let mut community: Vec<u32> = (0..graph.rows() as u32).collect();
    loop {
        let mut partition = Partition::new(&points, community);
        partition.settle(BLOCK, monitor)?;
        community = numbered(partition.community);
        let mut gained = false;
        loop {
            let network = points.merged(&community);
            let mut partition = Partition::new(&network, (0..network.visits.len() as u32).collect());
            if !partition.settle(BLOCK, monitor)? {
                break;
            }
            gained = true;
            community.iter_mut().for_each(|number| *number = partition.community[*number as usize]);
            community = numbered(community);
        }
        // Nothing has moved since the points settled.
        if !gained {
            return Ok(community);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::random::unit;
    use crate::core::sparse::from_edges;

    #[test]
    fn nodes_that_are_looked_at_side_by_side_move_as_one_by_one() {
        // Rings of 1 to 9 points, each with three links to anywhere.
        let (mut src, mut dst) = (vec![], vec![]);
        let n = 3006u32;
        let mut link = |a: u32, b: u32| {
            if a != b {
                src.extend([a, b]);
                dst.extend([b, a]);
            }
        };
        (0..n).for_each(|i| link(i, if i % 9 == 8 { i - 8 } else { i + 1 }));
        (0..n).step_by(5).for_each(|i| link(i, (unit(i.into()) * f64::from(n)) as u32));
        let mut edges: Vec<(u32, u32)> = src.into_iter().zip(dst).collect();
        edges.sort_unstable();
        edges.dedup();
        let (src, dst): (Vec<u32>, Vec<u32>) = edges.into_iter().unzip();
        let graph = from_edges(n as usize, &src, &dst, &vec![0.0; src.len()], &Monitor::new()).unwrap();
        let network = Network::new(&graph, 1.0, 1.0).unwrap();
        let settled = |block| {
            let mut partition = Partition::new(&network, (0..n).collect());
            assert!(partition.settle(block, &Monitor::new()).unwrap());
            partition.community
        };
        let one_by_one = settled(usize::MAX);
        assert!(numbered(one_by_one.clone()).into_iter().max().unwrap() > 100);
        assert!([1, 7, 100, 1000].iter().all(|&block| settled(block) == one_by_one));
    }
}
