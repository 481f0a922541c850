//! Pairs of points that must share a cluster, and pairs that must not.

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

/// Pairs that must share a cluster, and pairs that must not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GivenPairs {
    pub must_link: Option<Input<Pairs>>,
    pub cannot_link: Option<Input<Pairs>>,
}

impl GivenPairs {
    /// Those of a call.
    pub fn of(call: &mut Call<'_>) -> Checked<Self> {
        let (must_link, cannot_link) = (call.get(&MUST_LINK)?, call.get(&CANNOT_LINK)?);
        let must_link = must_link.map(|name| call.read(MUST_LINK.name, name, Pairs::reads()));
        let cannot_link = cannot_link.map(|name| call.read(CANNOT_LINK.name, name, Pairs::reads()));
        Ok(Self { must_link, cannot_link })
    }

    pub fn nodes(&self) -> impl Iterator<Item = usize> + use<> {
        [self.must_link, self.cannot_link].into_iter().flatten().map(|input| input.node)
    }
}

/// Pairs of a relation, their ends numbered by its ids in their order.
#[derive(Debug)]
pub struct Pairs {
    ids: Arc<Ids>,
    ends: Vec<(u32, u32)>,
    pub label: String,
}

impl Pairs {
    pub fn reads() -> Reads {
        Reads::by_ends("the columns of pairs are src and dst", vec![])
    }

    /// The pairs that an input gives.
    pub fn of(run: &mut Run<'_>, input: Input<Self>) -> Result<Arc<Self>> {
        run.read(input)
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
    pub fn check_contradictions(must_link: Option<&Self>, cannot_link: &Self) -> Result<()> {
        let none = Self::none_like(cannot_link);
        let (all, constraints) = Self::constraints(cannot_link, must_link.unwrap_or(&none));
        constraints.check(all.len()).map_err(failed(&cannot_link.label, &all))
    }

    /// Each pair in other numbers, those of all ids.
    fn renumber(&self, numbers: &[u32]) -> Vec<(u32, u32)> {
        self.ends.iter().map(|&(a, b)| (numbers[a as usize], numbers[b as usize])).collect()
    }

    /// Refuse pairs of something else.
    fn check(&self, mut known: impl Iterator<Item = bool>) -> Result<()> {
        if self.ids.len() == 0 || known.any(|known| known) {
            return Ok(());
        }
        let error = "none of its ids is one of the points; src and dst must hold ids of points";
        Err(Failure::of(&self.label, Error::Input(error.into())))
    }

    /// Each pair in the numbers of the points, but for those of a point that is no longer there.
    pub fn numbered(&self, points: &Ids) -> Result<Vec<(u32, u32)>> {
        self.by_numbers(&self.ids.numbers_in(points))
    }

    /// Likewise in those of one set of points after another.
    pub fn numbered_in_chain(&self, first: &Ids, second: &Ids) -> Result<Vec<(u32, u32)>> {
        let in_second = |number: Option<u32>| number.map(|number| first.len() as u32 + number);
        let numbers = self.ids.numbers_in(first).into_iter().zip(self.ids.numbers_in(second));
        self.by_numbers(&numbers.map(|(of_first, of_second)| of_first.or(in_second(of_second))).collect::<Vec<_>>())
    }

    fn by_numbers(&self, numbers: &[Option<u32>]) -> Result<Vec<(u32, u32)>> {
        self.check(numbers.iter().map(Option::is_some))?;
        let pair = |&(a, b): &(u32, u32)| Some((numbers[a as usize]?, numbers[b as usize]?));
        Ok(self.ends.iter().filter_map(pair).collect())
    }
}

impl FromRows for Pairs {
    fn from_rows(rows: Collected, label: &str, run: &Run<'_>) -> Result<Self> {
        let CollectedKeys::Ends { ids, src, dst } = rows.keys else { unreachable!("the relation has a row a pair") };
        let (ids, places) = ids.sorted();
        let ends = src.iter().zip(&dst).map(|(&a, &b)| (places[a as usize], places[b as usize])).collect();
        let pairs = Self { ids: Arc::new(ids), ends, label: label.into() };
        if let Some(CollectedKeys::Ids(points)) = run.all_points() {
            let mut known = vec![false; pairs.ids.len()];
            pairs.ids.numbers_of(points).into_iter().flatten().for_each(|number| known[number as usize] = true);
            pairs.check(known.into_iter())?;
        }
        Ok(pairs)
    }
}
