//! New points join a clustering as if each alone had been added to it.

use density_peaks::assign::{AssignOptions, Assignment, BaseClusters, assign};
use density_peaks::cluster_tree::Clusters;
use density_peaks::constraints::Constraints;
use density_peaks::knn::{COPIES, KnnOptions, Method, Metric, Points, knn_graph};
use density_peaks::ndde::{NddeOptions, ndde};
use density_peaks::similarity::Kernel;
use density_peaks::{Embeddings, Monitor, dpc, tpdi, transition};
use proptest::prelude::*;

const DIM: usize = 3;

/// Rows of three whole numbers, none of them zero, many of them equal.
fn rows(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec(prop::array::uniform3(-4i8..5), n).prop_map(|rows| {
        rows.into_iter().flat_map(|row| [f32::from(row[0]) + 4.5, f32::from(row[1]), f32::from(row[2])]).collect()
    })
}

fn points(rows: &[f32]) -> Points {
    Points::new(Embeddings::new(rows.to_vec(), DIM).unwrap(), Metric::Cosine, &Monitor::new()).unwrap()
}

fn transition_of(rows: &[f32], k: usize, kernel: Kernel) -> density_peaks::sparse::Matrix {
    let options = KnnOptions { k, method: Method::Exact, copies: Some(COPIES), ..Default::default() };
    let graph = knn_graph(&points(rows), &options, &Monitor::new()).unwrap();
    transition::from_graph(&graph, kernel, &Monitor::new()).unwrap()
}

/// The rule over the whole transition matrix of the base and one new point, its last row.
fn by_rerun(base: &[f32], new: &[f32], density: &[f64], delta: &[f64], options: &AssignOptions) -> Assignment {
    let p = transition_of(&[base, new].concat(), options.k, options.kernel.unwrap());
    let x = density.len();
    let distances = tpdi::tpdi(&p, &Monitor::new()).unwrap();
    let neighbors: Vec<(usize, f64)> =
        distances.outer_view(x).unwrap().iter().map(|(j, &distance)| (j, distance)).collect();
    let at = |i: usize, j: usize| p.get(i, j).copied().unwrap_or(0.0);
    let inflow: f64 = neighbors.iter().map(|&(j, _)| at(j, x) * density[j]).sum();
    let leaving = 1.0 - at(x, x);
    let own = if leaving > 0.0 { inflow / leaving } else { 1.0 };
    let order = |a: &(usize, f64), b: &(usize, f64)| {
        a.1.total_cmp(&b.1).then(density[b.0].total_cmp(&density[a.0])).then(a.0.cmp(&b.0))
    };
    let above = neighbors.iter().copied().filter(|&(j, _)| density[j] >= own).min_by(order);
    let below = neighbors.iter().copied().filter(|&(j, d)| density[j] < own && d < delta[j]).min_by(order);
    let near = |found: Option<(usize, f64)>| found.filter(|&(_, distance)| distance < options.tau.unwrap());
    let joined = near(above).or(near(below));
    Assignment {
        parent: joined.map(|found| found.0 as u32),
        delta: joined.or(above).map(|found| found.1),
        density: own,
        strength: None,
    }
}

