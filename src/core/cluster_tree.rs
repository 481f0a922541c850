//! A tree of clusters along a transition matrix, and the clusters that are cut from it.
//!
//! Two clusters merge by what the links between them say, see [`Links`]. A pair of points without a link counts
//! as one that has nothing in common only so far as the rows of the two could have held it: where both rows end
//! at neighbors that are alike, the pair is open and says nothing. So a cluster of more points than a row has
//! places merges as a small one does. This is average linkage on censored data:
//!
//! ```text
//! height(A, B) = sum of strengths / (m + (|A| |B| - m) (1 - open(A) open(B)))^0.7
//! ```
//!
//! with the m links between them, and open(A) the mean of its points. At a power of 1 it is the mean strength;
//! below it, a few links suffice between large sparse clusters, while between small ones most pairs are needed.

use rayon::prelude::*;

use crate::core::agglomeration::{self, Agglomeration, Between, Edges, Linkage};
use crate::core::constraints::Constraints;
use crate::core::dpc::{Clustering, above, candidates, number_trees};
use crate::core::error::Result;
use crate::core::links::Links;
use crate::core::memory::{ask, filled, room};
use crate::core::monitor::{Monitor, Phase};
use crate::core::partition::fewest_bits;
use crate::core::sparse::{Matrix, ROWS, row};
use crate::core::union_find::UnionFind;

/// Of the pairs between two clusters; see the head of this module.
pub(crate) const POWER: f64 = 0.7;
/// Clusters do not merge below this height.
const LOWEST: f64 = 0.1;
/// Of the overlap of two points: how sharp a walker tells strong links from weak ones. 4 to 8 give the same.
const WALK_POWER: i32 = 6;

/// Bytes of the links and clusters of a graph of so many directed edges, beside P.
pub fn memory(edges: u64) -> u64 {
    edges * 48
}

/// Two clusters that became one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Merge {
    /// The smallest points of the two.
    pub points: (u32, u32),
    /// How sure it is: heights fall from merge to merge. Infinite for what a constraint demands.
    pub height: f64,
}

/// All merges from single points on.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterTree {
    points: usize,
    merges: Vec<Merge>,
    /// Merges that constraints demand, and those of copies.
    demanded: usize,
}

/// What the height of two clusters needs of each.
#[derive(Clone, Copy)]
struct Cluster {
    size: f64,
    /// Sum over its points.
    open: f64,
    /// The place of its smallest point.
    first: u32,
}

/// The height of two clusters, upside down: the highest merge is the nearest.
struct Censored {
    power: f64,
    clusters: Vec<Cluster>,
}

/// The height of two clusters with so many pairs of points: the mean of `open` of both, multiplied, is `open`.
pub(crate) fn height(between: Between, pairs: f64, open: f64, power: f64) -> f64 {
    between.sum / counted(between, pairs, open).powf(power)
}

/// How many of the pairs count: those with an edge, and of the others the part that is not open.
fn counted(between: Between, pairs: f64, open: f64) -> f64 {
    between.edges + (pairs - between.edges) * (1.0 - open).max(0.0)
}

impl Linkage for Censored {
    fn distance(&self, a: u32, b: u32, between: Between) -> f64 {
        let (a, b) = (&self.clusters[a as usize], &self.clusters[b as usize]);
        let pairs = a.size * b.size;
        1.0 / height(between, pairs, a.open * b.open / pairs, self.power)
    }

    fn merged(&mut self, a: u32, b: u32) {
        let (a, b) = (self.clusters[a as usize], self.clusters[b as usize]);
        let (size, open, first) = (a.size + b.size, a.open + b.open, a.first.min(b.first));
        self.clusters.push(Cluster { size, open, first });
    }
}

/// Points that nothing joins to others, or keeps apart from them. Pairs are of places in `points`.
#[derive(Default)]
struct Component {
    /// In order.
    points: Vec<u32>,
    constraints: Constraints,
    copies: Vec<(u32, u32)>,
}

