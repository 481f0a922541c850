//! Communities by the map equation, in two levels: those by which the path of a random walker on the
//! graph is described in the fewest bits a step, see [`codelength`](crate::core::codelength).
//!
//! Found by moves of single points, then of whole communities, each to where L falls most, until
//! none lowers it. Points move in order of their rows.

use super::labels::numbered;
use crate::core::codelength::{self, LEAST_GAIN, plogp};
use crate::core::error::Result;
use crate::core::monitor::Monitor;
use crate::core::similarity::Kernel;
use crate::core::sparse::{Matrix, ROWS, row, starts, starts_of};

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
    fn new(graph: &Matrix, threshold: f64, sigma: f64) -> Self {
        let n = graph.rows();
        let kernel = Kernel::Exp { sigma };
        let links = |i: usize| {
            let (neighbors, distances) = row(graph, i);
            neighbors.iter().zip(distances).filter(|edge| *edge.1 <= threshold)
        };
        let starts = starts(n, |i| links(i).count());
        let (neighbors, mut flows): (Vec<u32>, Vec<f64>) =
            (0..n).flat_map(links).map(|(&j, &distance)| (j, kernel.similarity(distance))).unzip();
        let total = flows.iter().sum::<f64>();
        if total > 0.0 {
            flows.iter_mut().for_each(|flow| *flow /= total);
        }
        let visits = (0..n).map(|i| flows[starts[i]..starts[i + 1]].iter().sum()).collect();
        Self { starts, neighbors, flows, visits }
    }

    fn links(&self, node: usize) -> impl Iterator<Item = (u32, f64)> + '_ {
        let places = self.starts[node]..self.starts[node + 1];
        self.neighbors[places.clone()].iter().copied().zip(self.flows[places].iter().copied())
    }

    /// The network of communities, which are numbered densely.
    fn merged(&self, community: &[u32]) -> Self {
        let n = community.iter().max().map_or(0, |&last| last as usize + 1);
        let members_starts = starts_of(n, community);
        let mut members: Vec<u32> = (0..community.len() as u32).collect();
        members.sort_by_key(|&node| community[node as usize]);
        let mut merged = Self { starts: vec![0], neighbors: vec![], flows: vec![], visits: vec![0.0; n] };
        let mut sums = Sums::new(n);
        for from in 0..n {
            for &node in &members[members_starts[from]..members_starts[from + 1]] {
                merged.visits[from] += self.visits[node as usize];
                self.links(node as usize).for_each(|(other, flow)| sums.add(community[other as usize], flow));
            }
            for (to, flow) in sums.take().filter(|&(to, _)| to as usize != from) {
                merged.neighbors.push(to);
                merged.flows.push(flow);
            }
            merged.starts.push(merged.neighbors.len());
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

    /// Move nodes until no move gains; returns whether any did.
    fn settle(&mut self, monitor: &Monitor) -> Result<bool> {
        let mut sums = Sums::new(self.communities.len());
        let mut gained = false;
        loop {
            let mut moved = false;
            for node in 0..self.community.len() {
                if node.is_multiple_of(ROWS) {
                    monitor.check()?;
                }
                moved |= self.move_node(node, &mut sums);
            }
            gained |= moved;
            if !moved {
                return Ok(gained);
            }
        }
    }

    /// Move a node to the community of a neighbor, or to one of its own, where L falls most.
    fn move_node(&mut self, node: usize, sums: &mut Sums) -> bool {
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
        let alone = self.empty.last().filter(|_| less.nodes > 0).map(|&empty| (empty, 0.0));
        let mut best: Option<(f64, u32, Community)> = None;
        for (to, flow) in sums.take().chain(alone) {
            let joined = self.communities[to as usize];
            let exits = (joined.exits + out - 2.0 * flow).max(0.0);
            let more = Community::new(joined.visits + visits, exits, joined.nodes + 1);
            let exits = self.exits - old.exits - joined.exits + less.exits + more.exits;
            let change = plogp(exits) - all_exits + less.length + more.length - old.length - joined.length;
            if change < best.map_or(-LEAST_GAIN, |(least, ..)| least) {
                best = Some((change, to, more));
            }
        }
        let Some((_, to, more)) = best else { return false };
        let joined = std::mem::replace(&mut self.communities[to as usize], more);
        self.communities[own as usize] = less;
        self.exits += less.exits + more.exits - old.exits - joined.exits;
        self.community[node] = to;
        if joined.nodes == 0 {
            self.empty.pop();
        }
        if less.nodes == 0 {
            self.communities[own as usize] = Community::default();
            self.empty.push(own);
        }
        true
    }
}

/// Bytes that the communities need beside the graph: the links of the points, and of a network of
/// communities, which may have as many, while it is made.
pub fn memory(edges: u64) -> u64 {
    edges * 48
}

/// See [`GraphMethod::MapEquation`](super::GraphMethod::MapEquation).
pub fn map_equation(graph: &Matrix, threshold: f64, sigma: f64, monitor: &Monitor) -> Result<Vec<u32>> {
    let points = Network::new(graph, threshold, sigma);
    let mut community: Vec<u32> = (0..graph.rows() as u32).collect();
    loop {
        let mut partition = Partition::new(&points, community);
        partition.settle(monitor)?;
        community = numbered(partition.community);
        let mut gained = false;
        loop {
            let network = points.merged(&community);
            let mut partition = Partition::new(&network, (0..network.visits.len() as u32).collect());
            if !partition.settle(monitor)? {
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
