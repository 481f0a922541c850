//! Ids of any type: how they are read from vectors, and given back.
//!
//! Types of at most eight bytes are kept as a number that orders as the type does; wider numbers,
//! text and blobs as bytes that do. Of every other type the values are kept, beside bytes that
//! order as they do: DuckDB's own sort key, but where DuckDB itself orders by something else.
//! Where values are only to be told apart, digests of them are enough ([`read_distinct`]).

mod distinct;
mod id_type;
mod keys;
mod nested;
mod storage;
mod write;

pub use distinct::{Digest, Distinct, read_distinct};
pub use id_type::{IdType, NATIVE_TYPES};