/// The components of links and pairs, but for points alone; and of each point its place in its own.
fn components(links: &Links, constraints: &Constraints, monitor: &Monitor) -> Result<(Vec<Component>, Vec<u32>)> {
    let n = links.len();
    let mut sets = UnionFind::new(n);
    for i in 0..n {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        links.of(i).iter().for_each(|link| {
            sets.unite(i as u32, link.to);
        });
    }
    let Constraints { must_link, cannot_link } = constraints;
    for &(a, b) in must_link.iter().chain(cannot_link).chain(&links.copies) {
        sets.unite(a, b);
    }
    let (mut number, mut place, mut components) = (filled(u32::MAX, n)?, room(n)?, Vec::<Component>::new());
    for i in 0..n as u32 {
        let root = sets.root(i);
        if sets.size(root) == 1 {
            place.push(0);
            continue;
        }
        let number = &mut number[root as usize];
        if *number == u32::MAX {
            *number = components.len() as u32;
            components.push(Component::default());
        }
        let points = &mut components[*number as usize].points;
        place.push(points.len() as u32);
        points.push(i);
    }
    let mut deal = |pairs: &[(u32, u32)], of: fn(&mut Component) -> &mut Vec<(u32, u32)>| {
        for &(a, b) in pairs {
            // A point alone may be in a pair with itself.
            if let Some(component) = components.get_mut(number[sets.root(a) as usize] as usize) {
                of(component).push((place[a as usize], place[b as usize]));
            }
        }
    };
    deal(must_link, |component| &mut component.constraints.must_link);
    deal(cannot_link, |component| &mut component.constraints.cannot_link);
    deal(&links.copies, |component| &mut component.copies);
    Ok((components, place))
}

/// The points of a component as clusters on their way.
fn growing(links: &Links, points: &[u32], place: &[u32], power: f64, lowest: f64) -> Agglomeration<Censored> {
    let each = || (0u32..).zip(points).flat_map(|(at, &i)| links.of(i as usize).iter().map(move |link| (at, link)));
    let mut counts = vec![0; points.len()];
    for (at, link) in each() {
        counts[at as usize] += 1;
        counts[place[link.to as usize] as usize] += 1;
    }
    // Those to points before come first, and both are in order.
    let mut edges: Vec<Vec<Edges>> = counts.into_iter().map(Vec::with_capacity).collect();
    for (at, link) in each() {
        let to = place[link.to as usize];
        edges[at as usize].push(Edges { to, count: 1, sum: link.strength });
        edges[to as usize].push(Edges { to: at, count: 1, sum: link.strength });
    }
    let cluster = |(place, &point): (u32, &u32)| Cluster { size: 1.0, open: links.open[point as usize], first: place };
    let linkage = Censored { power, clusters: (0..).zip(points).map(cluster).collect() };
    Agglomeration::new(edges, linkage, 1.0 / lowest)
}

