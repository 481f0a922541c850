//! Pairs of points that must share a cluster, and pairs that must not.

use std::fmt::Display;
use std::sync::Arc;

use crate::core::constraints::Constraints;
use crate::core::error::Error;
use crate::engine::prelude::*;
use crate::engine::relation::CollectedKeys;

const OF_PAIRS: RelationName = RelationName { is: "the name of a relation with columns src, dst" };
pub const MUST_LINK: Parameter<OrNull<RelationName>> = Parameter {
    name: "must_link",
    default: DefaultValue::Null,
    takes: OrNull(OF_PAIRS),
    description: "name of a relation with src and dst: pairs that share a cluster. NULL: none",
};
pub const CANNOT_LINK: Parameter<OrNull<RelationName>> = Parameter {
    name: "cannot_link",
    default: DefaultValue::Null,
    takes: OrNull(OF_PAIRS),
    description: "name of a relation with src and dst: pairs that do not share a cluster, such as two faces in one photo. NULL: none",
};

pub const UNKNOWN_IDS: Parameter<Choice<UnknownIds>> = Parameter {
    name: "unknown_ids",
    default: DefaultValue::Text("skip"),
    takes: Choice(|| {
        vec![
            ("skip", UnknownIds::Skip, "a row with one says nothing"),
            ("error", UnknownIds::Error, "one is an error that names it"),
        ]
    }),
    description: "what ids of no point mean in must_link, cannot_link and previous",
};

/// What ids of no point mean in what is given beside the points.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum UnknownIds {
    Skip,
    Error,
}

impl UnknownIds {
    /// Refuses the first id that is not known, where it is an error.
    pub fn check(self, ids: &Arc<Ids>, label: &str, mut known: impl Iterator<Item = bool>) -> Result<()> {
        let unknown =
            |id: &dyn Display| format!("id {id} is none of the points; unknown_ids := 'skip' leaves its rows out");
        match known.position(|known| !known).filter(|_| self == Self::Error) {
            Some(number) => Err(failed(label, ids)(Cause::Point(number as u32, unknown))),
            None => Ok(()),
        }
    }
}

/// Which ids are of points, where that is known before the long work.
pub fn known_before(ids: &Ids, run: &Run<'_>) -> Option<Vec<bool>> {
    let Some(CollectedKeys::Ids(points)) = run.all_points() else { return None };
    let mut known = vec![false; ids.len()];
    ids.numbers_of(points).into_iter().flatten().for_each(|number| known[number as usize] = true);
    Some(known)
}

/// Pairs that must share a cluster, and pairs that must not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GivenPairs {
    must_link: Option<Input<Pairs>>,
    pub cannot_link: Option<Input<Pairs>>,
    pub unknown_ids: UnknownIds,
}

impl GivenPairs {
    /// Those of a call.
    pub fn of(call: &mut Call<'_>) -> Checked<Self> {
        let must_link = call.get(&MUST_LINK)?;
        let must_link = must_link.map(|name| call.read(MUST_LINK.name, name, Pairs::reads()));
        Ok(Self { must_link, ..Self::apart(call)? })
    }

    /// Those of a call that has no `must_link`.
    pub fn apart(call: &mut Call<'_>) -> Checked<Self> {
        let cannot_link = call.get(&CANNOT_LINK)?;
        let cannot_link = cannot_link.map(|name| call.read(CANNOT_LINK.name, name, Pairs::reads()));
        Ok(Self { must_link: None, cannot_link, unknown_ids: call.get(&UNKNOWN_IDS)? })
    }

    pub fn nodes(&self) -> impl Iterator<Item = usize> + use<> {
        [self.must_link, self.cannot_link].into_iter().flatten().map(|input| input.node)
    }

    /// The pairs, checked as far as they can be before the long work.
    pub fn read(&self, run: &mut Run<'_>) -> Result<CheckedPairs> {
        let must_link = self.must_link.map(|pairs| run.read(pairs)).transpose()?;
        let cannot_link = self.cannot_link.map(|pairs| run.read(pairs)).transpose()?;
        if let Some(cannot_link) = &cannot_link {
            cannot_link.check_contradictions(must_link.as_deref())?;
        }
        for pairs in [&must_link, &cannot_link].into_iter().flatten() {
            if let Some(known) = known_before(&pairs.ids, run) {
                pairs.check(known.into_iter(), self.unknown_ids)?;
            }
        }
        Ok(CheckedPairs { must_link, cannot_link, unknown_ids: self.unknown_ids })
    }
}

/// The pairs of a run.
pub struct CheckedPairs {
    must_link: Option<Arc<Pairs>>,
    cannot_link: Option<Arc<Pairs>>,
    unknown_ids: UnknownIds,
}

