//! What an SQL user reads of an error: what is wrong, as the core says it, and the way out, in the words of
//! SQL: relations, columns and named arguments.

use std::fmt::Display;

use crate::core::error::{EdgeProblem, Error, PointProblem};

/// Where the other rows of the kind are to be found.
const ALL_LISTED: &str = "invalid_rows(...) lists all such rows";

/// The message about the point with this id.
pub fn point(problem: &PointProblem, id: &dyn Display) -> String {
    let named = problem.of(format_args!("id {id}"));
    let way_out = match problem {
        PointProblem::ZeroVector => "leave the row out or use metric := 'l2sq'",
        PointProblem::TooLong => "scale the embeddings down",
        PointProblem::Empty
        | PointProblem::NullEmbedding
        | PointProblem::NotFinite
        | PointProblem::Dimensions { .. } => "leave the row out",
        PointProblem::DuplicateId => return format!("{named}; ids must be unique"),
        PointProblem::TooShort => return format!("{named}; scale the embeddings up or use metric := 'cosine'"),
        PointProblem::RowSum(_) => {
            return format!("{}; make them with transition_matrix(...)", problem.of(format_args!("src {id}")));
        }
        PointProblem::Circle => return format!("{named}; clusters are made by dpc_cluster(...)"),
        PointProblem::Density(_) => return named,
    };
    format!("{named}; {way_out}; {ALL_LISTED}")
}

/// The message about the edge between these ids.
pub fn edge(problem: &EdgeProblem, src: &dyn Display, dst: &dyn Display) -> String {
    let named = problem.of(src, dst);
    match problem {
        EdgeProblem::Duplicate => format!("{named}; keep one of its rows"),
        EdgeProblem::BelowZero(distance) => format!(
            "the distance of edge {src} -> {dst} is {distance}; it must be at least 0, so under metric 'ip' the \
             embeddings must not be longer than 1; use 'cosine'"
        ),
        EdgeProblem::Value { .. } => named,
    }
}

/// The message about ids of which the first and the last may not share a cluster, and each must with the next.
fn contradiction(chain: &[String]) -> String {
    match chain {
        [first, .., last] => format!(
            "the pair {first}, {last} cannot be kept apart: must_link joins {}; leave out one of these pairs",
            chain.join(" - ")
        ),
        _ => format!("the pair {0}, {0} cannot be kept apart: it is one point; leave it out", chain.concat()),
    }
}

/// The message of an error, with each row number replaced by what `id` makes of it.
pub fn message(error: &Error, id: impl Fn(u32) -> String) -> String {
    match error {
        Error::Point { row, problem } => point(problem, &id(*row)),
        Error::Edge { src, dst, problem } => edge(problem, &id(*src), &id(*dst)),
        Error::Contradiction { chain } => contradiction(&chain.iter().map(|&row| id(row)).collect::<Vec<_>>()),
        Error::NoClusterIdLeft { greatest } => {
            format!("the greatest cluster_id is {greatest}, so that no number is left above it")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ids are letters: a for row 0.
    fn read(error: Error) -> String {
        message(&error, |row| char::from(b'a' + row as u8).to_string())
    }

    fn of_point(problem: PointProblem) -> String {
        read(Error::Point { row: 1, problem })
    }

    fn of_edge(problem: EdgeProblem) -> String {
        read(Error::Edge { src: 0, dst: 1, problem })
    }

    #[test]
    fn a_message_about_a_point_names_its_id_and_the_way_out() {
        let messages = [
            (PointProblem::DuplicateId, "id b occurs more than once; ids must be unique"),
            (
                PointProblem::ZeroVector,
                "the embedding of id b is a zero vector, which has no cosine distance; leave the row out or use metric := 'l2sq'; invalid_rows(...) lists all such rows",
            ),
            (
                PointProblem::NotFinite,
                "the embedding of id b contains NaN or infinity; leave the row out; invalid_rows(...) lists all such rows",
            ),
            (
                PointProblem::TooLong,
                "the embedding of id b is too long for single precision; scale the embeddings down; invalid_rows(...) lists all such rows",
            ),
            (
                PointProblem::TooShort,
                "the embeddings are too short for single precision, in which their squared distances become 0; the longest is that of id b; scale the embeddings up or use metric := 'cosine'",
            ),
            (
                PointProblem::Dimensions { found: 3, expected: 4 },
                "the embedding of id b has 3 dimensions, others have 4; leave the row out; invalid_rows(...) lists all such rows",
            ),
            (
                PointProblem::Empty,
                "the embedding of id b is empty; leave the row out; invalid_rows(...) lists all such rows",
            ),
            (
                PointProblem::NullEmbedding,
                "the embedding of id b is NULL or contains NULL; leave the row out; invalid_rows(...) lists all such rows",
            ),
            (
                PointProblem::RowSum(0.5),
                "the probabilities of src b sum to 0.5, not to 1; make them with transition_matrix(...)",
            ),
            (PointProblem::Density(-1.0), "the density of id b is -1; a density is a finite number of at least 0"),
            (PointProblem::Circle, "the parents of id b lead back to it; clusters are made by dpc_cluster(...)"),
        ];
        for (problem, message) in messages {
            assert_eq!(of_point(problem), message);
        }
    }

    #[test]
    fn a_message_about_an_edge_names_its_ids_and_the_way_out() {
        let value = EdgeProblem::Value { name: "similarity", value: 2.0, range: "between 0 and 1" };
        let messages = [
            (EdgeProblem::Duplicate, "the edge a -> b occurs more than once; keep one of its rows"),
            (value, "the similarity of edge a -> b is 2; it must be between 0 and 1"),
            (
                EdgeProblem::BelowZero(-0.5),
                "the distance of edge a -> b is -0.5; it must be at least 0, so under metric 'ip' the embeddings must not be longer than 1; use 'cosine'",
            ),
        ];
        for (problem, message) in messages {
            assert_eq!(of_edge(problem), message);
        }
    }

    #[test]
    fn a_message_about_a_pair_that_cannot_be_kept_apart_names_what_joins_it() {
        assert_eq!(
            read(Error::Contradiction { chain: vec![2, 0, 1] }),
            "the pair c, b cannot be kept apart: must_link joins c - a - b; leave out one of these pairs"
        );
        let itself = read(Error::Contradiction { chain: vec![1] });
        assert_eq!(itself, "the pair b, b cannot be kept apart: it is one point; leave it out");
    }

    #[test]
    fn other_messages_are_those_of_the_core() {
        assert_eq!(
            read(Error::NoClusterIdLeft { greatest: 7 }),
            "the greatest cluster_id is 7, so that no number is left above it"
        );
        let range = Error::Parameter { name: "tau", range: "between 0 and 1".into(), value: "2".into() };
        assert_eq!(read(range), "tau must be between 0 and 1, got 2");
    }
}