impl Component {
    /// All merges: those that constraints demand and those of copies, and the others, highest first.
    fn merges(&self, mut clusters: Agglomeration<Censored>, phase: &Phase) -> Result<[Vec<Merge>; 2]> {
        let Self { points, constraints, copies } = self;
        let n = points.len();
        let merge = |a: u32, b: u32, height| {
            let (a, b) = (points[a as usize], points[b as usize]);
            Merge { points: (a.min(b), a.max(b)), height }
        };
        let (mut demanded, mut merges) = (Vec::new(), Vec::new());
        let mut trees = constraints.trees(n)?;
        let mut sets = UnionFind::new(n);
        let mut cluster: Vec<u32> = (0..n as u32).collect();
        for &(a, b) in &constraints.must_link {
            let (a, b) = (sets.root(a), sets.root(b));
            if a != b {
                let new = clusters.merge(cluster[a as usize], cluster[b as usize]);
                let (_, root) = sets.unite_roots(a, b);
                cluster[root as usize] = new;
                demanded.push(merge(a, b, f64::INFINITY));
            }
        }
        for &(copy, of) in copies {
            let (a, b) = (sets.root(copy), sets.root(of));
            if a == b || !trees.join(copy, of) {
                continue;
            }
            demanded.push(merge(copy, of, 1.0));
            // A copy without links that is in no pair is no part of the agglomeration.
            if cluster[a as usize] as usize >= n {
                let new = clusters.merge(cluster[a as usize], cluster[b as usize]);
                let (_, root) = sets.unite_roots(a, b);
                cluster[root as usize] = new;
            }
        }
        let mut height = 1.0f64;
        while let Some((distance, a, b)) = clusters.nearest() {
            phase.step()?;
            let of = |cluster: u32| clusters.linkage().clusters[cluster as usize].first;
            let (first, second) = (of(a), of(b));
            if trees.join(first, second) {
                height = height.min(1.0 / distance);
                merges.push(merge(first, second, height));
                clusters.merge(a, b);
            } else {
                clusters.keep_apart(a, b);
            }
        }
        Ok([demanded, merges])
    }
}

/// The clusters of `n` points after some merges, by the labels of their points.
pub(crate) fn after(n: usize, merges: &[Merge]) -> Vec<u32> {
    let mut sets = UnionFind::new(n);
    merges.iter().for_each(|merge| {
        sets.unite(merge.points.0, merge.points.1);
    });
    sets.into_labels()
}

impl ClusterTree {
    /// The tree of a graph's links, of all merges that are high enough.
    ///
    /// # Errors
    /// If the constraints contradict each other, or the run is stopped.
    pub fn new(links: &Links, constraints: &Constraints, monitor: &Monitor) -> Result<Self> {
        Self::within(links, POWER, LOWEST, constraints, monitor)
    }

    /// The same, with another power in the height, and another lowest one.
    pub(crate) fn within(
        links: &Links,
        power: f64,
        lowest: f64,
        constraints: &Constraints,
        monitor: &Monitor,
    ) -> Result<Self> {
        let n = links.len();
        constraints.check(n)?;
        ask(agglomeration::memory(links.count() as u64))?;
        let phase = monitor.phase(0.5..1.0, n);
        let (components, place) = components(links, constraints, monitor)?;
        let of_component =
            |component: &Component| component.merges(growing(links, &component.points, &place, power, lowest), &phase);
        let grown: Vec<[Vec<Merge>; 2]> =
            components.par_iter().with_max_len(1).map(of_component).collect::<Result<_>>()?;
        let all = |at: usize| {
            let mut merges: Vec<Merge> = grown.iter().flat_map(|merges| merges[at].iter().copied()).collect();
            merges.par_sort_by(|a, b| b.height.total_cmp(&a.height));
            merges
        };
        let mut merges = all(0);
        let demanded = merges.len();
        merges.extend(all(1));
        Ok(Self { points: n, merges, demanded })
    }

    /// Its merges, highest first.
    pub fn merges(&self) -> &[Merge] {
        &self.merges
    }

    /// The coarsest clusters: those after all merges.
    pub fn coarsest(&self) -> Vec<u32> {
        self.after(self.merges.len())
    }

    /// The clusters after so many merges: of each point the number of one of its cluster's points.
    pub fn after(&self, merges: usize) -> Vec<u32> {
        after(self.points, &self.merges[..merges])
    }

    /// After how many merges the clusters describe a random walk along the links in the fewest bits, see
    /// `partition`.
    ///
    /// # Errors
    /// If the run is stopped.
    pub fn cut(&self, links: &Links, monitor: &Monitor) -> Result<usize> {
        let joins: Vec<(f64, u32, u32)> =
            self.merges.iter().map(|merge| (-merge.height, merge.points.0, merge.points.1)).collect();
        let walk = |i: usize| links.of(i).iter().map(|link| (link.to, link.overlap.powi(WALK_POWER)));
        let made = fewest_bits(self.points, &joins, self.demanded, walk, monitor)?;
        Ok(made.unwrap_or(self.demanded))
    }
}