proptest! {
    #[test]
    fn a_new_point_has_the_distances_of_a_run_with_it_and_joins_by_them(
        base in rows(1..40), new in rows(1..6), k in 1usize..12, tau in 0.0f64..1.0,
        kernel in prop_oneof![Just(Kernel::Linear), (0.05f64..1.0).prop_map(|sigma| Kernel::exp(sigma).unwrap())],
    ) {
        let p = transition_of(&base, k, kernel);
        let density = ndde(&p, &NddeOptions::default(), &Monitor::new()).unwrap();
        let distances = tpdi::tpdi(&p, &Monitor::new()).unwrap();
        let clustering = dpc::dpc(density.clone(), &distances, tau, &Monitor::new()).unwrap();
        let delta: Vec<f64> = clustering.delta.iter().map(|delta| delta.unwrap_or(f64::INFINITY)).collect();
        let options = AssignOptions { k, kernel: Some(kernel), tau: Some(tau) };
        let clusters = BaseClusters { cluster: &clustering.cluster, density: &density, delta: &delta };
        let found = assign(&points(&base), &points(&new), clusters, &options, &Monitor::new()).unwrap();
        prop_assert_eq!(found.len(), new.len() / DIM);
        for (row, found) in new.chunks(DIM).zip(&found) {
            let expected = by_rerun(&base, row, &density, &delta, &options);
            prop_assert!((found.density - expected.density).abs() < 1e-9);
            prop_assert_eq!(found.delta.is_some(), expected.delta.is_some());
            prop_assert!((found.delta.unwrap_or(0.0) - expected.delta.unwrap_or(0.0)).abs() < 1e-9);
            if found.parent != expected.parent {
                // Sums in another order: two neighbors within a rounding of each other.
                let [one, other] = [found, &expected].map(|assignment| assignment.parent.unwrap() as usize);
                prop_assert!((density[one] - density[other]).abs() < 1e-9);
            }
        }
        // Each on its own.
        for (row, found) in new.chunks(DIM).zip(&found) {
            let alone = assign(&points(&base), &points(row), clusters, &options, &Monitor::new()).unwrap();
            prop_assert_eq!(&alone[0], found);
        }
    }
}

/// What links a new point to a cluster.
#[derive(Debug, Clone, Copy)]
struct Linked {
    cluster: u32,
    sum: f64,
    links: f64,
    points: f64,
    /// The mean of its points' `open`.
    open: f64,
}

/// The clusters that a new point has links to, and its own `open`, over the whole transition matrix of the base and it.
fn linked_by_rerun(base: &[f32], new: &[f32], cluster: &[u32], k: usize, kernel: Kernel) -> (Vec<Linked>, f64) {
    let p = transition_of(&[base, new].concat(), k, kernel);
    let x = cluster.len();
    let similarities = |i: usize| -> Vec<(usize, f64)> {
        let row = p.outer_view(i).unwrap();
        let most = row.data().iter().copied().fold(0.0, f64::max);
        row.iter().map(|(j, &p)| (j, p / most)).collect()
    };
    let neighbors = |i: usize| similarities(i).into_iter().filter(move |&(j, _)| j != i);
    let open = |i: usize| neighbors(i).map(|(_, s)| s).fold(1.0, f64::min);
    let mut found = vec![];
    for of in 0..cluster.len() as u32 {
        let met: Vec<(usize, f64)> = neighbors(x).filter(|&(j, _)| cluster[j] == of).collect();
        let overlap =
            |j: usize| (0..=x).map(|c| (p.get(x, c).unwrap_or(&0.0) * p.get(j, c).unwrap_or(&0.0)).sqrt()).sum::<f64>();
        let strengths: Vec<f64> =
            met.iter().map(|&(j, s)| overlap(j).max(s)).filter(|&strength| strength >= 0.05).collect();
        if !strengths.is_empty() {
            found.push(Linked {
                cluster: of,
                sum: strengths.iter().sum(),
                links: strengths.len() as f64,
                points: cluster.iter().filter(|&&own| own == of).count() as f64,
                open: met.iter().map(|&(j, _)| open(j)).sum::<f64>() / met.len() as f64,
            });
        }
    }
    (found, open(x))
}

/// A cluster of so many points, and the sum of their `open`, with what it may go on to.
#[derive(Clone)]
struct Growing {
    points: f64,
    open: f64,
    left: Vec<Linked>,
    largest: Option<Linked>,
}

impl Growing {
    fn height(&self, to: &Linked) -> f64 {
        let pairs = self.points * to.points;
        let counted = to.links + (pairs - to.links) * (1.0 - self.open / self.points * to.open);
        to.sum / counted.powf(0.7)
    }

