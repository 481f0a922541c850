//! Keys that order as DuckDB orders the values that they are made of.

pub(super) const SIGN: u64 = 1 << 63;

pub(super) fn wide_bytes([lower, upper]: [u64; 2], signed: bool) -> [u8; 16] {
    let upper = if signed { upper ^ SIGN } else { upper };
    ((u128::from(upper) << 64) | u128::from(lower)).to_be_bytes()
}

pub(super) fn wide_number(bytes: &[u8], signed: bool) -> [u64; 2] {
    let number = u128::from_be_bytes(bytes.try_into().unwrap_or_default());
    let upper = (number >> 64) as u64;
    [number as u64, if signed { upper ^ SIGN } else { upper }]
}

/// Intervals compare by their length, with months of 30 days of 24 hours.
pub(super) fn interval_key([months_days, micros]: [u64; 2]) -> [u8; 16] {
    let (months, days) = (months_days as u32 as i32, (months_days >> 32) as u32 as i32);
    let days = i128::from(months) * 30 + i128::from(days);
    let length = days * 86_400_000_000 + i128::from(micros as i64);
    ((length as u128) ^ (1 << 127)).to_be_bytes()
}

/// A time (40 bits, microseconds) and its offset (24 bits, seconds) compare by the time at UTC.
pub(super) fn time_tz_key(bits: u64) -> [u8; 8] {
    let offset = bits & 0xff_ffff;
    bits.wrapping_add((offset * 1_000_000) << 24).to_be_bytes()
}

/// Bits compare as the text of their digits. They fill bytes from the end; the first byte says
/// how many places of the second are not used.
pub(super) fn bit_key(bytes: &[u8]) -> Vec<u8> {
    let (unused, bytes) = bytes.split_first().map_or((0, bytes), |(unused, bytes)| (usize::from(*unused), bytes));
    let digits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |place| b'0' + (byte >> place & 1)));
    digits.skip(unused).collect()
}

/// One for both zeros, and one for every NaN.
pub(super) fn float_key(value: f64) -> u64 {
    match value {
        0.0 => 0,
        value if value.is_nan() => f64::NAN.to_bits(),
        value => value.to_bits(),
    }
}
