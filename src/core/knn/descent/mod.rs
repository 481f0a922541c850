//! Approximate neighbors by NN-descent (Dong, Moses and Li, WWW 2011): a neighbor of a neighbor is
//! likely to be a neighbor.
//!
//! Every point begins with the best of a few overlapping cells, each of the points that are nearest
//! to one pivot, and of its group, of points that have each other near the top. Then, in each round,
//! every point introduces those that it knows, and some of those that know it, to each other. Only
//! pairs with a newcomer need to be looked at.
//!
//! All of these are meetings: the products of the pairs of some points in 8 bits, see [`Codes`]. The
//! exact distances only order what is left at the end. What the meetings of a batch find is sorted by
//! the point that it is for before that point takes it, so that memory is written in order, and the
//! graph does not depend on the threads.

mod cells;
mod lists;
mod meeting;

use rayon::prelude::*;

use super::candidate::{Candidate, sort_exact, write};
use super::products::{Codes, Scale};
use super::{KnnGraph, Search, exact};
use crate::core::error::Result;
use crate::core::monitor::{Monitor, Phase};
use cells::{CELLS, Cells};
use lists::{Admirers, Find, Finds, Lists, SAMPLE, SPARE};
use meeting::Meeting;

/// Dimensions at most.
pub(super) const LARGEST_DIM: usize = Codes::LARGEST_DIM;

/// Points of a meeting of all pairs, at most.
const LARGEST: usize = 16_000;

/// Cells in a batch, for each thread.
const CELLS_AT_ONCE: usize = 8;

/// Points in a batch of introductions, and of those that one thread makes one after another.
const BATCH: usize = 1 << 13;
const UNIT: usize = 64;

/// Finds of a point's introductions, about.
const FINDS: usize = 1000;

/// Rounds at most.
const ROUNDS: usize = 4;

/// A round after which fewer of all that are known are newcomers is the last.
const NEWS: f64 = 0.01;

/// Rows that are written at a time.
const ROWS: usize = 64;

/// Peak bytes: of the search for the cells, or of a round.
pub(super) fn memory(n: usize, k: usize, dim: usize) -> u64 {
    let cells = exact::memory(n, CELLS) + (n * CELLS * 16) as u64;
    let lists = n * ((k + SPARE) * 8 + (SAMPLE + CELLS) * 4 + 40);
    let finds = n.min(BATCH) * FINDS * size_of::<Find>();
    (n * Codes::row_bytes(dim)) as u64 + cells.max((lists + finds) as u64)
}

pub(super) fn search(search: &Search, graph: &mut KnnGraph, monitor: &Monitor) -> Result<()> {
    let (n, k) = (search.base.len(), graph.k);
    let codes = Codes::new(search, &Scale::new(search), monitor)?;
    let cells = Cells::new(search, 0.0..0.1, monitor)?;
    let mut lists = Lists::new(n, k);
    let all_pairs = |meeting: &mut Meeting, lists: &Lists, points: &[u32], finds: &mut Finds| {
        meeting.all_pairs(&codes, lists, points, finds, monitor)
    };
    let meetings = cells.meetings(LARGEST);
    let phase = monitor.phase(0.1..0.35, meetings.len());
    for meetings in meetings.chunks(CELLS_AT_ONCE * rayon::current_num_threads()) {
        let finds = meet(&lists, meetings, &phase, &all_pairs)?;
        lists.take(&finds, monitor)?;
    }
    let groups = lists.groups(&cells, monitor)?;
    let meetings = groups.meetings(LARGEST);
    let phase = monitor.phase(0.35..0.4, meetings.len());
    for meetings in meetings.chunks(BATCH) {
        let finds = meet(&lists, meetings, &phase, &all_pairs)?;
        lists.take(&finds, monitor)?;
    }

    let units: Vec<&[u32]> = groups.order.chunks(UNIT).collect();
    for round in 0..ROUNDS {
        let share = |round: usize| 0.4 + 0.5 * round as f64 / ROUNDS as f64;
        let phase = monitor.phase(share(round)..share(round + 1), units.len());
        let admirers = Admirers::new(&lists, round, monitor)?;
        let introduce = |meeting: &mut Meeting, lists: &Lists, points: &[u32], finds: &mut Finds| {
            meeting.introduce(&codes, lists, &admirers, points, &groups.of, finds, monitor)
        };
        for units in units.chunks(BATCH / UNIT) {
            let finds = meet(&lists, units, &phase, &introduce)?;
            lists.introduced(units);
            lists.take(&finds, monitor)?;
        }
        if (lists.newcomers() as f64) < NEWS * (n * k) as f64 {
            break;
        }
    }

    drop(codes);
    let phase = monitor.phase(0.9..1.0, n.div_ceil(ROWS));
    let rows = graph.neighbors.par_chunks_mut(ROWS * k).zip(graph.distances.par_chunks_mut(ROWS * k));
    rows.enumerate().try_for_each_init(Vec::new, |candidates, (unit, (neighbors, distances))| {
        phase.step()?;
        for place in 0..neighbors.len() / k {
            let row = (unit * ROWS + place) as u32;
            candidates.clear();
            candidates.extend(lists.of(row).iter().map(|known| Candidate::new(0.0, known.point())));
            sort_exact(candidates, row, search);
            candidates.truncate(k);
            write(candidates, &mut neighbors[place * k..][..k], &mut distances[place * k..][..k]);
        }
        Ok(())
    })
}

/// What the meetings find; each step of the phase is one of them.
fn meet(
    lists: &Lists,
    meetings: &[&[u32]],
    phase: &Phase,
    action: &(impl Fn(&mut Meeting, &Lists, &[u32], &mut Finds) -> Result<()> + Sync),
) -> Result<Vec<Finds>> {
    // More parts than threads, so that all of these end at about the same time.
    let part = meetings.len().div_ceil(4 * rayon::current_num_threads()).max(1);
    let parts = meetings.par_chunks(part).map_init(Meeting::default, |meeting, meetings| {
        let mut finds = lists.no_finds();
        for points in meetings {
            phase.step()?;
            action(meeting, lists, points, &mut finds)?;
        }
        Ok(finds)
    });
    parts.collect()
}
