//! Attention over several caches: un-normalised states, merged and finished.
//!
//! SPDX-License-Identifier: MIT
use crate::error::{plain, Error, Result};
use sinkattn_sys as sys;

/// The state of a softmax over some keys, as [`crate::Step::partial`] gives it: `max` and `sum` of each row, and
/// v_head_dim sums of values.
pub struct Partial<'a> {
    max: &'a mut [f32],
    sum: &'a mut [f32],
    acc: &'a mut [f32],
    dim: i32,
}

impl<'a> Partial<'a> {
    /// Of slices with (rows), (rows) and (rows, v_head_dim) elements.
    pub fn new(max: &'a mut [f32], sum: &'a mut [f32], acc: &'a mut [f32], v_head_dim: u32) -> Result<Self> {
        let elements = max.len().checked_mul(v_head_dim as usize);
        match i32::try_from(v_head_dim) {
            Ok(dim) if dim > 0 && sum.len() == max.len() && elements == Some(acc.len()) => {
                Ok(Partial { max, sum, acc, dim })
            }
            _ => Err(Error::Argument("max and sum must have one element a row, acc v_head_dim, of equally many rows")),
        }
    }

    /// Becomes the state over both sets of keys.
    pub fn merge(&mut self, other: &Partial<'_>) -> Result<()> {
        if self.max.len() != other.max.len() || self.dim != other.dim {
            return Err(Error::Argument("both states must have equally many rows and dims"));
        }
        // SAFETY: the lengths are checked, and `self` is borrowed alone.
        plain(unsafe {
            sys::sa_merge_partial(
                self.max.len() as i64,
                self.dim,
                self.max.as_mut_ptr(),
                self.sum.as_mut_ptr(),
                self.acc.as_mut_ptr(),
                other.max.as_ptr(),
                other.sum.as_ptr(),
                other.acc.as_ptr(),
            )
        })
    }

    /// Turns `acc` into the result; `lse`, if given, has an element a row.
    pub fn finish(self, lse: Option<&mut [f32]>) -> Result<()> {
        if lse.as_ref().is_some_and(|lse| lse.len() != self.max.len()) {
            return Err(Error::Argument("lse must have one element a row"));
        }
        let lse = lse.map_or(std::ptr::null_mut(), <[f32]>::as_mut_ptr);
        let (n, max, sum) = (self.max.len() as i64, self.max.as_ptr(), self.sum.as_ptr());
        // SAFETY: the lengths are checked.
        plain(unsafe { sys::sa_finish_partial(n, self.dim, max, sum, self.acc.as_mut_ptr(), lse) })
    }
}
