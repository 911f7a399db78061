//! Why a call was refused: an enum of the library's statuses, each with its sentence.
//!
//! SPDX-License-Identifier: MIT
use sinkattn_sys as sys;
use std::ffi::{c_char, CStr};
use std::fmt;

/// What calls return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused. Each has the sentence that says which argument is wrong and why; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// An argument is out of range, or the length of a slice does not fit.
    Argument(&'static str),
    /// A field of the config is wrong, in this layer or (`None`) of the whole.
    Config {
        /// Which field, and why.
        sentence: &'static str,
        /// The layer concerned.
        layer: Option<u32>,
    },
    /// The library is older than this crate.
    StructSize(&'static str),
    /// The allocator gave no memory.
    Memory(&'static str),
    /// A slice is too small.
    Buffer(&'static str),
    /// A pointer or stride is not a multiple of what is required.
    Alignment(&'static str),
    /// The instruction set asked for is not available here.
    Isa(&'static str),
    /// Saved data is damaged, none of ours, or of an unknown version.
    Format(&'static str),
    /// Not now.
    State(&'static str),
    /// A size does not fit the address space, or a position 2^62.
    Overflow(&'static str),
    /// No room: a dense layer for these tokens, a layer for another span or pin.
    Full(&'static str),
    /// Needs tokens that the cache no longer holds, or that have never come.
    Depth(&'static str),
    /// The pool has no free tile, or no free sequence.
    Pool(&'static str),
    /// A status that this crate does not know.
    Other(i32, &'static str),
}

impl Error {
    /// The library's sentence.
    pub fn sentence(&self) -> &'static str {
        match *self {
            Error::Config { sentence, .. } => sentence,
            Error::Argument(s) | Error::StructSize(s) | Error::Memory(s) | Error::Buffer(s) | Error::Alignment(s) => s,
            Error::Isa(s) | Error::Format(s) | Error::State(s) | Error::Overflow(s) | Error::Full(s) => s,
            Error::Depth(s) | Error::Pool(s) | Error::Other(_, s) => s,
        }
    }

    /// The error of a status that is not success.
    pub(crate) fn of(status: sys::sa_status, sentence: &'static str) -> Error {
        match status {
            sys::SA_ERR_ARGUMENT => Error::Argument(sentence),
            sys::SA_ERR_CONFIG => Error::Config { sentence, layer: None },
            sys::SA_ERR_STRUCT_SIZE => Error::StructSize(sentence),
            sys::SA_ERR_MEMORY => Error::Memory(sentence),
            sys::SA_ERR_BUFFER => Error::Buffer(sentence),
            sys::SA_ERR_ALIGNMENT => Error::Alignment(sentence),
            sys::SA_ERR_ISA => Error::Isa(sentence),
            sys::SA_ERR_FORMAT => Error::Format(sentence),
            sys::SA_ERR_STATE => Error::State(sentence),
            sys::SA_ERR_OVERFLOW => Error::Overflow(sentence),
            sys::SA_ERR_FULL => Error::Full(sentence),
            sys::SA_ERR_DEPTH => Error::Depth(sentence),
            sys::SA_ERR_POOL => Error::Pool(sentence),
            other => Error::Other(other, sentence),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Config { sentence, layer: Some(layer) } => write!(f, "layer {layer}: {sentence}"),
            _ => f.write_str(self.sentence()),
        }
    }
}

impl std::error::Error for Error {}

/// A sentence of the library.
///
/// # Safety
/// `text` is one of the library's constant strings.
pub(crate) unsafe fn sentence(text: *const c_char) -> &'static str {
    // SAFETY: as the caller says, it ends with 0 and lives as long as the program.
    unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("the library's sentence is no UTF-8")
}

/// Success, or the error of a status that leaves no reason of its own.
pub(crate) fn plain(status: sys::sa_status) -> Result<()> {
    if status == sys::SA_SUCCESS {
        return Ok(());
    }
    // SAFETY: any number is allowed, and a constant string comes back.
    Err(Error::of(status, unsafe { sentence(sys::sa_status_string(status)) }))
}
