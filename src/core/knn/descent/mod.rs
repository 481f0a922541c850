//! Approximate neighbors by NN-descent (Dong, Moses and Li, WWW 2011): a neighbor of a neighbor is
//! likely to be a neighbor.
//!
//! In the terms of the paper: every point has a list of neighbors, B, each flagged new or old, and an
//! iteration makes the local join of every point: of its neighbors and its reverse neighbors, each new one
//! with each other. What is different here:
//!
//! - The lists do not begin at random, but with the best of overlapping [cells], each of the points
//!   that are nearest to one pivot, and of a point's [group](groups), of points that have each other near
//!   the top. After these most of what is near is known, and an iteration or two do.
//! - Only a point's [nearest neighbors](JOINED) are joined, and a [sample](reverse) of about one number of those
//!   that have it among theirs.
//! - A join is made of products in 8 bits, see [`Codes`]. The exact distances only order what is left at
//!   the end.
//! - [Equal rows](super::copies) stand for each other at the end, whichever of them a list has.
//! - The updates of a batch of joins are [sorted](updates) by the point that they are for before its list
//!   takes them, so that memory is written in order, and the graph does not depend on the threads.

mod cells;
mod groups;
mod join;
mod lists;
mod neighbor;
mod reverse;
mod updates;

use std::ops::Range;

use rayon::prelude::*;

use super::candidate::{Candidate, sort_exact, write};
use super::copies::Copies;
use super::graph::KnnGraph;
use super::products::{Codes, Scale};
use super::search::Search;
use crate::core::error::Result;
use crate::core::monitor::{Monitor, Phase};
use cells::Cells;
use groups::Groups;
use join::Join;
use lists::{JOINED, NeighborLists, width};
use neighbor::Neighbor;
use reverse::ReverseNeighbors;
use updates::{Update, Updates};

/// Dimensions at most.
pub(super) const LARGEST_DIM: usize = Codes::LARGEST_DIM;

/// Points whose pairs are all joined, at most: a cell or group of more is cut, since its pairs grow with
/// their square.
const LARGEST: usize = 16_000;

/// Cells in a batch, for each thread: enough that threads end together, few enough that their updates take
/// less memory than those of an iteration.
const CELLS_AT_ONCE: usize = 8;

/// Points in a batch of local joins, and of those that one thread makes one after another. The larger the
/// batch, the longer a point's limit is that of before the batch, and the more useless updates are made and
/// kept; the smaller, the more often all lists are passed through.
const BATCH: usize = 1 << 13;
const UNIT: usize = 64;

/// Updates by a point's local join, about, to estimate memory by.
const UPDATES: usize = 150;

/// Iterations at most. In later ones little is new, and the graph is only approximate anyway.
const ITERATIONS: i32 = 3;

/// The precision parameter delta of the paper: an iteration after which fewer than this share of the neighbors that are
/// [joined](JOINED) are new is the last. (The paper counts updates, and proposes 0.001; here the first iteration starts
/// from lists that are nearly right.)
const DELTA: f64 = 0.07;

/// Rows that are written at a time.
const ROWS: usize = 64;

/// Neighbors that wait to be copied to their rows, about.
const WRITTEN: usize = 1 << 20;

/// Parts of the run, by the time that a million points of 256 dimensions took. The first iteration has
/// three quarters of what is left before the writing, the next, where there is one, three quarters of the rest.
const CELLS_FOUND: f64 = 0.12;
const CELLS_JOINED: f64 = 0.57;
const GROUPS_JOINED: f64 = 0.59;
const WRITING: Range<f64> = 0.82..1.0;

/// Peak bytes: of the search for the cells, or of an iteration.
pub(super) fn memory(n: usize, k: usize, dim: usize, threads: usize) -> u64 {
    let (finding, held) = Cells::memory(n, dim, threads);
    // Lists, and for each point its limit, its group, its place in their order and its reverse neighbors.
    let lists = n * (width(k) * size_of::<Neighbor>() + 12 + (JOINED + 4) * 4);
    let of_cells = n.min(CELLS_AT_ONCE * threads * Cells::points_in_one(n, k)) * width(k);
    let updates = of_cells.max(n.min(BATCH) * UPDATES) * size_of::<Update>();
    finding.max(held + (n * Codes::row_bytes(dim) + lists + updates) as u64)
}

/// The neighbors of these rows among each other, which are more than `k`.
pub(super) fn search_among(
    search: &Search,
    copies: &Copies,
    among: &[u32],
    graph: &mut KnnGraph,
    monitor: &Monitor,
) -> Result<()> {
    if among.len() == search.base.len() {
        return self::search(search, copies, graph, monitor);
    }
    let base = &search.base.select(among);
    let mut found = KnnGraph::empty(among.len(), graph.k);
    self::search(&Search { base, ..*search }, &Copies::new(base, None, monitor)?, &mut found, monitor)?;
    *graph = found.renumber(graph.rows, among, among);
    Ok(())
}