    /// All heights on the way to the end.
    fn heights(mut self) -> Vec<f64> {
        let mut heights = vec![];
        while !self.left.is_empty() {
            let each = self.left.iter().map(|to| self.height(to)).enumerate();
            let (at, height) = each.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
            heights.push(height);
            self.join(at);
        }
        heights
    }

    fn join(&mut self, at: usize) {
        let next = self.left.remove(at);
        self.points += next.points;
        self.open += next.points * next.open;
        if self.largest.is_none_or(|largest| next.points > largest.points) {
            self.largest = Some(next);
        }
    }

    /// Whether it can end in a cluster, joining all that is not below a height; of heights within a rounding any is the
    /// highest.
    fn ends_in(&self, cluster: Option<u32>, lowest: f64) -> bool {
        let highest = self.left.iter().map(|to| self.height(to)).fold(0.0, f64::max);
        let is_end = self.largest.map(|largest| largest.cluster) == cluster;
        if highest < lowest + 1e-9 && is_end {
            return true;
        }
        let near = |&at: &usize| self.height(&self.left[at]) > highest - 1e-9;
        highest > lowest - 1e-9
            && (0..self.left.len()).filter(near).any(|at| {
                let mut next = self.clone();
                next.join(at);
                next.ends_in(cluster, lowest)
            })
    }
}

proptest! {
    #[test]
    fn without_a_threshold_a_new_point_joins_what_it_is_highest_with_and_what_that_is_high_with(
        base in rows(2..40), new in rows(1..6), k in 2usize..12, sigma in 0.05f64..1.0,
    ) {
        let kernel = Kernel::exp(sigma).unwrap();
        let p = transition_of(&base, k, kernel);
        let cluster = Clusters::new(&p, &Constraints::default(), &Monitor::new()).unwrap().cluster;
        let density = vec![1.0; cluster.len()];
        let clusters = BaseClusters { cluster: &cluster, density: &density, delta: &density };
        let options = AssignOptions { k, kernel: Some(kernel), tau: None };
        let found = assign(&points(&base), &points(&new), clusters, &options, &Monitor::new()).unwrap();
        let alone: Vec<Growing> = new.chunks(DIM).map(|row| {
            let (left, open) = linked_by_rerun(&base, row, &cluster, k, kernel);
            Growing { points: 1.0, open, left, largest: None }
        }).collect();
        // There is a height from which on all have joined.
        let mut heights: Vec<f64> = alone.iter().flat_map(|alone| alone.clone().heights()).collect();
        heights.push(f64::INFINITY);
        let told = heights.iter().any(|&lowest| alone.iter().zip(&found).all(|(alone, found)| {
            alone.ends_in(found.parent.map(|parent| cluster[parent as usize]), lowest)
        }));
        prop_assert!(told, "{heights:?} {found:?}");
    }
}

#[test]
fn without_a_base_or_without_new_points_nothing_is_joined() {
    let (none, one) = (Embeddings::new(vec![], DIM).unwrap(), Embeddings::new(vec![1.0, 0.0, 0.0], DIM).unwrap());
    let [none, one] = [none, one].map(|rows| Points::new(rows, Metric::Cosine, &Monitor::new()).unwrap());
    let of_none = BaseClusters { cluster: &[], density: &[], delta: &[] };
    let of_one = BaseClusters { cluster: &[0], density: &[1.0], delta: &[0.5] };
    for (kernel, tau) in [(Some(Kernel::Exp { sigma: 0.1 }), Some(0.7)), (None, None)] {
        let options = AssignOptions { k: 5, kernel, tau };
        let found = assign(&none, &one, of_none, &options, &Monitor::new()).unwrap();
        assert_eq!(found, [Assignment { parent: None, delta: None, density: 1.0, strength: None }]);
        assert_eq!(assign(&one, &none, of_one, &options, &Monitor::new()).unwrap(), []);
    }
}
