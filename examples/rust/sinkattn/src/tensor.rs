//! Tensors of the host: slices with an element type, contiguous or with strides.
//!
//! SPDX-License-Identifier: MIT
use crate::config::DType;
use sinkattn_sys as sys;
use std::ffi::c_void;
use std::marker::PhantomData;

/// IEEE binary16 as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct F16(pub u16);

/// bfloat16 as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Bf16(pub u16);

/// An element of a host tensor.
///
/// # Safety
/// The type has the size, alignment and bits of `DTYPE`, and every bit pattern is a value of it.
pub unsafe trait Element: Copy + Send + Sync + 'static {
    /// The library's name for it.
    const DTYPE: DType;
}

// SAFETY: these are the types that the names stand for.
unsafe impl Element for f32 {
    const DTYPE: DType = DType::F32;
}
// SAFETY: 16 bits, transparent.
unsafe impl Element for F16 {
    const DTYPE: DType = DType::F16;
}
// SAFETY: 16 bits, transparent.
unsafe impl Element for Bf16 {
    const DTYPE: DType = DType::BF16;
}
#[cfg(feature = "half")]
// SAFETY: half documents 16 bits, transparent.
unsafe impl Element for half::f16 {
    const DTYPE: DType = DType::F16;
}
#[cfg(feature = "half")]
// SAFETY: half documents 16 bits, transparent.
unsafe impl Element for half::bf16 {
    const DTYPE: DType = DType::BF16;
}

/// Where the elements lie; strides in elements.
#[derive(Clone, Copy)]
pub(crate) struct Parts {
    data: *mut c_void,
    len: usize,
    size: usize,
    pub(crate) dtype: DType,
    pub(crate) strides: Option<Strides>,
}

#[derive(Clone, Copy)]
pub(crate) struct Strides {
    token: isize,
    head: isize,
    first: usize,
}

impl Parts {
    /// How many tokens a contiguous tensor has, if it is a whole number of them.
    pub(crate) fn tokens(&self, heads: usize, dim: usize) -> Option<usize> {
        let row = heads * dim;
        (self.strides.is_none() && row != 0 && self.len % row == 0).then(|| self.len / row)
    }

    /// Whether (n, heads, dim) lie within the slice; a contiguous tensor must be all of it.
    pub(crate) fn fits(&self, n: usize, heads: usize, dim: usize) -> bool {
        let (n, heads, dim, len) = (n as i128, heads as i128, dim as i128, self.len as i128);
        let Some(s) = self.strides else { return len == n * heads * dim };
        let (token, head) = ((n - 1) * s.token as i128, (heads - 1) * s.head as i128);
        let low = s.first as i128 + token.min(0) + head.min(0);
        let high = s.first as i128 + token.max(0) + head.max(0);
        n == 0 || (low >= 0 && high + dim <= len)
    }

    /// For a shape that fits. Of one token or head the stride is not read, and may be any number.
    pub(crate) fn native(&self, n: usize, heads: usize) -> sys::sa_tensor {
        let dtype = self.dtype as i32;
        let Some(s) = self.strides else {
            return sys::sa_tensor { data: self.data, token_stride: 0, head_stride: 0, dtype, flags: 0 };
        };
        let bytes = |count: usize, stride: isize| if count < 2 { 0 } else { stride as i64 * self.size as i64 };
        // Without tokens nothing is looked at, wherever `first` points.
        let offset = if n == 0 { 0 } else { s.first * self.size };
        sys::sa_tensor {
            data: self.data.wrapping_byte_add(offset),
            token_stride: bytes(n, s.token),
            head_stride: bytes(heads, s.head),
            dtype,
            flags: sys::SA_TENSOR_STRIDES_GIVEN,
        }
    }

    pub(crate) fn data(&self) -> *mut c_void {
        self.data
    }
}

/// The tensor that is not there.
pub(crate) const ABSENT: sys::sa_tensor =
    sys::sa_tensor { data: std::ptr::null_mut(), token_stride: 0, head_stride: 0, dtype: 0, flags: 0 };

/// A tensor (tokens, heads, dim) that is read. Made of a slice, a `Vec` or an array: contiguous, and all of it.
#[derive(Clone, Copy)]
pub struct Tensor<'a> {
    pub(crate) parts: Parts,
    lent: PhantomData<&'a [u8]>,
}

/// A tensor (tokens, heads, dim) that is written.
pub struct TensorMut<'a> {
    pub(crate) parts: Parts,
    lent: PhantomData<&'a mut [u8]>,
}

// SAFETY: as a shared slice of elements, which any thread may read.
unsafe impl Send for Tensor<'_> {}
// SAFETY: likewise.
unsafe impl Sync for Tensor<'_> {}
// SAFETY: as a slice of elements that is borrowed alone.
unsafe impl Send for TensorMut<'_> {}
// SAFETY: a shared reference to it gives no access to the elements.
unsafe impl Sync for TensorMut<'_> {}

impl Tensor<'_> {
    /// Strides in elements; they may be negative, and 0 repeats a token or a head. `first`: the index of `[0][0][0]`.
    #[must_use]
    pub fn strides(mut self, token: isize, head: isize, first: usize) -> Self {
        self.parts.strides = Some(Strides { token, head, first });
        self
    }
}

impl TensorMut<'_> {
    /// As of [`Tensor::strides`]. Rows must not overlap each other.
    #[must_use]
    pub fn strides(mut self, token: isize, head: isize, first: usize) -> Self {
        self.parts.strides = Some(Strides { token, head, first });
        self
    }
}

impl<'a, T: Element> From<&'a [T]> for Tensor<'a> {
    fn from(slice: &'a [T]) -> Self {
        let data = slice.as_ptr().cast_mut().cast();
        let parts = Parts { data, len: slice.len(), size: size_of::<T>(), dtype: T::DTYPE, strides: None };
        Tensor { parts, lent: PhantomData }
    }
}

impl<'a, T: Element> From<&'a Vec<T>> for Tensor<'a> {
    fn from(vec: &'a Vec<T>) -> Self {
        Tensor::from(vec.as_slice())
    }
}

impl<'a, T: Element, const N: usize> From<&'a [T; N]> for Tensor<'a> {
    fn from(array: &'a [T; N]) -> Self {
        Tensor::from(array.as_slice())
    }
}

impl<'a, T: Element> From<&'a mut [T]> for TensorMut<'a> {
    fn from(slice: &'a mut [T]) -> Self {
        let data = slice.as_mut_ptr().cast();
        let parts = Parts { data, len: slice.len(), size: size_of::<T>(), dtype: T::DTYPE, strides: None };
        TensorMut { parts, lent: PhantomData }
    }
}

impl<'a, T: Element> From<&'a mut Vec<T>> for TensorMut<'a> {
    fn from(vec: &'a mut Vec<T>) -> Self {
        TensorMut::from(vec.as_mut_slice())
    }
}

impl<'a, T: Element, const N: usize> From<&'a mut [T; N]> for TensorMut<'a> {
    fn from(array: &'a mut [T; N]) -> Self {
        TensorMut::from(array.as_mut_slice())
    }
}