pub(super) fn search(search: &Search, copies: &Copies, graph: &mut KnnGraph, monitor: &Monitor) -> Result<()> {
    let (n, k) = (search.base.len(), graph.k);
    let scale = Scale::new(search, monitor)?;
    let cells = Cells::new(search, k, &scale, 0.0..CELLS_FOUND, monitor)?;
    let codes = Codes::new(search, &cells.rows, &scale, monitor)?;
    drop(scale);
    let mut lists = NeighborLists::new(n, k);
    let all_pairs = |join: &mut Join, lists: &NeighborLists, points: &[u32], updates: &mut Updates| {
        join.all_pairs(&codes, lists, points, updates, monitor)
    };
    let parts = cells.parts(LARGEST);
    let phase = monitor.phase(CELLS_FOUND..CELLS_JOINED, parts.len());
    for parts in parts.chunks(CELLS_AT_ONCE * rayon::current_num_threads()) {
        let updates = join(&lists, parts, &phase, &all_pairs)?;
        lists.update(&updates, monitor)?;
    }
    let groups = Groups::new(&lists, monitor)?;
    let parts = groups.parts(LARGEST);
    let phase = monitor.phase(CELLS_JOINED..GROUPS_JOINED, parts.len());
    for parts in parts.chunks(BATCH) {
        let updates = join(&lists, parts, &phase, &all_pairs)?;
        lists.update(&updates, monitor)?;
    }

    let units: Vec<&[u32]> = groups.order.chunks(UNIT).collect();
    for iteration in 0..ITERATIONS {
        let begin = |iteration: i32| WRITING.start - (WRITING.start - GROUPS_JOINED) * 0.25f64.powi(iteration);
        let phase = monitor.phase(begin(iteration)..begin(iteration + 1), units.len());
        let reverse = ReverseNeighbors::new(&lists, iteration as u64, monitor)?;
        let local = |join: &mut Join, lists: &NeighborLists, centers: &[u32], updates: &mut Updates| {
            join.local(&codes, lists, &reverse, centers, &groups.of, updates, monitor)
        };
        for units in units.chunks(BATCH / UNIT) {
            let updates = join(&lists, units, &phase, &local)?;
            lists.make_old(units);
            lists.update(&updates, monitor)?;
        }
        if (lists.new_neighbors() as f64) < DELTA * (n * JOINED) as f64 {
            break;
        }
    }

    drop(codes);
    write_exact(search, copies, &lists, &cells.rows, graph, monitor)
}

/// The `k` nearest of each list by their exact distances, to the graph's rows. As near points have near numbers, the rows
/// that one after another is compared with are often in the cache.
fn write_exact(
    search: &Search,
    copies: &Copies,
    lists: &NeighborLists,
    rows: &[u32],
    graph: &mut KnnGraph,
    monitor: &Monitor,
) -> Result<()> {
    let k = graph.k;
    let phase = monitor.phase(WRITING, rows.len().div_ceil(ROWS));
    let at_once = (WRITTEN / k / ROWS).max(1) * ROWS;
    let mut nearest_of = vec![Candidate::ABSENT; at_once.min(rows.len()) * k];
    for (part, rows_of_part) in rows.chunks(at_once).enumerate() {
        let units = nearest_of.par_chunks_mut(ROWS * k).zip(rows_of_part.par_chunks(ROWS)).enumerate();
        units.try_for_each_init(
            || (Vec::new(), Vec::new()),
            |(candidates, nearest), (unit, (places, unit_rows))| {
                phase.step()?;
                for (at, (&row, places)) in unit_rows.iter().zip(places.chunks_exact_mut(k)).enumerate() {
                    let near = lists.of((part * at_once + unit * ROWS + at) as u32).iter();
                    let near = near.map(|neighbor| rows[neighbor.point() as usize]);
                    candidates.clear();
                    candidates.extend(near.chain([row]).map(|row| Candidate::new(0.0, copies.first(row))));
                    candidates.sort_unstable();
                    candidates.dedup();
                    sort_exact(candidates, row, search);
                    copies.nearest(candidates, row, k, nearest);
                    places[..nearest.len()].copy_from_slice(nearest);
                    places[nearest.len()..].fill(Candidate::ABSENT);
                }
                Ok(())
            },
        )?;
        for (nearest, &row) in nearest_of.chunks_exact(k).zip(rows_of_part) {
            let places = row as usize * k..(row as usize + 1) * k;
            let found = nearest.iter().take_while(|&&candidate| candidate != Candidate::ABSENT).count();
            write(&nearest[..found], &mut graph.neighbors[places.clone()], &mut graph.distances[places]);
        }
    }
    Ok(())
}

/// What the joins of these points find; each step of the phase is one of them.
fn join(
    lists: &NeighborLists,
    joins: &[&[u32]],
    phase: &Phase,
    action: &(impl Fn(&mut Join, &NeighborLists, &[u32], &mut Updates) -> Result<()> + Sync),
) -> Result<Vec<Updates>> {
    // More parts than threads, so that all of these end at about the same time.
    let part = joins.len().div_ceil(4 * rayon::current_num_threads()).max(1);
    let parts = joins.par_chunks(part).map_init(Join::default, |join, joins| {
        let mut updates = Updates::none(lists.len());
        for points in joins {
            phase.step()?;
            action(join, lists, points, &mut updates)?;
        }
        Ok(updates)
    });
    parts.collect()
}
