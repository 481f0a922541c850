//! Properties of the library on random inputs, in one program: each more would be linked anew.

mod assign;
mod constraints;
mod partitions;
mod stages;