/// Clusters without a threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// Of each point the number of one of its cluster's points.
    pub cluster: Vec<u32>,
    /// How sure the membership of each point is, from 0 to 1: the mean of its strongest link to its cluster and of its
    /// links to all of it, in which pairs count as in a height. On labelled points about so many are right. `None` for a
    /// point that belongs to nothing, and everywhere where neighbors are all alike or not at all, which tells nothing.
    pub strength: Vec<Option<f64>>,
}

impl Clusters {
    /// Those of a transition matrix's tree.
    ///
    /// # Errors
    /// As [`Links::new`] and [`ClusterTree::new`].
    pub fn new(transition: &Matrix, constraints: &Constraints, monitor: &Monitor) -> Result<Self> {
        let links = Links::new(transition, monitor)?;
        let tree = ClusterTree::new(&links, constraints, monitor)?;
        Ok(Self::of_links(&links, tree.after(tree.cut(&links, monitor)?)))
    }

    /// Clusters of points with these links.
    pub fn of_links(links: &Links, cluster: Vec<u32>) -> Self {
        let strength = strengths(links, &cluster);
        Self { cluster, strength }
    }
}

/// How sure a point is of a cluster: by its strongest link, and by all links to the `pairs` others, whose mean of
/// `open` times its own is `open`.
pub(crate) fn strength(strongest: f64, between: Between, pairs: f64, open: f64) -> f64 {
    f64::midpoint(strongest, between.sum / counted(between, pairs, open)).min(1.0)
}

fn strengths(links: &Links, cluster: &[u32]) -> Vec<Option<f64>> {
    /// What links a point to its cluster.
    #[derive(Clone, Copy, Default)]
    struct Own {
        strongest: f64,
        sum: f64,
        edges: f64,
        open: f64,
    }
    let n = links.len();
    let mut own = vec![Own::default(); n];
    let mut sizes = vec![0.0; n];
    let mut told = false;
    for i in 0..n {
        sizes[cluster[i] as usize] += 1.0;
        for link in links.of(i) {
            let j = link.to as usize;
            told |= link.strength < 1.0;
            if cluster[i] == cluster[j] {
                for (one, other) in [(i, j), (j, i)] {
                    let own = &mut own[one];
                    own.strongest = own.strongest.max(link.strength);
                    own.sum += link.strength;
                    own.edges += 1.0;
                    own.open += links.open[other];
                }
            }
        }
    }
    let copies = || links.copies.iter().filter(|(copy, of)| cluster[*copy as usize] == cluster[*of as usize]);
    copies().for_each(|&(copy, _)| sizes[cluster[copy as usize] as usize] -= 1.0);
    let of_point = |i: usize| {
        let Own { strongest, sum, edges, open } = own[i];
        let others = sizes[cluster[i] as usize] - 1.0;
        let open = links.open[i] * open / edges.max(1.0);
        let linked = || if edges > 0.0 { strength(strongest, Between { sum, edges }, others, open) } else { 0.0 };
        (told && others > 0.0).then(linked)
    };
    let mut strengths: Vec<Option<f64>> = (0..n).into_par_iter().map(of_point).collect();
    for &(copy, of) in copies().filter(|_| told) {
        let strength = strengths[of as usize].unwrap_or(1.0);
        (strengths[copy as usize], strengths[of as usize]) = (Some(strength), Some(strength));
    }
    strengths
}

