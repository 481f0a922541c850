use super::*;
use crate::sparse::from_edges;
