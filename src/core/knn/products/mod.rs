//! Inner products of two blocks of rows in whole numbers, precise enough to tell which pairs can be
//! neighbors, and several times as fast as single precision.
//!
//! The rows are those less their [centre](mod@scale). With one scale for all of them, `x = scale * q + r` with
//! `q` of 16-bit whole numbers and `r` what rounding leaves. So `<x, y>` is `scale^2 <q_x, q_y>`, off by at most `|r_x| |y| + |x| |r_y| +
//! |r_x| |r_y|` (Cauchy-Schwarz), and the sum of whole numbers has no error of its own. The [tiles](mod@tiles)
//! go by 8-bit whole numbers first, in the same way.

mod arch;
mod codes;
mod hits;
mod kernel;
mod multiplier;
mod packed;
mod scale;
mod tiles;
mod wanted;

pub(super) use codes::{Codes, Hit, Panel};
pub(super) use multiplier::Multiplier;
pub(super) use scale::{ANY, NONE, Scale};
pub(super) use tiles::RUN;
pub(super) use wanted::Wanted;
