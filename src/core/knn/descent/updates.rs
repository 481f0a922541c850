//! What the joins find, kept until the lists take it.

use super::neighbor::Neighbor;

/// Points whose updates are kept together, and are merged into their lists by one thread: few enough
/// that their lists stay in the second-level cache, many enough that writing an update goes to one of
/// few places.
pub const RANGE: usize = 1 << 12;

/// A neighbor found for a point.
#[derive(Debug, Clone, Copy)]
pub struct Update {
    of: u32,
    neighbor: Neighbor,
}

/// What was found, by ranges of points.
pub struct Updates(Vec<Vec<Update>>);

impl Updates {
    /// None yet, for `n` points.
    pub fn none(n: usize) -> Self {
        Self(vec![Vec::new(); n.div_ceil(RANGE)])
    }

    #[inline(always)]
    pub fn push(&mut self, of: u32, neighbor: Neighbor) {
        self.0[of as usize / RANGE].push(Update { of, neighbor });
    }

    /// The updates of one range.
    pub fn of(&self, range: usize) -> &[Update] {
        &self.0[range]
    }
}

/// The updates of a range of points, point by point.
#[derive(Default)]
pub struct SortedUpdates {
    ends: Vec<usize>,
    neighbors: Vec<Neighbor>,
    merged: Vec<Neighbor>,
}

impl SortedUpdates {
    pub fn sort<'a>(&mut self, updates: impl Iterator<Item = &'a Update> + Clone, points: usize) {
        let Self { ends, neighbors, .. } = self;
        ends.clear();
        ends.resize(points + 1, 0);
        updates.clone().for_each(|update| ends[update.of as usize % RANGE + 1] += 1);
        (1..ends.len()).for_each(|at| ends[at] += ends[at - 1]);
        neighbors.clear();
        neighbors.resize(ends[points], Neighbor::ABSENT);
        for update in updates {
            // Afterwards, each start is where the next one was.
            let place = &mut ends[update.of as usize % RANGE];
            neighbors[*place] = update.neighbor;
            *place += 1;
        }
    }

    /// Merge the updates of a point into its list. A neighbor that the list has already is an old one, and
    /// comes before itself as a new one.
    pub fn merge(&mut self, at: usize, list: &mut [Neighbor]) {
        let Self { ends, neighbors, merged } = self;
        let start = if at == 0 { 0 } else { ends[at - 1] };
        let updates = &mut neighbors[start..ends[at]];
        if updates.is_empty() {
            return;
        }
        updates.sort_unstable();
        merged.clear();
        let (mut held, mut found) = (list.iter().copied().peekable(), updates.iter().copied().peekable());
        while merged.len() < list.len() {
            let next = match (held.peek(), found.peek()) {
                (Some(one), Some(other)) if other < one => found.next(),
                (Some(_), _) => held.next(),
                (None, _) => found.next(),
            };
            match next {
                None | Some(Neighbor::ABSENT) => break,
                Some(next) if merged.last().is_some_and(|last| last.is_same(next)) => {}
                Some(next) => merged.push(next),
            }
        }
        list[..merged.len()].copy_from_slice(merged);
    }
}
