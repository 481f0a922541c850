//! What the file of an operator needs to declare it.

pub use super::failure::{Cause, Failure, Result, failed};
pub use super::ids::Ids;
pub use super::operator::{Extent, FromRows, Input, Operator, Run};
pub use super::parameter::*;
pub use super::plan::{Call, Function};
pub use super::refusal::Result as Checked;
pub use super::relation::{Collected, Field, Null, Reads, Sorted};
pub use super::table::*;