/// Peaks and parents within given clusters: a point's parent is its nearest neighbor of higher density in its
/// cluster; a point without one is the peak if it is the densest of the cluster, else the peak is its parent.
/// `delta` is the distance to the parent, of others that to the nearest neighbor of higher density.
///
/// # Errors
/// As [`candidates`].
pub fn peaks_within(
    density: Vec<f64>,
    distances: &Matrix,
    clusters: &Clusters,
    monitor: &Monitor,
) -> Result<Clustering> {
    let cluster = &clusters.cluster;
    let nearest = candidates(&density, distances, monitor)?;
    let n = density.len();
    let mut peak: Vec<u32> = vec![u32::MAX; n];
    for i in 0..n {
        let peak = &mut peak[cluster[i] as usize];
        if *peak == u32::MAX || above(&density, i, *peak as usize) {
            *peak = i as u32;
        }
    }
    let (mut parent, mut delta) = (vec![0; n], vec![None; n]);
    for i in 0..n {
        if i.is_multiple_of(ROWS) {
            monitor.check()?;
        }
        let own = |j: u32| cluster[j as usize] == cluster[i];
        let found = nearest[i].filter(|&(j, _)| own(j)).or_else(|| {
            let (neighbors, distances) = row(distances, i);
            let others = neighbors.iter().copied().zip(distances.iter().copied());
            others.filter(|&(j, _)| own(j) && above(&density, j as usize, i)).min_by(|a, b| {
                let by_distance = a.1.total_cmp(&b.1);
                by_distance.then(density[b.0 as usize].total_cmp(&density[a.0 as usize])).then(a.0.cmp(&b.0))
            })
        });
        delta[i] = found.or(nearest[i]).map(|(_, distance)| distance);
        parent[i] = found.map_or(peak[cluster[i] as usize], |(j, _)| j);
    }
    let strength = Some(clusters.strength.clone());
    Ok(Clustering { cluster: number_trees(&parent), parent, delta, density, strength })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::random::unit;
    use crate::core::sparse::from_edges;

    /// P of rows of neighbors with a similarity each.
    fn links(rows: &[&[(u32, f64)]]) -> Links {
        let (mut src, mut dst, mut values) = (vec![], vec![], vec![]);
        for (i, row) in rows.iter().enumerate() {
            let sum = 1.0 + row.iter().map(|edge| edge.1).sum::<f64>();
            for (j, similarity) in std::iter::once((i as u32, 1.0)).chain(row.iter().copied()) {
                src.push(i as u32);
                dst.push(j);
                values.push(similarity / sum);
            }
        }
        let monitor = Monitor::new();
        Links::new(&from_edges(rows.len(), &src, &dst, &values, &monitor).unwrap(), &monitor).unwrap()
    }

    fn tree(links: &Links, constraints: &Constraints) -> ClusterTree {
        ClusterTree::new(links, constraints, &Monitor::new()).unwrap()
    }

    #[test]
    fn a_step_of_probability_0_to_a_copy_is_no_second_link() {
        let links = links(&[&[(2, 0.0)], &[(0, 0.375)], &[(0, 1.0)]]);
        assert_eq!((links.of(0).len(), &links.copies), (1, &vec![(2, 0)]));
        let tree = tree(&links, &Constraints::default());
        let merged: Vec<_> = tree.merges().iter().map(|merge| merge.points).collect();
        assert_eq!(merged, [(0, 2), (0, 1)]);
        tree.cut(&links, &Monitor::new()).unwrap();
    }

    #[test]
    fn a_pair_that_no_row_had_room_for_says_nothing() {
        // Four points in a ring, each with its two neighbors, all alike: the rows are full of copies.
        let full: &[&[(u32, f64)]] =
            &[&[(1, 1.0), (3, 1.0)], &[(0, 1.0), (2, 1.0)], &[(1, 1.0), (3, 1.0)], &[(0, 1.0), (2, 1.0)]];
        let links_of_full = links(full);
        assert_eq!(links_of_full.open, [1.0; 4]);
        let heights: Vec<f64> =
            tree(&links_of_full, &Constraints::default()).merges().iter().map(|m| m.height).collect();
        assert_eq!(heights, [1.0; 3]);
        // With a far neighbor at the end of each row, the two pairs across are known to be apart.
        let mut ended: Vec<Vec<(u32, f64)>> = full.iter().map(|row| row.to_vec()).collect();
        ended.iter_mut().for_each(|row| row.push((4, 1e-9)));
        ended.push(vec![]);
        let rows: Vec<&[(u32, f64)]> = ended.iter().map(Vec::as_slice).collect();
        let merges = tree(&links(&rows), &Constraints::default()).merges().to_vec();
        // First two pairs of neighbors, each with one link, then both by the two links of four pairs.
        assert_eq!(merges.len(), 3);
        assert!((merges[2].height - 2.0 / 4f64.powf(POWER)).abs() < 1e-6, "{merges:?}");
    }

    #[test]
    fn the_strength_is_the_largest_of_overlap_and_both_similarities() {
        let links = links(&[&[(1, 0.5)], &[(0, 0.2), (2, 0.9)], &[(1, 0.9)]]);
        let [link] = links.of(0) else { panic!("one link") };
        let p = |row: &[f64]| row.iter().map(|s| s / row.iter().sum::<f64>()).collect::<Vec<f64>>();
        let (a, b) = (p(&[1.0, 0.5]), p(&[0.2, 1.0, 0.9]));
        let overlap = (a[0] * b[0]).sqrt() + (a[1] * b[1]).sqrt();
        assert!((link.overlap - overlap).abs() < 1e-12 && link.to == 1);
        assert!((link.strength - overlap.max(0.5)).abs() < 1e-12);
        assert!(links.open.iter().zip([0.5, 0.2, 0.9]).all(|(open, least)| (open - least).abs() < 1e-12));
    }

    #[test]
    fn constraints_hold_at_every_height() {
        let links = links(&[&[(1, 0.9)], &[(0, 0.9), (2, 0.8)], &[(1, 0.8), (3, 0.9)], &[(2, 0.9)]]);
        let constraints = Constraints { must_link: vec![(0, 3)], cannot_link: vec![(1, 2)] };
        let tree = tree(&links, &constraints);
        let cluster = tree.after(tree.cut(&links, &Monitor::new()).unwrap());
        assert!(cluster[0] == cluster[3] && cluster[1] != cluster[2]);
        let coarsest = tree.coarsest();
        assert!(coarsest[0] == coarsest[3] && coarsest[1] != coarsest[2]);
        assert_eq!(tree.merges()[0], Merge { points: (0, 3), height: f64::INFINITY });
    }

    #[test]
    fn components_on_their_own_merge_as_all_together() {
        // Three groups of points that no link joins, with all strengths different.
        let n = 90u32;
        let strength = |i: u32, j: u32| 0.2 + 0.8 * unit(u64::from(i.min(j) * n + i.max(j)));
        let neighbors = |i: u32| [1, 4, 6, 27].map(|step| (i + 3 * step) % n);
        let rows: Vec<Vec<(u32, f64)>> = (0..n).map(|i| neighbors(i).map(|j| (j, strength(i, j))).to_vec()).collect();
        let links = links(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let sizes = |constraints: &Constraints| {
            let (components, place) = components(&links, constraints, &Monitor::new()).unwrap();
            let in_place = |(&i, at): (&u32, u32)| place[i as usize] == at;
            assert!(components.iter().all(|component| component.points.iter().zip(0..).all(in_place)));
            components.iter().map(|component| component.points.len()).collect::<Vec<_>>()
        };
        // Pairs that change nothing make them grow in one.
        let apart = Constraints { cannot_link: vec![(0, 1), (2, 1)], ..Constraints::default() };
        assert_eq!((sizes(&Constraints::default()), sizes(&apart)), (vec![30; 3], vec![90]));
        let alone = tree(&links, &Constraints::default());
        assert!(alone.merges().len() > 60);
        assert_eq!(alone, tree(&links, &apart));
    }
}