impl CheckedPairs {
    /// The pairs in the numbers of the points.
    pub fn constraints(&self, points: &Ids) -> Result<Constraints> {
        let of = |pairs: &Option<Arc<Pairs>>| {
            pairs.as_ref().map_or(Ok(vec![]), |pairs| pairs.by_numbers(&pairs.ids.numbers_in(points), self.unknown_ids))
        };
        Ok(Constraints { must_link: of(&self.must_link)?, cannot_link: of(&self.cannot_link)? })
    }

    /// Those that must not share a cluster in the numbers of one set of points after another.
    pub fn cannot_link_in_chain(&self, first: &Ids, second: &Ids) -> Result<Vec<(u32, u32)>> {
        let Some(pairs) = &self.cannot_link else { return Ok(vec![]) };
        let in_second = |number: Option<u32>| number.map(|number| first.len() as u32 + number);
        let numbers = pairs.ids.numbers_in(first).into_iter().zip(pairs.ids.numbers_in(second));
        let numbers = numbers.map(|(of_first, of_second)| of_first.or(in_second(of_second))).collect::<Vec<_>>();
        pairs.by_numbers(&numbers, self.unknown_ids)
    }

    /// What makes an error of `must_link`, which is given.
    pub fn must_link_failed(&self, points: &Arc<Ids>) -> impl Fn(Cause) -> Failure + use<> {
        failed(&self.must_link.as_ref().expect("a pair of it is wrong").label, points)
    }
}

/// Pairs of a relation, their ends numbered by its ids in their order.
#[derive(Debug)]
pub struct Pairs {
    ids: Arc<Ids>,
    ends: Vec<(u32, u32)>,
    label: String,
}

impl Pairs {
    pub fn reads() -> Reads {
        Reads::by_ends("the columns of pairs are src and dst", vec![])
    }

    /// No pairs, of ids of the same type.
    fn none_like(other: &Self) -> Self {
        Self { ids: Arc::new(Ids::none_like(&other.ids)), ends: vec![], label: String::new() }
    }

    /// All ids of the two, and the two as constraints in their numbers.
    fn constraints(cannot_link: &Self, must_link: &Self) -> (Arc<Ids>, Constraints) {
        let used = vec![true; must_link.ids.len()];
        let (all, of_cannot, of_must) = Ids::union(&cannot_link.ids, &must_link.ids, &used);
        let (must_link, cannot_link) = (must_link.renumber(&of_must), cannot_link.renumber(&of_cannot));
        (Arc::new(all), Constraints { must_link, cannot_link })
    }

    /// Names a pair that must and cannot share a cluster.
    fn check_contradictions(&self, must_link: Option<&Self>) -> Result<()> {
        let none = Self::none_like(self);
        let (all, constraints) = Self::constraints(self, must_link.unwrap_or(&none));
        constraints.check(all.len()).map_err(failed(&self.label, &all))
    }

    /// Each pair in other numbers, those of all ids.
    fn renumber(&self, numbers: &[u32]) -> Vec<(u32, u32)> {
        self.ends.iter().map(|&(a, b)| (numbers[a as usize], numbers[b as usize])).collect()
    }

    /// Refuse pairs of something else, and ids that are unknown where they are an error.
    fn check(&self, known: impl Iterator<Item = bool> + Clone, unknown_ids: UnknownIds) -> Result<()> {
        if self.ids.len() > 0 && !known.clone().any(|known| known) {
            let error = "none of its ids is one of the points; src and dst must hold ids of points";
            return Err(Failure::of(&self.label, Error::Input(error.into())));
        }
        unknown_ids.check(&self.ids, &self.label, known)
    }

    /// Each pair in these numbers of its ids, but for those of an id that has none.
    fn by_numbers(&self, numbers: &[Option<u32>], unknown_ids: UnknownIds) -> Result<Vec<(u32, u32)>> {
        self.check(numbers.iter().map(Option::is_some), unknown_ids)?;
        let pair = |&(a, b): &(u32, u32)| Some((numbers[a as usize]?, numbers[b as usize]?));
        Ok(self.ends.iter().filter_map(pair).collect())
    }
}

impl FromRows for Pairs {
    fn from_rows(rows: Collected, label: &str, _: &Run<'_>) -> Result<Self> {
        let CollectedKeys::Ends { ids, src, dst } = rows.keys else { unreachable!("the relation has a row a pair") };
        let (ids, places) = ids.sorted();
        let ends = src.iter().zip(&dst).map(|(&a, &b)| (places[a as usize], places[b as usize])).collect();
        Ok(Self { ids: Arc::new(ids), ends, label: label.into() })
    }
}
